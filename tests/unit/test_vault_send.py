"""One request to Context Vault over real HTTP: what is sent, what counts as taken, and what is said otherwise."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Self

import httpx
import pytest

from infra.demo.faults import Fault
from infra.demo.server import RESET_ON_CLOSE
from infra.demo.vault import KEY, FakeVault
from shared.outbound.vault import Sent, Vault

NOW = datetime(2026, 11, 23, 0, 10, tzinfo=UTC)
BODY = '{"content":{"total_cost":12.30}}'
ID = "ai-cost-2026-11-22-abc"


@pytest.fixture
def fake() -> Iterator[FakeVault]:
    with FakeVault() as found:
        yield found


def vault(url: str, **changed: str | None) -> Vault:
    options = {"path": "/api/memories", "method": "POST", "header": "X-API-Key", "key": KEY} | changed
    return Vault(http=httpx.Client(trust_env=False), url=url, now=lambda: NOW, **options)  # type: ignore[arg-type] # as given


def send(fake: FakeVault, *faults: Fault, seconds: float = 5, **changed: str | None) -> Sent:
    fake.faults.extend(faults)
    return vault(fake.url, **changed).send(BODY, ID, seconds)


def test_what_is_sent(fake: FakeVault) -> None:
    assert send(fake) == Sent(201)
    (memory,) = fake.memories
    assert (memory.key, memory.body) == (ID, BODY.encode())
    headers = fake.requests[0].request.headers
    assert headers["content-type"] == "application/json"
    assert headers["x-api-key"] == KEY


def test_method_path_and_header_are_settings() -> None:
    with FakeVault(path="/v2/notes", method="PUT", header="Vault-Token") as fake:
        assert send(fake, path="/v2/notes", method="PUT", header="Vault-Token") == Sent(201)
        assert send(fake, path="/v2/notes").status == 405


def test_authorization_is_a_bearer_token() -> None:
    with FakeVault(header="Authorization", key=f"Bearer {KEY}") as fake:
        assert send(fake, header="authorization") == Sent(201)


def test_a_vault_without_a_key_is_sent_none(fake: FakeVault) -> None:
    assert send(fake, key=None).status == 401
    assert "x-api-key" not in fake.requests[0].request.headers


@pytest.mark.parametrize(
    ("status", "may_retry", "sentence"),
    [
        (500, True, "Context Vault answered with status 500 (The vault says 500)."),
        (503, True, "Context Vault answered with status 503 (The vault says 503)."),
        (429, True, "Context Vault answered with status 429 (The vault says 429)."),
        (408, True, "Context Vault answered with status 408 (The vault says 408)."),
        (425, True, "Context Vault answered with status 425 (The vault says 425)."),
        (400, False, "Context Vault refused the summary with status 400 (The vault says 400)."),
        (
            401,
            False,
            (
                "Context Vault refused the summary with status 401 (The vault says 401). "
                "Check CONTEXT_VAULT_API_KEY and CONTEXT_VAULT_AUTH_HEADER."
            ),
        ),
        (
            404,
            False,
            (
                "Context Vault refused the summary with status 404 (The vault says 404). "
                "Check CONTEXT_VAULT_PATH and CONTEXT_VAULT_METHOD."
            ),
        ),
        (
            302,
            False,
            "Context Vault redirects elsewhere, which is not followed; set CONTEXT_VAULT_URL to the final address.",
        ),
    ],
)
def test_refusals(fake: FakeVault, status: int, may_retry: bool, sentence: str) -> None:  # noqa: FBT001 - a parameter
    elsewhere = {"location": "http://127.0.0.1:1/"} if status == 302 else {}
    assert send(fake, Fault(status=status, headers=elsewhere)) == Sent(status, sentence, may_retry)
    assert fake.memories == []


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("0.5", 0.5), (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90), ("soon", None)],
)
def test_retry_after(fake: FakeVault, header: str, seconds: float | None) -> None:
    assert send(fake, Fault(status=429, headers={"retry-after": header})).retry_after == seconds


def test_a_vault_that_hangs(fake: FakeVault) -> None:
    assert send(fake, Fault(hang=3), seconds=0.2) == Sent(None, "Context Vault did not answer in time.", may_retry=True)


class Dripper:
    """A server that answers a byte at a time, for ever; `peers` are its threads."""

    def __init__(self, beginning: bytes) -> None:
        self.beginning = beginning
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.peers: list[threading.Thread] = []
        self.accepting = threading.Thread(target=self._accept)

    def __enter__(self) -> Self:
        self.accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)  # wakes up the one that accepts
        self.accepting.join()
        for peer in self.peers:
            peer.join(5)
            assert not peer.is_alive()
        self.socket.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                self.peers.append(threading.Thread(target=self._drip, args=[connection]))
                self.peers[-1].start()

    def _drip(self, connection: socket.socket) -> None:
        # Ends when the client does.
        with connection, suppress(OSError):
            connection.sendall(self.beginning)
            while True:
                connection.sendall(b"x")
                time.sleep(0.02)


TOO_LATE = Sent(None, "Context Vault did not answer in time.", may_retry=True)


@pytest.mark.parametrize(
    ("beginning", "scheme", "expected"),
    [
        (b"HTTP/1.1 201 Created\r\nx-slow: ", "http", TOO_LATE),
        (b"HTTP/1.1 201 Created\r\ncontent-length: 100000\r\n\r\n", "http", Sent(201)),
        (
            b"HTTP/1.1 503 Busy\r\ncontent-length: 100000\r\n\r\n",
            "http",
            Sent(503, "Context Vault answered with status 503.", may_retry=True),
        ),
        # The beginning of a TLS record of 16 kB: the handshake waits for its end.
        (b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc", "https", TOO_LATE),
    ],
)
def test_no_answer_that_drips_in_outlasts_its_time(beginning: bytes, scheme: str, expected: Sent) -> None:
    before = threading.active_count()
    with Dripper(beginning) as server:
        once = vault(server.url.replace("http", scheme))
        for _ in range(2):  # the second time, too: the connection is a new one
            began = time.monotonic()
            sent = once.send(BODY, ID, 0.3)
            assert time.monotonic() - began < 1
            assert sent == expected
    assert threading.active_count() <= before


def test_a_request_leaves_no_thread_no_connection_and_no_timer(fake: FakeVault) -> None:
    http = httpx.Client(trust_env=False)
    one = replace(vault(fake.url), http=http)
    open_files = Path("/dev/fd")
    before = len(list(open_files.iterdir()))
    for _ in range(20):
        assert one.send(BODY, ID, 60) == Sent(201)
    assert not [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
    assert len(list(open_files.iterdir())) < before + 10


def test_a_connection_made_after_the_time_is_over_carries_nothing(fake: FakeVault) -> None:
    class Slow(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            time.sleep(0.2)  # as a name that is hard to look up
            return super().handle_request(request)

    slow = replace(vault(fake.url), http=httpx.Client(transport=Slow(), trust_env=False))
    assert slow.send(BODY, ID, 0.05) == TOO_LATE
    assert fake.requests == []


def test_a_torn_answer_is_an_acknowledgement_all_the_same(fake: FakeVault) -> None:
    assert send(fake, Fault(cut=True)) == Sent(201)
    assert len(fake.memories) == 1


def test_a_torn_refusal_stands(fake: FakeVault) -> None:
    assert send(fake, Fault(status=400, cut=True)).error == "Context Vault refused the summary with status 400."


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    sent = vault(f"http://127.0.0.1:{port}").send(BODY, ID, 2)
    assert sent == Sent(None, "Context Vault could not be reached; check CONTEXT_VAULT_URL.", may_retry=True)


def test_hung_up_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            connection, _ = server.accept()
            connection.recv(1)  # so that it is a connection to the client, too
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            connection.close()

        hanging_up = threading.Thread(target=hang_up)
        hanging_up.start()
        sent = vault(f"http://127.0.0.1:{server.getsockname()[1]}").send(BODY, ID, 2)
        hanging_up.join()
    assert sent == Sent(None, "Context Vault broke the connection.", may_retry=True)


@pytest.mark.parametrize(
    "said",
    [
        {"error": {"message": f"bad key {KEY}\n{KEY}"}},
        {"error": f"bad key {KEY}"},
        {"detail": f"bad key {KEY}"},
        f"bad key {KEY}",
    ],
)
def test_the_key_is_in_no_sentence(fake: FakeVault, said: object) -> None:
    fault = Fault(status=400)
    fault.payload = said  # type: ignore[assignment] # vaults answer anything
    sent = send(fake, fault)
    assert sent.error is not None
    assert "bad key [key]" in sent.error
    assert KEY not in repr(sent)
    assert KEY not in repr(vault(fake.url))


def test_a_path_that_is_none(fake: FakeVault) -> None:
    sent = send(fake, path="/a\nb")
    assert not sent.may_retry
    assert sent.error == "Context Vault cannot be asked; check CONTEXT_VAULT_URL and CONTEXT_VAULT_PATH."
