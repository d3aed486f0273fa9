"""How long prepaid money lasts, from what is left of it at several moments; an estimate, and never anybody's cost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# Two weeks hold every day of the week twice and forget a project that ended.
MEMORY = timedelta(days=14)
# From less than a day nobody knows what a night is like.
_LEAST = timedelta(days=1)
_DAY = timedelta(days=1)
# Longer than anybody's plans; beyond it a date would only pretend to be one.
_LONGEST_DAYS = 3650
_DECIMALS = 10
_POSTED_LATE = "What is used is taken out of this balance once a month, so it does not say how long it lasts."
_MICROSECOND, _MINUTE = timedelta(microseconds=1), timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Observed:
    """What was left at a moment (UTC) in one currency; the parts that were given and paid in, None if unknown."""

    at: datetime
    available: Decimal
    granted: Decimal | None = None
    topped_up: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Runway:
    """How long one currency's balance lasts.

    `spent` went out between `since` and `until` in `observed`, the time of the intervals that count; those in which
    something was paid in (`top_ups` of them) are left out, because what went out meanwhile is not known.
    `spent_per_day` and `days` (down to a tenth) are None with a `reason` where there is too little to say;
    `lasts_until` (down to a minute) is None as well beyond ten years.
    """

    since: datetime | None
    until: datetime | None
    observed: timedelta
    spent: Decimal
    top_ups: int
    spent_per_day: Decimal | None = None
    days: Decimal | None = None
    lasts_until: datetime | None = None
    reason: str | None = None

    @property
    def days_observed(self) -> Decimal:
        """`observed` in days, to a tenth."""
        return Decimal(round(Fraction(self.observed // _MICROSECOND, _DAY // _MICROSECOND) * 10)).scaleb(-1)


def runway(observations: Sequence[Observed], *, posts_late: bool = False) -> Runway:
    """Return how long the last balance lasts at the mean daily spending that its differences show.

    Args:
        observations: one currency of one account, by time, those of the last `MEMORY`.
        posts_late: what is used goes out of it at the end of a month, so the differences of two weeks say nothing.
    """
    spent, counted, top_ups = Decimal(0), timedelta(0), 0
    for before, after in pairwise(observations):
        if _is_topped_up(before, after):
            top_ups += 1
        else:
            spent += before.available - after.available
            counted += after.at - before.at
    if not observations:
        return Runway(None, None, counted, spent, top_ups, reason="No balance was seen in this time.")
    since, until, left = observations[0].at, observations[-1].at, observations[-1].available
    reason = _POSTED_LATE if posts_late else _too_little(counted, spent)
    if reason is not None:
        return Runway(since, until, counted, spent, top_ups, reason=reason)
    per_day = Fraction(spent) * (_DAY // _MICROSECOND) / (counted // _MICROSECOND)
    exact = max(Fraction(left) / per_day, Fraction(0))
    days = Decimal(math.floor(exact * 10)).scaleb(-1)
    lasts_until = until + math.floor(exact * (_DAY // _MINUTE)) * _MINUTE if exact <= _LONGEST_DAYS else None
    return Runway(since, until, counted, spent, top_ups, _rounded(per_day), days, lasts_until)


def _is_topped_up(before: Observed, after: Observed) -> bool:
    pairs = (
        (before.available, after.available),
        (before.granted, after.granted),
        (before.topped_up, after.topped_up),
    )
    return any(old is not None and new is not None and new > old for old, new in pairs)


def _too_little(counted: timedelta, spent: Decimal) -> str | None:
    if counted < _LEAST:
        return "Less than a day between balances is known so far; collect for a day or two."
    return None if spent else "Nothing was spent in this time."


def _rounded(value: Fraction) -> Decimal:
    return Decimal(round(value * 10**_DECIMALS)).scaleb(-_DECIMALS).normalize()
