"""Collecting from a real HTTP server into a real Postgres: idempotent, whole windows or nothing, history kept."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from infra.demo.anthropic import FakeAnthropic, Path
from infra.demo.dataset import ApiKey, CostRow, FixedDataset, UsageRow, Workspace
from infra.demo.faults import Fault
from shared.store import accounts
from shared.store.database import Connection, Database
from shared.workflows.verify import verify
from tests.integration.collecting import NOW, changes, provider, run, tables

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
YESTERDAY = datetime(2026, 11, 19, 14, tzinfo=UTC)


def usage(
    at: datetime = YESTERDAY, model: str = "claude-sonnet-4-5-20250929", key: str | None = "apikey_a"
) -> UsageRow:
    return UsageRow(at, model, uncached_input_tokens=1000, output_tokens=500, api_key_id=key)


@pytest.fixture
def data() -> FixedDataset:
    return FixedDataset(
        usage_rows=[usage(), usage(key="apikey_b"), usage(at=YESTERDAY - 5 * DAY)],
        cost_rows=[CostRow(YESTERDAY, Decimal("1.05"), "Code Execution Usage", cost_type="code_execution")],
        keys=[ApiKey("apikey_a", "peakpaws-main"), ApiKey("apikey_b", "kanban-subagent", status="archived")],
        workspaces=[Workspace("wrkspc_1", "Production")],
    )


@pytest.fixture
def fake(data: FixedDataset) -> Iterator[FakeAnthropic]:
    with FakeAnthropic(data, clock=lambda: NOW) as server:
        yield server


def test_a_bucket_becomes_a_named_mapped_priced_line(
    database: Database, connection: Connection, fake: FakeAnthropic
) -> None:
    [report] = run(database, provider(fake))
    assert report.status == "succeeded"
    assert changes(report) == (3, 0, 0, 0)
    rows = connection.execute(
        "SELECT * FROM usage_records WHERE recorded_at = %s ORDER BY session_label", [YESTERDAY]
    ).fetchall()
    [kanban, peakpaws] = rows
    assert (kanban["session_label"], kanban["project"], kanban["session_type"]) == (
        "kanban-subagent", "Kanban Board", "subagent",
    )  # fmt: skip
    assert (peakpaws["model"], peakpaws["model_raw"]) == ("claude-sonnet-4-5", "claude-sonnet-4-5-20250929")
    assert peakpaws["cost_usd"] == Decimal("0.0105")  # 1000 x 3 + 500 x 15 per million
    assert (peakpaws["input_cost"], peakpaws["output_cost"]) == (Decimal("0.003"), Decimal("0.0075"))
    assert (peakpaws["account"], peakpaws["source"], peakpaws["priced_by"]) == ("anthropic", "api", "catalogue")
    assert peakpaws["raw_data"]["uncached_input_tokens"] == 1000


def test_money_that_no_token_explains_is_a_line_of_its_own(
    database: Database, connection: Connection, fake: FakeAnthropic, data: FixedDataset
) -> None:
    data.cost_rows.append(CostRow(YESTERDAY, Decimal(99), "Sonnet usage", model="claude-sonnet-4-5"))
    run(database, provider(fake))
    rows = connection.execute("SELECT * FROM usage_records WHERE total_tokens = 0").fetchall()
    assert [(row["model"], row["request_type"], row["cost_usd"]) for row in rows] == [
        ("code_execution", "code_execution", Decimal("0.0105"))  # 1.05 cents
    ]


def test_collecting_twice_changes_nothing(database: Database, connection: Connection, fake: FakeAnthropic) -> None:
    run(database, provider(fake))
    before = tables(connection)
    [again] = run(database, provider(fake))
    assert changes(again) == (0, 0, 2, 0)  # the look-back of three days
    assert tables(connection) == before


def test_a_restated_bucket_changes_the_past_and_keeps_its_earlier_version(
    database: Database, connection: Connection, fake: FakeAnthropic, data: FixedDataset
) -> None:
    run(database, provider(fake))
    data.usage_rows[0] = replace(data.usage_rows[0], output_tokens=900)
    [report] = run(database, provider(fake), now=NOW + HOUR)
    assert changes(report) == (0, 1, 1, 0)
    row = connection.execute(
        "SELECT * FROM usage_records WHERE session_label = 'peakpaws-main' AND recorded_at = %s", [YESTERDAY]
    ).fetchone()
    assert row is not None
    assert (row["output_tokens"], row["cost_usd"]) == (900, Decimal("0.0165"))
    [version] = connection.execute("SELECT * FROM bucket_versions").fetchall()
    assert (version["reason"], version["raw"]["output_tokens"]) == ("restated", 500)
    assert version["cost"] == Decimal("0.0105")
    assert (version["fetched_at"], version["replaced_at"]) == (NOW, NOW + HOUR)
    assert verify(database, repair=False)["drift"] == []


def test_a_vanished_bucket_is_removed_and_remembered(
    database: Database, connection: Connection, fake: FakeAnthropic, data: FixedDataset
) -> None:
    run(database, provider(fake))
    del data.usage_rows[1]
    [report] = run(database, provider(fake))
    assert changes(report) == (0, 0, 1, 1)
    assert connection.execute("SELECT 1 FROM usage_records WHERE session_label = 'kanban-subagent'").fetchall() == []
    [version] = connection.execute("SELECT reason, raw FROM bucket_versions").fetchall()
    assert version["reason"] == "removed"
    assert connection.execute("SELECT 1 FROM rollup_quarter WHERE project = 'Kanban Board'").fetchall() == []


def test_a_bucket_outside_the_window_that_was_read_is_left_alone(
    database: Database, connection: Connection, fake: FakeAnthropic, data: FixedDataset
) -> None:
    run(database, provider(fake))
    del data.usage_rows[2]  # five days old, before the look-back
    run(database, provider(fake))
    assert connection.execute("SELECT count(*) AS n FROM buckets WHERE stream = 'usage'").fetchone() == {"n": 3}


def test_a_bucket_that_later_appears_again_is_new(
    database: Database, connection: Connection, fake: FakeAnthropic, data: FixedDataset
) -> None:
    row = data.usage_rows[1]
    run(database, provider(fake))
    before = connection.execute("SELECT sum(cost) AS usd FROM rollup_quarter").fetchone()
    data.usage_rows.remove(row)
    run(database, provider(fake))
    data.usage_rows.append(row)
    [report] = run(database, provider(fake))
    assert changes(report) == (1, 0, 1, 0)
    assert connection.execute("SELECT sum(cost) AS usd FROM rollup_quarter").fetchone() == before


def test_coverage_begins_with_the_first_bucket_and_ends_before_the_lag(database: Database, fake: FakeAnthropic) -> None:
    run(database, provider(fake))
    [account] = database.run(accounts.everyone)
    assert account.covered_from == YESTERDAY - 5 * DAY
    assert account.complete_until == NOW - timedelta(minutes=10)
    assert account.state == "ok"


def test_an_unpriced_model_has_no_cost_and_is_counted(
    database: Database, connection: Connection, fake: FakeAnthropic, data: FixedDataset
) -> None:
    data.usage_rows.append(usage(model="claude-nobody-knows"))
    run(database, provider(fake))
    row = connection.execute("SELECT cost_usd FROM usage_records WHERE model = 'claude-nobody-knows'").fetchone()
    assert row == {"cost_usd": None}
    rollup = connection.execute("SELECT cost, unpriced_tokens FROM rollup_quarter WHERE model = 'claude-nobody-knows'")
    assert rollup.fetchone() == {"cost": Decimal(0), "unpriced_tokens": Decimal(1500)}


def test_a_bucket_split_over_two_rows_is_added_up(
    database: Database, connection: Connection, fake: FakeAnthropic
) -> None:
    def split(payload: dict[str, list[dict[str, list[object]]]]) -> object:
        for bucket in payload["data"]:
            bucket["results"] = [*bucket["results"], *bucket["results"]]
        return payload

    fake.faults.append(Fault(path=Path.USAGE, times=None, transform=split))
    [report] = run(database, provider(fake))
    assert report.error is None
    row = connection.execute(
        "SELECT sum(input_tokens) AS tokens, count(*) AS lines FROM usage_records WHERE recorded_at = %s", [YESTERDAY]
    ).fetchone()
    assert row == {"tokens": 4000, "lines": 2}


def test_given_days_are_collected_without_moving_the_watermark_over_a_gap(
    database: Database, connection: Connection, fake: FakeAnthropic
) -> None:
    run(database, provider(fake), start=YESTERDAY - 6 * DAY, end=YESTERDAY - 4 * DAY)
    assert connection.execute("SELECT count(*) AS n FROM ledger").fetchone() == {"n": 1}
    assert connection.execute("SELECT count(watermark) AS n FROM collection_state").fetchone() == {"n": 0}
    run(database, provider(fake))
    assert connection.execute("SELECT count(*) AS n FROM ledger").fetchone() == {"n": 4}
