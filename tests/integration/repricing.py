"""What the tests of prices over time share: a person who sets prices, and re-pricing by the book of the moment."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from math import inf
from typing import TYPE_CHECKING, Any, TypeVar

from shared.store.audit import Author
from shared.store.database import Database
from shared.workflows.pricing import load_book, set_price
from shared.workflows.reprice import Order, Repriced, reprice
from tests.integration.collecting import CATALOGUE, NOW

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.store.database import Connection


T = TypeVar("T")
DAY = timedelta(days=1)
AUTHOR = Author("somebody", NOW, 7)


def price(database: Database, model: str, since: datetime | None = None, **figures: str) -> None:
    given = {"input": "2", "output": "10", **figures}
    set_price(database, CATALOGUE, model, None, since, {k: Decimal(v) for k, v in given.items()}, AUTHOR)


def again(database: Database, **options: Any) -> Repriced:  # noqa: ANN401 - what `Order` takes
    remaining: Callable[[], float] = options.pop("remaining", lambda: inf)
    progress: Callable[[datetime], None] = options.pop("progress", lambda _: None)
    order = Order(AUTHOR, options.pop("zone", "UTC"), **options)
    return reprice(database, lambda c: load_book(c, CATALOGUE), order, remaining, progress)


class KilledError(Exception):
    """The process died."""


class Dying(Database):
    """A database that dies in its transaction number `at`, when its work is done and before it is committed."""

    def __init__(self, dsn: str, at: int) -> None:
        super().__init__(dsn)
        self._left = at

    def run(self, work: Callable[[Connection], T]) -> T:
        self._left -= 1
        is_last = self._left == 0

        def doomed(connection: Connection) -> T:
            found = work(connection)
            if is_last:
                raise KilledError
            return found

        return super().run(doomed)


def survive(dsn: str, attempt: Callable[[Database], object]) -> int:
    """Kill `attempt` in each of its transactions, one after the other, until it gets through; return how often."""
    for at in range(1, 100):
        doomed = Dying(dsn, at)
        try:
            attempt(doomed)
        except KilledError:
            continue
        finally:
            doomed.close()
        return at - 1
    raise AssertionError("it never ends")
