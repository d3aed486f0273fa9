"""A stand-in for API Gateway on this machine: real HTTP on loopback, the same events, the same handler."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import TYPE_CHECKING, Any, Self

from infra.local.event import Call, Handler, Reply, call_handler
from infra.local.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_REQUEST = 10 * 1024 * 1024  # what API Gateway takes
MAX_LINE = 64 * 1024
IDLE_SECONDS = 60
# Each worker keeps one database connection, however many clients are connected.
WORKERS = 16


class _BadRequestError(Exception):
    """The request cannot be read; the message is what API Gateway would answer."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Connection(BaseHTTPRequestHandler):
    """One client connection, kept alive between requests."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.connected(self.connection)

    def finish(self) -> None:
        self.server.disconnected(self.connection)
        super().finish()

    def answer(self) -> None:
        self.server.busy(self.connection)
        try:
            reply = self.server.dispatch(self._call())
        except _BadRequestError as error:
            self.close_connection = True  # what follows in the stream is not a request
            body = f'{{"message":"{error}"}}'.encode()
            reply = Reply(error.status, [("content-type", "application/json")], body)
        self.close_connection = self.close_connection or self.server.is_stopping
        self._send(reply)
        self.server.idle(self.connection)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - what `getattr` returns
        # http.server looks for do_<METHOD>; which methods a path has is for the handler to say.
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def _call(self) -> Call:
        return Call(
            method=self.command,
            target=self.path,
            headers=self.headers.items(),
            body=self._read_body(),
            host=self.headers.get("host") or "{}:{}".format(*self.server.server_address[:2]),
            source_ip=self.client_address[0],
        )

    def _read_body(self) -> bytes:
        lengths = self.headers.get_all("content-length", [])
        if "transfer-encoding" in self.headers:
            if lengths or self.headers["transfer-encoding"].strip().lower() != "chunked":
                raise _BadRequestError(HTTPStatus.BAD_REQUEST, "Bad Request")
            return self._read_chunks()
        if not lengths:
            return b""
        if len(set(lengths)) > 1 or not (lengths[0].isascii() and lengths[0].isdigit()):
            raise _BadRequestError(HTTPStatus.BAD_REQUEST, "Bad Request")
        return self._read(int(lengths[0]), 0)

    def _read_chunks(self) -> bytes:
        body = bytearray()
        while True:
            size = self.rfile.readline(MAX_LINE).partition(b";")[0].strip()
            try:
                length = int(size, 16) if size.isalnum() else -1
            except ValueError:
                length = -1
            if length < 0:
                raise _BadRequestError(HTTPStatus.BAD_REQUEST, "Bad Request")
            if length == 0:
                break
            body += self._read(length, len(body))
            self.rfile.readline(MAX_LINE)
        while self.rfile.readline(MAX_LINE).strip():  # trailers
            pass
        return bytes(body)

    def _read(self, length: int, already: int) -> bytes:
        if length + already > MAX_REQUEST:
            raise _BadRequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Request Entity Too Large")
        body = self.rfile.read(length)
        if len(body) < length:
            raise _BadRequestError(HTTPStatus.BAD_REQUEST, "Bad Request")
        return body

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers:
            if name != "content-length":
                self.send_header(name, " ".join(value.splitlines()))
        has_body = self.command != "HEAD" and reply.status not in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}
        if has_body:
            size = len(reply.body) if reply.file is None else reply.file.stat().st_size
            self.send_header("content-length", str(size))
        if self.close_connection:
            self.send_header("connection", "close")
        self.end_headers()
        if has_body and reply.file is None:
            self.wfile.write(reply.body)
        elif has_body and reply.file is not None:
            with reply.file.open("rb") as file:
                shutil.copyfileobj(file, self.wfile)

    def version_string(self) -> str:
        return "ai-cost-tracker"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401 - the base class names it so
        """Say nothing: the handler logs what matters."""


class _Server(ThreadingHTTPServer):
    """The listening socket, its connections, and the workers that run the handler."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    allow_reuse_address = True

    def __init__(self, handler: Handler, host: str, port: int, at_worker_end: Callable[[], object]) -> None:
        super().__init__((host, port), _Connection)
        self._workers = Workers(WORKERS, partial(call_handler, handler), at_worker_end)
        self._lock = threading.Lock()
        self._connections: dict[socket.socket, bool] = {}  # whether a request is under way on it
        self.is_stopping = False

    def server_bind(self) -> None:
        # HTTPServer looks up the host's full name here, which can take seconds where DNS does not answer.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def dispatch(self, call: Call) -> Reply:
        return self._workers.call(call)

    def connected(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections[connection] = False

    def disconnected(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections.pop(connection, None)

    def busy(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections[connection] = True

    def idle(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections[connection] = False

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - the base class has no types
        """Say nothing: a client that went away is not our failure."""

    def finish_requests(self, seconds: float) -> None:
        """Wait for requests under way, at most so long, and close every connection."""
        self.is_stopping = True
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with self._lock:
                if not any(self._connections.values()):
                    break
            time.sleep(0.01)
        with self._lock:
            for connection in self._connections:
                with suppress(OSError):  # the client was faster
                    connection.shutdown(socket.SHUT_RDWR)
        self._workers.stop(max(0.1, deadline - time.monotonic()))


class Gateway:
    """Serves a Lambda handler over HTTP until it is stopped; parallel requests are answered in parallel.

    with Gateway(handler, port=8000) as gateway:
        print(gateway.url)
    """

    def __init__(
        self,
        handler: Handler,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        at_worker_end: Callable[[], object] = lambda: None,
    ) -> None:
        """Listen on a loopback address; port 0 takes a free one.

        `at_worker_end` is called on each thread that ran the handler, when it ends: close its connections there.

        Raises:
            OSError: the port is taken.
        """
        self._server = _Server(handler, host, port, at_worker_end)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="gateway", daemon=True)
        self.host, self.port = host, self._server.server_address[1]

    @property
    def url(self) -> str:
        """The address that clients use, without a slash at the end."""
        return f"http://{self.host}:{self.port}"

    def start(self) -> None:
        """Answer requests from now on, in threads of its own."""
        self._thread.start()

    def stop(self, seconds: float = 10) -> None:
        """Take no more requests, finish those under way within so many seconds, and close the port."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()
        self._server.finish_requests(seconds)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
