"""What stands between us and Postgres: a real PgBouncer in transaction mode, and a relay that kills at a given word."""

import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Self

POOL = 3
NO_POOLER = "PgBouncer is not installed; on Debian: apt-get install pgbouncer"
_SSL_REQUEST, _GSS_REQUEST = 80877103, 80877104


def find_pgbouncer() -> str | None:
    """Return the program's path, None where it is not installed; Debian puts it where only root looks."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class PgBouncer:
    """A PgBouncer of the test's own in front of the Postgres at `host` (a socket directory or an address) and `port`.

    It takes every database, asks no password, and keeps its defaults but for the few that the file names. `owner` is
    the user id that may enter the socket directory; it matters to root only, as whom PgBouncer refuses to run.
    """

    def __init__(self, program: str, host: str, port: int, owner: int, *settings: str) -> None:
        self._program, self._owner = program, owner
        self._home = Path(tempfile.mkdtemp(prefix="tracker-pooler-"))
        self.port = free_port()
        self._file = self._home / "pgbouncer.ini"
        lines = (
            "[databases]",
            f"* = host={host} port={port} user=postgres",
            "[pgbouncer]",
            "listen_addr = 127.0.0.1",
            f"listen_port = {self.port}",
            "unix_socket_dir =",
            "auth_type = any",
            "pool_mode = transaction",
            f"default_pool_size = {POOL}",
            # After a refused login it would not try again for 15 seconds.
            "server_login_retry = 1",
            *settings,
        )
        self._file.write_text("\n".join(lines))
        self._file.chmod(0o644)
        self._home.chmod(0o755)

    def dsn(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def start(self) -> Self:
        is_root = os.geteuid() == 0
        with (self._home / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - the program that was looked up
                [self._program, str(self._file)],
                stderr=log,
                stdout=log,
                user=self._owner if is_root else None,
                group=self._owner if is_root else None,
                extra_groups=[] if is_root else None,
            )
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return self
            time.sleep(0.02)
        self.stop()
        raise AssertionError(f"PgBouncer does not start: {(self._home / 'log').read_text()}")

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(10)

    def discard(self) -> None:
        self.stop()
        shutil.rmtree(self._home, ignore_errors=True)


class Moment(Enum):
    """When the backend dies, seen from the statement that the fault names or from the COMMIT after it."""

    BEFORE = "before the statement"
    DURING = "during the statement"
    INSTEAD_OF_COMMIT = "when COMMIT arrives"
    AFTER_COMMIT = "after COMMIT, its answer lost"


@dataclass
class Fault:
    """Deaths at the next `times` statements with this part in their SQL; `struck` counts them."""

    statement: bytes
    moment: Moment
    times: int = 1
    struck: int = 0


@dataclass(eq=False)
class _Link:
    """One client and its backend."""

    client: socket.socket
    server: socket.socket
    pid: int = 0
    is_armed: bool = False
    is_mute: bool = False

    def cut(self) -> None:
        for one in (self.client, self.server):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@dataclass
class Relay:
    """Passes the Postgres protocol from a loopback port on to a Unix socket, and strikes where `fault` says.

    `kill` ends a backend by its process id. `sent` keeps every statement as (its prepared name, SQL).
    """

    target: str
    kill: Callable[[int], object]
    fault: Fault | None = None
    sent: list[tuple[bytes, bytes]] = field(default_factory=list)
    _links: list[_Link] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._run(self._accept)
        return self

    def stop(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join(10)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(10)

    def cut(self) -> None:
        """End every connection, without a word."""
        for link in [*self._links]:
            link.cut()

    def _run(self, work: Callable[..., object], *args: object) -> threading.Thread:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._run(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server, suppress(OSError):
            server.connect(self.target)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link = _Link(client, server)
            self._links.append(link)
            sending = self._run(self._pump, self._from_client, link)
            self._pump(self._from_server, link)
            sending.join(10)
            self._links.remove(link)

    def _pump(self, pump: Callable[[_Link], None], link: _Link) -> None:
        with suppress(OSError, EOFError):
            pump(link)
        link.cut()

    def _from_client(self, link: _Link) -> None:
        while True:
            size = _exactly(link.client, 4)
            (length,) = struct.unpack("!I", size)
            body = _exactly(link.client, length - 4)
            if struct.unpack("!I", body[:4])[0] not in {_SSL_REQUEST, _GSS_REQUEST}:
                break
            link.client.sendall(b"N")
        link.server.sendall(size + body)
        while True:
            kind, body, frame = _frame(link.client)
            if self._strikes(link, kind, body):
                self._strike(link, frame)
            else:
                link.server.sendall(frame)

    def _from_server(self, link: _Link) -> None:
        while True:
            kind, body, frame = _frame(link.server)
            if kind == b"K":
                (link.pid,) = struct.unpack("!I", body[:4])
            if not link.is_mute:
                link.client.sendall(frame)
            elif kind == b"Z":
                return  # the backend is through, and nobody will know

    def _strikes(self, link: _Link, kind: bytes, body: bytes) -> bool:
        if kind not in {b"Q", b"P"}:
            return False
        name, _, sql = body.partition(b"\0") if kind == b"P" else (b"", b"", body)
        self.sent.append((name, sql.partition(b"\0")[0]))
        fault = self.fault
        if fault is None or fault.struck == fault.times:
            return False
        is_named = fault.statement in sql
        if fault.moment in {Moment.BEFORE, Moment.DURING}:
            return is_named
        link.is_armed = not sql.startswith(b"BEGIN") and (link.is_armed or is_named)
        return link.is_armed and sql.startswith(b"COMMIT")

    def _strike(self, link: _Link, frame: bytes) -> None:
        fault = self.fault
        if fault is None:
            return
        fault.struck += 1
        if fault.moment is Moment.AFTER_COMMIT:
            link.is_mute = True
        if fault.moment in {Moment.DURING, Moment.AFTER_COMMIT}:
            link.server.sendall(frame)
        if fault.moment is not Moment.AFTER_COMMIT:
            self.kill(link.pid)


def _frame(source: socket.socket) -> tuple[bytes, bytes, bytes]:
    head = _exactly(source, 5)
    (length,) = struct.unpack("!I", head[1:])
    body = _exactly(source, length - 4)
    return head[:1], body, head + body


def _exactly(source: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = source.recv(size - len(parts))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)
