"""The roll-ups by day: whatever is stored and however days are cut, every way to a sum gives the same digits."""

import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from math import inf
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.core import periods
from shared.core.usage import Usage
from shared.store import dailies, drift, reports, rollups
from shared.store.database import Connection, Database, connect
from shared.store.migrate import load, migrate
from shared.store.reports import Filters, Sums
from shared.workflows.cut import cut
from shared.workflows.verify import verify
from tests.integration.stored_lines import Line, line, store, store_bare

DIMENSIONS = ("model", "project", "agent", "source", "account")
# Offsets of hours, of half and of quarter hours; clocks that change at midnight, by half an hour, and over a date line.
ZONES = (
    "UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns",
    "America/Havana", "Pacific/Kiritimati", "Pacific/Pago_Pago",
)  # fmt: skip
# Clocks change in Berlin, New York, Havana and on Lord Howe in these weeks.
FIRST, DAYS = date(2026, 3, 1), 40
NOW = datetime(2026, 3, 30, 12, tzinfo=UTC)
WHOLE = (datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC))


@pytest.fixture(scope="module")
def here(module_dsn: str) -> Iterator[Connection]:
    with connect(module_dsn) as connection:
        yield connection


def lines(seed: int, count: int) -> list[Line]:
    """Lines at and around midnights of all zones, priced or not, some balanced away."""
    pick = random.Random(seed)  # noqa: S311 - lines, not secrets
    made = []
    for _ in range(count):
        day = FIRST + timedelta(days=pick.randrange(DAYS))
        midnight = periods.midnight(day, ZoneInfo(pick.choice(ZONES)))
        at = midnight + pick.choice((timedelta(0), timedelta(microseconds=-1), timedelta(minutes=pick.randrange(1440))))
        cost = pick.choice((None, Decimal(pick.randrange(-(10**9), 10**12)).scaleb(-18)))
        usage = Usage(input=pick.randrange(10**6), output=pick.randrange(99), requests=pick.randrange(3))
        keys: dict[str, Any] = {
            "model": pick.choice("abc"),
            "project": pick.choice("pqr"),
            "agent": pick.choice((None, "unassigned", "robot")),
            "source": pick.choice(("event", "manual", "attribution")),
            "session_label": pick.choice((None, "s")),
        }
        made.append(line(usage, at=at, cost=cost, input_cost=cost or Decimal(0), **keys))
    return made


def empty(connection: Connection, zone: str) -> None:
    connection.execute("TRUNCATE ledger, rollup_quarter, rollup_day, rollup_day_keys")
    connection.execute(
        "UPDATE rollup_state SET zone = %s, cut_until = %s, closed_until = %s", [zone, dailies.END, dailies.BEGINNING]
    )


def as_if_uncut(connection: Connection, work: Callable[[], list[Sums]]) -> list[Sums]:
    """Answer from the fine roll-up."""
    with connection.transaction(force_rollback=True):
        connection.execute("UPDATE rollup_state SET cut_until = '1900-01-01', closed_until = '1900-01-01'")
        return work()


def by_hand(connection: Connection, bounds: Sequence[datetime], filters: Filters) -> list[Sums]:
    """Answer from the ledger, line by line: at odd bounds nothing else can."""
    odd = [bounds[0] - timedelta(seconds=1), *bounds]
    return [
        Sums(row.period - 1, row.dimension, row.key, row.totals)
        for row in reports.sums(connection, odd, DIMENSIONS, filters)
        if row.period > 0
    ]


def ordered(rows: list[Sums]) -> list[Sums]:
    return sorted(rows, key=lambda row: (row.period, row.dimension or "", str(row.key)))


# A question: its zone, how many days in, how many periods, of what length, and what it is narrowed to.
QUESTIONS = st.tuples(
    st.sampled_from(ZONES),
    st.integers(0, DAYS),
    st.integers(1, 9),
    st.sampled_from(["day", "week", "hour", None]),
    st.sampled_from([{}, {"project": ["p", "q"]}, {"model": ["a"], "agent": ["robot", "unassigned"]}]),
)


def bounds_of(name: str, days_in: int, count: int, group_by: periods.GroupBy | None) -> list[datetime]:
    first = FIRST + timedelta(days=days_in)
    asked = periods.DateRange(first, first + timedelta(days=count * (4 if group_by == "week" else 1) - 1))
    whole = periods.span(asked, ZoneInfo(name))
    found = periods.periods(asked.start, asked.end, group_by, ZoneInfo(name)) if group_by else [whole]
    return [whole.start, *(period.end for period in found)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10**6),
    home=st.sampled_from(ZONES),
    closed=st.none() | st.integers(0, DAYS),
    question=QUESTIONS,
)
def test_every_way_gives_the_same_digits(
    here: Connection,
    seed: int,
    home: str,
    closed: int | None,
    question: tuple[str, int, int, periods.GroupBy | None, dict[str, list[str]]],
) -> None:
    empty(here, home)
    if closed is not None:
        until = periods.midnight(FIRST + timedelta(days=closed), ZoneInfo(home))
        here.execute("UPDATE rollup_state SET closed_until = %s", [until])
    ids = store(here, lines(seed, 60))
    with here.transaction():
        rollups.subtract(here, ids[::7])
        here.execute("DELETE FROM ledger WHERE id = ANY(%s)", [ids[::7]])
    assert drift.find(here, *WHOLE) == []

    bounds, filters = bounds_of(*question[:4]), Filters(question[4])
    answer = ordered(reports.sums(here, bounds, DIMENSIONS, filters))
    assert answer == ordered(as_if_uncut(here, lambda: reports.sums(here, bounds, DIMENSIONS, filters)))
    assert answer == ordered(by_hand(here, bounds, filters))
    costs = ordered(reports.sums(here, bounds, DIMENSIONS, filters, only_costs=DIMENSIONS))
    assert [(row.period, row.dimension, row.key, row.totals.cost) for row in costs] == [
        (row.period, row.dimension, row.key, row.totals.cost) for row in answer
    ]


@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "America/New_York"])
def test_another_zone_is_cut_step_by_step_and_reports_stay_right(
    database: Database, connection: Connection, zone: str
) -> None:
    """Every collection may be the last one for a while: whatever is cut by then, reports say the same."""
    store(connection, lines(1, 80))
    bounds = bounds_of(zone, 2, 30, "day")
    expected = ordered(reports.sums(connection, bounds, DIMENSIONS, Filters()))
    turns = 0
    while not cut(database, ZoneInfo(zone), NOW, lambda: 0):
        turns += 1
        assert ordered(reports.sums(connection, bounds, DIMENSIONS, Filters())) == expected
        store(connection, lines(turns, 3))
        expected = ordered(as_if_uncut(connection, lambda: reports.sums(connection, bounds, DIMENSIONS, Filters())))
        assert drift.find(connection, *WHOLE) == []
    assert turns > 3
    state = dailies.read(connection)
    assert (state.zone.key, state.cut_until) == (zone, dailies.END)
    assert state.closed_until == periods.midnight(periods.local_date(NOW, ZoneInfo(zone)), ZoneInfo(zone))
    assert ordered(reports.sums(connection, bounds, DIMENSIONS, Filters())) == expected
    assert drift.find(connection, *WHOLE) == []


def test_a_ledger_that_is_older_than_the_roll_ups_by_day(blank_dsn: str) -> None:
    """Reports are right from the first question after the migration, before anybody has cut a day and after."""
    keys = ", ".join(("slot", *rollups.KEYS))
    sums = ", ".join(f"sum({name})" for name in rollups.SUMMED)
    fine = f"INSERT INTO rollup_quarter SELECT {keys}, {sums} FROM facts GROUP BY {keys}"  # noqa: S608 - its columns
    own = Database(blank_dsn)
    with connect(blank_dsn) as connection:
        migrate(connection, load()[:8])
        store_bare(connection, lines(1, 80))
        connection.execute(fine.encode())
        migrate(connection)
        bounds = bounds_of("Europe/Berlin", 0, 9, "week")
        for turn in range(2):
            store(connection, lines(turn + 2, 9))
            for filters in (Filters(), Filters({"project": ["p"]})):
                answer = ordered(reports.sums(connection, bounds, DIMENSIONS, filters))
                assert answer == ordered(by_hand(connection, bounds, filters))
            assert drift.find(connection, *WHOLE) == []
            assert cut(own, ZoneInfo("Europe/Berlin"), NOW, lambda: inf)
        assert dailies.read(connection).cut_until == dailies.END
        assert drift.find(connection, *WHOLE) == []
    own.close()


def test_a_zone_is_changed_beside_writers(dsn: str, database: Database, connection: Connection) -> None:
    """Writers that began with the old zone and those that begin with the new one: no sum is lost, nobody is stuck."""

    def write(number: int) -> None:
        with connect(dsn) as own:
            for turn in range(25):
                ids = store(own, lines(100 * number + turn, 5))
                with own.transaction():
                    rollups.subtract(own, ids[:2])
                    own.execute("DELETE FROM ledger WHERE id = ANY(%s)", [ids[:2]])

    with ThreadPoolExecutor(4) as threads:
        running = [threads.submit(write, number) for number in range(4)]
        while not all(one.done() for one in running):
            for zone in ("Asia/Kathmandu", "America/New_York"):
                cut(database, ZoneInfo(zone), NOW, lambda: inf)
        for one in running:
            one.result()
    for _ in range(2):
        assert drift.find(connection, *WHOLE) == []
        assert cut(database, ZoneInfo("America/New_York"), NOW, lambda: inf)
    assert connection.execute("SELECT 1 FROM rollup_day WHERE stripe > 0").fetchall() == []


def test_transactions_at_once_do_not_wait_for_each_other(dsn: str, connection: Connection) -> None:
    """Lines of one day in different quarter hours: only the roll-up by day has them in the same cells."""
    day = datetime(2026, 3, 10, tzinfo=UTC)
    store(connection, [line(at=day - timedelta(days=1), cost="4")])  # a model's first line notes its name
    with connect(dsn) as other, connection.transaction():
        store(connection, [line(at=day, cost="1")])
        other.execute("SET lock_timeout = '1s'")
        store(other, [line(at=day + timedelta(hours=1), cost="2")])
    [whole] = reports.sums(connection, [day, day + timedelta(days=1)], (), Filters())
    assert whole.totals.cost == 3
    assert drift.find(connection, *WHOLE) == []


def test_a_writer_who_takes_long_is_not_waited_for(dsn: str, database: Database, connection: Connection) -> None:
    with connect(dsn) as other:
        with other.transaction():
            store(other, lines(1, 2))
            assert not cut(database, ZoneInfo("Asia/Kathmandu"), NOW, lambda: inf)
            assert dailies.read(connection).zone.key == "UTC"
        assert cut(database, ZoneInfo("Asia/Kathmandu"), NOW, lambda: inf)


DRIFTS = {
    "a wrong cost": "UPDATE {table} SET cost = cost + 1 WHERE day = (SELECT min(day) FROM {table})",
    "a missing day": "DELETE FROM {table} WHERE day = (SELECT min(day) FROM {table})",
    "a day too many": "UPDATE {table} SET day = day - interval '1 day' WHERE day = (SELECT min(day) FROM {table})",
}


@pytest.mark.parametrize("table", rollups.BY_DAY)
@pytest.mark.parametrize("kind", DRIFTS)
def test_drift_by_day_is_reported_and_repaired(
    database: Database, connection: Connection, table: str, kind: str
) -> None:
    store(connection, lines(1, 30))
    assert cut(database, ZoneInfo("Asia/Kathmandu"), NOW, lambda: inf)
    connection.execute(DRIFTS[kind].format(table=table).encode())
    found = verify(database, repair=False)["drift"]
    assert 1 <= len(found) <= 2
    assert all(row["slots"] for row in found)
    assert verify(database, repair=True)["repaired"]
    assert verify(database, repair=False)["drift"] == []
