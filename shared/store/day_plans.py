"""Which whole days add up to periods, and which quarter hours more or less: days of one zone answer any."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.store.dailies import State

# With more than this part of the time in slices, reading all of it at once is faster.
_MOST_IN_SLICES = 0.6


@dataclass(frozen=True, slots=True)
class Plan:
    """Period i is the days `[marks[i], marks[i + 1])`, and of its `effects` (slice, i, sign) that many times a slice.

    All instants are UTC, slices half-open and at quarter hours.
    """

    marks: Sequence[datetime]
    slices: Sequence[tuple[datetime, datetime]]
    effects: Sequence[tuple[int, int, int]]

    def values(self) -> dict[str, Any]:
        """Return what a query binds: `marks`, `first`, `last`, and columns of slices and effects."""
        lows, highs = zip(*self.slices, strict=True) if self.slices else ((), ())
        numbers, periods, signs = zip(*self.effects, strict=True) if self.effects else ((), (), ())
        return {
            "marks": list(self.marks),
            "first": self.marks[0],
            "last": self.marks[-1],
            "lows": list(lows),
            "highs": list(highs),
            "numbers": [number + 1 for number in numbers],
            "periods": list(periods),
            "signs": list(signs),
        }


def plan_days(bounds: Sequence[datetime], state: State, until: datetime) -> Plan | None:
    """Return how days of the state's zone before `until` answer the periods of `bounds`; None where they hardly do."""
    marks = [min(_nearest(bound, state), until) for bound in bounds]
    slices: dict[tuple[datetime, datetime], int] = {}
    effects = []
    for period in range(len(bounds) - 1):
        start, end, first, last = bounds[period], bounds[period + 1], marks[period], marks[period + 1]
        pieces = [(start, first), (last, end)] if first < last else [(start, end)]
        for low, high in pieces:
            if low != high:
                number = slices.setdefault((min(low, high), max(low, high)), len(slices))
                effects.append((number, period, 1 if low < high else -1))
    fine = sum((high - low for low, high in slices), timedelta())
    return None if fine > _MOST_IN_SLICES * (bounds[-1] - bounds[0]) else Plan(marks, list(slices), effects)


def _nearest(instant: datetime, state: State) -> datetime:
    """Return the beginning of a day that is nearest to an instant."""
    return min(state.days(instant, instant), key=lambda start: abs(start - instant))
