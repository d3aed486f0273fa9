"""Killed at every named point and started again: the same tables as without the kill."""

import ast
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from functools import cache
from math import inf
from pathlib import Path

import httpx
import pytest

from shared.core import crash
from shared.store.database import Connection, Database
from shared.workflows.refresh import Source, refresh
from tests.integration.collecting import CATALOGUE, tables
from tests.integration.published_file import content, model
from tests.machine.model import BEGIN, HOUR, PRICED, UNPRICED, Event, Price
from tests.machine.world import EVERYTHING, World

ROOT = Path(__file__).parents[2]
DAY = timedelta(days=1)
ENTRY = {"service": "openai", "date": "2026-11-17", "cost": "20"}


def events(*names: str) -> list[Event]:
    at = BEGIN + 3 * HOUR + timedelta(minutes=20)
    return [Event(name, PRICED, at + HOUR * number, (100, 10), None) for number, name in enumerate(names)]


def begin(world: World) -> None:
    """An account that is polled and logged, a wrong event, and a manual entry."""
    world.model.reported |= {
        (BEGIN + 3 * HOUR, "a", PRICED): (1000, 100),
        (BEGIN + 3 * HOUR, "b", PRICED): (500, 7),
        (BEGIN + 9 * HOUR, "a", UNPRICED): (50, 5),
    }
    world.collect()
    world.send(events("first", "second", "third"))
    world.enter(ENTRY)


def ingest(world: World) -> None:
    world.send([*events("new", "newer"), Event("dear", UNPRICED, BEGIN + 9 * HOUR, (7, 1), Decimal("0.25"))])


def void(world: World) -> None:
    world.void(world.model.events["second"])


def merge(world: World) -> None:
    """Restated, new and vanished, and a coverage that moves on over an event."""
    world.model.reported[BEGIN + 3 * HOUR, "a", PRICED] = (900, 90)
    world.model.reported[BEGIN + 4 * HOUR, "a", PRICED] = (60, 6)
    world.model.reported.pop((BEGIN + 9 * HOUR, "a", UNPRICED), None)
    world.model.now = BEGIN + timedelta(days=1, hours=2)
    world.collect()


def edit(world: World) -> None:
    world.edit(next(iter(world.model.manual)), {"cost": "0.5"})


def reprice(world: World) -> None:
    """Dearer lines of a day that is polled and logged."""
    world.set_price(Price(PRICED, BEGIN + 3 * HOUR, Decimal(4), Decimal(20)))
    world.reprice_only((BEGIN, BEGIN + DAY))


def price_new(world: World) -> None:
    """A bucket and an event of a model that had no price."""
    world.set_price(Price(UNPRICED, BEGIN, Decimal(1), Decimal(2)))
    world.price_new()


def reassign(world: World) -> None:
    world.set_rule("kanban-*t", "Atlas", 20)
    world.set_rule("*-a", "Beacon", 20)
    world.reassign_only((BEGIN, BEGIN + DAY))


@cache
def edition() -> bytes:
    return content(lambda rows: model(rows, "anthropic", "claude-sonnet-4-5").update(name="Sonnet"))


def fetch(world: World) -> None:
    """A new edition of the price catalogue."""
    http = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200, content=edition())))
    done = refresh(world.database, CATALOGUE, Source(http, "http://prices/", lambda: inf), world.model.now)
    assert done.status in {"stored", "unchanged"}, done


# What passes a point: by its name, else by what its name begins with.
WORK: dict[str, Sequence[Callable[[World], None]]] = {
    "ingest": [ingest],
    "void": [void],
    "merge": [merge],
    "reprice": [reprice, price_new],
    "reassign": [reassign],
    "refresh": [fetch],
    "manual:stored": [lambda world: world.enter(ENTRY)],
    "manual:answered": [lambda world: world.enter(ENTRY)],
    "manual:kept": [edit],
    "manual:edited": [edit],
    "manual:deleted": [lambda world: world.delete(next(iter(world.model.manual)))],
}
# What the model knows nothing of: each has a test of its own that kills at its points.
ELSEWHERE = {
    "adopt": "tests/integration/test_accounts_adoption.py",
    "quarantine": "tests/integration/test_quarantine.py",
    "remove": "tests/integration/test_account_removal.py",
    "recurring": "tests/integration/test_recurring.py",
}
POINTS = [point for point in crash.POINTS if point.partition(":")[0] not in ELSEWHERE]
CASES = [(point, work) for point in POINTS for work in WORK.get(point) or WORK[point.partition(":")[0]]]
# An entry without an id is another entry when it is sent again: who got no answer looks before asking again.
NOT_REPLAYED = {"manual:answered"}


def found(connection: Connection) -> dict[str, list[str]]:
    more = {
        "manual_versions": "SELECT entry - 'id' AS entry, reason, replaced_at FROM manual_versions",
        "audit_log": "SELECT at, actor, action, detail - 'id' AS detail FROM audit_log WHERE action IN "
        "('reprice', 'reassign')",
        "price_catalogues": "SELECT sha256, models, content FROM price_catalogues",
    }
    return tables(connection) | {
        name: sorted(map(repr, connection.execute(query.encode()).fetchall())) for name, query in more.items()
    }


@pytest.fixture(scope="module")
def undisturbed() -> dict[Callable[[World], None], dict[str, list[str]]]:
    """What each work leaves behind when nobody dies, once a test has seen it."""
    return {}


@pytest.mark.parametrize(("point", "work"), CASES)
def test_killed_and_replayed(
    point: str, work: Callable[[World], None], database: Database, connection: Connection,
    undisturbed: dict[Callable[[World], None], dict[str, list[str]]],
) -> None:  # fmt: skip
    if work not in undisturbed:
        world = World(database)
        begin(world)
        work(world)
        world.check()
        undisturbed[work] = found(connection)
    expected = undisturbed[work]
    world = World(database)
    begin(world)
    before = found(connection)
    assert world.killed(point, lambda: work(world)), f"{work} does not pass {point}"
    if point.endswith(":answered"):
        assert _moved(expected, found(connection)) <= {"accounts"}  # where a collection ends by saying how it went
    elif not point.startswith("merge"):  # a collection keeps the pages that it has read
        assert _moved(before, found(connection)) <= {"project_mappings"}
    if point not in NOT_REPLAYED:
        work(world)
        world.check()
    assert found(connection) == expected


@pytest.mark.parametrize("point", ["reprice:answered", "reassign:answered"])
def test_a_day_that_was_done_stays_done_and_the_others_follow(
    point: str, database: Database, connection: Connection
) -> None:
    def work(world: World) -> None:
        if point.startswith("reprice"):
            world.reprice_only(EVERYTHING)
        else:
            world.reassign_only(EVERYTHING)

    worlds = []
    for _ in range(2):
        world = World(database)
        world.send([Event(str(day), PRICED, BEGIN + day * DAY, (100, 10), None) for day in range(-3, 1)])
        world.set_price(Price(PRICED, BEGIN - 30 * DAY, Decimal(4), Decimal(20)))
        world.set_rule("kanban-*[0-9]", "Atlas", 20)
        worlds.append(world)
        if len(worlds) == 1:
            work(world)
            expected = found(connection)
    world = worlds[1]
    assert world.killed(point, lambda: work(world))
    done = connection.execute("SELECT count(*) AS n FROM audit_log WHERE action IN ('reprice', 'reassign')").fetchone()
    assert done is not None
    assert 1 <= done["n"] <= 2  # two days are worked on at once
    work(world)
    world.check()
    assert found(connection) == expected


def _moved(before: dict[str, list[str]], after: dict[str, list[str]]) -> set[str]:
    return {name for name, rows in after.items() if rows != before[name]}


def test_every_point_is_listed_once_and_in_one_place() -> None:
    calls = [
        node.args[0].value
        for path in (ROOT / "shared").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and ast.unparse(node.func) == "crash.at"
        and isinstance(node.args[0], ast.Constant)
    ]
    assert Counter(calls) == Counter(crash.POINTS)
    for name, place in ELSEWHERE.items():
        assert f'startswith("{name}:")' in (ROOT / place).read_text()


def test_without_a_hook_a_point_is_nothing() -> None:
    passed: list[str] = []
    with crash.watched(passed.append):
        crash.at("ingest:lines")
    crash.at("ingest:lines")
    assert passed == ["ingest:lines"]
