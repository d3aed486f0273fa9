"""Re-pricing the past: whole days or nothing of them, again changes nothing, every sum still adds up."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import inf
from typing import Any

import pytest

from infra.demo.anthropic import FakeAnthropic
from infra.demo.dataset import CostRow, FixedDataset, UsageRow
from shared.core.usage import Usage
from shared.store import accounts
from shared.store.database import Connection, Database
from shared.workflows.days import RESERVE_SECONDS, Walk
from tests.integration.collecting import NOW, provider, run, tables
from tests.integration.repricing import DAY, again, price, survive
from tests.integration.stored_lines import AT, ledger, line, no_drift, store


def everything(connection: Connection) -> dict[str, list[str]]:
    """Every row of every table there is, sequences of ids included."""
    names = [row["name"] for row in connection.execute("SELECT relname AS name FROM pg_class WHERE relkind = 'r' "
             "AND relnamespace = 'public'::regnamespace ORDER BY 1")]  # fmt: skip
    return {name: sorted(repr(row) for row in connection.execute(f"SELECT * FROM {name}")) for name in names}  # noqa: S608 - from the catalogue


def test_the_price_of_a_line_is_that_of_its_own_instant(database: Database, connection: Connection) -> None:
    begins = AT.replace(hour=12, minute=0)
    instants = [begins - timedelta(microseconds=1), begins, begins + DAY]
    ids = store(connection, [line(at=at) for at in instants])
    price(database, "claude-sonnet-4-5", begins)
    report = again(database)
    before, at, after = ledger(connection, ids)
    assert before["cost"] == Decimal("0.0105")  # 1000 x 3 + 500 x 15 per million
    assert (at["cost"], after["cost"]) == (Decimal("0.007"), Decimal("0.007"))  # 1000 x 2 + 500 x 10
    assert (at["input_cost"], at["output_cost"], at["updated_at"]) == (Decimal("0.002"), Decimal("0.005"), NOW)
    assert no_drift(database)
    [row] = report.as_json()["changes"]
    assert (row["lines"], row["cost_before"], row["cost_after"]) == (3, 0, Decimal("0.0245"))


def test_again_changes_nothing(database: Database, connection: Connection) -> None:
    store(connection, [line(at=AT - n * DAY) for n in range(3)])
    assert again(database).as_json()["lines"] == 3
    state = everything(connection)
    found = again(database)
    assert (found.changes, found.days) == ({}, 3)
    assert everything(connection) == state


def test_a_dry_run_says_what_the_real_one_does_and_changes_nothing(database: Database, connection: Connection) -> None:
    store(connection, [line(at=AT - n * 20 * DAY, requests=n) for n in range(3)])
    again(database)
    price(database, "claude-sonnet-4-5", AT - 25 * DAY)
    state = everything(connection)
    dry = again(database, dry_run=True).as_json()
    assert everything(connection) == state
    real = again(database).as_json()
    assert dry["dry_run"] is True
    assert {**dry, "dry_run": False} == real
    assert [(row["month"], row["lines"]) for row in real["changes"]] == [("2026-10", 1), ("2026-11", 1)]
    assert (real["lines"], real["requests"], real["tokens"]) == (2, 1, 3000)
    assert (real["cost_before"], real["cost_after"]) == (Decimal("0.021"), Decimal("0.014"))
    assert no_drift(database)


def test_months_are_cut_in_the_zone(database: Database, connection: Connection) -> None:
    store(connection, [line(at=datetime(2026, 10, 31, 23, 30, tzinfo=UTC))])
    [row] = again(database, dry_run=True, zone="Europe/Berlin").as_json()["changes"]
    assert row["month"] == "2026-11"


def test_only_the_span_is_touched_and_its_bounds_are_half_open(database: Database, connection: Connection) -> None:
    start, end = AT, AT + timedelta(hours=1)
    micro = timedelta(microseconds=1)
    ids = store(connection, [line(at=at) for at in (start - micro, start, end - micro, end)])
    again(database, start=start, end=end)
    assert [row["cost"] is not None for row in ledger(connection, ids)] == [False, True, True, False]
    assert no_drift(database)


def test_what_tokens_do_not_price_stays(database: Database, connection: Connection) -> None:
    given: Any = {"cost": "5", "reported_cost": "5"}
    kept = store(
        connection,
        [
            line(Usage(requests=1), **given),  # what a caller says of a line without tokens
            line(source="manual", cost="7"),
            line(source="attribution", cost="-1"),
            line(cost="9", voided_at=str(NOW), void_reason="a mistake"),
            line(model="nobody-knows"),
        ],
    )
    before = ledger(connection, kept)
    assert again(database).changes == {}
    assert ledger(connection, kept) == before


def test_tokens_outrank_what_the_caller_says_once_there_is_a_price(database: Database, connection: Connection) -> None:
    [line_id] = store(connection, [line(model="ours", cost="5", reported_cost="5")])
    again(database)
    assert ledger(connection, [line_id])[0]["cost"] == 5
    price(database, "ours", AT)
    again(database)
    [row] = ledger(connection, [line_id])
    assert (row["cost"], row["reported_cost"], row["rates_id"] is not None) == (Decimal("0.007"), 5, True)
    # And the other way round: a price that is gone leaves what the caller said.
    connection.execute("DELETE FROM price_overrides")
    again(database)
    [row] = ledger(connection, [line_id])
    assert (row["cost"], row["input_cost"], row["rates_id"]) == (5, 0, None)
    assert no_drift(database)


def test_killed_in_every_transaction_and_run_again_is_as_if_undisturbed(
    database: Database, connection: Connection, dsn: str
) -> None:
    account = accounts.ensure(connection, "a", "anthropic", "demo")
    store(connection, [line(at=AT - n * DAY, account_id=account.id) for n in range(4)])
    again(database)
    price(database, "claude-sonnet-4-5", AT - 10 * DAY)
    again(database)
    undisturbed = tables(connection)
    connection.execute("UPDATE price_overrides SET since = since + interval '100 years'")
    again(database)
    assert tables(connection)["ledger"] != undisturbed["ledger"]
    connection.execute("UPDATE price_overrides SET since = since - interval '100 years'")

    def attempt(doomed: Database) -> None:
        done = repriced(connection)
        assert no_drift(database)
        again(doomed, progress=lambda _: None)
        assert repriced(connection) >= done

    # Each day is found, priced and committed; a day that was committed stays done.
    assert survive(dsn, attempt) > 8
    assert again(database).changes == {}
    assert tables(connection) == undisturbed
    assert no_drift(database)


def repriced(connection: Connection) -> int:
    """How many lines cost what the override says."""
    [row] = connection.execute("SELECT count(*) AS n FROM ledger WHERE cost = 0.007")
    return int(row["n"])


def test_out_of_time_says_where_to_go_on(database: Database, connection: Connection) -> None:
    store(connection, [line(at=AT - n * DAY) for n in range(3)])
    found = again(database, remaining=lambda: RESERVE_SECONDS - 1).as_json()
    assert (found["days"], found["lines"]) == (0, 0)
    assert found["continue_from"] == (AT - 2 * DAY).replace(hour=0)
    left = iter([inf, RESERVE_SECONDS - 1])
    walk = Walk(start=AT - 2 * DAY - timedelta(hours=1))
    days = list(walk.days(lambda start, _: max(start, AT - 2 * DAY), lambda: next(left)))
    assert (days, walk.worked) == ([(AT - 2 * DAY - timedelta(hours=1), (AT - DAY).replace(hour=0))], 1)
    assert walk.stopped_at == (AT - DAY).replace(hour=0)
    assert again(database, start=walk.stopped_at).as_json()["lines"] == 2
    assert again(database).as_json()["lines"] == 1


def test_many_days_are_worked_on_by_two_and_a_failure_ends_both(database: Database, connection: Connection) -> None:
    store(connection, [line(at=AT - n * DAY) for n in range(20)])
    seen: list[datetime] = []

    def stop(day: datetime) -> None:
        seen.append(day)
        if len(seen) == 5:
            raise LookupError

    with pytest.raises(LookupError):
        again(database, progress=stop)
    assert len(seen) in {5, 6}  # what the other one had begun is finished
    assert no_drift(database)
    assert again(database).as_json()["days"] == 20
    assert again(database).changes == {}
    assert threading.active_count() < 10


def test_a_restated_bucket_after_repricing(database: Database, connection: Connection) -> None:
    at = datetime(2026, 11, 19, 14, tzinfo=UTC)
    data = FixedDataset(
        [UsageRow(at, "claude-sonnet-4-5", uncached_input_tokens=1000, output_tokens=500)],
        [CostRow(at, Decimal("1.05"), "Code Execution Usage", cost_type="code_execution")],
    )
    with FakeAnthropic(data, clock=lambda: NOW) as fake:
        run(database, provider(fake))
        price(database, "claude-sonnet-4-5", at)
        again(database)
        row = connection.execute("SELECT cost FROM ledger WHERE output_tokens > 0").fetchone()
        assert row == {"cost": Decimal("0.007")}
        collected = tables(connection)
        run(database, provider(fake))  # an unchanged bucket keeps the price it has
        assert tables(connection)["ledger"] == collected["ledger"]
        data.usage_rows[0] = replace(data.usage_rows[0], output_tokens=900)
        run(database, provider(fake), now=NOW + timedelta(hours=1))
    rows = connection.execute("SELECT cost FROM ledger ORDER BY cost").fetchall()
    assert [row["cost"] for row in rows] == [Decimal("0.0105"), Decimal("0.011")]  # 1.05 cents of the bill stay
    version = connection.execute("SELECT cost FROM bucket_versions").fetchone()
    assert version == {"cost": Decimal("0.007")}
    assert no_drift(database)
    assert again(database).changes == {}
