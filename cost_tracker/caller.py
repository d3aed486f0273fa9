"""Calls of the HTTP API: requests, decoded answers, runs followed to their end. Money arrives as Decimal, never float.

Errors, each with one sentence for the reader:

ClientError
├── ApiError          the service refused or failed; `status`, `code` and `details` say how
└── UnreachableError  nothing answered, or not in time
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from datetime import date, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self

import httpx

from shared.addresses import is_loopback
from shared.core import jsontext
from shared.errors import CostTrackerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

# The gateway gives up after 30 s; a little more lets its own answer arrive.
TIMEOUT_SECONDS = 35.0
# A tracker on this machine has no such gateway, and large exports take their time.
_DOWNLOAD_SECONDS = 600.0
# A run is looked at often while it is young, then twice a second.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5
# One lost answer while following a run says nothing about the run.
_PATIENCE = 5

Run = dict[str, Any]


class ClientError(CostTrackerError):
    """Base of what goes wrong between this client and the service."""


class ApiError(ClientError):
    """Do what the sentence says; it is the service's own.

    `status` is the HTTP status, `code` the error's name and `details` one `{"field", "message"}` per wrong field.
    """

    def __init__(self, message: str, status: int, code: str, details: Iterable[Mapping[str, str]] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.details = list(details)


class UnreachableError(ClientError):
    """Start the service, or correct its address."""


class Caller:
    """Asks the API over an httpx client that has base address and key set; `address` names it in errors."""

    def __init__(self, http: httpx.Client, address: str) -> None:
        self._http = http
        self.address = address

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; the client cannot be used afterwards."""
        self._http.close()

    def get(self, path: str, **params: object) -> Any:  # noqa: ANN401 - JSON is any shape
        """Return the decoded answer of `GET path`.

        `params` become the query: lists are repeated, dates written as ISO, None is left out.

        Raises:
            ApiError, UnreachableError: see the module.
        """
        return self._ask("GET", path, params, None)

    def post(self, path: str, body: object = None, **params: object) -> Any:  # noqa: ANN401 - JSON is any shape
        """Send `body` as JSON (`{}` where it is None), Decimals with all of their digits, and return the answer.

        Bytes are JSON already and sent as they are.

        Raises:
            ApiError, UnreachableError: see the module.
        """
        return self._ask("POST", path, params, {} if body is None else body)

    def put(self, path: str, body: object, **params: object) -> Any:  # noqa: ANN401 - JSON is any shape
        """Replace what is at `path` by `body` and return the answer; sent and raised as in `post`."""
        return self._ask("PUT", path, params, body)

    def delete(self, path: str, **params: object) -> Any:  # noqa: ANN401 - JSON is any shape
        """Remove or revoke what is at `path` and return the answer; raised as in `get`."""
        return self._ask("DELETE", path, params, None)

    def download(self, path: str, **params: object) -> Iterator[bytes]:
        """Yield the answer of `GET path` piece by piece, wherever it refers to, however large it is.

        Raises:
            ApiError, UnreachableError: see the module; also in the middle.
        """
        with self._speaking():
            request = self._http.build_request("GET", path, params=_query(params), timeout=_DOWNLOAD_SECONDS)
            response = self._http.send(request, stream=True)
            try:
                if response.status_code == HTTPStatus.SEE_OTHER:
                    yield from self._elsewhere(response.headers["location"])
                elif response.is_success:
                    yield from response.iter_bytes()
                else:
                    response.read()
                    raise _error(response)
            finally:
                response.close()

    def _elsewhere(self, address: str) -> Iterator[bytes]:
        """Yield a file that an answer refers to; our key goes to nobody but the tracker."""
        host = httpx.URL(address)
        is_ours = host.netloc == self._http.base_url.netloc
        http = self._http if is_ours else httpx.Client(trust_env=not is_loopback(host.host))
        try:
            with http.stream("GET", address, timeout=_DOWNLOAD_SECONDS) as response:
                if not response.is_success:
                    response.read()
                    raise _error(response)
                yield from response.iter_bytes()
        finally:
            if not is_ours:
                http.close()

    def run(
        self, path: str, body: object = None, on_progress: Callable[[Run], None] | None = None, **params: object
    ) -> Run:
        """Start long work such as `/admin/collect` and follow it until it has ended.

        `on_progress` gets the run each time it was looked at: `{"id", "job", "status", "result": {"progress"}, ...}`.
        The finished run is returned whatever became of it: look at `status` (succeeded, partial, failed) and `error`.

        Raises:
            ApiError, UnreachableError: see the module. The run itself goes on then.
        """
        run: Run = self.post(path, body, wait=0, **params)
        return self.follow(run, on_progress)

    def follow(self, run: Run, on_progress: Callable[[Run], None] | None = None) -> Run:
        """Look at a run until it has ended, and return it.

        Raises:
            ApiError, UnreachableError: see the module; unreachable only after five tries.
        """
        failures, pause = 0, _FIRST_PAUSE
        while run["status"] == "running":
            if on_progress:
                on_progress(run)
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)
            try:
                run = self.get(f"/admin/runs/{run['id']}")
                failures = 0
            except (UnreachableError, ApiError) as error:
                failures += 1
                is_final = isinstance(error, ApiError) and error.status < HTTPStatus.INTERNAL_SERVER_ERROR
                if is_final or failures >= _PATIENCE:
                    raise
        if on_progress:
            on_progress(run)
        return run

    def _ask(self, method: str, path: str, params: Mapping[str, object], body: object) -> Any:  # noqa: ANN401 - JSON
        content = body if body is None or isinstance(body, bytes) else jsontext.dumps(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        with self._speaking():
            response = self._http.request(method, path, params=_query(params), content=content, headers=headers)
        if not response.is_success:
            raise _error(response)
        return self._decoded(response)

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        """Turn what httpx raises into our sentences."""
        try:
            yield
        except httpx.TimeoutException as error:
            raise UnreachableError(f"{self.address} did not answer in time; try again in a minute.") from error
        except httpx.TransportError as error:
            raise UnreachableError(
                f"Nothing answers at {self.address}; start it with `cost-tracker serve`, or correct the URL."
            ) from error

    def _decoded(self, response: httpx.Response) -> Any:  # noqa: ANN401 - JSON is any shape
        try:
            return jsontext.loads(response.content)
        except ValueError as error:
            raise UnreachableError(
                f"{self.address} answers, but not as a cost tracker does; correct the URL."
            ) from error


def over_http(url: str, key: str | None, seconds: float = TIMEOUT_SECONDS) -> httpx.Client:
    """Return an httpx client of the service at `url` that waits for answers so long.

    Raises:
        UnreachableError: `url` is not an http or https address.
    """
    try:
        address = httpx.URL(url.strip())
    except httpx.InvalidURL:
        address = httpx.URL("")
    if address.scheme not in {"http", "https"} or not address.host:
        raise UnreachableError(f"{url!r} is not an address; write it like https://costs.example.com.")
    headers = {"X-API-Key": key} if key else {}
    # A proxy of the environment cannot reach this machine's own loopback.
    return httpx.Client(base_url=address, headers=headers, timeout=seconds, trust_env=not is_loopback(address.host))


def _query(params: Mapping[str, object]) -> list[tuple[str, str | int | float | bool | None]]:
    """Return the query; the type is the one that httpx declares."""
    return [(name, text) for name, value in params.items() for text in _texts(value)]


def _texts(value: object) -> list[str]:
    if value is None:
        return []
    if isinstance(value, (list, tuple)):
        return [text for item in value for text in _texts(item)]
    if isinstance(value, bool):
        return ["true" if value else "false"]
    if isinstance(value, datetime):
        return [jsontext.dumps(value).strip('"')]
    return [value.isoformat() if isinstance(value, date) else str(value)]


def _error(response: httpx.Response) -> ApiError:
    try:
        body = jsontext.loads(response.content)
    except ValueError:
        body = None
    found = body.get("error") if isinstance(body, dict) else None
    if isinstance(found, dict) and isinstance(found.get("message"), str):
        details = found.get("details")
        return ApiError(
            found["message"],
            response.status_code,
            str(found.get("code", "unknown")),
            details if isinstance(details, list) else (),
        )
    # API Gateway answers `{"message": ...}` for what never reached the service; proxies answer anything.
    said = body.get("message") if isinstance(body, dict) else None
    reason = f": {said}" if isinstance(said, str) else ""
    url = response.request.url.copy_with(query=None)
    return ApiError(
        f"{url} answered {response.status_code}{reason}; check the URL, or try again in a minute.",
        response.status_code,
        "unknown",
    )
