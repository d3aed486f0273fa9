"""Balance lines: what takes explained usage out of a polled report, so that nothing is counted twice.

The unit is a quarter hour of one account and model. Inside the report's coverage `[covered_from, complete_until)` the
report is the total and events explain it, so whatever those events count is taken out of the report's buckets again:

- The candidates are the buckets whose `[start, end)` holds the quarter hour; where there is none, all of the same UTC
  day; where there is none either, the balance is one line without label and with the default project.
- Shares are in proportion to the candidates' cost; where nothing costs, to their tokens; without those the first by
  key takes all. Counts are whole: largest remainder, ties to the first by key. Money is cut at the digits it has, at
  least 18, and the last by key takes what is left.
- The balance is dated at the *event's* quarter hour, not at its bucket's start: each quarter hour then adds up to what
  the report has there, and so does each day, however a zone cuts it and however wide the buckets are.
- A share on a bucket without a price is tokens only (cost None). So is what unpriced events count: it takes their
  unpriced counters back. What priced events cost is taken out whole where any candidate has a price or there is none.

- Where the candidates say what they cost and count not one token, the report tells money and nothing else: what priced
  events cost is taken back, their tokens and requests stay, because nobody else tells them.

Nothing is clipped: where events say more than the report, the remainder of a bucket is negative and can be seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from shared.core.money import CONTEXT, MAX_SCALE, normalise, scale, total
from shared.core.totals import total as add_up

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from shared.core.totals import Totals

SLOT = timedelta(minutes=15)
# What a balance takes out, by the ledger's columns.
COUNTERS = (
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens",
    "reasoning_tokens", "audio_input_tokens", "audio_output_tokens", "image_input_tokens", "image_output_tokens",
    "web_searches", "requests",
)  # fmt: skip
CLASSES = (
    "input_cost", "output_cost", "cache_read_cost", "cache_write_5m_cost", "cache_write_1h_cost", "audio_cost",
    "image_cost", "web_search_cost", "request_cost",
)  # fmt: skip
# Shares of money have at least so many decimals: what is cut off is far below what is printed.
_DIGITS = 18


@dataclass(frozen=True, slots=True)
class Polled:
    """One bucket of the report: `[start, end)` in UTC, its key among those of the interval, what its line says.

    `cost` is in USD, None without a price; `tokens` are those of every class, each once. `terms` are the columns that
    its share of a balance repeats: label, project, tier and so on. `is_billed` says that the report told the cost.
    """

    start: datetime
    end: datetime
    key: str
    cost: Decimal | None
    tokens: int
    terms: Mapping[str, Any]
    is_billed: bool = False


@dataclass(frozen=True, slots=True)
class Logged:
    """The covered events of one quarter hour, those with a price and those without apart.

    `counts` are in the order of `COUNTERS`, `costs` (USD) in that of `CLASSES`; `cost` is the whole, which may hold
    money of no class, and None without a price.
    """

    counts: Sequence[int]
    costs: Sequence[Decimal]
    cost: Decimal | None


@dataclass(slots=True)
class Share:
    """One balance line: negative counts and costs, and the bucket it is taken out of (None: there is none)."""

    bucket: Polled | None
    counts: list[int] = field(default_factory=lambda: [0] * len(COUNTERS))
    costs: list[Decimal] = field(default_factory=lambda: [Decimal(0)] * len(CLASSES))
    cost: Decimal | None = None


def counted_sources(by_source: Mapping[str, Totals]) -> list[str]:
    """Return the sources that a total rests on: without those of events where balance lines take all of them back."""
    logged = by_source.keys() & {"event", "import"}
    rest = add_up(by_source[name] for name in by_source if name in logged or name == "attribution")
    is_balanced = not (rest.cost or rest.requests or any(rest.tokens.values()))
    return sorted(by_source.keys() - logged if is_balanced else by_source)


def candidates(slot: datetime, buckets: Sequence[Polled]) -> list[Polled]:
    """Return the buckets, by key, that a balance of this quarter hour is taken out of; `buckets` are of one model."""
    holding = [bucket for bucket in buckets if bucket.start <= slot < bucket.end]
    day = slot.astimezone(UTC).date()
    found = holding or [bucket for bucket in buckets if bucket.start.astimezone(UTC).date() == day]
    return sorted(found, key=lambda bucket: (bucket.key, bucket.start))


def balance(slot: datetime, buckets: Sequence[Polled], logged: Sequence[Logged]) -> list[Share]:
    """Return the balance lines of one quarter hour (its start, in UTC), given the buckets of its UTC day.

    Their sum is exactly minus the sum of `logged`, but for the money that only buckets without a price could give and
    the counts of priced events beside buckets that say money only.
    """
    chosen = candidates(slot, buckets)
    priced: dict[int, Share] = {}
    unpriced: dict[int, Share] = {}
    weights = _weights(chosen)
    is_money_only = bool(chosen) and all(bucket.is_billed and not bucket.tokens for bucket in chosen)
    for part in logged:
        counts = () if is_money_only and part.cost is not None else part.counts
        for counter, count in enumerate(counts):
            for index, share in enumerate(_divide_count(count, weights)):
                if share:
                    has_price = part.cost is not None and (not chosen or chosen[index].cost is not None)
                    _at(priced if has_price else unpriced, index, chosen).counts[counter] -= share
        if part.cost is not None:
            _take_money(part, chosen, weights, priced)
    lines = []
    for index in sorted({*priced, *unpriced}):
        if index in priced:
            lines.append(_summed(priced[index]))
        if index in unpriced:
            lines.append(unpriced[index])
    return lines


def _take_money(part: Logged, chosen: Sequence[Polled], weights: Sequence[int], priced: dict[int, Share]) -> None:
    if chosen:
        weights = [weight if bucket.cost is not None else 0 for weight, bucket in zip(weights, chosen, strict=True)]
        if not any(weights):
            first = next((index for index, bucket in enumerate(chosen) if bucket.cost is not None), None)
            if first is None:
                return  # the report does not say what its tokens cost, so there is no money to take back
            weights = [int(index == first) for index in range(len(chosen))]
    unclassified = CONTEXT.subtract(part.cost or Decimal(0), total(part.costs))
    for place, amount in enumerate((*part.costs, unclassified)):
        for index, money in enumerate(_divide_money(amount, weights)):
            if not money:
                continue
            share = _at(priced, index, chosen)
            if place < len(CLASSES):
                share.costs[place] = CONTEXT.subtract(share.costs[place], money)
            else:
                share.cost = CONTEXT.subtract(share.cost or Decimal(0), money)


def _summed(share: Share) -> Share:
    """Complete a priced line: its cost so far is what belongs to no class."""
    share.costs = [normalise(cost) for cost in share.costs]
    share.cost = total((share.cost or Decimal(0), *share.costs))
    return share


def _at(shares: dict[int, Share], index: int, chosen: Sequence[Polled]) -> Share:
    if index not in shares:
        shares[index] = Share(chosen[index] if chosen else None)
    return shares[index]


def _weights(chosen: Sequence[Polled]) -> list[int]:
    """Return whole weights: of what the buckets cost, else of their tokens, else the first alone."""
    costs = [int(CONTEXT.scaleb(max(bucket.cost or Decimal(0), Decimal(0)), MAX_SCALE)) for bucket in chosen]
    if any(costs):
        return costs
    tokens = [max(bucket.tokens, 0) for bucket in chosen]
    if any(tokens):
        return tokens
    return [1] + [0] * (len(chosen) - 1)


def _divide_count(count: int, weights: Sequence[int]) -> list[int]:
    whole = sum(weights)
    shares = [count * weight // whole for weight in weights]
    by_loss = sorted(range(len(weights)), key=lambda index: (-(count * weights[index] % whole), index))
    for index in by_loss[: count - sum(shares)]:
        shares[index] += 1
    return shares


def _divide_money(amount: Decimal, weights: Sequence[int]) -> list[Decimal]:
    # Its own digits, not those it happens to be written with: sums of the same lines are written in several ways.
    digits = max(scale(normalise(amount)), _DIGITS)
    units = int(CONTEXT.scaleb(amount, digits))
    whole = sum(weights)
    shares = [units * weight // whole for weight in weights]
    last = max(index for index, weight in enumerate(weights) if weight)
    shares[last] += units - sum(shares)
    return [normalise(CONTEXT.scaleb(Decimal(share), -digits)) for share in shares]
