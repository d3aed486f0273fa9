"""Which rows of a report look absurd beside what is usual for their account: they are held back until a person decides.

A unit that changed at the provider, a counter that ran over or a test row makes a total that nobody sees through any
more; growth does not look like that, not within one row.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# One row as dear as so many usual days, three years of them: no team grows so from one hour to the next, and mistakes
# of units (cents, micro-dollars, tokens for millions of them) are larger.
FACTOR = 1000
# The median of so many days does not move when a few of them were extraordinary.
USUAL_DAYS = 30
# From less than a week nobody knows what weekends are like.
LEAST_DAYS = 7
# Days that are further back say nothing about today's habits.
MEMORY = timedelta(days=90)
# Whoever tried out a key for cents may begin to work with it: below this nothing is worth a question.
LEAST_COST = Decimal(10)
# About what the same money buys.
LEAST_TOKENS = 10_000_000


@dataclass(frozen=True, slots=True)
class Figures:
    """Of a row, or of all polled rows of a UTC day: cost in USD (None: without a price), tokens of all classes."""

    cost: Decimal | None
    tokens: int

    @property
    def money(self) -> Decimal:
        """The size of the cost, 0 without a price."""
        return abs(self.cost or Decimal(0))

    def exceeds(self, other: Figures) -> bool:
        """Return whether it says more than the other does, of money or of tokens."""
        return self.tokens > other.tokens or self.money > other.money


NOTHING = Figures(Decimal(0), 0)


def is_large(row: Figures) -> bool:
    """Tell whether a row could be absurd at all: most are not, and need no look at what is usual."""
    return row.money >= LEAST_COST or row.tokens >= LEAST_TOKENS


def usual_day(days: Mapping[date, Figures], day: date) -> Figures | None:
    """Return the medians of the last `USUAL_DAYS` days with figures before `day`; None if there are too few to tell.

    `days` are sums by UTC day, those without any line left out. The cost is 0 where nothing has a price or a plan
    covers it. Where a plan covers what has no tokens either, the days are known and `NOTHING` is usual.
    """
    told = [found for at, found in sorted(days.items()) if day - MEMORY <= at < day]
    known = [found for found in told if found.tokens or found.cost][-USUAL_DAYS:]
    if len(known) < LEAST_DAYS:
        return NOTHING if len(told) >= LEAST_DAYS else None
    # Of an even number of days the larger one in the middle: who is in doubt is believed.
    middle = len(known) // 2
    costs = sorted(found.cost or Decimal(0) for found in known)
    return Figures(costs[middle], sorted(found.tokens for found in known)[middle])


def is_absurd(row: Figures, usual: Figures | None, believed: Figures = NOTHING) -> bool:
    """Tell whether a row is to be held back: `FACTOR` usual days in one row, and more than a trifle.

    Money is compared where the row has a price and the account's days have one, else tokens; and beside days for 0 USD
    both are. `believed` is the largest that a person has released lately: what is no larger needs no question again.
    """
    if usual is None:
        return False
    if row.cost is not None and usual.cost:
        return row.money >= max(FACTOR * usual.money, LEAST_COST) and row.money > believed.money
    # Nothing can be multiplied. The day that a plan is used up, or that a model gets its price, costs real money from
    # one row to the next; so the usual day is taken for the dearest one that would not be worth a question.
    if row.money >= FACTOR * LEAST_COST and row.money > believed.money:
        return True
    if not usual.tokens:
        return False
    return row.tokens >= max(FACTOR * usual.tokens, LEAST_TOKENS) and row.tokens > believed.tokens
