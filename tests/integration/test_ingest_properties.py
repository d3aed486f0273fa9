"""Money rules of ingest against a real Postgres: the same events in any order and any chunks are the same state."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.core.events import Reader
from shared.core.pricing import price
from shared.core.usage import PriceContext, Usage
from shared.prices.book import PriceBook
from shared.store.database import Connection, Database, connect
from shared.workflows.ingest import Group, Options, ingest
from shared.workflows.outcomes import Report
from shared.workflows.pricing import load_book
from shared.workflows.verify import verify
from shared.workflows.void import void
from tests.integration.collecting import CATALOGUE, NOW

ORDINARY = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
MODELS = ("claude-sonnet-4-5", "claude-sonnet-4-5-20250929", "gpt-4o", "gemini-2.5-pro", "nobody-knows", "ollama/x")
# Surrogate keys and the order of arrival may differ; nothing else may.
_STATE = {
    "ledger": "to_jsonb(ledger) - ARRAY['id', 'rates_id']",
    "rollup_quarter": "to_jsonb(rollup_quarter)",
    "rates": "detail",
    "model_names": "to_jsonb(model_names)",
}


@pytest.fixture(scope="module")
def own(module_dsn: str) -> Iterator[tuple[Database, Connection]]:
    database = Database(module_dsn)
    with connect(module_dsn) as connection:
        connection.execute("INSERT INTO accounts (name, provider, origin) VALUES ('work', 'anthropic', 'stored')")
        yield database, connection
    database.close()


def wipe(connection: Connection) -> None:
    for table in ("ledger", "rates", "rollup_quarter", "rollup_day", "model_names", "summary_changes"):
        connection.execute(f"DELETE FROM {table}")  # noqa: S608 - names of this line above; faster than TRUNCATE


def plain(value: Any) -> Any:  # noqa: ANN401 - JSON of any shape
    """Equal numbers written alike: 0.120 is 0.12."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    is_number = isinstance(value, (int, Decimal)) and not isinstance(value, bool)
    return Decimal(value).normalize() if is_number else value


def state(connection: Connection) -> dict[str, list[str]]:
    return {
        table: sorted(
            repr(plain(row["content"]))
            for row in connection.execute(f"SELECT {content} AS content FROM {table}")  # noqa: S608 - constants of this file
        )
        for table, content in _STATE.items()
    }


def store(database: Database, rows: list[Any], **options: Any) -> Report:  # noqa: ANN401 - the options' own types
    return ingest(database, lambda c: load_book(c, CATALOGUE), rows, NOW, Options(**options))


@st.composite
def events(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Events with ids of their own, some of them sent several times."""
    rows = []
    for number in range(draw(st.integers(1, 25))):
        row: dict[str, Any] = {
            "event_id": f"e{number}",
            "model": draw(st.sampled_from(MODELS)),
            "tokens_in": draw(st.integers(0, 500_000)),
            "tokens_out": draw(st.integers(0, 9_000)),
            "recorded_at": (NOW - timedelta(microseconds=draw(st.integers(0, 3 * 86_400 * 10**6)))).isoformat(),
        }
        if draw(st.booleans()):
            row |= {"cache_read_tokens": draw(st.integers(0, 10**15)), "web_searches": draw(st.integers(0, 3))}
        if draw(st.booleans()):
            row |= {"requests": draw(st.integers(0, 4)), "reasoning_tokens": draw(st.integers(0, 5_000))}
        if draw(st.booleans()):
            row |= {"session_label": draw(st.sampled_from(["kanban-1", "trading-x", "heartbeat"])), "tags": {"a": "b"}}
        if draw(st.booleans()):
            row |= {"cost": Decimal(draw(st.integers(0, 10**12))).scaleb(-10), "agent": draw(st.sampled_from("xyz"))}
        rows.append(row)
    return rows


@ORDINARY
@given(events(), st.randoms(use_true_random=False), st.integers(1, 4), st.integers(1, 9))
def test_any_order_any_chunks_any_number_of_times(
    own: tuple[Database, Connection], rows: list[dict[str, Any]], pick: random.Random, times: int, size: int
) -> None:
    database, connection = own
    wipe(connection)
    store(database, rows)
    once = state(connection)
    assert verify(database, repair=False)["drift"] == []

    wipe(connection)
    sent = rows * times
    pick.shuffle(sent)
    statuses = [
        outcome.status for at in range(0, len(sent), size) for outcome in store(database, sent[at : at + size]).outcomes
    ]
    assert statuses.count("created") == len(rows)
    assert statuses.count("duplicate") == len(sent) - len(rows)
    assert state(connection) == once
    assert verify(database, repair=False)["drift"] == []


@ORDINARY
@given(events())
def test_every_line_costs_what_the_book_says_and_reports_add_up(
    own: tuple[Database, Connection], rows: list[dict[str, Any]]
) -> None:
    database, connection = own
    wipe(connection)
    store(database, rows)
    book = PriceBook((), CATALOGUE)
    reader = Reader(NOW)
    expected: dict[str, Decimal | None] = {}
    for row in rows:
        event = reader.read(row, None)
        usage = Usage(*event.counts)
        rates = book.rates(None, row["model"], event.at, usage, PriceContext())
        costs = price(usage, rates) if rates and (event.cost is None or usage.total_tokens) else None
        expected[row["event_id"]] = costs.total if costs else event.cost
    stored = {row["event_id"]: row["cost"] for row in connection.execute("SELECT event_id, cost FROM ledger")}
    assert stored == expected
    [sums] = connection.execute("SELECT sum(cost) AS cost, sum(unpriced_requests) AS n FROM rollup_quarter").fetchall()
    assert sums["cost"] == sum(cost for cost in expected.values() if cost is not None)
    assert sums["n"] == sum(row.get("requests", 1) for row in rows if expected[row["event_id"]] is None)


@ORDINARY
@given(events(), st.sets(st.integers(0, 24)), st.booleans())
def test_voiding_is_as_if_it_had_never_been_sent(
    own: tuple[Database, Connection],
    rows: list[dict[str, Any]],
    wrong: set[int],
    resend: bool,  # noqa: FBT001 - Hypothesis draws it
) -> None:
    database, connection = own
    wrong = {number for number in wrong if number < len(rows)}
    wipe(connection)
    store(database, [row for number, row in enumerate(rows) if number not in wrong])
    without = state(connection)["rollup_quarter"]

    wipe(connection)
    outcomes = store(database, rows).outcomes
    for number in wrong:
        for reason in ("wrong", "again"):
            found = void(database, outcomes[number].id or 0, reason, NOW)
            assert found["void_reason"] == "wrong"
    if resend:
        assert {outcome.status for outcome in store(database, rows).outcomes} == {"duplicate"}
    assert state(connection)["rollup_quarter"] == without
    assert verify(database, repair=False)["drift"] == []
    [kept] = connection.execute("SELECT count(*) AS n FROM ledger WHERE voided_at IS NOT NULL").fetchall()
    assert kept["n"] == len(wrong)


def test_a_record_in_the_last_instant_is_in_one_day(own: tuple[Database, Connection]) -> None:
    database, connection = own
    wipe(connection)
    for fraction in ("9999995", "999999", "9999999999"):
        store(database, [{"model": "m", "cost": 1, "recorded_at": f"2026-11-18T23:59:59.{fraction}Z"}])
    rows = connection.execute("SELECT DISTINCT recorded_at FROM ledger").fetchall()
    assert [row["recorded_at"] for row in rows] == [datetime(2026, 11, 18, 23, 59, 59, 999999, tzinfo=UTC)]
    slots = connection.execute("SELECT slot, lines FROM rollup_quarter").fetchall()
    assert slots == [{"slot": datetime(2026, 11, 18, 23, 45, tzinfo=UTC), "lines": 3}]


def test_the_hook_is_told_which_groups_changed_inside_the_transaction(own: tuple[Database, Connection]) -> None:
    database, connection = own
    wipe(connection)
    told: list[set[Group]] = []

    def touched(inside: Connection, groups: Any) -> None:  # noqa: ANN401 - collected and compared
        lines = inside.execute("SELECT count(*) AS n FROM ledger").fetchone()
        cells = inside.execute("SELECT coalesce(sum(lines), 0) AS n FROM rollup_quarter").fetchone()
        assert (lines, cells) == ({"n": 3}, {"n": 3})
        assert connection.execute("SELECT count(*) AS n FROM ledger").fetchone() == {"n": 0}, "not committed yet"
        told.append(set(groups))

    rows = [
        {"event_id": "a", "model": "claude-sonnet-4-5-20250929", "cost": 1, "recorded_at": "2026-11-18T10:14:59Z"},
        {"event_id": "b", "model": "claude-sonnet-4-5", "cost": 1, "recorded_at": "2026-11-18T10:01:00+00:00"},
        {"event_id": "c", "model": "gpt-4o", "cost": 1, "recorded_at": "2026-11-18T10:01:00Z"},
    ]
    outcomes = store(database, rows, touched=touched).outcomes
    [account] = connection.execute("SELECT id FROM accounts").fetchall()
    group = (account["id"], datetime(2026, 11, 18, 10, tzinfo=UTC), "claude-sonnet-4-5")
    assert told == [{group}]
    store(database, rows, touched=touched)
    assert told == [{group}], "duplicates change nothing"

    def refuse(_inside: Connection, groups: Any) -> None:  # noqa: ANN401 - compared
        assert set(groups) == {group}
        raise RuntimeError

    with pytest.raises(RuntimeError):
        void(database, outcomes[0].id or 0, "wrong", NOW, touched=refuse)
    assert connection.execute("SELECT count(*) AS n FROM ledger WHERE voided_at IS NOT NULL").fetchone() == {"n": 0}
    assert verify(database, repair=False)["drift"] == []
