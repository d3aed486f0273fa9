"""Rows that look absurd: in no figure until a person releases them, and every way back."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from infra.demo.anthropic import FakeAnthropic
from infra.demo.dataset import ApiKey, CostRow, FixedDataset, UsageRow
from shared.core import crash
from shared.errors import ConflictError, NotFoundError
from shared.store import account_removal, accounts, quarantine
from shared.store.audit import Author
from shared.store.database import Connection, Database
from shared.workflows.attribute import rebuild
from shared.workflows.collect import AccountReport
from shared.workflows.ingest import Options, ingest
from shared.workflows.pricing import load_book, set_price
from shared.workflows.quarantine import decide
from shared.workflows.remove_account import remove
from shared.workflows.verify import verify
from tests.integration.collecting import CATALOGUE, NOW, changes, provider, run, tables

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SONNET = "claude-sonnet-4-5"
AT = NOW.replace(minute=0) - HOUR
# Three dollars a day; then a row of six thousand.
USUAL = [
    UsageRow(AT - day * DAY, SONNET, uncached_input_tokens=1_000_000, api_key_id="apikey_a") for day in range(1, 12)
]
ABSURD = UsageRow(AT, SONNET, uncached_input_tokens=2_000_000_000, api_key_id="apikey_a")
BEFORE = Decimal(33)
WHO = Author("a person", NOW + HOUR)
LATER = NOW + 2 * HOUR


@pytest.fixture
def data() -> FixedDataset:
    return FixedDataset(list(USUAL))


@pytest.fixture
def fake(data: FixedDataset) -> Iterator[FakeAnthropic]:
    with FakeAnthropic(data, clock=lambda: NOW + 30 * DAY) as server:
        yield server


def collect(database: Database, fake: FakeAnthropic, now: datetime = LATER) -> AccountReport:
    [report] = run(database, provider(fake), now=now)
    assert report.status == "succeeded", report
    return report


@pytest.fixture
def row(database: Database, fake: FakeAnthropic, data: FixedDataset) -> int:
    """The one row that is held, of an account with eleven usual days."""
    collect(database, fake, NOW - 2 * HOUR)
    data.usage_rows.append(ABSURD)
    report = collect(database, fake, NOW)
    assert report.as_json()["streams"][0]["held"] == 1
    [found] = rows(database)
    return int(found["id"])


def rows(database: Database, state: str | None = "held") -> list[dict[str, Any]]:
    return database.run(lambda c: quarantine.newest(c, state, None, 100, 0))


def cost(database: Database) -> Decimal:
    assert verify(database, repair=False)["drift"] == []
    query = """
        SELECT coalesce(sum(cost), 0) AS cost, (SELECT coalesce(sum(cost), 0) FROM ledger WHERE voided_at IS NULL)
        AS ledger FROM rollup_quarter
        """
    found = database.run(lambda c: c.execute(query).fetchall())[0]
    assert found["cost"] == found["ledger"]
    return Decimal(found["cost"])


def log(database: Database, tokens: int = 1000, at: datetime = AT) -> None:
    counts = {"model": SONNET, "tokens_in": tokens, "tokens_out": 0}
    event = {**counts, "account": "anthropic", "recorded_at": at.isoformat()}
    ingest(database, lambda c: load_book(c, CATALOGUE), [event], NOW, options=Options(touched=rebuild))


release = partial(decide, load_book=lambda c: load_book(c, CATALOGUE), action="release", note=None, author=WHO)
drop = partial(decide, load_book=lambda c: load_book(c, CATALOGUE), action="drop", note="a test", author=WHO)


Decide = partial[dict[str, Any]]


def test_what_is_held_is_stored_in_no_total_and_the_collection_goes_on(
    database: Database, connection: Connection, fake: FakeAnthropic, row: int
) -> None:
    assert cost(database) == BEFORE
    [found] = rows(database)
    assert (found["id"], found["account"], found["recorded_at"]) == (row, "anthropic", AT)
    assert (found["cost"], found["tokens"]) == (Decimal(6000), 2_000_000_000)
    assert (found["usual_cost"], found["usual_tokens"]) == (Decimal(3), 1_000_000)
    state = connection.execute("SELECT watermark FROM collection_state WHERE stream = 'usage'").fetchone()
    assert state == {"watermark": NOW}
    [account] = database.run(accounts.everyone)
    assert account.complete_until is not None
    assert account.complete_until > AT
    # Its event explains nothing that counts: it is taken back as if the report had nothing there.
    log(database)
    assert cost(database) == BEFORE
    again = collect(database, fake)
    assert changes(again) == (0, 0, 3, 0)
    assert [one["id"] for one in rows(database)] == [row]


def test_a_first_collection_believes_everything(database: Database, fake: FakeAnthropic, data: FixedDataset) -> None:
    data.usage_rows.append(ABSURD)
    collect(database, fake, NOW)
    assert cost(database) == BEFORE + 6000
    assert rows(database) == []


def test_a_released_row_counts_with_everything_that_follows_from_it(
    database: Database, connection: Connection, fake: FakeAnthropic, data: FixedDataset, row: int
) -> None:
    log(database)
    found = release(database, row_id=row)
    assert (found["state"], found["decided_by"], found["decided_at"]) == ("released", "a person", WHO.at)
    assert cost(database) == BEFORE + 6000
    # The event is explained by the row's own bucket now.
    shares = "SELECT session_label, cost FROM ledger WHERE source = 'attribution'"
    assert connection.execute(shares).fetchall() == [{"session_label": None, "cost": Decimal("-0.003")}]
    before = tables(connection)
    assert release(database, row_id=row) == found
    assert tables(connection) == before
    noted = connection.execute("SELECT actor, action, detail ->> 'row' AS row FROM audit_log").fetchall()
    assert noted == [{"actor": "a person", "action": "quarantine release", "row": str(row)}]
    collect(database, fake)
    assert (cost(database), rows(database)) == (BEFORE + 6000, [])
    # Downwards and it stays; upwards and a person is asked again.
    data.usage_rows[-1] = replace(ABSURD, uncached_input_tokens=1_900_000_000)
    collect(database, fake, LATER + HOUR)
    assert (cost(database), rows(database)) == (BEFORE + 5700, [])
    data.usage_rows[-1] = replace(ABSURD, uncached_input_tokens=2_100_000_000)
    assert changes(collect(database, fake, LATER + 2 * HOUR)) == (0, 1, 2, 0)
    assert (cost(database), [one["id"] for one in rows(database)]) == (BEFORE, [row])


def test_a_released_row_that_is_restated_comes_back_as_it_is(
    database: Database, fake: FakeAnthropic, data: FixedDataset, row: int
) -> None:
    def restated(tokens: int, hours: int) -> Decimal:
        data.usage_rows[-1] = replace(ABSURD, uncached_input_tokens=tokens)
        collect(database, fake, LATER + hours * HOUR)
        return cost(database)

    release(database, row_id=row)
    # What a person believed is six thousand, whatever it says meanwhile.
    assert restated(1_500_000_000, 0) == BEFORE + 4500
    assert restated(1_900_000_000, 1) == BEFORE + 5700
    assert restated(1_500_000_000, 2) == BEFORE + 4500
    [found] = rows(database, "released")
    assert (found["cost"], found["tokens"]) == (4500, 1_500_000_000)
    drop(database, row_id=row)
    assert cost(database) == BEFORE
    release(database, row_id=row)
    assert cost(database) == BEFORE + 4500
    # The second time it was four and a half.
    assert restated(1_900_000_000, 3) == BEFORE
    assert [one["id"] for one in rows(database)] == [row]


def test_a_dropped_row_stays_out_until_it_is_another(
    database: Database, fake: FakeAnthropic, data: FixedDataset, row: int
) -> None:
    found = drop(database, row_id=row)
    assert (found["state"], found["note"]) == ("dropped", "a test")
    assert drop(database, row_id=row) == found
    collect(database, fake)
    assert (cost(database), rows(database)) == (BEFORE, [])
    data.usage_rows[-1] = replace(ABSURD, uncached_input_tokens=1_900_000_000)
    collect(database, fake, LATER + HOUR)
    assert [one["state"] for one in rows(database, None)] == ["held"]
    assert cost(database) == BEFORE


@pytest.mark.parametrize("decision", [None, drop])
def test_a_row_that_is_restated_to_a_usual_figure_frees_itself(
    database: Database, fake: FakeAnthropic, data: FixedDataset, row: int, decision: Decide | None
) -> None:
    if decision is not None:
        decision(database, row_id=row)
    data.usage_rows[-1] = replace(ABSURD, uncached_input_tokens=2_000_000)
    collect(database, fake)
    assert (cost(database), rows(database, None)) == (BEFORE + 6, [])
    with pytest.raises(NotFoundError, match="leaves it by itself"):
        release(database, row_id=row)


def test_a_row_that_counted_is_held_once_it_is_restated_beyond_belief(
    database: Database, connection: Connection, fake: FakeAnthropic, data: FixedDataset
) -> None:
    collect(database, fake, NOW - 2 * HOUR)
    data.usage_rows[0] = replace(USUAL[0], uncached_input_tokens=9_000_000_000)
    collect(database, fake, NOW)
    assert cost(database) == BEFORE - 3
    kept = connection.execute("SELECT cost, reason FROM bucket_versions").fetchall()
    assert kept == [{"cost": Decimal(3), "reason": "restated"}]
    # And one that the provider takes back is gone altogether.
    del data.usage_rows[0]
    collect(database, fake)
    assert (cost(database), rows(database, None)) == (BEFORE - 3, [])


def test_decisions_can_be_taken_back(database: Database, row: int) -> None:
    release(database, row_id=row)
    drop(database, row_id=row)
    assert cost(database) == BEFORE
    release(database, row_id=row)
    assert cost(database) == BEFORE + 6000


def test_a_release_takes_the_price_and_the_project_of_its_moment(
    database: Database, connection: Connection, fake: FakeAnthropic, data: FixedDataset, row: int
) -> None:
    figures = {"input": Decimal(4), "output": Decimal(20)}
    set_price(database, CATALOGUE, SONNET, None, AT - DAY, figures, WHO)
    data.keys = [ApiKey("apikey_a", "alpha")]
    collect(database, fake)
    connection.execute("INSERT INTO project_mappings (pattern, project_name, priority) VALUES ('alpha', 'Alpha', 1)")
    found = release(database, row_id=row)
    assert cost(database) == BEFORE + 8000
    assert (found["cost"], found["project"]) == (8000, "Alpha")
    of_project = connection.execute("SELECT project FROM ledger WHERE recorded_at = %s", [AT]).fetchall()
    assert of_project == [{"project": "Alpha"}]
    # What was believed is what counted.
    data.usage_rows[-1] = replace(ABSURD, uncached_input_tokens=1_900_000_000)
    collect(database, fake, LATER + HOUR)
    assert cost(database) == BEFORE + 7600


def test_a_charge_of_the_bill_is_held_too_and_what_usage_explains_is_not(
    database: Database, fake: FakeAnthropic, data: FixedDataset
) -> None:
    collect(database, fake, NOW - 2 * HOUR)
    day = (NOW - DAY).replace(hour=0, minute=0)
    data.cost_rows.append(CostRow(day, Decimal(900_000_00), "Code", "code_execution"))
    data.cost_rows.append(CostRow(day, Decimal(900_000_00), "Sonnet usage", model=SONNET))
    collect(database, fake, NOW)
    assert [(one["stream"], one["cost"]) for one in rows(database)] == [("costs", Decimal(900_000))]
    assert cost(database) == BEFORE


def test_an_account_that_is_deleted_takes_its_rows_along(database: Database, connection: Connection, row: int) -> None:
    [account] = database.run(accounts.everyone)
    # What waits for a decision is usage too.
    with pytest.raises(ConflictError, match="lines: 11 polled, 1 in quarantine"):
        remove(database, account.id, None, WHO)
    database.run(lambda c: account_removal.mark(c, account.id, NOW))
    with pytest.raises(ConflictError, match="is being deleted"):
        release(database, row_id=row)
    remove(database, account.id, "delete", WHO)
    assert connection.execute("SELECT id FROM quarantine").fetchall() == []
    assert cost(database) == 0


@pytest.mark.parametrize("point", [one for one in crash.POINTS if one.startswith("quarantine:")])
@pytest.mark.parametrize("decision", [release, drop])
def test_killed_anywhere_and_asked_again(
    point: str, decision: Decide, database: Database, connection: Connection, fake: FakeAnthropic, row: int
) -> None:
    log(database)
    if decision is drop:
        release(database, row_id=row)
    before = tables(connection)

    class Killed(BaseException):
        pass

    def hook(passed: str) -> None:
        if passed == point:
            raise Killed

    with crash.watched(hook), pytest.raises(Killed):
        decision(database, row_id=row)
    assert (tables(connection) == before) is not point.endswith(":answered")
    decision(database, row_id=row)
    assert cost(database) == BEFORE + (6000 if decision is release else 0)
    audited = connection.execute(
        "SELECT count(*) AS n FROM audit_log WHERE action = %s", [f"quarantine {decision.keywords['action']}"]
    )
    assert audited.fetchall() == [{"n": 1}]
    collect(database, fake)
    assert cost(database) == BEFORE + (6000 if decision is release else 0)
