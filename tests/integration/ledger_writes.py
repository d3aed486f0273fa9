"""Every write of the ledger, each from the same beginning: what poolers and faults are tried on."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

from shared.store.database import Connection, Database
from shared.workflows.verify import verify
from tests.machine.model import BEGIN, HOUR, PRICED, UNPRICED, Event, Price
from tests.machine.world import World

DAY = timedelta(days=1)
ENTRY = {"service": "openai", "date": "2026-11-17", "cost": "20"}


def begin(world: World) -> None:
    """An account that is polled and logged, prices and rules that hold but were not applied yet."""
    world.model.reported |= {
        (BEGIN + 3 * HOUR, "a", PRICED): (1000, 100),
        (BEGIN + 3 * HOUR, "b", PRICED): (500, 7),
        (BEGIN + 9 * HOUR, "a", UNPRICED): (50, 5),
    }
    world.collect()
    world.send([event("wrong"), event("right"), event("unknown", UNPRICED)])
    world.enter(ENTRY)
    world.set_price(Price(PRICED, BEGIN, Decimal(4), Decimal(20)))
    world.set_price(Price(UNPRICED, BEGIN, Decimal(1), Decimal(2)))
    world.set_rule("kanban-*t", "Atlas", 20)
    world.set_rule("*-a", "Beacon", 20)


def event(name: str, model: str = PRICED) -> Event:
    return Event(name, model, BEGIN + 3 * HOUR, (100, 10), None)


def entry(world: World) -> int:
    return next(iter(world.model.manual))


def collect(world: World) -> None:
    """Restated, vanished and new."""
    world.model.reported[BEGIN + 3 * HOUR, "a", PRICED] = (900, 90)
    world.model.reported.pop((BEGIN + 3 * HOUR, "b", PRICED), None)
    world.model.reported[BEGIN + 4 * HOUR, "a", PRICED] = (60, 6)
    world.collect()


def repair(world: World) -> None:
    verify(world.database, repair=True)


# What is done, and a statement that only this writes.
WRITES: dict[str, tuple[Callable[[World], object], bytes]] = {
    "an event": (lambda world: world.send([event("new")]), b"COPY ledger"),
    "a void": (lambda world: world.void(world.model.events["wrong"]), b"UPDATE ledger SET voided_at"),
    "a restatement": (collect, b"INSERT INTO bucket_versions"),
    "an entry": (lambda world: world.enter(ENTRY), b"INSERT INTO ledger"),
    "its edit": (lambda world: world.edit(entry(world), {"cost": "0.5"}), b"INSERT INTO manual_versions"),
    "its end": (lambda world: world.delete(entry(world)), b"DELETE FROM ledger"),
    "a price": (lambda world: world.set_price(Price(PRICED, BEGIN, Decimal(1), Decimal(1))), b"INTO price_overrides"),
    "a re-pricing": (lambda world: world.reprice_only((BEGIN, BEGIN + DAY)), b"UPDATE ledger SET"),
    "its balance": (lambda world: world.reprice_only((BEGIN, BEGIN + DAY)), b"DELETE FROM ledger"),
    "first prices": (lambda world: world.price_new(), b"INSERT INTO audit_log"),
    "a re-mapping": (lambda world: world.reassign_only((BEGIN, BEGIN + DAY)), b"UPDATE ledger SET project"),
    "a repair": (repair, b"DELETE FROM rollup_quarter WHERE slot >="),
}


def prepared(database: Database, reader: Database, write: str, connection: Connection) -> World:
    world = World(database, reader)
    begin(world)
    if write == "a repair":
        connection.execute("UPDATE rollup_quarter SET cost = cost + 1 WHERE model = %s", [PRICED])
    return world
