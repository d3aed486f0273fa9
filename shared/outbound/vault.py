"""One message to Context Vault: a single request, and what became of it. Trying again is the caller's business.

Every request for the same payload carries the same `Idempotency-Key`. Where an answer is lost, or this process is
killed before it is noted, the request is sent again under that key, and it is the vault's job to fold the two.
"""

from __future__ import annotations

import json
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

import httpx

from shared.core.retry_after import seconds_to_wait

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TITLE = "Context Vault"
_RETRIED_STATUSES = frozenset({408, 425, 429})
_SERVER_ERROR = 500
_REFUSED_KEY = (401, 403)
_NO_SUCH_PATH = (404, 405)
# What a vault has to say fits in here; the rest is not read.
_MOST_BYTES = 64 * 2**10
_MOST_CHARACTERS = 300
_TOO_LATE = "did not answer in time"


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a request.

    `status` is the HTTP status, None where none arrived; `error` a sentence, None where the vault took the message.
    `may_retry` says that the same request may succeed later, `retry_after` in how many seconds by the vault's word.
    """

    status: int | None
    error: str | None = None
    may_retry: bool = False
    retry_after: float | None = None


class _Limit:
    """Ends a request after some seconds, whatever it is doing: `with` it, `watch` being the request's trace.

    The client's timeout is for each wait on the socket, so an answer that drips in would never meet it. A timer shuts
    the connection down instead, which wakes up whoever waits on it; closing it would not.
    """

    def __init__(self, seconds: float) -> None:
        self.is_over = False
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._timer.join()
        for one in self._sockets:
            one.close()

    def watch(self, event: str, info: Mapping[str, Any]) -> None:
        """Take hold of a connection as soon as it is made, before TLS."""
        if not event.endswith(".connect_tcp.complete"):
            return
        # A handle of our own: TLS takes the socket away from the object that is seen here.
        handle = info["return_value"].get_extra_info("socket").dup()
        with self._lock:
            self._sockets.append(handle)
            if self.is_over:
                _shut(handle)

    def _end(self) -> None:
        with self._lock:
            self.is_over = True
            for one in self._sockets:
                _shut(one)


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):  # the other side was first
        connection.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vault:
    """Where messages go, and as whom. `key` may be None for a vault that asks for none."""

    http: httpx.Client = field(repr=False)
    url: str
    path: str
    method: str
    header: str
    key: str | None = field(repr=False)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def send(self, body: str, idempotency_key: str, seconds: float) -> Sent:
        """Send a JSON body once, within `seconds`. Never raises for what the vault does.

        Only looking its name up, and trying several addresses of it in turn, may take longer; nothing is sent then.

        A status of 2xx is the acknowledgement, whatever happens to the text behind it. Redirects are not followed:
        the key would travel along.
        """
        limit = _Limit(seconds)
        try:
            with (
                limit,
                self.http.stream(
                    self.method,
                    self.url + self.path,
                    content=body.encode(),
                    headers={
                        "User-Agent": "AICostTracker",
                        "Content-Type": "application/json",
                        "Accept": "application/json",
                        "Accept-Encoding": "identity",
                        "Idempotency-Key": idempotency_key,
                        # A connection for each request: the limit sees it when it is made.
                        "Connection": "close",
                        **self._credential(),
                    },
                    timeout=seconds,
                    follow_redirects=False,
                    extensions={"trace": limit.watch},
                ) as response,
            ):
                text = self._text(response)
        except httpx.TransportError as error:
            said = _TOO_LATE if limit.is_over or isinstance(error, httpx.TimeoutException) else _describe(error)
            return Sent(None, f"{TITLE} {said}.", may_retry=True)
        except (httpx.InvalidURL, httpx.RequestError):
            # Their texts quote the request.
            return Sent(None, f"{TITLE} cannot be asked; check CONTEXT_VAULT_URL and CONTEXT_VAULT_PATH.")
        return self._judge(response, text)

    def _credential(self) -> dict[str, str]:
        if self.key is None:
            return {}
        # A bare key is no credential under this name (RFC 9110, 11.6.2), and a key setting holds no space.
        is_bearer = self.header.lower() == "authorization"
        return {self.header: f"Bearer {self.key}" if is_bearer else self.key}

    @staticmethod
    def _text(response: httpx.Response) -> bytes:
        """Return the beginning of the answer; the status stands whatever becomes of it."""
        text = b""
        try:
            for chunk in response.iter_bytes():
                text += chunk
                if len(text) > _MOST_BYTES:
                    break
        except httpx.HTTPError:
            return b""
        return text

    def _judge(self, response: httpx.Response, text: bytes) -> Sent:
        status = response.status_code
        if response.is_success:
            return Sent(status)
        said = self._said(text)
        quoted = f" ({said})" if said else ""
        if status in _RETRIED_STATUSES or status >= _SERVER_ERROR:
            error = f"{TITLE} answered with status {status}{quoted}."
            wait = seconds_to_wait(response.headers.get("retry-after", ""), self.now())
            return Sent(status, error, may_retry=True, retry_after=wait)
        if response.has_redirect_location or status < 400:  # noqa: PLR2004 - the first status of a refusal
            return Sent(
                status,
                f"{TITLE} redirects elsewhere, which is not followed; set CONTEXT_VAULT_URL to the final address.",
            )
        hint = ""
        if status in _REFUSED_KEY:
            hint = " Check CONTEXT_VAULT_API_KEY and CONTEXT_VAULT_AUTH_HEADER."
        elif status in _NO_SUCH_PATH:
            hint = " Check CONTEXT_VAULT_PATH and CONTEXT_VAULT_METHOD."
        return Sent(status, f"{TITLE} refused the summary with status {status}{quoted}.{hint}")

    def _said(self, text: bytes) -> str:
        """Return the vault's own message, short and without the key; empty if there is none to be had."""
        try:
            answer = json.loads(text)
        except (ValueError, RecursionError):
            return ""
        error = answer.get("error", answer) if isinstance(answer, dict) else answer
        names = ("message", "detail", "title")
        said = next((error[name] for name in names if name in error), "") if isinstance(error, dict) else error
        if not isinstance(said, str):
            return ""
        if self.key is not None:
            said = said.replace(self.key, "[key]")
        said = "".join(character if character.isprintable() else " " for character in said)
        return " ".join(said.split())[:_MOST_CHARACTERS].rstrip(". ")


def _describe(error: httpx.TransportError) -> str:
    if isinstance(error, httpx.ConnectError):
        return "could not be reached; check CONTEXT_VAULT_URL"
    return "broke the connection"
