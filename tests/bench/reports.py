"""How fast reports are over a year of events of 600 combinations of project, model and session type.

python -m tests.bench.reports            a minute or two: 100,000 and 1 million events
python -m tests.bench.reports --full     100,000 and 10 million events, most of half an hour

The figure is the 95th percentile of the API's own handler, from the request's event to the encoded answer, after a
warm-up. Yardsticks of the same run are the same question at 100,000 events, and the plain sums over the fine roll-up in
SQL. Every question is also answered without the roll-ups by day, and days and models by the ledger: all have to agree.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from math import inf
from zoneinfo import ZoneInfo

import httpx

from functions import runtime
from functions.api import main as api
from infra.local.event import Call, Handler, call_handler
from shared.config import Settings
from shared.core import jsontext, periods
from shared.store import dailies, drift
from shared.store.database import Connection, Database, connect
from shared.workflows.cut import cut
from tests.bench.events import MODELS, PROJECTS, TYPES
from tests.bench.server import Server, server
from tests.bench.table import Line, say, write

KEY = "bench-key"
NOW = datetime(2026, 11, 23, 18, tzinfo=UTC)
# The setting, and zones whose days are cut elsewhere: one with another daylight saving, one at a quarter hour.
HOME, OTHERS = "Europe/Berlin", ("America/New_York", "Asia/Kathmandu")
LAST = date(2026, 11, 23)
SPAN = f"start={LAST - timedelta(days=89)}&end={LAST}"
QUESTIONS = {"range by day": f"/costs/range?{SPAN}", "by-model": f"/costs/by-model?{SPAN}"}
SMALL = 100_000
YEAR = timedelta(days=365)
# A month of ten million events is sorted and summed in memory.
STEP = timedelta(days=5)

Get = Callable[[str], bytes]


def fill(dsn: str, count: int) -> None:
    """Store `count` events spread over the year before NOW, every combination in turn, with all their roll-ups."""
    database = Database(dsn)
    database.run(lambda c: c.execute("SET synchronous_commit = off"))
    cut(database, ZoneInfo(HOME), NOW, lambda: inf)
    start, every = NOW - YEAR, YEAR / count
    done, at = 0, start
    while done < count:
        until = min(at + STEP, NOW)
        more = count - done if until == NOW else -((start - until) // every) - done
        _store(database, done, more, start, every)
        database.run(lambda c, a=at, b=until: drift.rebuild(c, _quarter(a), _quarter(b, 1)))  # type: ignore[misc] # bound now, run now
        done, at = done + more, until
    with connect(dsn) as connection:
        # What autovacuum does in time.
        connection.execute("VACUUM (ANALYZE)")
    cut(database, ZoneInfo(HOME), NOW, lambda: inf)
    database.close()


def _quarter(instant: datetime, more: int = 0) -> datetime:
    return periods.floor_quarter(instant) + more * timedelta(minutes=15)


def _store(database: Database, first: int, count: int, start: datetime, every: timedelta) -> None:
    query = """
        INSERT INTO ledger (
            source, recorded_at, collected_at, updated_at, provider, model, model_raw, input_tokens, output_tokens,
            cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, reasoning_tokens, audio_input_tokens,
            audio_output_tokens, image_input_tokens, image_output_tokens, web_searches, requests, is_batch, cost,
            input_cost, output_cost, cache_read_cost, cache_write_5m_cost, cache_write_1h_cost, audio_cost, image_cost,
            web_search_cost, request_cost, project, agent, session_type
        )
        SELECT 'event', at, at, at, CASE WHEN model LIKE 'claude%%' THEN 'anthropic' ELSE 'openai' END, model, model,
            n %% 20011, n %% 4001, n %% 100003, 0, 0, 0, 0, 0, 0, 0, 0, 1, false, input + output, input, output, 0, 0,
            0, 0, 0, 0, 0, project, project || '-agent', kind
        FROM (
            SELECT n, (n %% 20011) * 0.000003 AS input, (n %% 4001) * 0.000015 AS output,
                %(start)s::timestamptz + n * %(every)s::interval AS at, (%(models)s::text[])[1 + n %% 20] AS model,
                (%(projects)s::text[])[1 + n / 20 %% 10] AS project, (%(kinds)s::text[])[1 + n / 200 %% 3] AS kind
            FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n
        ) AS made
        """
    values = {
        "start": start, "every": every, "first": first, "last": first + count - 1, "models": list(MODELS),
        "projects": list(PROJECTS), "kinds": list(TYPES),
    }  # fmt: skip
    database.run(lambda c: c.execute(query, values))


@contextmanager
def served(dsn: str) -> Iterator[Get]:
    """A function that asks the API's own handler and returns the body of the answer."""
    settings = Settings.load({"DATABASE_URL": dsn, "API_KEY": KEY, "TIMEZONE": HOME})
    app = runtime.build(settings, httpx.Client(), clock=lambda: NOW, dispatch=runtime.in_a_thread)
    handler: Handler = api.build(lambda: app)

    def get(target: str) -> bytes:
        reply = call_handler(handler, Call("GET", target, [("x-api-key", KEY)], b"", "bench"))
        if reply.status != 200:
            raise RuntimeError(reply.body[:500].decode())
        return reply.body

    yield get
    app.database.close()
    app.http.close()


def p95s(works: Sequence[Callable[[], object]], calls: int) -> list[float]:
    """Return the 95th percentiles in milliseconds; in turns, because the machine is shared."""
    seconds: list[list[float]] = [[] for _ in works]
    for number in range(calls + 3):
        for work, found in zip(works, seconds, strict=True):
            start = time.perf_counter()
            work()
            if number >= 3:  # warm by then
                found.append(time.perf_counter() - start)
    return [sorted(found)[int(calls * 0.95)] * 1000 for found in seconds]


def plain(connection: Connection, zone: str) -> None:
    """Sum 90 days by model over the fine roll-up, as one would write it down."""
    connection.execute(
        """
        SELECT (slot AT TIME ZONE %(zone)s)::date AS day, model, sum(cost), sum(requests), sum(input_tokens),
            sum(output_tokens), sum(cache_read_tokens), sum(cache_write_5m_tokens), sum(cache_write_1h_tokens)
        FROM rollup_quarter WHERE slot >= %(start)s AND slot < %(end)s GROUP BY 1, 2
        """,
        {"zone": zone, **_span(ZoneInfo(zone))},
    ).fetchall()


def check(dsn: str, get: Get) -> None:
    """See that every way gives the same answers.

    Raises:
        RuntimeError: one does not.
    """
    asked = [f"{target}&tz={zone}" for target in QUESTIONS.values() for zone in (HOME, *OTHERS)]
    answers = [get(target) for target in asked]
    with connect(dsn) as connection:
        state = dailies.read(connection)
        _set(connection, dailies.BEGINNING, dailies.BEGINNING)
        if [get(target) for target in asked] != answers:
            raise RuntimeError("the fine roll-up answers differently")
        _set(connection, state.cut_until, state.closed_until)
        for zone in (HOME, *OTHERS):
            found = jsontext.loads(get(f"{QUESTIONS['range by day']}&tz={zone}"))["periods"]
            said = {(row["date"], model): cost for row in found for model, cost in row["by_model"].items()}
            rows = connection.execute(
                """
                SELECT (recorded_at AT TIME ZONE %(zone)s)::date::text AS date, model, sum(cost) AS cost
                FROM facts WHERE recorded_at >= %(start)s AND recorded_at < %(end)s GROUP BY 1, 2
                """,
                {"zone": zone, **_span(ZoneInfo(zone))},
            )
            if said != {(row["date"], row["model"]): Decimal(row["cost"]) for row in rows}:
                raise RuntimeError(f"the ledger answers differently in {zone}")


def _set(connection: Connection, cut_until: datetime, closed_until: datetime) -> None:
    connection.execute("UPDATE rollup_state SET cut_until = %s, closed_until = %s", [cut_until, closed_until])


def _span(zone: ZoneInfo) -> dict[str, datetime]:
    asked = periods.span(periods.DateRange(LAST - timedelta(days=89), LAST), zone)
    return {"start": asked.start, "end": asked.end}


@contextmanager
def filled(home: Server, count: int) -> Iterator[tuple[Get, Connection]]:
    """A database of so many events, checked, with the API over it."""
    with home.database(f"reports_{count}") as dsn, served(dsn) as get, connect(dsn) as connection:
        start = time.perf_counter()
        fill(dsn, count)
        check(dsn, get)
        say(f"({count:,} events stored, and every way to sum them agrees: {time.perf_counter() - start:.0f} s)")
        yield get, connection


def measure(home: Server, events: int, calls: int) -> Iterator[Line]:
    """Yield every measurement over `events` events, most of them in turns with the same over few."""
    with filled(home, SMALL) as (few, _), filled(home, events) as (many, connection):
        (fine,) = p95s([lambda: plain(connection, HOME)], max(calls // 5, 3))
        yield Line(f"{events:,}: plain SQL, fine roll-up", fine, 1, "itself", unit="ms")
        for name, target in QUESTIONS.items():
            before, found = p95s([partial(few, target), partial(many, target)], calls)
            yield Line(f"{SMALL:,}: {name}, TIMEZONE", before, before / fine, "plain SQL", unit="ms")
            yield Line(f"{events:,}: {name}, TIMEZONE", found, found / before, f"{SMALL:,}", 60, 1.5, "ms")
            for zone in OTHERS:
                (found,) = p95s([partial(many, f"{target}&tz={zone}")], calls)
                yield Line(f"{events:,}: {name}, {zone}", found, found / fine, "plain SQL", 1500, 0, "ms")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="the sizes of the goals")
    parser.add_argument("--events", type=int, help="events of the larger database")
    parser.add_argument("--calls", type=int, default=60, help="calls per figure")
    given = parser.parse_args()
    events = given.events or (10_000_000 if given.full else 1_000_000)
    with server() as home:
        return write("reports", measure(home, events, given.calls), events=events, calls=given.calls)


if __name__ == "__main__":
    sys.exit(main())
