"""Removing an account: with its usage or without, whole in every figure, whoever writes at the same time."""

import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import inf
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from infra.demo.anthropic import FakeAnthropic
from infra.demo.dataset import ApiKey, FixedDataset, UsageRow
from shared.core import crash
from shared.errors import ConflictError, InvalidInputError, NotFoundError, SupersededError
from shared.store import account_removal, account_settings, accounts, collection, reports
from shared.store.audit import Author
from shared.store.database import Connection, Database, connect
from shared.store.reports import Filters
from shared.workflows import manual
from shared.workflows.attribute import rebuild
from shared.workflows.cut import cut
from shared.workflows.ingest import Options, ingest
from shared.workflows.outcomes import Report
from shared.workflows.pricing import load_book
from shared.workflows.remove_account import remove
from shared.workflows.verify import verify
from tests.integration.collecting import CATALOGUE, NOW, provider, run

AT = datetime(2026, 11, 18, 14, tzinfo=UTC)
SONNET = "claude-sonnet-4-5"
WHO = Author("a person", NOW)
SPAN = [NOW - timedelta(days=30), NOW + timedelta(days=1)]
OTHERS = Decimal("0.0105")  # 1,000 tokens in and 500 out of the other account's event


def log(database: Database, account: str, event_id: str | None = None, at: datetime = AT) -> Report:
    row = {
        "model": SONNET, "tokens_in": 1000, "tokens_out": 500, "account": account, "event_id": event_id,
        "recorded_at": (at + timedelta(minutes=5)).isoformat(),
    }  # fmt: skip
    return ingest(database, lambda c: load_book(c, CATALOGUE), [row], NOW, options=Options(touched=rebuild))


def enter(database: Database, account: str) -> dict[str, Any]:
    body = {"service": "claude max", "date": "2026-11-17", "cost": "20", "account": account}
    return manual.create(database, lambda c: load_book(c, CATALOGUE), body, NOW)


def cost(database: Database, account_id: int | None = None) -> Decimal:
    filters = Filters({} if account_id is None else {"account_id": [account_id]}, {})
    rows = database.run(lambda c: reports.sums(c, SPAN, (), filters))
    return sum((row.totals.cost for row in rows), Decimal(0))


@pytest.fixture
def account(database: Database) -> Iterator[int]:
    """An account that is polled, logged and entered by hand, beside another with one event; roll-ups by day are cut."""
    hours = [AT + timedelta(hours=hour) for hour in range(-72, 24)]
    rows = [UsageRow(at, SONNET, uncached_input_tokens=5000, output_tokens=700, api_key_id="apikey_a") for at in hours]
    with FakeAnthropic(FixedDataset(rows, keys=[ApiKey("apikey_a", "peakpaws-main")]), clock=lambda: NOW) as fake:
        run(database, provider(fake))
    other = database.run(lambda c: accounts.ensure(c, "other", "anthropic", "stored"))
    for number in range(3):
        log(database, "anthropic", f"event-{number}")
    log(database, "other")
    enter(database, "anthropic")
    assert cut(database, ZoneInfo("Europe/Berlin"), NOW, lambda: inf)
    assert cost(database, other.id) == OTHERS
    yield next(one.id for one in database.run(accounts.everyone) if one.name == "anthropic")
    assert verify(database, repair=False)["drift"] == []


def test_deleting_empties_every_figure_and_keeps_what_was_sent(database: Database, account: int) -> None:
    before = cost(database, account)
    assert before > 20
    found = remove(database, account, "delete", WHO)
    assert {source for source, lines in found["lines"].items() if lines} == {"api", "attribution", "event", "manual"}
    assert (cost(database), cost(database, account)) == (OTHERS, Decimal(0))

    def left(connection: Connection) -> dict[str, list[dict[str, Any]]]:
        asked = {
            "lines": "SELECT source, voided_at, void_reason FROM ledger WHERE account_id = %s",
            "buckets": "SELECT id FROM buckets WHERE account_id = %s",
            "versions": "SELECT id FROM bucket_versions WHERE account_id = %s",
            "names": "SELECT name FROM provider_names WHERE account_id = %s",
            "states": "SELECT stream FROM collection_state WHERE account_id = %s",
            "cells": "SELECT slot FROM rollup_quarter WHERE account_id = %s",
        }
        return {name: connection.execute(query.encode(), [account]).fetchall() for name, query in asked.items()}

    kept = database.run(left)
    assert [row["source"] for row in kept.pop("lines")] == ["event"] * 3
    assert not any(kept.values())
    assert database.run(lambda c: account_settings.get(c, account)) is None
    # What was sent stays readable, and is known when it is sent again.
    voided = database.run(
        lambda c: c.execute("SELECT void_reason, account FROM kept_records WHERE voided_at IS NOT NULL")
    )
    assert {(row["void_reason"], row["account"]) for row in voided} == {
        ("The account anthropic was deleted with its usage.", "none")
    }
    history = database.run(lambda c: c.execute("SELECT reason FROM manual_versions").fetchall())
    assert [row["reason"] for row in history] == ["deleted"]
    noted = database.run(lambda c: c.execute("SELECT action, actor FROM audit_log ORDER BY id").fetchall())
    assert (noted[-1]["action"], noted[-1]["actor"]) == ("account deleted", "a person")
    with pytest.raises(NotFoundError):
        remove(database, account, "delete", WHO)


def test_keeping_leaves_every_figure_and_ends_the_polling(database: Database, account: int) -> None:
    before = cost(database), cost(database, account)
    remove(database, account, "keep", WHO)
    assert (cost(database), cost(database, account)) == before
    row = database.run(lambda c: account_settings.get(c, account))
    assert row is not None
    assert (row["archived_at"], row["has_credential"]) == (NOW, False)
    # Inside of what was polled the report stays the total: an event there explains it and adds nothing.
    log(database, "anthropic", "late")
    assert cost(database) == before[0]
    # No event belongs to it by default any more.
    other = next(one for one in database.run(accounts.everyone) if one.name == "other")
    assert accounts.defaults(database.run(accounts.everyone)) == {"anthropic": other.id}
    with pytest.raises(SupersededError, match="archived or deleted"):
        database.run(lambda c: collection.take_over(c, account, "usage"))
    remove(database, account, "keep", WHO)
    remove(database, account, "delete", WHO)
    assert cost(database) == OTHERS


def test_nobody_guesses_what_becomes_of_usage(database: Database, account: int) -> None:
    before = cost(database)
    with pytest.raises(ConflictError) as refused:
        remove(database, account, None, WHO)
    assert str(refused.value) == (
        "The account anthropic has usage (lines: 96 polled, 3 logged, 1 entered by hand); add usage=keep to archive it "
        "with its figures, or usage=delete to take them out of every total."
    )
    assert cost(database) == before
    empty = database.run(lambda c: accounts.ensure(c, "empty", "openai", "stored"))
    assert remove(database, empty.id, None, WHO)["lines"] == {}
    assert all(one.name != "empty" for one in database.run(accounts.everyone))


def test_a_removal_that_died_half_way_goes_on(database: Database, account: int) -> None:
    before = cost(database)
    database.run(lambda c: account_removal.mark(c, account, NOW))
    assert cost(database) == before  # all of it or nothing
    [outcome] = log(database, "anthropic", "new").outcomes
    assert outcome.message == "The account anthropic is being deleted; name another one, or none."
    with pytest.raises(InvalidInputError, match="is being deleted"):
        enter(database, "anthropic")
    with pytest.raises(SupersededError):
        database.run(lambda c: collection.take_over(c, account, "usage"))
    with pytest.raises(ConflictError, match="cannot be kept any more"):
        remove(database, account, "keep", WHO)
    remove(database, account, "delete", WHO)
    assert cost(database) == OTHERS


POINTS = [one for one in crash.POINTS if one.startswith("remove:")]


# What is kept is not erased, and does not pass the later points.
@pytest.mark.parametrize(
    ("usage", "point"), [*(("delete", one) for one in POINTS), *(("keep", one) for one in POINTS[:2])]
)
def test_killed_anywhere_and_asked_again(point: str, usage: str, database: Database, account: int) -> None:
    before, seen = cost(database), []

    class Killed(BaseException):
        pass

    def hook(passed: str) -> None:
        seen.append(passed)
        if passed == point:
            raise Killed

    with crash.watched(hook), suppress(Killed):
        remove(database, account, usage, WHO)
    assert seen[-1] == point
    if usage == "keep":
        remove(database, account, usage, WHO)
        assert cost(database) == before
        return
    assert cost(database) == (OTHERS if point == "remove:answered" else before)
    # Whoever marked it has decided: nobody is asked again.
    is_decided = point in {"remove:begun", "remove:lines", "remove:counted"}
    with pytest.raises(NotFoundError) if point == "remove:answered" else nullcontext():
        remove(database, account, None if is_decided else "delete", WHO)
    assert cost(database) == OTHERS
    counts = database.run(
        lambda c: c.execute(
            """
            SELECT (SELECT count(*) FROM audit_log WHERE action = 'account deleted') AS noted,
                (SELECT count(*) FROM manual_versions) AS entries
            """
        ).fetchall()
    )
    assert counts == [{"noted": 1, "entries": 1}]


def test_whoever_holds_a_line_and_a_removal_do_not_wait_for_each_other(
    database: Database, dsn: str, account: int
) -> None:
    tried: list[float] = []
    other = Database(dsn, sleep=tried.append)

    def end() -> None:
        remove(other, account, "delete", WHO)
        other.close()

    thread = threading.Thread(target=end)

    def hold(connection: Connection) -> None:
        # As every writer does: a line, then the account, by a reference to it and to derive what follows.
        connection.execute("SELECT id FROM ledger WHERE account_id = %s AND source = 'event' FOR UPDATE", [account])
        thread.start()
        with connect(dsn) as watcher:
            waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            while not watcher.execute(waiting).fetchone():
                time.sleep(0.01)
        connection.execute("SELECT 1 FROM accounts WHERE id = %s FOR KEY SHARE", [account])
        rebuild(connection, {(account, AT, SONNET)})

    with pytest.raises(ConflictError, match="was deleted at this moment"):
        database.run(hold)
    thread.join(60)
    assert tried == []
    assert cost(database) == OTHERS


def test_a_collection_under_way_stops(database: Database, account: int) -> None:
    held = database.run(lambda c: collection.take_over(c, account, "usage"))
    held = database.run(lambda c: collection.open_window(c, held, AT, AT + timedelta(days=1), NOW))
    remove(database, account, "delete", WHO)
    with pytest.raises(SupersededError):
        database.run(lambda c: collection.stage(c, held, [], None, None))


def test_senders_and_a_removal_at_once_leave_no_line_behind(database: Database, account: int) -> None:
    """Whoever was first: an event is refused, or it is voided with the others."""
    said: list[str] = []
    start = threading.Barrier(4)

    def send(number: int) -> None:
        start.wait()
        for turn in range(15):
            try:
                report = log(database, "anthropic", f"racing-{number}-{turn}", AT + timedelta(hours=number))
                said.extend(outcome.status for outcome in report.outcomes)
            except ConflictError:
                said.append("conflict")
        database.close()

    def end() -> None:
        start.wait()
        remove(database, account, "delete", WHO)
        database.close()

    threads = [threading.Thread(target=send, args=(number,)) for number in range(3)]
    threads.append(threading.Thread(target=end))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(said) == 45
    assert set(said) <= {"created", "rejected", "conflict"}
    assert cost(database) == OTHERS
    alive = database.run(lambda c: c.execute("SELECT account_id FROM ledger WHERE voided_at IS NULL").fetchall())
    assert {row["account_id"] for row in alive} == {one.id for one in database.run(accounts.everyone)}
