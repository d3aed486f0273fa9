"""Prices that the user sets: dated, never edited, the latest one in force wins."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import lru_cache
from typing import TYPE_CHECKING

from shared.core.pricing import PARENTS, PRICES, TOKEN_CLASSES, Rates, checked_price, inherit

if TYPE_CHECKING:
    from collections.abc import Iterable

# A proportion such as 0.14/0.55 has no end; a price derived from one is rounded here, once, to 18 decimals.
_DERIVING = Context(prec=60, rounding=ROUND_HALF_EVEN)
_DERIVED_UNIT = Decimal("1E-18")


@dataclass(frozen=True, slots=True)
class Override:
    """A price of the user's for one model, from `since` until the next one.

    `model` is a canonical id (or an id as sent), `provider` our provider id, None for any. Tokens in USD per million,
    searches and requests in USD per thousand. `since` is an aware instant, or a date that begins at midnight UTC.
    The prices are those of the standard tier. Batch, service tiers, regions and long context keep the proportion to it
    that the catalogue has (`in_proportion`): whoever enters 3 and 15 for a model does not mean that batch doubled.

    Raises:
        ValueError: a price is negative or too fine, or `since` or `created_at` has no time zone.
    """

    id: str
    model: str
    since: datetime | date
    created_at: datetime
    input: Decimal
    output: Decimal
    provider: str | None = None
    cache_read: Decimal | None = None
    cache_write_5m: Decimal | None = None
    cache_write_1h: Decimal | None = None
    reasoning: Decimal | None = None
    web_search: Decimal | None = None
    request: Decimal | None = None

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.created_at.tzinfo is None:
            raise ValueError("The instants of an override need a time zone.")
        for name, price in self.prices().items():
            checked_price(name, price)

    @property
    def start(self) -> datetime:
        """The first instant it holds, in UTC unless `since` came with another zone."""
        if isinstance(self.since, datetime):
            return self.since
        return datetime.combine(self.since, time(), UTC)

    def prices(self) -> dict[str, Decimal]:
        """Return the prices it names, by class."""
        named = {name: getattr(self, name, None) for name in PRICES}
        return {name: price for name, price in named.items() if price is not None}


def in_force(overrides: Iterable[Override], provider: str | None, at: datetime) -> Override | None:
    """Return the override that prices a line at `at`: the latest to begin, then the one for the provider, then age."""
    candidates = (o for o in overrides if o.start <= at and o.provider in (None, provider))
    return max(candidates, key=lambda o: (o.start, o.provider is not None, o.created_at, o.id), default=None)


@lru_cache(maxsize=1024)
def override_rates(override: Override, provider: str | None, reference: Rates | None) -> Rates:
    """Return an override as rates, with the classes it does not name.

    A class it does not name keeps the proportion to input (or output) that it has in `reference`, the catalogue's
    standard price: whoever enters two figures means the model at that price level, with its cache discount and its
    dearer one-hour writes. Without a reference the class costs what its parent class costs, so that cached tokens are
    never free. A fee it does not name is the catalogue's; without one, searches have no price.
    """
    prices = override.prices()
    derived = []
    for name, parent in PARENTS.items():
        root = PARENTS.get(parent, parent)
        if name in prices or reference is None:
            continue
        part, base = getattr(reference, name), getattr(reference, root)
        if part is not None and base:
            exact = _DERIVING.divide(_DERIVING.multiply(prices[root], part), base)
            prices[name] = exact.quantize(_DERIVED_UNIT, context=_DERIVING)
            if part != base:
                derived.append(name)
    for fee in ("web_search", "request"):
        if fee not in prices and reference is not None and getattr(reference, fee) is not None:
            prices[fee] = getattr(reference, fee)
            derived.append(fee)
    note = f"Not named, as in the catalogue: {', '.join(derived)}."
    rates = Rates(
        source="override",
        model=override.model,
        provider=provider,
        since=override.start.astimezone(UTC).date(),
        version=override.id,
    )
    return rates.priced(inherit(prices), *([note] if derived else []))


@lru_cache(maxsize=1024)
def in_proportion(own: Rates, standard: Rates, asked: Rates) -> Rates:
    """Return an override's rates for other circumstances than the standard ones.

    Every token class is multiplied by what the catalogue asks in these circumstances over its own standard price. A
    proportion without an end is rounded once, to 18 decimals; fees stay.
    """
    moved = {}
    for name in TOKEN_CLASSES:
        price, base, other = getattr(own, name), getattr(standard, name), getattr(asked, name)
        if price is not None and base and other is not None and other != base:
            exact = _DERIVING.divide(_DERIVING.multiply(price, other), base)
            moved[name] = exact.quantize(_DERIVED_UNIT, context=_DERIVING)
    if not moved:
        return own
    note = "Other than standard circumstances: in the catalogue's proportion to its standard price."
    return replace(own.priced(moved, *asked.adjustments, note), above=asked.above)
