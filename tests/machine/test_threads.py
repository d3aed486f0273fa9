"""Many writers at once on the same events, slots and account: one value each, and the report stays the total."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import partial

from shared.store.database import Connection, Database
from shared.workflows.attribute import rebuild
from shared.workflows.ingest import Options, ingest
from shared.workflows.pricing import load_book
from shared.workflows.verify import verify
from shared.workflows.void import void
from tests.integration.collecting import CATALOGUE
from tests.machine.model import BEGIN, HOUR, PRICED, Event, Price
from tests.machine.world import EVERYTHING, World

WRITERS = 8
TURNS = 4
DAY = timedelta(days=1)


def _event(writer: int, turn: int) -> Event:
    at = BEGIN + HOUR * (3 + turn % 3) + timedelta(minutes=turn)
    return Event(f"{writer}-{turn}", PRICED, at, (writer, turn), None)


def send(database: Database, world: World, events: list[Event]) -> list[tuple[str, int]]:
    report = ingest(
        database,
        lambda c: load_book(c, CATALOGUE),
        [event.wire() for event in events],
        world.model.now,
        options=Options(touched=rebuild),
    )
    return [(outcome.status, outcome.id or 0) for outcome in report.outcomes]


def test_the_same_event_a_thousand_times_is_one(database: Database, connection: Connection) -> None:
    world = World(database)
    event = Event("once", PRICED, BEGIN + HOUR, (100, 10), None)

    def work(_: int) -> list[tuple[str, int]]:
        try:
            return [found for _ in range(25) for found in send(database, world, [event] * 5)]
        finally:
            database.close()

    with ThreadPoolExecutor(WRITERS) as threads:
        outcomes = [outcome for found in threads.map(work, range(WRITERS)) for outcome in found]
    assert Counter(status for status, _ in outcomes) == {"created": 1, "duplicate": 999}
    [(event.line_id,)] = {(line_id,) for _, line_id in outcomes}
    world.model.store(event)
    world.check()
    rolled = connection.execute("SELECT sum(lines) AS lines, sum(requests) AS requests FROM rollup_quarter").fetchone()
    assert rolled == {"lines": 1, "requests": 1}


def test_writers_and_a_collection_at_once_leave_the_report_as_the_total(database: Database) -> None:
    world = World(database)
    for hour in (3, 4):
        for key in "ab":
            world.model.reported[BEGIN + hour * HOUR, key, PRICED] = (1000 + hour, 100)
    world.collect()
    batches = [[_event(writer, turn) for turn in range(12)] for writer in range(WRITERS)]

    def write(events: list[Event]) -> None:
        try:
            for index in range(0, len(events), 3):
                part = events[index : index + 3]
                for event, (_, line_id) in zip(part, send(database, world, part), strict=True):
                    event.line_id = line_id
            void(database, events[0].line_id, "wrong", world.model.now, touched=rebuild)
            events[0].is_voided = True
        finally:
            database.close()

    def collect() -> None:
        try:
            for hour in (3, 5):
                world.model.reported[BEGIN + hour * HOUR, "a", PRICED] = (7, 900)
                world.model.now += HOUR
                world.collect()
        finally:
            database.close()

    with ThreadPoolExecutor(WRITERS + 1) as threads:
        collecting = threads.submit(collect)
        list(threads.map(write, batches))
        collecting.result()
    for event in (event for events in batches for event in events):
        world.model.store(event)
    world.check()


KEYS = [(BEGIN + hour * HOUR, key, PRICED) for hour in (3, 4, 30) for key in "ab"]


def write(world: World, new: list[Event], wrong: list[Event]) -> None:
    """Send in parts, and void these and the first part."""
    for at in range(0, len(new), 3):
        part = new[at : at + 3]
        for event, (_, line_id) in zip(part, send(world.database, world, part), strict=True):
            event.line_id = line_id
    for event in [*new[:3], *wrong]:
        void(world.database, event.line_id, "wrong", world.model.now, touched=rebuild)
        event.is_voided = True


def restate(world: World) -> None:
    for turn in range(TURNS):
        world.model.reported |= {KEYS[turn]: (7, 900 + turn), KEYS[-1]: (turn, turn)}
        world.collect_only()


def reprice(world: World) -> None:
    for turn in range(TURNS):
        world.set_price(Price(PRICED, BEGIN + HOUR * turn, Decimal(turn), Decimal(9 + turn)))
        world.run_reprice(EVERYTHING)


def reassign(world: World) -> None:
    for turn in range(TURNS):
        world.set_rule("kanban-*-?", f"Project {turn}", 20)
        world.set_rule("*-a", f"Project {turn}", 20)
        world.run_reassign(EVERYTHING)


def repair(world: World) -> None:
    for _ in range(TURNS):
        assert verify(world.database, repair=True)["drift"] == []


def test_prices_and_rules_that_change_under_writers_lose_nothing(database: Database) -> None:
    """Lines are sent, voided, restated, re-priced and re-mapped at once; then every figure is that of the last word."""
    world = World(database)
    world.model.now = BEGIN + DAY + timedelta(hours=8)
    world.model.reported |= dict.fromkeys(KEYS, (1000, 100))
    world.collect()
    batches = [[_event(writer, turn) for turn in range(12)] for writer in range(4)]
    known = [replace(event, event_id=f"old-{event.event_id}") for events in batches for event in events]
    world.send(known)

    def closing(work: Callable[[World], None]) -> None:
        try:
            work(world)
        finally:
            database.close()

    works: list[Callable[[World], None]] = [restate, reprice, reassign, repair]
    works += [partial(write, new=new, wrong=known[number::8]) for number, new in enumerate(batches)]
    with ThreadPoolExecutor(WRITERS) as threads:
        for done in [threads.submit(closing, work) for work in works]:
            done.result()
    assert verify(database, repair=False)["drift"] == []
    for event in (event for events in batches for event in events):
        world.model.store(event)
    # Who writes while a price is set has the one before or the one after: once more brings all to the last.
    world.reprice_only(EVERYTHING)
    world.reassign_only(EVERYTHING)
    world.check()
