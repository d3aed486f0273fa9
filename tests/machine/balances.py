"""Balance lines as the design describes them: covered events are taken out of the report's buckets, in proportion."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from shared.core.money import CONTEXT, total
from tests.machine.model import GENERAL, HOUR, Bucket, Event, Figures, Model, cost_of, slot_of

_LEAST_DIGITS = 18


def by_project(model: Model) -> dict[tuple[datetime, str, str], Figures]:
    """Every quarter hour, model and project: buckets, events, manual entries, and the balance between them."""
    found: dict[tuple[datetime, str, str], Figures] = defaultdict(Figures)
    for line in model.lines():
        found[slot_of(line.at), line.model, line.project].add(line.tokens, line.requests, cost_of(line))
    for at, cost, count in model.manual.values():
        found[at, "unassigned", GENERAL].add((count, 0), 0, cost)
    groups: dict[tuple[datetime, str, bool], list[Event]] = defaultdict(list)
    for event in model.events.values():
        if not event.is_voided and model.is_covered(event):
            groups[slot_of(event.at), event.model, event.costs is not None].append(event)
    for (slot, name, is_priced), events in groups.items():
        for project, tokens, requests, money in _balance(_beside(model, slot, name), events, is_priced=is_priced):
            found[slot, name, project].add([-count for count in tokens], -requests, money)
    return {key: figures for key, figures in found.items() if figures != Figures()}


def _beside(model: Model, slot: datetime, name: str) -> list[Bucket]:
    """The model's buckets of the hour, else of the day, by key."""
    same = [bucket for bucket in model.collected.values() if bucket.model == name]
    holding = [bucket for bucket in same if bucket.at <= slot < bucket.at + HOUR]
    return sorted(
        holding or [bucket for bucket in same if bucket.at.date() == slot.date()],
        key=lambda bucket: (_digest(bucket), bucket.at),
    )


def _digest(bucket: Bucket) -> str:
    text = json.dumps({"api_key_id": bucket.key, "model": bucket.model}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _balance(
    buckets: Sequence[Bucket], events: Sequence[Event], *, is_priced: bool
) -> Iterator[tuple[str, tuple[int, int], int, Decimal | None]]:
    """Yield project, tokens, requests and (negative) cost of every share of events that all have a price or none."""
    weights = _weights(buckets)
    inputs, outputs = (_counts(sum(event.tokens[i] for event in events), weights) for i in (0, 1))
    requests = _counts(len(events), weights)
    money = [Decimal(0)] * len(weights)
    if is_priced:
        for i in range(3):
            amount = total(event.costs[i] for event in events if event.costs is not None)
            money = [total(pair) for pair in zip(money, _amounts(amount, buckets, weights), strict=True)]
    for index, tokens in enumerate(zip(inputs, outputs, strict=True)):
        has_price = is_priced and (not buckets or buckets[index].costs is not None)
        project = buckets[index].project if buckets else GENERAL
        yield project, tokens, requests[index], -money[index] if has_price else None


def _weights(buckets: Sequence[Bucket]) -> list[Fraction]:
    """By cost, else by tokens, else the first alone."""
    costs = [Fraction(cost_of(bucket) or 0) for bucket in buckets]
    tokens = [Fraction(sum(bucket.tokens)) for bucket in buckets]
    first = [Fraction(1), *[Fraction(0)] * (len(buckets) - 1)]
    return next(weights for weights in (costs, tokens, first) if any(weights))


def _counts(count: int, weights: Sequence[Fraction]) -> list[int]:
    """Whole shares by largest remainder."""
    exact = [count * weight / sum(weights) for weight in weights]
    shares = [int(share) for share in exact]
    losers = sorted(range(len(exact)), key=lambda index: (shares[index] - exact[index], index))
    for index in losers[: count - sum(shares)]:
        shares[index] += 1
    return shares


def _amounts(amount: Decimal, buckets: Sequence[Bucket], weights: Sequence[Fraction]) -> list[Decimal]:
    """Shares of money, cut; the last takes what is left. Buckets without a price give none."""
    if buckets:
        priced = [bucket.costs is not None for bucket in buckets]
        if not any(priced):
            return [Decimal(0)] * len(buckets)
        weights = [weight if is_priced else Fraction(0) for weight, is_priced in zip(weights, priced, strict=True)]
        if not any(weights):
            weights = [Fraction(int(index == priced.index(True))) for index in range(len(buckets))]
    digits = max(_LEAST_DIGITS, -int(amount.as_tuple().exponent))
    units = int(CONTEXT.scaleb(amount, digits))
    shares = [int(units * weight / sum(weights)) for weight in weights]
    shares[max(index for index, weight in enumerate(weights) if weight)] += units - sum(shares)
    return [CONTEXT.scaleb(Decimal(share), -digits) for share in shares]
