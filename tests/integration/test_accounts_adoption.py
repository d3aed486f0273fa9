"""Events that came before their provider had an account: its report explains them as if it had been there."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from infra.demo.openai.data import FixedDataset
from infra.demo.openai.fake import FakeOpenAI
from shared.core import crash
from shared.store import accounts
from shared.store.audit import Author
from shared.store.database import Connection, Database
from shared.workflows.attribute import rebuild
from shared.workflows.collect import AccountReport
from shared.workflows.ingest import Options, ingest
from shared.workflows.pricing import load_book
from shared.workflows.remove_account import remove
from shared.workflows.verify import verify
from shared.workflows.void import void
from tests.integration.collecting import CATALOGUE, NOW, run, tables
from tests.integration.collecting_openai import AT, DAY, HOUR, KEYS, MINI, PROJECTS, chat, openai

MINUTE = timedelta(minutes=1)
REPORTED = Decimal("0.45")  # a million tokens in and a hundred thousand out
WHO = Author("a person", NOW)


class Killed(BaseException):
    """The process ended here."""


@pytest.fixture
def upstream() -> Iterator[FakeOpenAI]:
    with FakeOpenAI(FixedDataset([chat()], projects=PROJECTS, keys=KEYS), clock=lambda: NOW) as fake:
        yield fake


def send(database: Database, *names: str, source: str = "event", **changed: Any) -> list[tuple[str, int | None]]:  # noqa: ANN401 - JSON
    """Log events that name no account: on three days, of 1,000 tokens in and 100 out."""
    rows = [
        {
            "event_id": name, "model": MINI, "provider": "openai", "tokens_in": 1000, "tokens_out": 100,
            "recorded_at": (AT + MINUTE - DAY * (number % 3)).isoformat(), **changed,
        }
        for number, name in enumerate(names)
    ]  # fmt: skip
    options = Options(source=source, touched=rebuild)
    report = ingest(database, lambda c: load_book(c, CATALOGUE), rows, NOW, options=options)
    return [(outcome.status, outcome.id) for outcome in report.outcomes]


def collect(database: Database, fake: FakeOpenAI, **more: Any) -> AccountReport:  # noqa: ANN401 - as `run` takes them
    [report] = run(database, openai(fake), backfill=10 * DAY, **more)
    return report


def early(database: Database) -> None:
    """Send four that count, one of which is imported, one that is voided and one to another provider."""
    sent = send(database, "a", "b", "c", "wrong")
    send(database, "imported", source="import")
    send(database, "elsewhere", model="claude-sonnet-4-5", provider="anthropic")
    void(database, sent[3][1] or 0, "wrong", NOW, touched=rebuild)


def homes(connection: Connection) -> dict[str, int | None]:
    rows = connection.execute("SELECT event_id, account_id FROM ledger WHERE event_id IS NOT NULL").fetchall()
    return {row["event_id"]: row["account_id"] for row in rows}


def counted(connection: Connection, provider: str = "openai") -> Any:  # noqa: ANN401 - a column
    row = connection.execute("SELECT sum(cost) AS cost FROM rollup_quarter WHERE provider = %s", [provider]).fetchone()
    assert row is not None
    return row["cost"]


def test_the_first_collection_takes_them_and_no_other(
    database: Database, connection: Connection, upstream: FakeOpenAI
) -> None:
    early(database)
    assert collect(database, upstream).status == "succeeded"
    [account] = accounts.everyone(connection)
    found = homes(connection)
    assert found.pop("elsewhere") is None
    assert set(found.values()) == {account.id}
    # The report begins at AT, so only what was sent before that day is not in it.
    outside = connection.execute(
        "SELECT sum(cost) AS cost FROM ledger WHERE provider = 'openai' AND voided_at IS NULL "
        "AND source IN ('event', 'import') AND recorded_at < %s",
        [AT],
    ).fetchone()
    assert outside == {"cost": 2 * Decimal("0.00045")}
    assert counted(connection) == REPORTED + outside["cost"]
    assert verify(database, repair=False)["drift"] == []
    # Sent again they are what they were; what comes later belongs there at once.
    assert [status for status, _ in send(database, "a", "b", "c", "wrong")] == ["duplicate"] * 4
    before = tables(connection)
    collect(database, upstream)
    assert tables(connection)["ledger"] == before["ledger"]
    send(database, "later")
    assert homes(connection)["later"] == account.id
    assert counted(connection) == REPORTED + outside["cost"]


def test_what_no_open_account_took_is_taken_when_it_opens_again(
    database: Database, connection: Connection, upstream: FakeOpenAI
) -> None:
    """Inside a coverage that is there already, too."""
    collect(database, upstream)
    [account] = accounts.everyone(connection)
    remove(database, account.id, "keep", WHO)
    send(database, "meanwhile")
    assert (homes(connection), counted(connection)) == ({"meanwhile": None}, REPORTED + Decimal("0.00045"))
    collect(database, upstream, now=NOW + HOUR)
    assert (homes(connection), counted(connection)) == ({"meanwhile": account.id}, REPORTED)
    assert verify(database, repair=False)["drift"] == []


def test_only_the_default_account_takes_them(database: Database, connection: Connection, upstream: FakeOpenAI) -> None:
    send(database, "a")
    other = accounts.ensure(connection, "chosen", "openai", "stored")
    connection.execute("UPDATE accounts SET is_default = true WHERE id = %s", [other.id])
    collect(database, upstream)
    assert homes(connection) == {"a": None}
    connection.execute("UPDATE accounts SET is_default = false WHERE id = %s", [other.id])
    collect(database, upstream)
    assert counted(connection) == REPORTED
    assert homes(connection)["a"] not in {None, other.id}


def test_without_time_nothing_is_read_before_they_are_taken(
    database: Database, connection: Connection, upstream: FakeOpenAI
) -> None:
    early(database)
    # Enough to begin with, and for one day of three.
    left = iter([100.0, 100.0])
    report = collect(database, upstream, remaining=lambda: next(left, 40.0))
    assert (report.status, report.is_cut, report.streams) == ("partial", True, [])
    assert [account.covered_from for account in accounts.everyone(connection)] == [None]
    assert [home for home in homes(connection).values() if home is not None] == [1]
    assert collect(database, upstream).status == "succeeded"
    assert counted(connection) == REPORTED + 2 * Decimal("0.00045")


@pytest.mark.parametrize("point", [one for one in crash.POINTS if one.startswith("adopt:")])
def test_killed_anywhere_and_collected_again(
    point: str, database: Database, connection: Connection, upstream: FakeOpenAI
) -> None:
    found = []
    for is_killed in (False, True):
        connection.execute(
            "TRUNCATE accounts, ledger, rates, rollup_quarter, rollup_day, model_names RESTART IDENTITY CASCADE"
        )
        early(database)
        if is_killed:
            before = tables(connection)["ledger"]

            def kill(passed: str) -> None:
                if passed == point:
                    raise Killed

            with crash.watched(kill), suppress(Killed):
                collect(database, upstream)
            taken = [home for home in homes(connection).values() if home is not None]
            assert len(taken) == (1 if point == "adopt:answered" else 0)  # the oldest day, whole
            assert taken or tables(connection)["ledger"] == before
            assert counted(connection) == 4 * Decimal("0.00045")
        collect(database, upstream)
        found.append(tables(connection))
        assert verify(database, repair=False)["drift"] == []
    assert found[0] == found[1]


@pytest.mark.parametrize("usage", ["delete", "keep"])
def test_they_end_with_their_account(
    usage: str, database: Database, connection: Connection, upstream: FakeOpenAI
) -> None:
    early(database)
    collect(database, upstream)
    [account] = accounts.everyone(connection)
    before = counted(connection)
    remove(database, account.id, usage, WHO)
    assert counted(connection) == (before if usage == "keep" else None)
    assert [status for status, _ in send(database, "a", "b", "c", "wrong")] == ["duplicate"] * 4
    # Voided or not, they stay whose they were.
    collect(database, upstream)
    assert counted(connection) == (before if usage == "keep" else REPORTED)
    assert verify(database, repair=False)["drift"] == []
