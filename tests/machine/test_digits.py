"""How digits are written, with zeros behind them or without, is no figure."""

from decimal import Decimal

from shared.store.database import Database
from tests.machine.model import BEGIN, HOUR, PRICED, Event, Price
from tests.machine.world import EVERYTHING, World


def test_a_balance_is_the_same_from_events_as_they_came_and_as_they_were_repriced(database: Database) -> None:
    world = World(database)
    world.model.reported |= {(BEGIN, "a", PRICED): (1000, 101), (BEGIN, "b", PRICED): (500, 7)}
    world.collect()
    # Of the two prices one has so many digits that both costs are written with them.
    world.set_price(Price(PRICED, BEGIN - HOUR, Decimal("0.1234567890123456789"), Decimal(10)))
    world.send([Event("e", PRICED, BEGIN, (100, 13), None)])
    world.check()
    for _ in range(2):
        world.reprice(EVERYTHING)
        world.check()
