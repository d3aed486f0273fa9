"""From counts to dollars: the rates in force for a line, and the exact arithmetic that applies them."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, fields, replace
from datetime import date
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any

from shared.core.money import CONTEXT, MAX_SCALE, normalise, parse_money, plain, scale, total

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shared.core.usage import PriceContext, Usage

TOKEN_CLASSES = (
    "input",
    "output",
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "reasoning",
    "audio_input",
    "audio_output",
    "image_input",
    "image_output",
)
FEES = ("web_search", "request")
PRICES = (*TOKEN_CLASSES, *FEES)

# A token's price is divided by a million, which adds six decimals; the database refuses more than MAX_SCALE.
MAX_PRICE_SCALE = MAX_SCALE - 6

# What a class without a price of its own is priced as: the class it is a special case of.
PARENTS = {
    "cache_read": "input",
    "cache_write_5m": "input",
    "cache_write_1h": "cache_write_5m",
    "reasoning": "output",
    "audio_input": "input",
    "audio_output": "output",
    "image_input": "input",
    "image_output": "output",
}

# Wholes and the parts that are counted inside them.
_PARTS = (("input", "audio_input", "image_input"), ("output", "audio_output", "image_output", "reasoning"))

# The component of a line's cost that each class is part of.
_COMPONENTS = {
    "reasoning": "output",
    "audio_input": "audio",
    "audio_output": "audio",
    "image_input": "image",
    "image_output": "image",
}
_WINDOW = re.compile(r"(\d{1,9})([km]?)-\d{1,9}[km]?", re.ASCII)
_WINDOW_UNITS = {"": 1, "k": 1_000, "m": 1_000_000}
_ZERO = Decimal(0)


@dataclass(frozen=True)
class Rates:
    """The prices of one model at one time in one set of circumstances, and where they come from.

    Token classes are USD per million tokens, `web_search` and `request` USD per thousand. None means that the source
    has no price for the class; for `request` it means that there is no fee. `above` is the total input a request must
    exceed for these rates (0 for the base tier), `since` the UTC date they began, where the source says so.

    Raises:
        ValueError: a price is negative, not finite or has more than 24 decimals.
    """

    source: str
    model: str
    provider: str | None = None
    since: date | None = None
    version: str = ""
    adjustments: tuple[str, ...] = ()
    above: int = 0
    input: Decimal | None = None
    output: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write_5m: Decimal | None = None
    cache_write_1h: Decimal | None = None
    reasoning: Decimal | None = None
    audio_input: Decimal | None = None
    audio_output: Decimal | None = None
    image_input: Decimal | None = None
    image_output: Decimal | None = None
    web_search: Decimal | None = None
    request: Decimal | None = None

    def __post_init__(self) -> None:
        for name in PRICES:
            price_ = getattr(self, name)
            if price_ is not None:
                object.__setattr__(self, name, checked_price(name, price_))

    @property
    def is_empty(self) -> bool:
        """Whether nothing has a price: the source knows the model but sells it by something we do not count."""
        return all(getattr(self, name) is None for name in PRICES)

    def priced(self, prices: Mapping[str, Decimal], *why: str) -> Rates:
        """Return the rates with `prices` (by class) in place of their own, and the reasons noted as adjustments."""
        changes: dict[str, Any] = dict(prices)
        return replace(self, adjustments=(*self.adjustments, *why), **changes)

    def scaled(self, factor: Decimal, why: str) -> Rates:
        """Return the rates with every token class times `factor` (fees unchanged) and the reason noted."""
        tokens = {name: getattr(self, name) for name in TOKEN_CLASSES}
        return self.priced({n: CONTEXT.multiply(p, factor) for n, p in tokens.items() if p is not None}, why)

    def fingerprint(self) -> str:
        """Return the SHA-256 of the content in hex: equal for equal rates, in every process and on every day."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object with prices as decimal text; fields at their default are left out.

        Leaving them out keeps old fingerprints valid when a class is added.
        """
        content: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if value == field.default:
                continue
            if isinstance(value, Decimal):
                value = plain(value)
            elif isinstance(value, date):
                value = value.isoformat()
            content[field.name] = list(value) if isinstance(value, tuple) else value
        return content

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Rates:
        """Read what `to_json` wrote.

        Raises:
            ValueError: a price or date is malformed.
            TypeError: a field is missing or unknown.
        """
        values = dict(content)
        for name in PRICES:
            if name in values:
                values[name] = parse_money(values[name])
        if "since" in values:
            values["since"] = date.fromisoformat(values["since"])
        values["adjustments"] = tuple(values.get("adjustments", ()))
        return cls(**values)


@dataclass(frozen=True)
class RateCard:
    """The rates of one model by size of request.

    `tiers` holds (threshold, rates), thresholds ascending, the base tier first. A request whose total input is
    strictly greater than a threshold pays that tier for all of its tokens (a cliff, not a margin). `unmet` names the
    circumstances that were asked for (`batch`, `speed`, `service_tier`) and that the source has no price for.
    """

    tiers: tuple[tuple[int, Rates], ...]
    unmet: tuple[str, ...] = ()

    @property
    def base(self) -> Rates:
        """The rates of the smallest requests."""
        return self.tiers[0][1]

    def select(self, total_input: int) -> Rates:
        """Return the rates of a request with this many input tokens, cached ones included."""
        for threshold, rates in reversed(self.tiers[1:]):
            if total_input > threshold:
                return rates
        return self.base


@dataclass(frozen=True, slots=True)
class Costs:
    """What one line costs in USD, exactly, by component.

    `output` includes reasoning. `audio` and `image` hold both directions; they are not in `input` or `output`.
    """

    input: Decimal = _ZERO
    output: Decimal = _ZERO
    cache_read: Decimal = _ZERO
    cache_write_5m: Decimal = _ZERO
    cache_write_1h: Decimal = _ZERO
    audio: Decimal = _ZERO
    image: Decimal = _ZERO
    web_search: Decimal = _ZERO
    request: Decimal = _ZERO

    @property
    def total(self) -> Decimal:
        """The exact sum of the components."""
        return total(getattr(self, field.name) for field in fields(self))


@dataclass(frozen=True, slots=True)
class Charge:
    """One multiplication: `count` units of a class at `price` USD per `per` units; None where there is no price."""

    name: str
    count: int
    price: Decimal | None
    per: int

    @property
    def cost(self) -> Decimal | None:
        """The product in USD, exactly; None without a price."""
        if self.price is None:
            return None
        return normalise(CONTEXT.scaleb(CONTEXT.multiply(self.price, self.count), -6 if self.per == 10**6 else -3))


def checked_price(name: str, value: Decimal) -> Decimal:
    """Return a price normalised.

    Raises:
        ValueError: it is negative, not finite or has more than 24 decimals.
    """
    price_ = parse_money(value)
    if price_ < 0:
        raise ValueError(f"The price of {name} cannot be negative, not {price_}.")
    if scale(price_) > MAX_PRICE_SCALE:
        raise ValueError(f"The price of {name} has at most {MAX_PRICE_SCALE} decimals, not {scale(price_)}.")
    return price_


def inherit(prices: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Return `prices` with every missing token class at the price of its parent class, where that has one."""
    known = dict(prices)
    for name, parent in PARENTS.items():
        if name not in known and parent in known:
            known[name] = known[parent]
    return known


def tier_input(usage: Usage, context: PriceContext) -> int:
    """Return the total input that decides the tier of a line.

    A line that names its context window is an aggregate whose requests the provider has classed: it pays the tier
    above the window's lower bound. A single request pays by its own total. Any other aggregate pays the base tier,
    because a threshold on a request says nothing about a sum. A window in another form than `200k-1M` counts as base.
    """
    if context.context_window is not None:
        match = _WINDOW.fullmatch(context.context_window.strip().lower())
        lower = int(match[1]) * _WINDOW_UNITS[match[2]] if match else 0
        return lower + 1 if lower else 0
    return usage.total_input if usage.requests == 1 else 0


def charges(usage: Usage, rates: Rates) -> Iterator[Charge]:
    """Yield every multiplication that prices a line, classes without tokens left out.

    Parts of input and output that add up to more than the whole are cut to it, audio first, then images, then
    reasoning: the whole is what the provider bills.
    """
    counts: dict[str, int] = {name: getattr(usage, name) for name in TOKEN_CLASSES}
    for whole, *parts in _PARTS:
        for part in parts:
            counts[part] = min(counts[part], counts[whole])
            counts[whole] -= counts[part]
    for name, count in counts.items():
        if count:
            yield Charge(name, count, getattr(rates, name), 1_000_000)
    if usage.web_searches:
        yield Charge("web_search", usage.web_searches, rates.web_search, 1_000)
    # No fee is the rule, so a missing one is not a missing price; a line that does not know its requests pays none.
    if usage.requests and rates.request is not None:
        yield Charge("request", usage.requests, rates.request, 1_000)


def price(usage: Usage, rates: Rates) -> Costs | None:
    """Return the exact cost of a line, or None if any of its counts has no price (unpriced is not free)."""
    costs: dict[str, Decimal] = {}
    for charge in charges(usage, rates):
        cost = charge.cost
        if cost is None:
            return None
        component = _COMPONENTS.get(charge.name, charge.name)
        costs[component] = total((costs[component], cost)) if component in costs else cost
    return Costs(**costs)
