"""An httpx transport that calls the API's handler in process: what the command line and the tests use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from infra.local.event import Call, Handler, call_handler

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PIECE = 256 * 1024


class HandlerTransport(httpx.BaseTransport):
    """Sends requests to a Lambda handler through API Gateway's event format.

    httpx.Client(transport=HandlerTransport(handler), base_url="http://local")
    """

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        call = Call(
            method=request.method,
            target=request.url.raw_path.decode("ascii"),
            headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw],
            body=request.read(),
            host=request.url.netloc.decode("ascii"),
            scheme=request.url.scheme,
        )
        reply = call_handler(self._handler, call)
        if reply.file is not None:
            return httpx.Response(reply.status, headers=reply.headers, stream=_File(reply.file), request=request)
        return httpx.Response(reply.status, headers=reply.headers, content=reply.body, request=request)


class _File(httpx.SyncByteStream):
    """A file that is read while it is sent."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")

    def __iter__(self) -> Iterator[bytes]:
        while piece := self._file.read(_PIECE):
            yield piece

    def close(self) -> None:
        self._file.close()
