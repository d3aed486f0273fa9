"""Re-pricing and re-mapping accounts that are polled and logged: the balance follows, nothing is counted twice."""

from __future__ import annotations

from decimal import Decimal
from math import inf
from typing import TYPE_CHECKING

import pytest

from infra.demo.anthropic import FakeAnthropic
from infra.demo.dataset import ApiKey, FixedDataset
from shared.core.projects import Rule
from shared.store.audit import Author
from shared.workflows import rules
from shared.workflows.pricing import set_aliases
from shared.workflows.reassign import Order, reassign
from tests.integration.collecting import CATALOGUE, NOW, provider, run, tables
from tests.integration.repricing import AUTHOR, again, price
from tests.integration.test_attribution import AT, DAY, check, lines, log, polled

if TYPE_CHECKING:
    from shared.store.database import Connection, Database


@pytest.fixture
def collected(database: Database) -> Database:
    """Two keys' buckets of one hour and one of five days before, with events in both."""
    data = FixedDataset(
        usage_rows=[polled(), polled(key="apikey_b", tokens=3001), polled(at=AT - 5 * DAY)],
        keys=[ApiKey("apikey_a", "peakpaws-main"), ApiKey("apikey_b", "other")],
    )
    with FakeAnthropic(data, clock=lambda: NOW) as fake:
        run(database, provider(fake))
    log(database, {"session_label": "mine"}, {"requests": 3}, {"recorded_at": AT - 5 * DAY})
    return database


def total(connection: Connection) -> Decimal:
    [row] = connection.execute("SELECT sum(cost) AS usd FROM rollup_quarter")
    found: Decimal = row["usd"]
    return found


def test_the_total_stays_the_report_s(collected: Database, connection: Connection) -> None:
    check(collected, connection)
    before = total(connection)
    price(collected, "claude-sonnet-4-5", AT - DAY)
    state = tables(connection)
    dry = again(collected, dry_run=True).as_json()
    assert tables(connection) == state
    real = again(collected).as_json()
    assert {**dry, "dry_run": False} == real
    check(collected, connection)
    assert real["cost_after"] - real["cost_before"] == total(connection) - before
    assert [(row["is_balance"], row["lines"]) for row in real["changes"]] == [(False, 4), (True, 0)]
    events = sum(line["cost"] for line in lines(connection, "event"))
    assert sum(line["cost"] for line in lines(connection)) == -events
    assert again(collected).changes == {}


def test_a_model_that_is_renamed_takes_its_balance_with_it(collected: Database, connection: Connection) -> None:
    # Polled as one name and logged as another: the alias brings them together.
    connection.execute("UPDATE ledger SET model_raw = 'ours' WHERE source = 'event'")
    set_aliases(collected, CATALOGUE, "claude-opus-4-6", ["ours"], AUTHOR)
    again(collected)
    assert {line["model"] for line in lines(connection, "event")} == {"claude-opus-4-6"}
    # No bucket of that model: one line without a label takes the events back.
    assert {(line["model"], line["session_label"]) for line in lines(connection)} == {("claude-opus-4-6", None)}
    set_aliases(collected, CATALOGUE, "claude-opus-4-6", [], AUTHOR)
    set_aliases(collected, CATALOGUE, "claude-sonnet-4-5", ["ours"], AUTHOR)
    again(collected)
    check(collected, connection)


def test_balance_lines_follow_their_buckets_into_another_project(collected: Database, connection: Connection) -> None:
    author = Author("somebody", NOW)
    rules.add(collected, Rule("other", "Second", 20), author)
    rules.add(collected, Rule("mine", "Mine", 20), author)
    found = reassign(collected, Order(author), lambda: inf).as_json()
    assert [(move["to"], move["lines"]) for move in found["moves"]] == [("Mine", 1), ("Second", 1)]
    on_the_day = [line for line in lines(connection) if line["recorded_at"] > AT]
    assert {line["project"] for line in on_the_day} == {"PeakPaws", "Second"}
    check(collected, connection)
    before = tables(connection)
    assert reassign(collected, Order(author), lambda: inf).as_json()["lines"] == 0
    assert tables(connection) == before


def test_what_had_no_price_is_balanced_once_it_has_one(database: Database, connection: Connection) -> None:
    data = FixedDataset([polled(model="claude-unheard-of")], keys=[ApiKey("apikey_a", "main")])
    with FakeAnthropic(data, clock=lambda: NOW) as fake:
        run(database, provider(fake))
    log(database, {"model": "claude-unheard-of"})
    assert [line["cost"] for line in lines(connection)] == [None]
    price(database, "claude-unheard-of", AT - DAY)
    found = again(database, only_unpriced=True).as_json()
    assert (found["unpriced_before"], found["unpriced_after"]) == (2, 0)
    assert found["cost_after"] == total(connection) == Decimal("0.007")
    check(database, connection)
