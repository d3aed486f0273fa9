"""One JSON call to a provider: retries inside a deadline, exact numbers, and errors that never carry the key."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import SystemRandom

import httpx

from shared import VERSION
from shared.core import jsontext
from shared.core.retry_after import seconds_to_wait
from shared.errors import CredentialError, MalformedResponseError, ProviderError, ProviderUnavailableError
from shared.providers.decoding import decode

MAX_BYTES = 64 * 2**20
ERROR_BYTES = 64 * 2**10
BACKOFF_SECONDS = 1.0
MAX_BACKOFF_SECONDS = 30.0
RETRIED_STATUSES = frozenset({408, 425, 429})
SERVER_ERROR = 500

Query = Sequence[tuple[str, str]]
Refusal = Callable[[int, str], type[ProviderError]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How long and how often one run may ask, and where its time and chance come from.

    `deadline` is in seconds of `clock`; no wait begins that would pass it, and no socket waits longer than
    `timeout` or what is left. `now` is only for a Retry-After that is a date.
    """

    deadline: float
    tries: int = 5
    timeout: float = 30.0
    sleep: Callable[[float], None] = time.sleep
    random: Callable[[], float] = SystemRandom().random
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    @classmethod
    def lasting(cls, seconds: float) -> Budget:
        """Return a budget that ends `seconds` from now."""
        return cls(deadline=time.monotonic() + seconds)

    def left(self) -> float:
        """Return the seconds until the deadline; zero or less once it has passed."""
        return self.deadline - self.clock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Whom we ask and as whom.

    `key_needed` is the sentence that a refused credential ends with; `headers` go with every call (the key among
    them); `setting` names the setting of the address.
    """

    title: str
    base_url: str
    setting: str
    key_needed: str
    key: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Failure:
    """A try that may be repeated: what happened, and what the provider or the socket said about it."""

    what: str
    retry_after: float | None = None
    cause: Exception | None = None


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    query: Query
    headers: Mapping[str, str]
    refusal: Refusal
    content: str | None = None


def _any_refusal(_status: int, _said: str) -> type[ProviderError]:
    return ProviderError


class JsonClient:
    """Questions to one service over a given `httpx.Client`; every answer is JSON whose numbers are int or Decimal."""

    def __init__(self, service: Service, http: httpx.Client, budget: Budget, max_bytes: int = MAX_BYTES) -> None:
        """Bind the client; nothing is sent.

        Raises:
            CredentialError: the key cannot be one (empty, blanks, control or non-ASCII characters). Checked here
                because httpx and h11 quote an illegal header value in their errors.
        """
        key = service.key
        if not key or " " in key or not (key.isascii() and key.isprintable()):
            raise CredentialError(
                f"The key for {service.title} is empty or holds characters that no key has; copy it again. "
                f"{service.key_needed}"
            )
        self._service = service
        self._http = http
        self._budget = budget
        self._max_bytes = max_bytes

    def get(
        self,
        path: str,
        query: Query = (),
        headers: Mapping[str, str] | None = None,
        refusal: Refusal = _any_refusal,
    ) -> object:
        """Return the decoded answer of `base_url + path`, for a payload model to read.

        429, 408, 425, 5xx (529 too), timeouts and broken connections are tried again, `budget.tries` times in all:
        after the Retry-After the provider asks for, else after a random part of an exponentially growing delay.
        `refusal(status, message)` picks the error class of any other 4xx.

        Raises:
            CredentialError: 401 or 403, after one call.
            ProviderUnavailableError: still failing after the tries, or no time left.
            MalformedResponseError: not JSON, NaN or Infinity, absurd numbers, or more than `max_bytes`.
            ProviderError: any other refusal, and redirects, which are not followed (the key would travel along).
        """
        return self._ask(_Request("GET", path, query, headers or {}, refusal))

    def post(
        self,
        path: str,
        body: object,
        headers: Mapping[str, str] | None = None,
        refusal: Refusal = _any_refusal,
    ) -> object:
        """Return the decoded answer to a JSON body (as `shared.core.jsontext` writes it), in all else as `get` does.

        For questions only: what changes something at the provider must not be tried again.
        """
        headers = {"Content-Type": "application/json", **(headers or {})}
        return self._ask(_Request("POST", path, (), headers, refusal, jsontext.dumps(body)))

    def _ask(self, request: _Request) -> object:
        failure = _Failure("was not asked")
        for attempt in range(1, self._budget.tries + 1):
            outcome = self._attempt(request)
            if isinstance(outcome, bytes):
                return self._decode(outcome, request.path)
            failure = outcome
            if attempt < self._budget.tries:
                self._wait(failure, attempt)
        raise ProviderUnavailableError(
            f"{self._service.title} {failure.what}, at the last of {self._budget.tries} tries; the next run asks again."
        ) from failure.cause

    def _attempt(self, request: _Request) -> bytes | _Failure:
        service, path = self._service, request.path
        left = self._budget.left()
        if left <= 0:
            raise self._out_of_time()
        try:
            with self._http.stream(
                request.method,
                service.base_url + path,
                params=list(request.query),
                content=request.content,
                # gzip only: other codings may blow one chunk up past the size cap before it can be counted.
                headers={
                    "User-Agent": f"AICostTracker/{VERSION}",
                    "Accept": "application/json",
                    "Accept-Encoding": "gzip",
                    **service.headers,
                    **request.headers,
                },
                timeout=min(self._budget.timeout, left),
                follow_redirects=False,
            ) as response:
                status = response.status_code
                if response.is_success:
                    return self._body(response, path)
                if status in RETRIED_STATUSES or status >= SERVER_ERROR:
                    asked = response.headers.get("retry-after", "")
                    return _Failure(f"answered with status {status}", seconds_to_wait(asked, self._budget.now()))
                said = self._said(response)
        except httpx.TransportError as exc:
            return _Failure(_describe(exc), cause=exc)
        except httpx.DecodingError as exc:
            raise MalformedResponseError(f"{service.title} answered {path} with broken compression.") from exc
        quoted = f" ({said})" if said else ""
        if status in (401, 403):
            raise CredentialError(
                f"{service.title} refused the key with status {status}{quoted}. {service.key_needed}", status, said
            )
        if response.is_redirect:
            raise ProviderError(
                f"{service.title} redirects {path} elsewhere, which is not followed; "
                f"set {service.setting} to the final address."
            )
        raise request.refusal(status, said)(f"{service.title} refused {path} with status {status}{quoted}.")

    def _body(self, response: httpx.Response, path: str) -> bytes:
        chunks: list[bytes] = []
        size = 0
        for chunk in response.iter_bytes():
            size += len(chunk)
            if size > self._max_bytes:
                raise MalformedResponseError(
                    f"{self._service.title} answered {path} with more than {self._max_bytes} bytes."
                )
            if self._budget.left() <= 0:
                raise self._out_of_time()
            chunks.append(chunk)
        return b"".join(chunks)

    def _said(self, response: httpx.Response) -> str:
        """Return the provider's own message, short and without the key; empty if there is none to be had."""
        body = b""
        try:
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > ERROR_BYTES or self._budget.left() <= 0:
                    return ""
            answer = json.loads(body)
        except (httpx.HTTPError, ValueError, RecursionError):
            # The refusal stands whatever became of its text; trying again would repeat a refused credential.
            return ""
        error = answer.get("error", answer) if isinstance(answer, dict) else None
        message = error.get("message") if isinstance(error, dict) else error
        if not isinstance(message, str):
            return ""
        message = message.replace(self._service.key, "[key]")
        message = "".join(char if char.isprintable() else " " for char in message)
        return " ".join(message.split())[:300].rstrip(". ")

    def _wait(self, failure: _Failure, attempt: int) -> None:
        left = self._budget.left()
        if failure.retry_after is None:
            delay = self._budget.random() * min(MAX_BACKOFF_SECONDS, BACKOFF_SECONDS * 2 ** (attempt - 1))
            if delay >= left:
                raise ProviderUnavailableError(
                    f"{self._service.title} {failure.what} and no time is left to try again; the next run asks again."
                ) from failure.cause
        else:
            delay = failure.retry_after
            if delay >= left:
                raise ProviderUnavailableError(
                    f"{self._service.title} {failure.what} and asks to wait {delay:.0f} seconds, more than the "
                    f"{max(left, 0):.0f} that this run has left; the next run asks again."
                )
        self._budget.sleep(delay)

    def _out_of_time(self) -> ProviderUnavailableError:
        return ProviderUnavailableError(
            f"The time for asking {self._service.title} is used up; the next run asks again."
        )

    def _decode(self, body: bytes, path: str) -> object:
        try:
            return decode(body)
        except (ValueError, ArithmeticError, RecursionError) as exc:
            raise MalformedResponseError(
                f"{self._service.title} answered {path} with something that is not usable JSON: {exc}."
            ) from exc


def _describe(exc: httpx.TransportError) -> str:
    if isinstance(exc, httpx.TimeoutException):
        return "did not answer in time"
    return "could not be reached" if isinstance(exc, httpx.ConnectError) else "broke the connection"
