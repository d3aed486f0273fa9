"""How fast events are priced, and priced again, as ratios to yardsticks of the same run.

python -m tests.bench.pricing           about a minute: 100,000 events re-priced
python -m tests.bench.pricing --full    a million events re-priced

Pricing is compared with one call of the catalogue's library per event, in turns with it, to the last digit.
Re-pricing is the whole workflow, day by day: found, priced, written, rolled up and noted; its yardstick is a bare
UPDATE of the same columns of the same rows.
"""

import argparse
import random
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from math import inf
from typing import NamedTuple

from genai_prices import Usage as Called
from genai_prices import calc_price

from shared.core.money import CONTEXT
from shared.core.pricing import RateCard
from shared.core.tariffs import Tariffs
from shared.core.usage import PriceContext
from shared.prices.book import PriceBook
from shared.prices.catalogue import Catalogue
from shared.store.audit import Author
from shared.store.database import Database, connect
from shared.workflows.event_lines import slot_of
from shared.workflows.ingest import no_collection
from shared.workflows.pricing import load_book, set_price
from shared.workflows.reprice import Order, Repriced, reprice
from tests.bench.events import DAY, MODELS, preload
from tests.bench.server import Server, server
from tests.bench.table import Line, write

CALLS, TURNS = 2000, 5
FULL = 1_000_000
GOAL_SECONDS, GOAL_RATIO = 60, 50
AUTHOR = Author("bench", datetime(2026, 11, 24, tzinfo=UTC))


class Event(NamedTuple):
    """What decides the price of an event: provider and model, when, its counts in the order of `Usage`."""

    sold: tuple[str, str]
    at: datetime
    slot: str
    counts: tuple[int, ...]


def events(book: PriceBook, count: int) -> list[Event]:
    """Events of every model of the year, those with a provider and a price."""
    pick = random.Random(1)  # noqa: S311 - events, not secrets
    known = [(provider, model) for model in MODELS if (provider := book.infer_provider(model))]
    made = []
    for _ in range(count):
        sold = pick.choice(known)
        at = DAY + timedelta(seconds=pick.randrange(86_400))
        counts = (pick.randrange(20_000), pick.randrange(4_000), pick.randrange(100_000), *[0] * 8, 1)
        made.append(Event(sold, at, slot_of(at, at.isoformat()), counts))
    return made


def by_library(asked: Sequence[Event]) -> list[Decimal]:
    """One call of the library per event; it counts cached tokens as input."""
    found = []
    for event in asked:
        inputs, outputs, read, *_ = event.counts
        usage = Called(input_tokens=inputs + read, output_tokens=outputs, cache_read_tokens=read)
        provider, model = event.sold
        result = calc_price(usage, model, provider_id=provider, genai_request_timestamp=event.at)
        found.append(result.total_price)
    return found


def by_card(book: PriceBook, asked: Sequence[Event]) -> list[tuple[int, int]]:
    """As batches are priced when they come in: whole numbers of 10^-digits USD, the rates looked up once per model."""
    found = []
    known: dict[tuple[str, str], Tariffs] = {}
    for sold, at, slot, counts in asked:
        tariffs = known.get(sold)
        if tariffs is None:
            tariffs = known[sold] = Tariffs(partial(_card, book, *sold))
        tariff = tariffs.find(slot, at, counts)
        amounts = None if tariff is None else tariff.charge(counts)
        if tariff is None or amounts is None:
            raise RuntimeError(f"{sold} has no price")
        found.append((amounts[-1], tariff.digits))
    return found


def _card(book: PriceBook, provider: str, model: str, at: datetime) -> RateCard | None:
    return book.card(provider, model, at, PriceContext())


def pricing() -> Iterator[Line]:
    """Yield the price of an event by the library and by a rate card, measured in turns."""
    book = PriceBook(catalogue=Catalogue())
    asked = events(book, CALLS)
    many = asked * 20
    called, carded = 0.0, 0.0
    for _ in range(TURNS):
        start = time.perf_counter()
        expected = by_library(asked)
        called += time.perf_counter() - start
        start = time.perf_counter()
        with no_collection():  # as batches are
            amounts = by_card(book, many)
        carded += time.perf_counter() - start
        found = [CONTEXT.scaleb(Decimal(units), -digits) for units, digits in amounts[:CALLS]]
        wrong = [event for event, one, other in zip(asked, found, expected, strict=True) if one != other]
        if wrong:
            raise RuntimeError(f"{wrong[0]} has another price in the library")
    library, cards = TURNS * len(asked) / called, TURNS * len(many) / carded
    yield Line("one call of the library per event", library, 1, "itself")
    yield Line("rate cards, the same answers", cards, cards / library, "the library", 0, GOAL_RATIO)


def again(database: Database) -> tuple[float, Repriced]:
    """Re-price everything, and return the seconds it took."""
    catalogue = Catalogue()
    order = Order(AUTHOR, "UTC")
    start = time.perf_counter()
    found = reprice(database, lambda c: load_book(c, catalogue), order, lambda: inf)
    return time.perf_counter() - start, found


def bare(dsn: str) -> float:
    """Return the seconds of an UPDATE that changes the same columns of every row and nothing else."""
    with connect(dsn) as connection:
        start = time.perf_counter()
        connection.execute(
            """
            UPDATE ledger SET cost = cost * 2, input_cost = input_cost * 2, output_cost = output_cost * 2,
                cache_read_cost = cache_read_cost * 2, updated_at = now()
            """
        )
        seconds = time.perf_counter() - start
        connection.execute("VACUUM ledger")
    return seconds


def repricing(home: Server, count: int, days: int, span: str) -> Iterator[Line]:
    """Yield the seconds of a bare UPDATE and of a re-pricing that changes every line."""
    with home.database("repricing") as dsn:
        preload(dsn, count, count // days)
        database = Database(dsn)
        again(database)
        with connect(dsn) as connection:
            connection.execute("VACUUM ledger")
        updating = bare(dsn)
        for model in MODELS:
            figures = {"input": Decimal("1.25"), "output": Decimal("7.5"), "cache_read": Decimal("0.3")}
            set_price(database, Catalogue(), model, None, datetime(2025, 1, 1, tzinfo=UTC), figures, AUTHOR)
        seconds, found = again(database)
        lines = found.as_json()["lines"]
        if lines < count * 0.99:
            raise RuntimeError(f"only {lines} of {count} lines were re-priced")
        database.close()
        yield Line(f"bare UPDATE, {span}", updating, 1, "itself", unit="s")
        yield Line(f"re-pricing, {span}", seconds, seconds / updating, "bare UPDATE", GOAL_SECONDS, 0, "s")


def measure(home: Server, count: int) -> Iterator[Line]:
    """Yield every measurement, the re-pricing of `count` events."""
    yield from pricing()
    yield from repricing(home, count, 1, f"{count:,} events of a day")
    yield from repricing(home, count, 365, f"{count:,} of a year")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="the size of the goal")
    parser.add_argument("--events", type=int, help="events to re-price")
    given = parser.parse_args()
    count = given.events or (FULL if given.full else FULL // 10)
    with server() as home:
        return write("pricing", measure(home, count), events=count)


if __name__ == "__main__":
    sys.exit(main())
