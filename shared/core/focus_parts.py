"""What a group of ledger lines was paid for: money with its quantity and price, exactly, one part per token class.

- Usage with a stored price is that price times its quantity, to the last digit.
- Money that comes as one amount (a charge of a bill, a cost that the sender reported, a manual entry) has no price per
  token: it is so many `Dollars` at 1.0.
- Usage without a price costs nothing here and says so elsewhere: unpriced is not free.
- Balance lines and negative amounts have neither quantity nor price: a negative quantity is reserved for corrections
  of invoices.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from shared.core.money import CONTEXT, total
from shared.core.pricing import TOKEN_CLASSES, Charge
from shared.core.totals import UNCLASSIFIED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date

    from shared.core.pricing import Rates

# What a line's money rests on.
ESTIMATED, BILLED, REPORTED, MANUAL = "estimated", "billed", "reported", "manual"
UNPRICED, BALANCE = "unpriced", "balance"

# A component of cost -> the token classes inside it: what balance lines know.
_COMPONENTS = {
    "input": ("input",),
    "output": ("output", "reasoning"),
    "cache_read": ("cache_read",),
    "cache_write_5m": ("cache_write_5m",),
    "cache_write_1h": ("cache_write_1h",),
    "audio": ("audio_input", "audio_output"),
    "image": ("image_input", "image_output"),
    "web_search": (),
    "request": (),
}
COST_COMPONENTS = tuple(_COMPONENTS)
_MILLION, _THOUSAND = 10**6, 10**3
_ZERO, _ONE = Decimal(0), Decimal(1)


@dataclass(frozen=True, slots=True)
class Lines:
    """The ledger lines of one UTC day that differ in nothing but their figures, summed.

    `tokens` are by class and disjoint (each token is in one of them), `costs` in USD by `COST_COMPONENTS`. `cost` is
    the whole; None without a price. `rates` are those the lines were priced by; None where no rates were.
    """

    day: date
    basis: str
    source: str
    provider: str
    model: str
    project: str
    session_type: str
    account_id: str
    account_name: str
    is_organization: bool
    tokens: Mapping[str, int]
    web_searches: int
    requests: int
    cost: Decimal | None
    costs: Mapping[str, Decimal]
    rates: Rates | None = None
    workspace_id: str | None = None
    workspace_name: str | None = None
    key_id: str | None = None
    key_name: str | None = None
    service_tier: str | None = None
    is_batch: bool = False
    speed: str | None = None
    region: str | None = None
    agent: str | None = None
    user: str | None = None
    category: str | None = None
    notes: str | None = None
    tags: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Part:
    """Money in USD, and what it was paid for: `priced` times `price` is `cost`.

    `tokens` are counted into the sums, `consumed` is what was used. Without a `price` there is no quantity either.
    """

    meter: str
    cost: Decimal
    tokens: int = 0
    price: Decimal | None = None
    priced: Decimal = _ZERO
    pricing_unit: str = ""
    consumed: Decimal = _ZERO
    consumed_unit: str = ""


def parts(lines: Lines) -> Iterator[Part]:
    """Yield the parts of a group; their costs add up to its cost, their tokens to its tokens."""
    if lines.basis == BALANCE:
        yield from _taken_back(lines)
    elif lines.basis in {ESTIMATED, UNPRICED}:
        metered = list(_metered(lines))
        yield from metered
        # What no price explains would be a mistake of ours; even then no cent may be missing.
        rest = CONTEXT.subtract(lines.cost or _ZERO, total(part.cost for part in metered))
        if rest:
            yield Part(UNCLASSIFIED, rest)
    else:
        yield _lump(lines)


def _metered(lines: Lines) -> Iterator[Part]:
    rates = lines.rates if lines.basis == ESTIMATED else None
    counts = dict(lines.tokens)
    # Reasoning is output unless it has a price of its own.
    if rates is None or rates.reasoning == rates.output:
        counts["output"] += counts["reasoning"]
        counts["reasoning"] = 0
    for name in TOKEN_CLASSES:
        if counts[name]:
            charge = Charge(name, counts[name], _price(rates, name), _MILLION)
            yield _charged(charge, "Tokens", counts[name])
    if lines.web_searches:
        yield _charged(Charge("web_search", lines.web_searches, _price(rates, "web_search"), _THOUSAND), "Requests", 0)
    if lines.requests and rates is not None and rates.request is not None:
        yield _charged(Charge("request", lines.requests, rates.request, _THOUSAND), "Requests", 0)


def _price(rates: Rates | None, name: str) -> Decimal:
    return (None if rates is None else getattr(rates, name)) or _ZERO


def _charged(charge: Charge, unit: str, tokens: int) -> Part:
    quantity = CONTEXT.scaleb(Decimal(charge.count), -6 if charge.per == _MILLION else -3)
    return Part(
        charge.name,
        charge.cost or _ZERO,
        tokens,
        charge.price,
        quantity,
        f"{charge.per} {unit}",
        Decimal(charge.count),
        unit,
    )


def _lump(lines: Lines) -> Part:
    cost = lines.cost or _ZERO
    tokens = sum(lines.tokens.values())
    if cost < 0:
        return Part(UNCLASSIFIED, cost, tokens)
    consumed, unit = cost, "Dollars"
    if tokens:
        consumed, unit = Decimal(tokens), "Tokens"
    elif lines.requests:
        consumed, unit = Decimal(lines.requests), "Requests"
    return Part(UNCLASSIFIED, cost, tokens, _ONE, cost, "Dollars", consumed, unit)


def _taken_back(lines: Lines) -> Iterator[Part]:
    for component, classes in _COMPONENTS.items():
        cost, tokens = lines.costs[component], sum(lines.tokens[name] for name in classes)
        if cost or tokens:
            yield Part(component, cost, tokens)
    rest = CONTEXT.subtract(lines.cost or _ZERO, total(lines.costs.values()))
    if rest:
        yield Part(UNCLASSIFIED, rest)
