"""One JSON call to a provider: retries inside a deadline, exact numbers, and errors that never carry the key."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import SystemRandom
from typing import TYPE_CHECKING

import httpx

from shared import VERSION
from shared.core import jsontext
from shared.core.retry_after import seconds_to_wait
from shared.errors import CredentialError, MalformedResponseError, ProviderError
from shared.providers.decoding import decode
from shared.providers.patience import Failure, is_passing, persist, read_body, unreached

if TYPE_CHECKING:
    from shared.providers.spec import ProviderSpec

MAX_BYTES = 64 * 2**20
ERROR_BYTES = 64 * 2**10

Query = Sequence[tuple[str, str]]
Refusal = Callable[[int, str], type[ProviderError]]


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How long and how often one run may ask, and where its time and chance come from.

    `deadline` is in seconds of `clock`; no wait begins that would pass it, and no socket waits longer than
    `timeout` or what is left. `now` is for what depends on the date: a Retry-After, and which days a provider tells.
    """

    deadline: float
    tries: int = 5
    timeout: float = 30.0
    sleep: Callable[[float], None] = time.sleep
    random: Callable[[], float] = SystemRandom().random
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = _utc_now

    @classmethod
    def lasting(cls, seconds: float, now: Callable[[], datetime] = _utc_now) -> Budget:
        """Return a budget that ends `seconds` from now; `now` tells the date."""
        return cls(deadline=time.monotonic() + seconds, now=now)

    def left(self) -> float:
        """Return the seconds until the deadline; zero or less once it has passed."""
        return self.deadline - self.clock()

    def patience(self) -> float:
        """Return the seconds that a socket may wait now; never zero, which would mean something else to it."""
        return max(min(self.timeout, self.left()), 0.001)


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

    @classmethod
    def bearer(cls, spec: ProviderSpec, key: str, base_url: str) -> Service:
        """Return the service of a provider that takes its key as a bearer token."""
        return cls(
            title=spec.title,
            base_url=base_url,
            setting=spec.base_url_setting,
            key_needed=spec.key_needed,
            key=key,
            headers={"Authorization": f"Bearer {key}"},
        )


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

        429, 408, 425, 5xx (529 too), timeouts, broken connections and a 403 that is a limit are tried again,
        `budget.tries` times in all: after the wait that the provider asks for, else after a random part of an
        exponentially growing delay.
        `refusal(status, message)` picks the error class of any other 4xx.

        Raises:
            CredentialError: 401, or 403 that is no limit, after one call.
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
        body = persist(self._service.title, self._budget, lambda: self._attempt(request))
        return self._decode(body, request.path)

    def _attempt(self, request: _Request) -> bytes | Failure:
        service, path = self._service, request.path
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
                timeout=self._budget.patience(),
                follow_redirects=False,
            ) as response:
                status = response.status_code
                if response.is_success:
                    return read_body(response, service.title, path, self._max_bytes, self._budget)
                if is_passing(status) or _is_limit(response):
                    return Failure(f"answered with status {status}", _asked_wait(response, self._budget.now()))
                said = self._said(response)
        except httpx.TransportError as exc:
            return unreached(exc)
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

    def _decode(self, body: bytes, path: str) -> object:
        try:
            return decode(body)
        except (ValueError, ArithmeticError, RecursionError) as exc:
            raise MalformedResponseError(
                f"{self._service.title} answered {path} with something that is not usable JSON: {exc}."
            ) from exc


def _is_limit(response: httpx.Response) -> bool:
    """Tell whether a 403 says "later" rather than "never", as GitHub's may."""
    spent = response.headers.get("x-ratelimit-remaining") == "0"
    return response.status_code == httpx.codes.FORBIDDEN and (spent or "retry-after" in response.headers)


def _asked_wait(response: httpx.Response, now: datetime) -> float | None:
    """Return the seconds until the provider wants to be asked again, by Retry-After or else by GitHub's headers."""
    wait = seconds_to_wait(response.headers.get("retry-after", ""), now)
    reset = response.headers.get("x-ratelimit-reset", "")
    if wait is None and _is_limit(response) and re.fullmatch("[0-9]{1,12}", reset):
        return seconds_to_wait(f"{max(int(reset) - int(now.timestamp()), 0)}", now)
    return wait
