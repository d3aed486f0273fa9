"""When an account is silent for longer than is usual for it: nothing used, or nothing reported."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

Span: TypeAlias = tuple[datetime, datetime]

# How far back habits go. Whoever is silent for longer has another habit by then.
MEMORY = timedelta(days=28)
# From less than a week nobody knows what an account's weekends are like.
_LEAST_HISTORY = timedelta(days=7)
_LEAST_SILENCE = timedelta(days=1)
_USUAL_FACTOR, _LAG_FACTOR = 1.5, 3


def is_unused(active: Sequence[Span], complete_until: datetime) -> bool:
    """Tell whether an account has been without usage for half as long again as ever before in the last four weeks.

    Args:
        active: the intervals with usage of the last `MEMORY` before `complete_until`, half-open, by their start, UTC.
        complete_until: how far its report is complete; what it has not told yet is no silence.
    """
    if not active or active[-1][0] - active[0][0] < _LEAST_HISTORY:
        return False
    longest, end = timedelta(0), active[0][1]
    for (_, before), (start, after) in pairwise(active):
        end = max(end, before)
        longest = max(longest, start - end)
        end = max(end, after)
    return complete_until - end > max(longest * _USUAL_FACTOR, _LEAST_SILENCE)


def is_late(lag: timedelta, usual: timedelta, interval: timedelta) -> bool:
    """Tell whether a report trails much further than it usually does after a collection.

    `interval` is the time between collections, two of which may fail without anything being wrong.
    """
    return lag > usual * _LAG_FACTOR + interval * 2
