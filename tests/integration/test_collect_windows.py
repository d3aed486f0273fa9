"""Deeper reads of the past: when each is due, what it finds, and that a run that did not finish one leaves it due."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from infra.demo.anthropic import FakeAnthropic, Path
from infra.demo.dataset import CostRow, FixedDataset, UsageRow
from infra.demo.faults import Fault
from shared.core.windows import Why
from shared.store.database import Connection, Database
from shared.workflows.collect import AccountReport
from shared.workflows.verify import verify
from tests.integration.collecting import NOW, changes, provider, run

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
OLD = NOW - 20 * DAY
SONNET = "claude-sonnet-4-5-20250929"
FIRST = UsageRow(OLD, SONNET, uncached_input_tokens=1_000_000, api_key_id="apikey_a")


@pytest.fixture
def data() -> FixedDataset:
    return FixedDataset([FIRST, UsageRow(NOW - DAY, SONNET, output_tokens=7)], [CostRow(OLD, Decimal(300), "Sonnet")])


@pytest.fixture
def fake(data: FixedDataset) -> Iterator[FakeAnthropic]:
    with FakeAnthropic(data, clock=lambda: NOW + 60 * DAY) as server:
        yield server


def windows(report: AccountReport) -> dict[str, tuple[Why, datetime | None]]:
    return {stream.stream: (stream.why, stream.window_start) for stream in report.streams}


def cost(connection: Connection) -> Decimal:
    row = connection.execute("SELECT sum(cost) AS cost FROM rollup_quarter").fetchone()
    return Decimal(0) if row is None else row["cost"]


def test_a_figure_restated_after_weeks_is_found_within_a_week(
    database: Database, connection: Connection, fake: FakeAnthropic, data: FixedDataset
) -> None:
    [first] = run(database, provider(fake))
    assert {why for why, _ in windows(first).values()} == {Why.BACKFILL}
    assert cost(connection) == Decimal("3.000105")
    data.usage_rows[0] = UsageRow(OLD, SONNET, uncached_input_tokens=2_000_000, api_key_id="apikey_a")
    for hours in range(6, 7 * 24, 54):
        [report] = run(database, provider(fake), now=NOW + hours * HOUR)
        assert {why for why, _ in windows(report).values()} == {Why.TRAILING}
        assert report.as_json()["streams"][0]["why"] == "trailing"
        assert changes(report)[1] == 0
    [deep] = run(database, provider(fake), now=NOW + 7 * DAY)
    since = (NOW - 28 * DAY).replace(hour=0, minute=0)
    assert windows(deep) == {"usage": (Why.WEEKLY, since), "costs": (Why.WEEKLY, since)}
    assert changes(deep)[1] == 1
    assert cost(connection) == Decimal("6.000105")
    [after] = run(database, provider(fake), now=NOW + 7 * DAY + 6 * HOUR)
    assert {why for why, _ in windows(after).values()} == {Why.TRAILING}
    # On the 8th, the month that has been invoiced.
    [monthly] = run(database, provider(fake), now=datetime(2026, 12, 8, 0, 30, tzinfo=NOW.tzinfo))
    assert windows(monthly)["usage"] == (Why.MONTHLY, datetime(2026, 11, 1, tzinfo=NOW.tzinfo))
    assert verify(database, repair=False)["drift"] == []


def test_a_deep_read_that_failed_or_was_cut_is_done_by_the_next_run(
    database: Database, connection: Connection, fake: FakeAnthropic, data: FixedDataset
) -> None:
    run(database, provider(fake))
    data.usage_rows[0] = UsageRow(OLD, SONNET, uncached_input_tokens=2_000_000, api_key_id="apikey_a")
    fake.faults.append(Fault(path=Path.USAGE, text="{", times=1))
    due = NOW + 7 * DAY
    [failed] = run(database, provider(fake), now=due)
    assert failed.status == "failed"
    fake.faults.append(Fault(path=Path.USAGE, skip=1, status=500, times=None))
    [cut] = run(database, provider(fake), now=due + HOUR)
    assert windows(cut)["usage"][0] is Why.WEEKLY
    assert (cut.status, cost(connection)) == ("failed", Decimal("3.000105"))
    fake.faults.clear()
    [again] = run(database, provider(fake), now=due + 2 * HOUR)
    assert [(one.stream, one.why) for one in again.streams] == [
        ("usage", Why.CONTINUED), ("usage", Why.TRAILING), ("costs", Why.WEEKLY),
    ]  # fmt: skip
    assert cost(connection) == Decimal("6.000105")
    [last] = run(database, provider(fake), now=due + 3 * HOUR)
    assert {why for why, _ in windows(last).values()} == {Why.TRAILING}
