"""Verify sees every kind of drift between ledger and roll-up, and repairs it only when asked."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from infra.demo.anthropic import FakeAnthropic
from infra.demo.dataset import FixedDataset, UsageRow
from shared.store.database import Connection, Database
from shared.workflows.verify import verify
from tests.integration.collecting import NOW, provider, run, tables

AT = datetime(2026, 11, 18, 9, tzinfo=UTC)


@pytest.fixture
def collected(database: Database) -> Database:
    rows = [UsageRow(AT, "claude-opus-5-5", output_tokens=1000), UsageRow(AT, "claude-opus-4-6", output_tokens=1000)]
    with FakeAnthropic(FixedDataset(rows), clock=lambda: NOW) as fake:
        run(database, provider(fake))
    return database


DRIFTS = {
    "a wrong cost": "UPDATE rollup_quarter SET cost = cost + 1 WHERE model = 'claude-opus-5-5'",
    "a wrong counter": "UPDATE rollup_quarter SET output_tokens = 7 WHERE model = 'claude-opus-5-5'",
    "a missing slot": "DELETE FROM rollup_quarter WHERE model = 'claude-opus-5-5'",
    "a slot too many": "UPDATE rollup_quarter SET agent = 'ghost' WHERE model = 'claude-opus-5-5'",
    "a line behind its back": "UPDATE ledger SET cost = 9, output_cost = 9 WHERE model = 'claude-opus-5-5'",
}


@pytest.mark.parametrize("kind", DRIFTS)
def test_drift_is_reported_and_repaired_on_request(collected: Database, connection: Connection, kind: str) -> None:
    connection.execute(DRIFTS[kind])
    found = verify(collected, repair=False)
    assert [row["date"] for row in found["drift"]] == [date(2026, 11, 18)]
    assert not found["repaired"]
    assert verify(collected, repair=True)["repaired"]
    assert verify(collected, repair=False)["drift"] == []


def test_the_report_says_by_how_much(collected: Database, connection: Connection) -> None:
    connection.execute(DRIFTS["a wrong cost"])
    [row] = verify(collected, repair=False)["drift"]
    # 1000 output tokens of each model: 0.020 and 0.025.
    assert (row["rolled_up_cost"], row["ledger_cost"], row["slots"]) == (Decimal("1.045"), Decimal("0.045"), 1)


def test_repairing_what_is_right_changes_nothing(collected: Database, connection: Connection) -> None:
    before = tables(connection)
    assert verify(collected, repair=True) == {"days_checked": 1, "drift": [], "repaired": False}
    assert tables(connection) == before


def test_an_empty_ledger_has_nothing_to_check(database: Database) -> None:
    assert verify(database, repair=False) == {"days_checked": 0, "drift": [], "repaired": False}
