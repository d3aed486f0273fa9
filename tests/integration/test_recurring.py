"""Recurring entries: each date an ordinary entry, once, never early, whatever is edited, deleted, ended or killed."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from functions import entry_jobs
from shared.core import crash
from shared.errors import ConflictError, InvalidInputError
from shared.store.audit import Author
from shared.store.database import Connection, Database
from shared.workflows import recurring
from shared.workflows.pricing import load_book
from shared.workflows.verify import verify
from tests.integration.account_world import World
from tests.integration.collecting import CATALOGUE

PATH = "/api/usage/manual/recurring"
PLAN = {"service": "claude-max", "cost": 100, "date": "2026-08-31", "repeat": "monthly", "notes": "Max 5x"}


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 20, 10, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def world(opened: Callable[..., World], clock: Clock) -> World:
    return opened(clock=clock)


def rule(world: World, **fields: object) -> dict[str, Any]:
    made: dict[str, Any] = world.ok("POST", PATH, {**PLAN, **fields})["data"]
    return made


def booked(world: World) -> list[tuple[str, object]]:
    """Return date and cost of every manual entry, oldest first."""
    rows = world.ok("GET", "/api/usage", source="manual")["data"]
    return sorted((row["recorded_at"][:10], row["cost_usd"]) for row in rows)


def collect(world: World) -> dict[str, Any]:
    run: dict[str, Any] = world.ok("POST", "/admin/collect", {}, wait="28")
    assert run["status"] == "succeeded", run
    return dict(run["result"])


def test_what_has_passed_is_booked_at_once_and_the_rest_by_the_collector(world: World, clock: Clock) -> None:
    made = rule(world, project="Office", tags={"team": "ops"})
    assert (made["next"], made["booked"], made["active"], made["account"]) == ("2026-11-30", 3, True, "none")
    assert booked(world) == [("2026-08-31", 100), ("2026-09-30", 100), ("2026-10-31", 100)]
    entry = world.ok("GET", "/api/usage", source="manual", limit="1")["data"][0]
    assert (entry["provider"], entry["description"], entry["project"]) == ("claude-max", "Max 5x", "Office")
    assert (entry["tags"], entry["recorded_at"]) == ({"team": "ops"}, "2026-10-31T12:00:00Z")
    assert "recurring" not in collect(world)
    clock.now = datetime(2026, 11, 30, 0, 1, tzinfo=UTC)
    assert collect(world)["recurring"] == {"entries": 1, "errors": []}
    assert "recurring" not in collect(world)
    clock.now = datetime(2027, 3, 1, tzinfo=UTC)
    collect(world)
    assert [day for day, _ in booked(world)][3:] == ["2026-11-30", "2026-12-31", "2027-01-31", "2027-02-28"]
    total = world.ok("GET", "/costs/range", start="2026-08-01", end="2027-03-01")["total_cost"]
    assert total == 700
    assert verify(world.app.database, repair=False)["drift"] == []


def test_a_deleted_entry_does_not_come_back_and_an_edited_one_stays(world: World, clock: Clock) -> None:
    rule(world)
    first, *_, last = sorted(world.ok("GET", "/api/usage", source="manual")["data"], key=lambda row: row["recorded_at"])
    world.ok("DELETE", f"/api/usage/manual/{first['id']}")
    world.ok("PUT", f"/api/usage/manual/{last['id']}", {"cost": 80, "date": "2026-10-30"})
    collect(world)
    assert booked(world) == [("2026-09-30", 100), ("2026-10-30", 80)]
    assert world.ok("GET", PATH)["data"][0]["booked"] == 3
    clock.now += timedelta(days=14)
    collect(world)
    assert booked(world)[2:] == [("2026-11-30", 100)]


def test_changes_hold_from_tomorrow_on(world: World, clock: Clock, connection: Connection) -> None:
    made = rule(world)
    path = f"{PATH}/{made['id']}"
    clock.now = datetime(2026, 12, 31, 9, tzinfo=UTC)
    # Two dates were due before anybody collected: they have the old price.
    changed = world.ok("PUT", path, {"cost": 120, "notes": None, "project": "Office"})["data"]
    assert (changed["cost"], changed["notes"], changed["project"], changed["booked"]) == (120, None, "Office", 5)
    assert {cost for _, cost in booked(world)} == {100}
    assert world.ok("PUT", path, {"cost": 120})["data"]["updated_at"] == changed["updated_at"]
    # Another day of the month does not book this month, or any before it, again.
    assert world.ok("PUT", path, {"date": "2026-08-15"})["data"]["next"] == "2027-01-15"
    clock.now = datetime(2027, 2, 20, tzinfo=UTC)
    collect(world)
    assert booked(world)[5:] == [("2027-01-15", 120), ("2027-02-15", 120)]
    ended = world.ok("PUT", path, {"until": "2027-02-28"})["data"]
    assert (ended["next"], ended["active"], ended["ended_at"]) == (None, False, None)
    clock.now = datetime(2027, 4, 1, tzinfo=UTC)
    collect(world)
    assert len(booked(world)) == 7
    # It went on after all.
    world.ok("PUT", path, {"until": None})
    assert booked(world)[7:] == [("2027-03-15", 120)]
    assert "Send at least one of the fields" in world.refused(400, "PUT", path, {})
    noted = connection.execute("SELECT action FROM audit_log WHERE action LIKE 'recurring%' ORDER BY id").fetchall()
    assert [row["action"].split()[-1] for row in noted] == ["added", *["changed"] * 4]


def test_old_words_are_not_changed_before_all_that_they_are_about_is_booked(world: World, clock: Clock) -> None:
    made = rule(world)
    clock.now = datetime(2027, 1, 5, tzinfo=UTC)
    about = (world.app.database, lambda c: load_book(c, CATALOGUE), made["id"])
    today, author = clock.now.date(), Author("a person", clock.now)
    with pytest.raises(ConflictError, match="2026-11-30 is next; send this again"):
        recurring.change(*about, {"cost": 120}, today, author, lambda: 0)
    with pytest.raises(ConflictError, match="2026-11-30 is next"):
        recurring.end(*about, today, author, lambda: 0)
    assert (world.ok("GET", PATH)["data"][0]["cost"], len(booked(world))) == (100, 3)
    recurring.change(*about, {"cost": 120}, today, author, lambda: 10)
    recurring.end(*about, today, author, lambda: 0)
    assert [cost for _, cost in booked(world)] == [100] * 5


def test_an_ended_one_books_what_was_due_and_nothing_more(world: World, clock: Clock) -> None:
    path = f"{PATH}/{rule(world)['id']}"
    clock.now = datetime(2026, 12, 5, tzinfo=UTC)
    ended = world.ok("DELETE", path)["data"]
    assert (ended["active"], ended["next"], ended["ended_at"]) == (False, None, "2026-12-05T00:00:00Z")
    assert len(booked(world)) == 4
    assert world.ok("DELETE", path)["data"] == ended
    clock.now = datetime(2027, 6, 5, tzinfo=UTC)
    collect(world)
    assert len(booked(world)) == 4
    assert "has ended; make a new one" in world.refused(409, "PUT", path, {"cost": 1})


def test_before_its_first_date_everything_may_change(world: World) -> None:
    made = rule(world, date="2026-12-01", repeat="weekly")
    assert (made["booked"], made["next"]) == (0, "2026-12-01")
    changed = world.ok("PUT", f"{PATH}/{made['id']}", {"date": "2026-11-12", "until": "2026-11-19"})["data"]
    assert (changed["booked"], changed["active"]) == (2, False)
    assert [day for day, _ in booked(world)] == ["2026-11-12", "2026-11-19"]


def test_what_cannot_be_taken_is_named(world: World) -> None:
    for change, says in (
        ({"repeat": "daily"}, "Add repeat: one of weekly, monthly, yearly."),
        ({"repeat": None}, "Add repeat"),
        ({"until": "2026-08-30"}, "until must not be before the first date, 2026-08-31."),
        ({"until": "2026-02-30"}, "until: "),
        ({"until": 2027}, "until must be the last date"),
        ({"cost": None}, "Add cost"),
        ({"date": None}, "Add date"),
        ({"account": "nobody"}, "There is no account 'nobody'"),
        ({"untill": "2027-01-01"}, "did you mean until"),
    ):
        assert says in world.refused(400, "POST", PATH, {**PLAN, **change})
    for method, path in (("GET", "/7"), ("PUT", "/7"), ("DELETE", "/7")):
        body = {"cost": 1} if method == "PUT" else None
        assert "no recurring entry 7" in world.refused(404, method, f"{PATH}{path}", body)
    assert (world.ok("GET", PATH)["data"], booked(world)) == ([], [])


@pytest.mark.parametrize("usage", ["keep", "delete"])
def test_it_ends_with_its_account(world: World, clock: Clock, usage: str) -> None:
    account = world.ok("POST", "/api/accounts", {"name": "Max", "provider": "anthropic"})["data"]["id"]
    rule(world, account="Max")
    world.ok("DELETE", f"/api/accounts/{account}", usage=usage, wait="28")
    clock.now = datetime(2027, 1, 1, tzinfo=UTC)
    collect(world)
    assert len(booked(world)) == (3 if usage == "keep" else 0)
    assert [row["active"] for row in world.ok("GET", PATH)["data"]] == ([False] if usage == "keep" else [])


class Killed(Exception):  # noqa: N818 - it is no error
    """Stands for the death of the process."""


# In the middle of a transaction, and behind one.
KILLED = {"recurring:booked": (1, 7, 30), "recurring:answered": (1, 1, 1)}


@pytest.mark.parametrize("point", [one for one in crash.POINTS if one.startswith("recurring:")])
def test_killed_and_replayed_it_is_the_same(point: str, database: Database, connection: Connection) -> None:
    author = Author("collect", datetime(2026, 11, 20, tzinfo=UTC))

    def load(c: Connection) -> Any:  # noqa: ANN401 - a price book
        return load_book(c, CATALOGUE)

    def book() -> None:
        recurring.book_due(database, load, date(2026, 11, 20), author)

    weekly = {**PLAN, "date": "2025-01-06", "repeat": "weekly"}
    for number in range(2):
        recurring.create(database, load, {**weekly, "cost": number + 1}, author)
    for number in KILLED[point]:
        passed: list[str] = []

        def kill(at: str, number: int = number, passed: list[str] = passed) -> None:
            passed.append(at)
            if passed.count(point) == number:
                raise Killed

        with crash.watched(kill), pytest.raises(Killed):
            book()
    book()
    before = connection.execute("SELECT id FROM ledger ORDER BY id").fetchall()
    book()
    assert connection.execute("SELECT id FROM ledger ORDER BY id").fetchall() == before
    sums = connection.execute(
        "SELECT count(*) AS entries, count(DISTINCT (recorded_at, cost)) AS distinct, sum(cost) AS cost FROM ledger"
    ).fetchone()
    assert sums == {"entries": 196, "distinct": 196, "cost": 98 + 2 * 98}
    assert verify(database, repair=False)["drift"] == []


def test_one_that_cannot_be_booked_does_not_hold_up_the_others(
    world: World, clock: Clock, connection: Connection
) -> None:
    account = world.ok("POST", "/api/accounts", {"name": "Max", "provider": "anthropic"})["data"]["id"]
    stuck = rule(world, account="Max")["id"]
    rule(world, service="chatgpt")
    # As if it were being deleted by a version that knows nothing of recurring entries.
    connection.execute("UPDATE accounts SET deleting_at = now() WHERE id = %s", [account])
    clock.now = datetime(2026, 11, 30, tzinfo=UTC)
    done = entry_jobs.book(world.app, {}, lambda: 900)
    assert (done.entries, len(done.errors)) == (1, 1)
    assert done.errors[0].startswith(f"Recurring entry {stuck}: The account is being deleted")
    with pytest.raises(InvalidInputError):
        recurring.book(
            world.app.database, lambda c: load_book(c, CATALOGUE), stuck, date(2026, 11, 30), Author("x", clock.now)
        )
