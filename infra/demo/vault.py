"""A fake Context Vault on loopback: it keeps what it is sent, once per `Idempotency-Key`, and goes wrong on demand."""

import json
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Self

from infra.demo.faults import Fault
from infra.demo.server import Answer, LoopbackServer, Request, _Handler

KEY = "cv-demo-key-of-the-vault"


@dataclass(frozen=True, slots=True)
class Memory:
    """One message that the vault took: its key, its bytes, and what they say (numbers as Decimal)."""

    key: str
    body: bytes
    content: Any


class _BodyHandler(_Handler):
    """Reads the body too, which the providers' fakes have no need for."""

    def handle_any(self) -> None:
        owner = self.server.owner
        assert isinstance(owner, FakeVault)  # noqa: S101 - it is the only one that sets this handler
        owner.received.body = self.rfile.read(int(self.headers.get("content-length", 0)))
        super().handle_any()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815 - http.server looks for these names


class FakeVault(LoopbackServer):
    """The fake server: `with FakeVault() as vault: vault.url`.

    `memories` holds what it took, oldest first; a message whose `Idempotency-Key` it knows changes nothing and is
    answered as the first one was. `requests` holds every request, those that a fault struck included: a fault that
    answers a status keeps nothing, one that hangs or cuts the connection has kept the message by then.

    Args:
        path: where messages are posted; other paths are 404, other methods than `method` 405.
        header: the header of the key; another key is 401.
        faults: what goes wrong, in order; see `Fault`.
    """

    def __init__(
        self,
        *,
        path: str = "/api/memories",
        method: str = "POST",
        header: str = "x-api-key",
        key: str = KEY,
        faults: Iterable[Fault] = (),
        port: int = 0,
    ) -> None:
        super().__init__(self._respond, self._error_body, faults=faults, port=port)
        self.memories: list[Memory] = []
        self.received = threading.local()  # each request has a thread of its own
        self._route = (method, path)
        self._credential = (header.lower(), key)
        self._keeping = threading.Lock()

    def start(self) -> Self:
        """Listen and serve in a thread of its own."""
        super().start()
        if self._http is not None:
            self._http.RequestHandlerClass = _BodyHandler
        return self

    def sent_keys(self) -> list[str]:
        """Return the `Idempotency-Key` of every request, in order."""
        return [record.request.headers.get("idempotency-key", "") for record in self.requests]

    def _respond(self, request: Request) -> Answer:
        method, path = self._route
        header, key = self._credential
        if request.path != path:
            return Answer(404, self._error_body(404))
        if request.method != method:
            return Answer(405, self._error_body(405))
        if request.headers.get(header) != key:
            return Answer(401, self._error_body(401))
        body: bytes = self.received.body
        try:
            content = json.loads(body, parse_float=Decimal)
        except ValueError:
            return Answer(400, self._error_body(400))
        idempotency_key = request.headers.get("idempotency-key", "")
        with self._keeping:
            known = [memory.key for memory in self.memories]
            if idempotency_key not in known:
                self.memories.append(Memory(idempotency_key, body, content))
            number = [*known, idempotency_key].index(idempotency_key) + 1
        return Answer(201, {"id": f"mem_{number}", "success": True})

    @staticmethod
    def _error_body(status: int) -> dict[str, Any]:
        return {"error": {"message": f"The vault says {status}."}}
