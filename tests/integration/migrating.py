"""What the migration function meets: custom resource requests, a database that sleeps, a connection that hangs."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from psycopg.conninfo import conninfo_to_dict

from functions import events, migrate
from functions.cloudformation import Answer
from shared.config import Settings
from shared.store.migrate import Migration
from tests.fixtures.events import load
from tests.fixtures.events.answers import Answers, listening

FIRST = Migration(1, "first", "CREATE TABLE kept (id integer)")
SECOND = Migration(2, "second", "CREATE TABLE more (id integer)")


def url_of(dsn: str, host: str | None = None, port: int | None = None) -> str:
    """Return a test database's address as people write it; through another host and port if given."""
    parts = conninfo_to_dict(dsn)
    where = f"host={parts['host']}" if host is None else f"host={host}&port={port}"
    return f"postgresql://postgres@/{parts['dbname']}?{where}"


def deploy(
    url: str,
    migrations: tuple[Migration, ...] | None,
    *,
    event: str = "cloudformation_update",
    seconds: float = 30.0,
    statuses: tuple[int, ...] = (),
) -> tuple[Answer, Answers]:
    """Serve one request as Lambda would, with `seconds` left; return what the function says and what arrived."""
    settings = Settings.load({"DATABASE_URL_DIRECT": url})
    deadline = time.monotonic() + seconds
    with listening(statuses) as answers:
        request = events.custom_resource(load(event, ResponseURL=answers.url))
        answer = migrate.serve(request, lambda fresh: settings, lambda: deadline - time.monotonic(), migrations)  # noqa: ARG005 - as the process's
        assert time.monotonic() < deadline
    return answer, answers


@contextmanager
def forwarding(dsn: str, *, delay: float = 0.0, silent: bool = False) -> Iterator[tuple[str, Callable[[], None]]]:
    """Lead a port of loopback to Postgres: refused for `delay` seconds, or accepted and never answered if `silent`.

    Yields the address through it and a function that stops passing anything on, as a network that fails does.
    """
    directory = conninfo_to_dict(dsn)["host"]
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    server.close()
    stopped, over = threading.Event(), threading.Event()
    open_sockets: list[socket.socket] = []

    def pump(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if not stopped.is_set():
                    target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def accept() -> None:
        if over.wait(delay):
            return
        with suppress(OSError), socket.create_server(("127.0.0.1", port)) as listener:
            open_sockets.append(listener)
            while True:
                client, _ = listener.accept()
                open_sockets.append(client)
                if silent:
                    continue
                postgres = socket.socket(socket.AF_UNIX)
                open_sockets.append(postgres)
                postgres.connect(f"{directory}/.s.PGSQL.5432")
                for pair in ((client, postgres), (postgres, client)):
                    threading.Thread(target=pump, args=pair, daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield url_of(dsn, "127.0.0.1", port), stopped.set
    over.set()
    for found in open_sockets:
        with suppress(OSError):
            found.shutdown(socket.SHUT_RDWR)
        found.close()
    thread.join(5)
