"""Collecting from a real HTTP server into a real Postgres: idempotent, whole windows or nothing, history kept."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

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
    def split(payload: dict[str, Any]) -> object:
        for bucket in payload["data"]:
            halves = [({**row, "output_tokens": 0}, {**row, "uncached_input_tokens": 1}) for row in bucket["results"]]
            bucket["results"] = [half for pair in halves for half in pair]
        return payload

    fake.faults.append(Fault(path=Path.USAGE, times=None, transform=split))
    [report] = run(database, provider(fake))
    assert report.error is None
    row = connection.execute(
        "SELECT sum(input_tokens) AS input, sum(output_tokens) AS output, count(*) AS lines FROM usage_records "
        "WHERE recorded_at = %s",
        [YESTERDAY],
    ).fetchone()
    assert row == {"input": 2002, "output": 1000, "lines": 2}


def test_given_days_are_collected_without_moving_the_watermark_over_a_gap(
    database: Database, connection: Connection, fake: FakeAnthropic
) -> None:
    run(database, provider(fake), start=YESTERDAY - 6 * DAY, end=YESTERDAY - 4 * DAY)
    assert connection.execute("SELECT count(*) AS n FROM ledger").fetchone() == {"n": 1}
    assert connection.execute("SELECT count(watermark) AS n FROM collection_state").fetchone() == {"n": 0}
    run(database, provider(fake))
    assert connection.execute("SELECT count(*) AS n FROM ledger").fetchone() == {"n": 4}


def truncated(payload: dict[str, Any]) -> dict[str, Any]:
    """A first page that keeps quiet about the rest."""
    return {**payload, "data": payload["data"][:48], "has_more": False, "next_page": None}


def test_what_a_provider_did_not_list_was_not_read(
    database: Database, connection: Connection, fake: FakeAnthropic
) -> None:
    fake.faults.append(Fault(path=Path.USAGE, transform=truncated))
    [report] = run(database, provider(fake), backfill=10 * DAY)
    assert report.status == "succeeded"
    read = connection.execute("SELECT watermark FROM collection_state WHERE stream = 'usage'").fetchone()
    assert read == {"watermark": datetime(2026, 11, 12, tzinfo=UTC)}
    [healed] = run(database, provider(fake), backfill=10 * DAY)
    assert changes(healed)[0] == 3


def test_a_truncated_answer_removes_nothing_behind_its_end(
    database: Database, connection: Connection, fake: FakeAnthropic
) -> None:
    run(database, provider(fake))
    before = connection.execute("SELECT sum(cost) AS usd FROM rollup_quarter").fetchone()
    fake.faults.append(Fault(path=Path.USAGE, transform=truncated))
    [report] = run(database, provider(fake))
    assert changes(report)[3] == 0
    assert connection.execute("SELECT sum(cost) AS usd FROM rollup_quarter").fetchone() == before


def test_a_collection_of_today_alone_does_not_block_the_next_ones(database: Database, fake: FakeAnthropic) -> None:
    run(database, provider(fake))
    [today] = run(database, provider(fake), start=NOW.replace(hour=0, minute=0), end=NOW)
    assert (today.status, today.error) == ("succeeded", None)
    [later] = run(database, provider(fake), now=NOW + 3 * HOUR)
    assert later.status == "succeeded"


def test_coverage_is_kept_over_a_gap_and_joined_by_the_next_collection(
    database: Database, fake: FakeAnthropic, data: FixedDataset
) -> None:
    run(database, provider(fake))
    [before] = database.run(accounts.everyone)
    data.usage_rows.append(usage(at=NOW + 9 * DAY))
    fake.clock = lambda: NOW + 10 * DAY
    run(database, provider(fake), now=NOW + 10 * DAY, start=NOW + 8 * DAY, end=NOW + 10 * DAY)
    [gap] = database.run(accounts.everyone)
    assert (gap.covered_from, gap.complete_until) == (before.covered_from, before.complete_until)
    run(database, provider(fake), now=NOW + 10 * DAY)
    [joined] = database.run(accounts.everyone)
    assert joined.covered_from == before.covered_from
    assert joined.complete_until == NOW + 10 * DAY - timedelta(minutes=10)


def test_the_key_of_somebody_else_does_not_touch_the_account(
    database: Database, connection: Connection, fake: FakeAnthropic
) -> None:
    run(database, provider(fake))
    before = tables(connection)
    me = {"id": "another-organisation", "type": "organization", "name": "Other Ltd"}
    fake.faults.append(Fault(path=Path.ME, transform=lambda _: me))
    [report] = run(database, provider(fake))
    assert report.status == "failed"
    assert report.error
    assert "Other Ltd" in report.error
    after = tables(connection)
    assert {name: rows for name, rows in after.items() if name != "accounts"} == {
        name: rows for name, rows in before.items() if name != "accounts"
    }


def test_usage_without_a_model_has_a_name_and_no_price(
    database: Database, connection: Connection, fake: FakeAnthropic
) -> None:
    def nameless(payload: dict[str, Any]) -> object:
        for bucket in payload["data"]:
            bucket["results"] = [{**row, "model": None} for row in bucket["results"]]
        return payload

    fake.faults.append(Fault(path=Path.USAGE, times=None, transform=nameless))
    [report] = run(database, provider(fake))
    assert (report.status, report.error) == ("succeeded", None)
    rows = connection.execute("SELECT DISTINCT model, cost_usd FROM usage_records WHERE total_tokens > 0").fetchall()
    assert rows == [{"model": "unknown", "cost_usd": None}]
