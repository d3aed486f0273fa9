"""A threaded HTTP server on loopback that records every request and lets faults strike: the body of every fake."""

import json
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from infra.demo.dataset import Json
from infra.demo.faults import Fault

HOST = "127.0.0.1"
POLL_SECONDS = 0.05
# SO_LINGER switched on with zero seconds: closing sends RST instead of FIN.
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came: `query` decoded, in order, with repetitions; header names in lower case."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]

    def without(self, name: str) -> Self:
        """Return the request without one query parameter."""
        query = tuple(pair for pair in self.query if pair[0] != name)
        return replace(self, query=query)

    def values(self, name: str) -> list[str]:
        """Return what a query parameter was given as, in order; empty when it was not sent."""
        return [value for key, value in self.query if key == name]


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: JSON unless `text` is given."""

    status: int
    payload: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    text: str | None = None

    @property
    def body(self) -> bytes:
        """The bytes that are sent."""
        return (json.dumps(self.payload) if self.text is None else self.text).encode()


@dataclass(frozen=True, slots=True)
class Recorded:
    """One served request: what came, the status that went back, and the fault that struck, if one did."""

    request: Request
    status: int
    fault: Fault | None = None

    @property
    def path(self) -> str:
        """The path, without the query."""
        return self.request.path


class LoopbackServer:
    """Serves `answer` on a free port of 127.0.0.1 (or `port`) between `start` and `stop`, or inside `with`.

    `requests` holds what was served, in the order of completion; `faults` what is still to go wrong; both may be
    read and changed at any time. `error_body` writes the provider's error for a status.
    """

    def __init__(
        self,
        answer: Callable[[Request], Answer],
        error_body: Callable[[int], Json],
        *,
        faults: Iterable[Fault] = (),
        port: int = 0,
    ) -> None:
        self.faults = list(faults)
        self.requests: list[Recorded] = []
        self._answer = answer
        self._error_body = error_body
        self._port = port
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._http: _Http | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Base URL without a trailing slash; the server must have been started."""
        if self._http is None:
            raise RuntimeError("Start the server before asking for its URL.")
        return f"http://{HOST}:{self._http.server_port}"

    def start(self) -> Self:
        """Listen and serve in a thread of its own."""
        self._stopping.clear()
        self._http = _Http(self, self._port)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(POLL_SECONDS,), daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop listening and let hanging requests go; stopping twice does nothing."""
        self._stopping.set()
        if self._http is not None and self._thread is not None:
            self._http.shutdown()
            self._http.server_close()
            self._thread.join()
        self._http = self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def paths(self) -> list[str]:
        """Return the paths that were asked for, in order."""
        return [record.path for record in self.requests]

    def serve(self, request: Request) -> tuple[Answer, Fault | None]:
        """Answer one request, faults included, and record it before the first byte goes out."""
        fault = self._strike(request.path)
        answer = self._faulty(request, fault) if fault else self._answer(request)
        with self._lock:
            self.requests.append(Recorded(request, answer.status, fault))
        return answer, fault

    def _strike(self, path: str) -> Fault | None:
        with self._lock:
            fault = next((fault for fault in self.faults if fault.hits(path)), None)
            self.faults[:] = [fault for fault in self.faults if not fault.spent]
            return fault

    def _faulty(self, request: Request, fault: Fault) -> Answer:
        if fault.hang:
            self._stopping.wait(fault.hang)
        if fault.status is not None:
            body = self._error_body(fault.status) if fault.payload is None else fault.payload
            return Answer(fault.status, body, fault.headers, fault.text)
        answer = self._answer(request.without("page") if fault.ignore_page else request)
        payload: object = answer.payload
        text = fault.text
        if fault.transform and answer.status == HTTPStatus.OK:
            payload = fault.transform(answer.payload)
            text = payload if isinstance(payload, str) else text
        return Answer(answer.status, payload, {**answer.headers, **fault.headers}, text)


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, owner: LoopbackServer, port: int) -> None:
        self.owner = owner
        super().__init__((HOST, port), _Handler)

    def server_bind(self) -> None:
        # HTTPServer looks up the host's full name here, which can take seconds where DNS does not answer.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, int(self.server_address[1])

    def handle_error(self, request: object, client_address: object) -> None:
        # A client that hung up is what several faults are about; anything else is a mistake of the fake.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type] # the two are only passed on


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Http

    def handle_any(self) -> None:
        parts = urlsplit(self.path)
        answer, fault = self.server.owner.serve(
            Request(
                method=self.command,
                path=parts.path,
                query=tuple(parse_qsl(parts.query, keep_blank_values=True)),
                headers={name.lower(): value for name, value in self.headers.items()},
            )
        )
        body = answer.body
        self.send_response(answer.status)
        for name, value in {"content-type": "application/json", **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        # One request per connection: stopping the server then leaves no thread waiting for a next one.
        self.send_header("connection", "close")
        self.end_headers()
        if fault and fault.cut:
            self.wfile.write(body[: len(body) // 2])
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            return
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815 - http.server looks for these names

    def log_message(self, *_args: object, **_kwargs: object) -> None:
        """Stay silent: the requests are in `LoopbackServer.requests`."""
