"""Many writers at once on the same events, slots and account: one value each, and the report stays the total."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from shared.store.database import Connection, Database
from shared.workflows.attribute import rebuild
from shared.workflows.ingest import Options, ingest
from shared.workflows.pricing import load_book
from shared.workflows.void import void
from tests.integration.collecting import CATALOGUE
from tests.machine.model import BEGIN, HOUR, PRICED, Event
from tests.machine.world import World

WRITERS = 8


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
    world.model.events["once"] = event
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
    world.model.events = {event.event_id: event for events in batches for event in events}
    world.check()
