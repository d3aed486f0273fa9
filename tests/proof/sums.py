"""Sums of facts per quarter hour, from which the days of any zone can be cut; and how a report has to round them."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction

from tests.proof.facts import DIMENSIONS, FIRST, Fact

QUARTER = timedelta(minutes=15)
# Every price here ends before it: costs are whole numbers of it.
UNIT = 10**24
PRINTED = 10**10
CLASSES = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")

# Cost in units, requests, unpriced requests, unpriced tokens, then tokens by class.
Sum = list[int]
ZERO: Sum = [0] * (4 + len(CLASSES))


class Sums:
    """What passed the filter, per quarter hour, whole (None) and per key of each dimension."""

    def __init__(self, is_wanted: Callable[[Fact], bool] = lambda _: True) -> None:
        self._is_wanted = is_wanted
        self._cells: dict[int, dict[tuple[str, str] | None, Sum]] = defaultdict(dict)

    def add(self, fact: Fact) -> None:
        if not self._is_wanted(fact):
            return
        added = [0 if fact.cost is None else units(fact.cost), 1, 0, 0, *fact.tokens]
        if fact.cost is None:
            added[2:4] = [1, sum(fact.tokens)]
        cells = self._cells[(fact.at - FIRST) // QUARTER]
        for key in (None, *fact.keys.items()):
            cells[key] = [a + b for a, b in zip(cells.get(key, ZERO), added, strict=True)]

    def between(self, start: datetime, end: datetime) -> dict[tuple[str, str] | None, Sum]:
        """Add up `[start, end)`, both at quarter hours."""
        found: dict[tuple[str, str] | None, Sum] = {None: ZERO}
        for slot in range((start - FIRST) // QUARTER, (end - FIRST) // QUARTER):
            for key, cell in self._cells.get(slot, {}).items():
                found[key] = [a + b for a, b in zip(found.get(key, ZERO), cell, strict=True)]
        return found


def by(found: Mapping[tuple[str, str] | None, Sum], dimension: str) -> dict[str, Sum]:
    assert dimension in DIMENSIONS
    return {key[1]: cell for key, cell in found.items() if key is not None and key[0] == dimension}


def units(cost: Fraction | Decimal) -> int:
    scaled = Fraction(cost) * UNIT
    assert scaled.denominator == 1, cost
    return scaled.numerator


def printed(cost: int) -> int:
    """Return a total as it is printed, in 10^-10 USD: rounded half to even."""
    exact = Decimal(cost).scaleb(-14, Context(prec=80))
    return int(exact.quantize(Decimal(1), ROUND_HALF_EVEN, Context(prec=80)))


def assert_apportioned(parts: Mapping[str, Decimal], exact: Mapping[str, int], total: int) -> None:
    """Check that printed parts are the exact ones rounded so that they add up, the largest remainders upwards."""
    assert parts.keys() == exact.keys()
    step = UNIT // PRINTED
    shown = {key: whole(cost) for key, cost in parts.items()}
    assert sum(shown.values()) == total
    raised: list[int] = []
    lowered: list[int] = []
    for key, cost in exact.items():
        floor, remainder = divmod(cost, step)
        assert shown[key] in {floor, floor + 1}, (key, cost, parts[key])
        (raised if shown[key] > floor else lowered).append(remainder)
    assert min(raised, default=step) >= max(lowered, default=0)


def whole(cost: Decimal | int) -> int:
    """Return a printed cost in 10^-10 USD."""
    scaled = Fraction(cost) * PRINTED
    assert scaled.denominator == 1, cost
    return scaled.numerator


def tokens(cell: Sum) -> dict[str, int]:
    return dict(zip(CLASSES, cell[4:], strict=True))


def total(cells: Iterable[Sum]) -> Sum:
    found = ZERO
    for cell in cells:
        found = [a + b for a, b in zip(found, cell, strict=True)]
    return found
