"""The dates on which something recurs, each counted from the first one: the 31st is the last day of shorter months."""

from __future__ import annotations

import calendar
from datetime import date, timedelta
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

WEEKLY, MONTHLY, YEARLY = REPEATS = ("weekly", "monthly", "yearly")
_WEEK = 7
_MONTHS = {MONTHLY: 1, YEARLY: 12}


def nth(first: date, repeat: str, number: int) -> date:
    """Return the occurrence `number` (0 is `first`) of something that repeats as one of `REPEATS`."""
    if repeat == WEEKLY:
        return first + timedelta(days=_WEEK * number)
    year, month = divmod(first.year * 12 + first.month - 1 + _MONTHS[repeat] * number, 12)
    return date(year, month + 1, min(first.day, calendar.monthrange(year, month + 1)[1]))


def following(first: date, repeat: str, after: date | None) -> Iterator[date]:
    """Yield the occurrences later than `after`, all of them from `first` on if that is None; there is no last one."""
    for number in count(0 if after is None else _number_near(first, repeat, after)):
        found = nth(first, repeat, number)
        if after is None or found > after:
            yield found


def _number_near(first: date, repeat: str, after: date) -> int:
    """Return the number of an occurrence that is not later than `after`, or of the first one."""
    if repeat == WEEKLY:
        passed = (after - first).days // _WEEK
    else:
        passed = ((after.year - first.year) * 12 + after.month - first.month) // _MONTHS[repeat] - 1
    return max(passed, 0)
