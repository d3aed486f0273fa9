"""Killed at every named point and started again: the same tables as without the kill."""

import ast
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from shared.core import crash
from shared.store.database import Connection, Database
from tests.integration.collecting import tables
from tests.machine.model import BEGIN, HOUR, PRICED, UNPRICED, Event
from tests.machine.world import World

ROOT = Path(__file__).parents[2]
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


# A point is reached by what its name begins with, or by what is listed for it.
WORK: dict[str, Callable[[World], None]] = {
    "ingest": ingest,
    "void": void,
    "merge": merge,
    "manual:stored": lambda world: world.enter(ENTRY),
    "manual:answered": lambda world: world.enter(ENTRY),
    "manual:kept": edit,
    "manual:edited": edit,
    "manual:deleted": lambda world: world.delete(next(iter(world.model.manual))),
}
# An entry without an id is another entry when it is sent again: who got no answer looks before asking again.
NOT_REPLAYED = {"manual:answered"}


def found(connection: Connection) -> dict[str, list[str]]:
    versions = connection.execute("SELECT entry - 'id' AS entry, reason, replaced_at FROM manual_versions").fetchall()
    return tables(connection) | {"manual_versions": sorted(map(repr, versions))}


@pytest.mark.parametrize("point", crash.POINTS)
def test_killed_and_replayed(point: str, database: Database, connection: Connection) -> None:
    work = WORK.get(point) or WORK[point.partition(":")[0]]
    undisturbed = World(database)
    begin(undisturbed)
    work(undisturbed)
    undisturbed.check()
    expected = found(connection)

    world = World(database)
    begin(world)
    before = found(connection)
    assert world.killed(point, lambda: work(world)), f"{work} does not pass {point}"
    if point.endswith(":answered"):
        assert found(connection) == expected
    elif not point.startswith("merge"):  # a collection keeps the pages that it has read
        assert found(connection) == before
    if point not in NOT_REPLAYED:
        work(world)
        world.check()
    assert found(connection) == expected


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


def test_without_a_hook_a_point_is_nothing() -> None:
    passed: list[str] = []
    with crash.watched(passed.append):
        crash.at("ingest:lines")
    crash.at("ingest:lines")
    assert passed == ["ingest:lines"]
