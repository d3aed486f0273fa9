"""How fast events go in, as ratios to a bare COPY of the same rows measured in the same run, in turns with it.

python -m tests.bench.ingest            about a minute: 100,000 events, 200,000 stored before
python -m tests.bench.ingest --full     500,000 events, 5 million stored before, a million of them on the same day

Everything is real: the API's handler from JSON bytes to the answer, an embedded Postgres as shipped, fsync on.
"""

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

import httpx

from functions import runtime
from functions.api import main as api
from infra.local.event import Call, Handler, call_handler
from shared.config import Settings
from shared.core import jsontext
from shared.prices.catalogue import Catalogue
from shared.store.database import Database, connect
from shared.workflows.ingest import ingest
from shared.workflows.pricing import load_book
from tests.bench.events import Stream, preload
from tests.bench.server import Server, server
from tests.bench.table import Line, say, write

KEY = "bench-key"
NOW = datetime(2026, 11, 24, tzinfo=UTC)
BATCH = 5000
WRITERS = 8
# Batches between two turns of the yardstick.
STRETCH = 10


class Rates(NamedTuple):
    """Events per second, and rows per second of the COPY beside."""

    events: float
    copied: float


@contextmanager
def served(dsn: str) -> Iterator[Callable[[bytes], dict[str, Any]]]:
    """A function that posts a body to the API's own handler and returns the decoded answer."""
    settings = Settings.load({"DATABASE_URL": dsn, "API_KEY": KEY})
    app = runtime.build(settings, httpx.Client(), clock=lambda: NOW, dispatch=runtime.in_a_thread)
    handler: Handler = api.build(lambda: app)
    headers = [("x-api-key", KEY), ("content-type", "application/json")]

    def post(body: bytes) -> dict[str, Any]:
        reply = call_handler(handler, Call("POST", "/api/usage", headers, body, "bench"))
        if reply.status != 200:
            raise RuntimeError(reply.body[:500].decode())
        answer: dict[str, Any] = json.loads(reply.body)
        return answer

    # Prices are imported by the first event of a process.
    post(b'[{"model":"gpt-4o","tokens_in":1,"tokens_out":1}]')
    yield post
    app.database.close()
    app.http.close()


def rate(bodies: Sequence[Any], send: Callable[[Any], object]) -> float:
    """Return events per second of sending every batch, one after the other."""
    start = time.perf_counter()
    for body in bodies:
        send(body)
    return len(bodies) * BATCH / (time.perf_counter() - start)


def be_a_writer(dsn: str, bodies: Sequence[bytes], start: Any) -> tuple[float, float]:  # noqa: ANN401 - a barrier of a context
    """Be one writer, as every instance of the function is one process; return when it began and ended."""
    with served(dsn) as post:
        start.wait(60)
        began = time.time()
        for body in bodies:
            if post(body)["created"] != BATCH:
                raise RuntimeError("every event is stored once")
        return began, time.time()


def at_once(dsn: str, bodies: Sequence[bytes]) -> float:
    """Return events per second of `WRITERS` processes that share the batches."""
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(WRITERS, context) as processes:
        start = manager.Barrier(WRITERS)
        shares = [bodies[number::WRITERS] for number in range(WRITERS)]
        times = list(processes.map(be_a_writer, [dsn] * WRITERS, shares, [start] * WRITERS))
    return len(bodies) * BATCH / (max(end for _, end in times) - min(began for began, _ in times))


def in_turns(dsn: str, bodies: Sequence[bytes], send: Callable[[Any], object], read: Callable[[bytes], Any]) -> Rates:
    """Send every batch, and copy what each stretch of them stored into a table without index or check.

    In turns, because the machine is shared: whoever disturbs one of the two disturbs the other. `read` is not counted.
    """
    seconds, copying = 0.0, 0.0
    with connect(dsn) as connection:
        connection.execute("CREATE TABLE bare AS SELECT * FROM ledger WITH NO DATA")
        for at in range(0, len(bodies), STRETCH):
            last = connection.execute("SELECT coalesce(max(id), 0) AS id FROM ledger").fetchone()
            for body in bodies[at : at + STRETCH]:
                rows = read(body)
                start = time.perf_counter()
                send(rows)
                seconds += time.perf_counter() - start
            with connection.cursor().copy("COPY (SELECT * FROM ledger WHERE id > %(id)s) TO STDOUT", last) as copy:
                lines = [bytes(line) for line in copy]
            pieces = [b"".join(lines[n : n + 256]) for n in range(0, len(lines), 256)]
            start = time.perf_counter()
            with connection.transaction(), connection.cursor().copy("COPY bare FROM STDIN") as copy:
                for piece in pieces:
                    copy.write(piece)
            copying += time.perf_counter() - start
        connection.execute("DROP TABLE bare")
    events = len(bodies) * BATCH
    return Rates(events / seconds, events / copying)


def below_http(dsn: str, bodies: Sequence[bytes]) -> Rates:
    """The same below HTTP: rows decoded already."""
    database, catalogue = Database(dsn), Catalogue()

    def send(rows: Any) -> None:  # noqa: ANN401 - decoded JSON
        ingest(database, lambda c: load_book(c, catalogue), rows, NOW)

    send([{"model": "gpt-4o", "tokens_in": 1, "tokens_out": 1}])
    found = in_turns(dsn, bodies, send, jsontext.loads)
    database.close()
    return found


def measure(server: Server, events: int, stored: int) -> Iterator[Line]:
    """Yield every measurement of `events` events, the last ones with `stored` events there before."""
    bodies = Stream(1, events, BATCH).bodies()
    with server.database("empty") as dsn, served(dsn) as post:
        http, copy = in_turns(dsn, bodies, post, lambda body: body)
        yield Line("bare COPY of the same rows", copy, 1, "itself")
        yield Line("HTTP, empty ledger", http, http / copy, "COPY", 15_000, 0.10)
        again = rate(bodies, post)
        yield Line("HTTP, every event a duplicate", again, again / http, "HTTP", 0, 1)
    with server.database("below") as dsn:
        below, copy = below_http(dsn, bodies)
        yield Line("workflow below HTTP", below, below / copy, "COPY", 20_000, 0.15)
    with server.database("writers") as dsn:
        many = at_once(dsn, bodies)
        yield Line(f"HTTP, {WRITERS} writers on the same keys", many, many / http, "HTTP", 0, 0.8)
    with server.database("full") as dsn:
        start = time.perf_counter()
        preload(dsn, stored, max(stored // 5, 1))
        say(f"({stored:,} events stored before, in {time.perf_counter() - start:.0f} s)")
        with served(dsn) as post:
            full = rate(bodies, post)
            yield Line(f"HTTP, {stored:,} events stored", full, full / http, "HTTP", 0, 0.65)
            again = rate(bodies, post)
            yield Line("HTTP, the same as duplicates", again, again / full, "full", 0, 1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="the sizes of the goals")
    parser.add_argument("--events", type=int, help="events to send")
    parser.add_argument("--stored", type=int, help="events stored before the last measurement")
    given = parser.parse_args()
    events = given.events or (500_000 if given.full else 100_000)
    stored = given.stored or (5_000_000 if given.full else 200_000)
    with server() as home:
        return write("ingest", measure(home, events, stored), events=events, stored=stored)


if __name__ == "__main__":
    sys.exit(main())
