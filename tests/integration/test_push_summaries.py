"""One summary for every closed local day: exact, in the right zone, and summed again only where something changed."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.core.periods import local_date
from shared.store import drift
from shared.store.database import Connection, Database
from shared.workflows.summarise import aggregate, summarise
from tests.integration.test_push import DAY, TODAY, UTC_ZONE, YESTERDAY, use

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")


def rows(connection: Connection) -> dict[date, Decimal]:
    return {
        row["date"]: row["total_cost"]
        for row in connection.execute("SELECT date, total_cost FROM daily_summaries ORDER BY date")
    }


@contextmanager
def summed_rows(connection: Connection) -> Iterator[list[date]]:
    """Collect the days that are written inside."""
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS before AS SELECT date, ctid::text AS at FROM daily_summaries")
    found: list[date] = []
    yield found
    changed = connection.execute(
        "SELECT date FROM daily_summaries WHERE (date, ctid::text) NOT IN (SELECT date, at FROM before) ORDER BY date"
    )
    found += [row["date"] for row in changed]
    connection.execute("DROP TABLE before")


def test_every_closed_day_from_the_first_usage_on(database: Database, connection: Connection) -> None:
    use(connection, TODAY - 4 * DAY, "1.5")
    use(connection, YESTERDAY, "2")
    use(connection, TODAY, "9")
    assert summarise(database, TODAY, UTC_ZONE) == 4
    expected = {TODAY - 4 * DAY: Decimal("1.5"), TODAY - 3 * DAY: 0, TODAY - 2 * DAY: 0, YESTERDAY: 2}
    assert rows(connection) == expected
    assert summarise(database, TODAY + DAY, UTC_ZONE) == 1
    assert rows(connection)[TODAY] == 9


def test_maps_are_exact_and_add_up(database: Database, connection: Connection) -> None:
    costs = {"a": "0.000000000000000001", "b": "12345.678901234567890123", "c": "3", "d": "0"}
    for model, cost in costs.items():
        use(connection, YESTERDAY, cost, model=model, project=f"P{model}")
    summarise(database, TODAY, UTC_ZONE)
    row = connection.execute("SELECT * FROM daily_summaries").fetchone()
    assert row is not None
    assert row["by_model"] == {name: Decimal(cost) for name, cost in costs.items()}
    assert row["by_agent"] == {"x": row["total_cost"]}
    assert row["total_requests"] == 4
    summed = connection.execute(
        "SELECT total_cost = (SELECT sum(value::numeric) FROM jsonb_each_text(by_project)) AS adds_up "
        "FROM daily_summaries"
    ).fetchone()
    assert summed == {"adds_up": True}


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        (BERLIN, date(2026, 10, 25), 25),
        (BERLIN, date(2026, 3, 29), 23),
        (NEW_YORK, date(2026, 11, 1), 25),
        (NEW_YORK, date(2026, 3, 8), 23),
        (ZoneInfo("Asia/Kathmandu"), date(2026, 11, 22), 24),
    ],
)
def test_days_are_those_of_the_zone(
    database: Database, connection: Connection, zone: ZoneInfo, day: date, hours: int
) -> None:
    quarter = timedelta(minutes=15)
    start = datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
    end = start + timedelta(hours=hours)
    for at, cost in ((start - quarter, "100"), (start, "1"), (end - quarter, "10"), (end, "1000")):
        use(connection, at, cost)
    summarise(database, local_date(end - quarter, zone), zone)
    assert rows(connection) == {day - DAY: 100}
    summarise(database, local_date(end, zone) + DAY, zone)
    assert rows(connection) == {day - DAY: 100, day: 11, day + DAY: 1000}


def test_a_date_that_a_zone_skipped_is_no_day(database: Database, connection: Connection) -> None:
    apia = ZoneInfo("Pacific/Apia")
    use(connection, datetime(2011, 12, 29, 20, tzinfo=UTC), "1")
    summarise(database, date(2012, 1, 2), apia)
    assert list(rows(connection)) == [date(2011, 12, 29), date(2011, 12, 31), date(2012, 1, 1)]


def test_what_did_not_change_is_not_summed_again(database: Database, connection: Connection) -> None:
    for days in range(1, 100):
        use(connection, TODAY - days * DAY, "1")
    assert summarise(database, TODAY, UTC_ZONE) == 99
    with summed_rows(connection) as written:
        assert summarise(database, TODAY, UTC_ZONE) == 0
        use(connection, TODAY - 50 * DAY, "0")
        assert summarise(database, TODAY, UTC_ZONE) == 1  # one more request, at no cost
        use(connection, TODAY - 70 * DAY, "1")
        assert summarise(database, TODAY, UTC_ZONE) == 1
    assert written == [TODAY - 70 * DAY, TODAY - 50 * DAY]


def test_every_kind_of_change_is_seen(database: Database, connection: Connection) -> None:
    use(connection, TODAY - 3 * DAY, "1")
    use(connection, YESTERDAY, "1")
    summarise(database, TODAY, UTC_ZONE)
    connection.execute("UPDATE rollup_quarter SET cost = 7 WHERE slot < %s", [TODAY - 2 * DAY])
    connection.execute("DELETE FROM rollup_quarter WHERE slot > %s", [YESTERDAY])
    assert summarise(database, TODAY, UTC_ZONE) == 2
    assert rows(connection) == {TODAY - 3 * DAY: 7, TODAY - 2 * DAY: 0, YESTERDAY: 0}
    database.run(lambda c: drift.rebuild(c, datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)))
    assert summarise(database, TODAY, UTC_ZONE) == 1
    assert set(rows(connection).values()) == {0}


def test_older_usage_that_comes_late_brings_its_days_along(database: Database, connection: Connection) -> None:
    use(connection, YESTERDAY, "1")
    summarise(database, TODAY, UTC_ZONE)
    use(connection, TODAY - 90 * DAY, "2")
    assert summarise(database, TODAY, UTC_ZONE) == 89
    assert len(rows(connection)) == 90


def test_another_zone_cuts_every_day_anew(database: Database, connection: Connection) -> None:
    late = datetime(2026, 11, 21, 3, tzinfo=UTC)
    use(connection, late, "1")
    use(connection, late + DAY, "2")
    summarise(database, TODAY, UTC_ZONE)
    assert rows(connection) == {date(2026, 11, 21): 1, date(2026, 11, 22): 2}
    # In New York it is still the evening of the 22nd.
    summarise(database, TODAY - DAY, NEW_YORK)
    assert rows(connection) == {date(2026, 11, 20): 1, date(2026, 11, 21): 2}
    summarise(database, TODAY, NEW_YORK)
    assert rows(connection)[date(2026, 11, 22)] == 0


def test_summaries_made_while_usage_arrives_miss_nothing(dsn: str, connection: Connection) -> None:
    use(connection, TODAY - 20 * DAY, "0")

    def sum_often(_: int) -> None:
        database = Database(dsn)
        for _ in range(15):
            summarise(database, TODAY, UTC_ZONE)
        database.close()

    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(sum_often, n) for n in range(3)]
        for n in range(200):
            use(connection, TODAY - (1 + n % 20) * DAY, "0.01")
        for one in running:
            one.result()
    sum_often(0)
    assert rows(connection) == {TODAY - days * DAY: Decimal("0.10") if days < 21 else 0 for days in range(20, 0, -1)}


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(1, 40 * 96), st.integers(-5, 50)), max_size=8), st.integers(0, 3))
def test_step_by_step_and_at_once_agree(
    database: Database, connection: Connection, steps: list[tuple[int, int]], days: int
) -> None:
    connection.execute("TRUNCATE daily_summaries, summary_changes")
    connection.execute("DELETE FROM rollup_quarter")
    at = datetime(2026, 11, 20, tzinfo=UTC)
    today = at.date() + days * DAY
    for quarters, cents in steps:
        use(connection, at - quarters * timedelta(minutes=15), f"{cents / 100:.2f}")
        summarise(database, today, BERLIN)
    found = rows(connection)
    connection.execute("TRUNCATE daily_summaries, summary_changes")
    summarise(database, today, BERLIN)
    assert rows(connection) == found


def test_aggregate_sums_one_day_again(database: Database, connection: Connection) -> None:
    use(connection, YESTERDAY, "1")
    assert aggregate(database, YESTERDAY, TODAY, UTC_ZONE).total_cost == 1
    use(connection, YESTERDAY, "1")
    assert aggregate(database, YESTERDAY, TODAY, UTC_ZONE).total_cost == 2
    assert rows(connection) == {YESTERDAY: 2}


def test_aggregate_stores_neither_open_days_nor_days_before_all_usage(
    database: Database, connection: Connection
) -> None:
    use(connection, TODAY, "3")
    found: list[Any] = [aggregate(database, day, TODAY, UTC_ZONE) for day in (TODAY, YESTERDAY)]
    assert [(one.total_cost, one.synced_to_cv, one.payload_hash) for one in found] == [
        (3, False, None),
        (0, False, None),
    ]
    assert rows(connection) == {}
