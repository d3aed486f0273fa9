"""Attribution against a real Postgres: polled and logged is counted once, whatever the order of what happens."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from infra.demo.anthropic import FakeAnthropic
from infra.demo.dataset import ApiKey, FixedDataset, UsageRow
from shared.store import rollups
from shared.store.database import Connection, Database
from shared.workflows.attribute import rebuild, rebuild_days
from shared.workflows.ingest import Options, ingest
from shared.workflows.pricing import load_book
from shared.workflows.verify import verify
from shared.workflows.void import void
from tests.integration.collecting import CATALOGUE, NOW, provider, run

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
AT = datetime(2026, 11, 19, 14, tzinfo=UTC)
SONNET = "claude-sonnet-4-5"


def polled(at: datetime = AT, key: str = "apikey_a", tokens: int = 1000, model: str = SONNET) -> UsageRow:
    return UsageRow(at, model, uncached_input_tokens=tokens, output_tokens=500, api_key_id=key)


@pytest.fixture
def data() -> FixedDataset:
    return FixedDataset(
        usage_rows=[polled(), polled(key="apikey_b", tokens=3001), polled(at=AT - 5 * DAY)],
        keys=[ApiKey("apikey_a", "peakpaws-main"), ApiKey("apikey_b", "kanban-subagent")],
    )


@pytest.fixture
def fake(data: FixedDataset) -> Iterator[FakeAnthropic]:
    with FakeAnthropic(data, clock=lambda: NOW) as server:
        yield server


def log(database: Database, *rows: dict[str, Any], now: datetime = NOW) -> list[int]:
    made = [
        {"model": SONNET, "tokens_in": 700, "tokens_out": 101, "account": "anthropic"}
        | row
        | {"recorded_at": row.get("recorded_at", AT + timedelta(minutes=50)).isoformat()}
        for row in rows
    ]
    report = ingest(database, lambda c: load_book(c, CATALOGUE), made, now, options=Options(touched=rebuild))
    assert {outcome.status for outcome in report.outcomes} == {"created"}, report.outcomes
    return [outcome.id or 0 for outcome in report.outcomes]


def slots(connection: Connection, *sources: str) -> dict[tuple[datetime, str], tuple[Decimal, ...]]:
    """(quarter hour, model) -> exact sums of the ledger, those that are all zero left out."""
    rows = connection.execute(
        """
        SELECT date_bin('1 hour', slot, '2000-01-01 00:00+00') AS hour, model, sum(cost) AS cost,
            sum(requests) AS requests, sum(input_tokens) AS input, sum(output_tokens) AS output,
            sum(cache_read_tokens) AS cached, sum(input_cost) AS input_cost, sum(unpriced_tokens) AS unpriced_tokens,
            sum(unpriced_requests) AS unpriced_requests
        FROM rollup_quarter WHERE source = ANY(%s) GROUP BY 1, 2
        """,
        [list(sources or ("api", "event", "import", "attribution"))],
    ).fetchall()
    found = {(row.pop("hour"), row.pop("model")): tuple(row.values()) for row in rows}
    return {key: sums for key, sums in found.items() if any(sums)}


def lines(connection: Connection, source: str = "attribution") -> list[dict[str, Any]]:
    return connection.execute(
        "SELECT * FROM ledger WHERE source = %s ORDER BY recorded_at, session_label", [source]
    ).fetchall()


def check(database: Database, connection: Connection) -> None:
    """Totals are the report's, and roll-ups are the ledger's."""
    assert slots(connection) == slots(connection, "api")
    assert verify(database, repair=False)["drift"] == []


def test_events_inside_the_coverage_never_add_to_the_report(
    database: Database, connection: Connection, fake: FakeAnthropic
) -> None:
    run(database, provider(fake))
    log(database, {"project": "Mine"}, {"agent": "me", "requests": 3}, {"recorded_at": AT + timedelta(minutes=16)})
    check(database, connection)
    found = lines(connection)
    # Two quarter hours with events, each taken out of both keys' buckets.
    assert [(line["recorded_at"].minute, line["project"], line["session_type"]) for line in found] == [
        (15, "Kanban Board", "subagent"), (15, "PeakPaws", "main"),
        (45, "Kanban Board", "subagent"), (45, "PeakPaws", "main"),
    ]  # fmt: skip
    assert sum(line["input_tokens"] for line in found) == -2100
    assert sum(line["requests"] for line in found) == -5
    # 0.0105 USD and 0.016503 USD: 700 tokens are divided 272.2 to 427.8.
    assert [line["input_tokens"] for line in found[:2]] == [-428, -272]
    assert sum(line["cost"] for line in found) == -sum(line["cost"] for line in lines(connection, "event"))
    assert all(line["cost"] == sum(line[f"{name}_cost"] for name in ("input", "output")) for line in found)


def test_every_order_of_events_and_collections_gives_the_same_lines(
    database: Database, connection: Connection, fake: FakeAnthropic
) -> None:
    run(database, provider(fake))
    log(database, {"event_id": "a"}, {"event_id": "b", "tokens_in": 13})
    after_one_way = [{k: v for k, v in line.items() if k != "id"} for line in lines(connection)]
    connection.execute("DELETE FROM ledger")
    connection.execute("TRUNCATE rollup_quarter, rollup_day, buckets, collection_state CASCADE")
    connection.execute("UPDATE accounts SET covered_from = NULL, complete_until = NULL")
    log(database, {"event_id": "b", "tokens_in": 13})
    assert lines(connection) == []
    run(database, provider(fake))
    log(database, {"event_id": "a"})
    check(database, connection)
    assert [{k: v for k, v in line.items() if k != "id"} for line in lines(connection)] == after_one_way


def test_outside_the_coverage_events_are_money(database: Database, connection: Connection, fake: FakeAnthropic) -> None:
    run(database, provider(fake))
    [covered] = connection.execute("SELECT * FROM accounts").fetchall()
    first, last = covered["covered_from"], covered["complete_until"]
    assert first == AT - 5 * DAY
    step = timedelta(microseconds=1)
    log(database, {"recorded_at": first - step}, {"recorded_at": last}, {"recorded_at": last + timedelta(seconds=30)})
    assert lines(connection) == []
    log(database, {"recorded_at": first}, {"recorded_at": last - step})
    # The first is taken out of its bucket, the last has none on its day.
    taken = lines(connection)
    assert [(line["session_label"], line["project"]) for line in taken] == [
        ("peakpaws-main", "PeakPaws"), (None, "General"),
    ]  # fmt: skip
    assert [line["input_tokens"] for line in taken] == [-700, -700]


def test_the_coverage_moves_on_over_events(
    database: Database, connection: Connection, fake: FakeAnthropic, data: FixedDataset
) -> None:
    run(database, provider(fake))
    later = NOW + timedelta(hours=5)
    log(database, {"recorded_at": NOW + HOUR}, {"recorded_at": NOW + 2 * HOUR}, now=later)
    assert lines(connection) == []
    data.usage_rows.append(polled(at=NOW.replace(minute=0) + HOUR))
    fake.clock = lambda: later
    run(database, provider(fake), now=later)
    check(database, connection)
    assert len(lines(connection)) == 2


def test_restated_new_and_vanished_buckets(
    database: Database, connection: Connection, fake: FakeAnthropic, data: FixedDataset
) -> None:
    run(database, provider(fake))
    log(database, {}, {"recorded_at": AT + HOUR}, {"recorded_at": AT + 3 * HOUR})
    check(database, connection)
    data.usage_rows[0] = replace(data.usage_rows[0], output_tokens=9)
    run(database, provider(fake))
    check(database, connection)
    data.usage_rows[1:2] = [polled(at=AT + HOUR, tokens=5)]
    run(database, provider(fake))
    check(database, connection)
    # The bucket of that interval takes all, although it is less than what was logged.
    [line] = [line for line in lines(connection) if line["recorded_at"] == AT + HOUR]
    assert line["input_tokens"] == -700
    data.usage_rows[:2] = []
    run(database, provider(fake))
    check(database, connection)
    assert {line["session_label"] for line in lines(connection)} == {None}


def test_a_void_gives_it_back(database: Database, connection: Connection, fake: FakeAnthropic) -> None:
    run(database, provider(fake))
    first, second = log(database, {}, {"tokens_in": 3})
    void(database, first, "wrong", NOW, touched=rebuild)
    check(database, connection)
    assert sum(line["input_tokens"] for line in lines(connection)) == -3
    void(database, second, "wrong", NOW, touched=rebuild)
    check(database, connection)
    assert lines(connection) == []


def test_models_without_a_price_are_balanced_in_tokens(
    database: Database, connection: Connection, fake: FakeAnthropic, data: FixedDataset
) -> None:
    data.usage_rows.append(polled(model="claude-nobody-knows"))
    run(database, provider(fake))
    log(
        database,
        {"model": "claude-nobody-knows"},
        {"model": "claude-nobody-knows", "cost": Decimal("0.25"), "tokens_in": 8},
    )
    reported, found = slots(connection, "api"), slots(connection)
    key = (AT, "claude-nobody-knows")
    # What the sender says it cost is all that is known of its money; tokens are the report's, unpriced but for its own.
    assert found[key] == (Decimal("0.25"), *reported[key][1:6], reported[key][6] - 8 - 101, -1)
    assert verify(database, repair=False)["drift"] == []


def test_balance_lines_that_are_right_stay(database: Database, connection: Connection, fake: FakeAnthropic) -> None:
    run(database, provider(fake))
    log(database, {})
    before = lines(connection)
    run(database, provider(fake))
    connection.execute("SELECT 1")
    database.run(lambda c: rebuild(c, {(before[0]["account_id"], before[0]["recorded_at"], SONNET)}))
    assert lines(connection) == before


def test_prices_and_projects_that_change_for_whole_days(
    database: Database, connection: Connection, fake: FakeAnthropic
) -> None:
    run(database, provider(fake))
    log(database, {}, {"recorded_at": AT + HOUR}, {"recorded_at": AT - 5 * DAY})
    with connection.transaction():
        ids = [line["id"] for source in ("api", "event") for line in lines(connection, source)]
        rollups.subtract(connection, ids)
        connection.execute(
            "UPDATE ledger SET cost = cost * 2, input_cost = input_cost * 2, output_cost = output_cost * 2, "
            "project = 'Moved' WHERE source IN ('api', 'event')"
        )
        rollups.add(connection, ids)
        accounts = [row["id"] for row in connection.execute("SELECT id FROM accounts").fetchall()]
        rebuild_days(connection, accounts, datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
    check(database, connection)
    assert {line["project"] for line in lines(connection)} == {"Moved"}
    assert len(lines(connection)) == 5


def test_an_account_that_is_never_collected_is_not_balanced(database: Database, connection: Connection) -> None:
    connection.execute("INSERT INTO accounts (name, provider, origin) VALUES ('anthropic', 'anthropic', 'environment')")
    log(database, {}, {"account": None, "model": "gpt-5"})
    assert lines(connection) == []
