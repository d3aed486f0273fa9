"""The price library's data file as it is published, written from what was shipped, for tests to change."""

from __future__ import annotations

import threading
from dataclasses import fields, is_dataclass
from datetime import date, time
from decimal import Decimal
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from shared.core import jsontext
from shared.prices.catalogue import bundled

if TYPE_CHECKING:
    from collections.abc import Callable

Raw = list[dict[str, Any]]


def raw() -> Raw:
    """The shipped catalogue as decoded JSON; every call returns a copy of its own."""
    found: Raw = jsontext.loads(_shipped())
    return found


@cache
def _shipped() -> str:
    return jsontext.dumps([_plain(provider) for provider in bundled()[0]])


def content(change: Callable[[Raw], object] = lambda _: None) -> bytes:
    """The file with something changed."""
    rows = raw()
    change(rows)
    return jsontext.dumps(rows).encode()


def model(rows: Raw, provider: str, name: str) -> dict[str, Any]:
    """One model of the file."""
    [seller] = [row for row in rows if row["id"] == provider]
    [found] = [row for row in seller["models"] if row["id"] == name]
    result: dict[str, Any] = found
    return result


def _plain(value: Any) -> Any:  # noqa: ANN401 - the library's classes
    if value is None or isinstance(value, (str, int, Decimal)):
        return value
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    names = [field.name for field in fields(value)] if is_dataclass(value) else list(value.__dict__)
    shown = {name: _plain(getattr(value, name)) for name in names if not name.startswith("_") and name != "extractors"}
    return {name.rstrip("_"): item for name, item in shown.items() if item is not None}


class FileServer:
    """Serves one file at `url`; `content`, `status` and `headers` may change between two requests."""

    def __init__(self, data: bytes) -> None:
        self.content = data
        self.status = 200
        self.headers: dict[str, str] = {}
        self.requests = 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.requests += 1
                self.send_response(server.status)
                for name, value in server.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(server.content)))
                self.end_headers()
                self.wfile.write(server.content)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/data.json"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
