"""Reprice: bring what the ledger says of the past to today's prices, day by day, or say what that would change."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from shared.core import crash
from shared.core.money import CONTEXT
from shared.core.reprice import Card, Shape, cards, utc_day
from shared.store import audit, ledger
from shared.store import reprice as store
from shared.workflows import days
from shared.workflows.days import Walk
from shared.workflows.event_lines import UNKNOWN_PROVIDER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from shared.prices.book import PriceBook
    from shared.store.audit import Author
    from shared.store.database import Connection, Database

_COUNTS = ("lines", "requests", "tokens", "unpriced_before", "unpriced_after")
_COSTS = ("cost_before", "cost_after")
_NOTHING: dict[str, Any] = dict.fromkeys(_COUNTS, 0) | dict.fromkeys(_COSTS, Decimal(0))


@dataclass(frozen=True, slots=True)
class Order:
    """What to re-price: lines in `[start, end)` (UTC, None for no bound), or of them only those without a price.

    `zone` is the one that months are cut in.
    """

    author: Author
    zone: str
    start: datetime | None = None
    end: datetime | None = None
    dry_run: bool = False
    only_unpriced: bool = False


@dataclass(slots=True)
class Repriced:
    """What was changed, or would be: sums by (month, model before, model after, is balance), costs in USD.

    The balance lines of polled accounts follow from the others; of them only the money is said.
    """

    dry_run: bool
    days: int = 0
    stopped_at: datetime | None = None
    changes: dict[tuple[str, str, str, bool], dict[str, Any]] = field(default_factory=dict)

    def add(self, rows: Iterable[dict[str, Any]]) -> None:
        """Take in the sums of one day."""
        for row in rows:
            key = row["month"], row["model_before"], row["model"], row.get("is_balance", False)
            _add(self.changes.setdefault(key, dict(_NOTHING)), row)

    def as_json(self) -> dict[str, Any]:
        """Return the shape that runs store; `continue_from` is there when the time was over before the end."""
        whole = dict(_NOTHING)
        rows = []
        for key in sorted(self.changes):
            month, before, after, is_balance = key
            _add(whole, self.changes[key])
            renamed = before if before != after else None
            heading = {"month": month, "model": after, "renamed_from": renamed, "is_balance": is_balance}
            rows.append({**heading, **self.changes[key]})
        stopped = {} if self.stopped_at is None else {"continue_from": self.stopped_at}
        return {"dry_run": self.dry_run, "days": self.days, **whole, "changes": rows, **stopped}


def reprice(
    database: Database,
    load_book: Callable[[Connection], PriceBook],
    order: Order,
    remaining: Callable[[], float],
    progress: Callable[[datetime], None] = lambda _: None,
) -> Repriced:
    """Price every line that tokens price by the book of this moment at the line's own instant.

    Each UTC day is one transaction with its roll-ups and its audit row, so a run that is killed leaves whole days; run
    again, it finds nothing to do in them. Lines that come out the same are not touched. A dry run changes nothing.
    Stops a minute before the time is over; `progress` gets the start of each day that is done.

    Raises:
        DatabaseUnavailableError: Postgres is away; whole days are done.
    """
    books: list[PriceBook] = []
    walk = Walk(order.start, order.end)
    report = Repriced(order.dry_run)

    def next_line(start: datetime, end: datetime) -> datetime | None:
        return database.run(lambda c: store.next_line(c, start, end, only_unpriced=order.only_unpriced))

    def spans() -> Iterator[tuple[datetime, datetime]]:
        for span in walk.days(next_line, remaining):
            # Loaded by the first day: mostly nothing waits for a price.
            if not books:
                books.append(database.run(load_book))
            yield span

    def done(start: datetime, rows: Iterable[dict[str, Any]]) -> None:
        report.add(rows)
        progress(start)

    days.each(database, spans(), lambda start, end: _attempt(database, books[0], order, start, end), done, remaining)
    report.days, report.stopped_at = walk.worked, walk.stopped_at
    return report


def _attempt(
    database: Database, book: PriceBook, order: Order, start: datetime, end: datetime
) -> Iterable[dict[str, Any]]:
    # A COMMIT whose answer was lost is tried again and then changes nothing more: the first try's word stands.
    found: list[dict[str, Any]] = []

    def work(connection: Connection) -> None:
        # A dry run may go all the way, because balance lines are only known once they are derived.
        with connection.transaction(force_rollback=order.dry_run):
            rows = _day(connection, book, order, start, end)
        if rows:
            found[:] = rows

    database.run(work)
    crash.at("reprice:answered")
    return found


def _day(connection: Connection, book: PriceBook, order: Order, start: datetime, end: datetime) -> list[dict[str, Any]]:
    if not order.dry_run:
        store.lock(connection, start)
    rows = store.shapes(connection, start, end, only_unpriced=order.only_unpriced)
    priced = [card for row in rows for card in _cards(book, Shape.of_row(row), start, end)]
    if order.only_unpriced and all(card.rates is None for card in priced):
        return []
    numbered = [card.as_row(number) for number, card in enumerate(priced)]
    store.compute(connection, start, end, numbered, only_unpriced=order.only_unpriced, is_dry=order.dry_run)
    crash.at("reprice:priced")
    changes = store.changes(connection, order.zone)
    if changes and (not order.dry_run or store.has_polled(connection)):
        changes += _apply(connection, order, priced, (start, end))
    if changes and not order.dry_run:
        day = Repriced(dry_run=False)
        day.add(changes)
        summed = {name: value for name, value in day.as_json().items() if name not in {"dry_run", "days"}}
        audit.write(connection, order.author, "reprice", {"day": start.date(), **summed})
        crash.at("reprice:noted")
    return changes


def _cards(book: PriceBook, shape: Shape, start: datetime, end: datetime) -> Iterable[Card]:
    provider, model = None if shape.provider == UNKNOWN_PROVIDER else shape.provider, shape.model_raw
    instants = [start, *book.changes(provider, model, start, end), end]
    return cards(
        shape, book.canonical(provider, model), instants, lambda at: book.card(provider, model, at, shape.context)
    )


def _apply(
    connection: Connection, order: Order, priced: list[Card], span: tuple[datetime, datetime]
) -> list[dict[str, Any]]:
    """Change lines and roll-ups, then the balance lines of the accounts that are polled; return how those moved.

    In the order of every other writer: lines, their sums, accounts. So none waits for another in a circle.
    """
    used = {number: rates for number in store.used_cards(connection) if (rates := priced[number].rates)}
    ids = ledger.rates_ids(connection, {rates.fingerprint(): rates.to_json() for rates in used.values()})
    ledger.save_model_names(connection, store.names(connection))
    store.apply(
        connection, *span, {number: ids[rates.fingerprint()] for number, rates in used.items()}, order.author.at
    )
    crash.at("reprice:applied")
    polled = days.polled(connection, store.accounts(connection))
    if not polled:
        return []
    day = utc_day(span[0])
    before = store.balances(connection, polled, *day, order.zone)
    days.balance(connection, polled, span[0])
    after = store.balances(connection, polled, *day, order.zone)
    crash.at("reprice:balanced")
    none = Decimal(0)
    return [
        {**_NOTHING, "month": key[0], "model_before": key[1], "model": key[1], "is_balance": True}
        | {"cost_before": before.get(key, none), "cost_after": after.get(key, none)}
        for key in sorted({*before, *after})
        if before.get(key, none) != after.get(key, none)
    ]


def _add(sums: dict[str, Any], more: dict[str, Any]) -> None:
    for name in _COUNTS:
        sums[name] += int(more[name])
    for name in _COSTS:
        sums[name] = CONTEXT.add(sums[name], more[name])
