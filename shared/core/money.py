"""Exact money: Decimals that never pass through float, never round by themselves, and print so that parts add up."""

from __future__ import annotations

import re
from decimal import (
    ROUND_FLOOR,
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    FloatOperation,
    Inexact,
    InvalidOperation,
    Overflow,
)
from functools import reduce
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

K = TypeVar("K")

# A sum or product that does not fit 60 digits raises `Inexact` instead of losing one: amounts have at most 20 digits
# before the point and 30 behind it, which leaves room to add ten billion of them.
CONTEXT = Context(
    prec=60,
    rounding=ROUND_HALF_EVEN,
    traps=[Inexact, InvalidOperation, DivisionByZero, Overflow, FloatOperation],
)
MAX_SCALE = 30
MAX_INTEGER_DIGITS = 20
# What responses print: ten decimals of a US dollar.
DISPLAY_UNIT = Decimal("1E-10")

# Rounding on purpose, for display only.
_ROUNDING = Context(prec=60, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, Overflow])
_ZERO = Decimal(0)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,5})?", re.ASCII)
_MAX_TEXT = 100


def parse_money(value: object) -> Decimal:
    """Return `value` as an exact, normalised Decimal.

    Args:
        value: a Decimal, an int or decimal text such as `"12.50"` or `"0E-6176"`. Providers do send the latter.

    Raises:
        ValueError: anything else (a float has already lost digits, a bool is not an amount), NaN, Infinity, more than
            20 digits before the point or more than 30 decimals.
    """
    if isinstance(value, bool) or not isinstance(value, Decimal | int | str):
        raise ValueError(f"An amount is a decimal number or its text, not {type(value).__name__}.")  # noqa: TRY004 - callers map ValueError to one answer
    if isinstance(value, str):
        text = value.strip()
        if len(text) > _MAX_TEXT or not _NUMBER.fullmatch(text):
            raise ValueError(f"An amount is written as digits with a decimal point, not {text[:40]!r}.")
        value = text
    number = Decimal(value)
    if not number.is_finite():
        raise ValueError(f"An amount is a finite number, not {number}.")
    if not number:
        return _ZERO
    if number.adjusted() >= MAX_INTEGER_DIGITS:
        raise ValueError(f"An amount has at most {MAX_INTEGER_DIGITS} digits before the decimal point.")
    # `adjusted` bounds the first digit, so this bounds the work `normalise` can be given.
    if number.adjusted() < -MAX_SCALE or scale(number := _strip(number)) > MAX_SCALE:
        raise ValueError(f"An amount has at most {MAX_SCALE} decimals.")
    return normalise(number)


def normalise(amount: Decimal) -> Decimal:
    """Return the same number without trailing zeros; integers without an exponent, every zero as `Decimal(0)`.

    Raises:
        decimal.Inexact: the number has more than 60 digits.
    """
    if not amount:
        return _ZERO
    stripped = CONTEXT.normalize(amount)
    if stripped.adjusted() < 1:
        return stripped  # below ten nothing is written with a positive exponent
    exponent = stripped.as_tuple().exponent
    if isinstance(exponent, int) and exponent > 0:
        return CONTEXT.quantize(stripped, Decimal(1))
    return stripped


def scale(amount: Decimal) -> int:
    """Return how many decimals a finite number is written with."""
    exponent = amount.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def plain(amount: Decimal) -> str:
    """Write a number as people do: `0.0000001`, never `1E-7`."""
    return format(normalise(amount), "f")


def total(amounts: Iterable[Decimal]) -> Decimal:
    """Add exactly.

    Raises:
        decimal.Inexact: the sum needs more than 60 digits.
    """
    return normalise(reduce(CONTEXT.add, amounts, _ZERO))


def display(amount: Decimal) -> Decimal:
    """Round to the ten decimals that responses print, half to even."""
    return normalise(_ROUNDING.quantize(amount, DISPLAY_UNIT))


def apportion(parts: Mapping[K, Decimal], whole: Decimal | None = None) -> dict[K, Decimal]:
    """Round `parts` to ten decimals so that they add up to the printed whole (invariant I8).

    Largest remainder: every part is rounded down and the missing units go to the parts that lost most, ties to the
    larger part, then by the text of the key. A part that is exactly zero stays zero while there is any other.

    Args:
        parts: exact amounts in USD, negative ones allowed.
        whole: the total they belong to; their own sum if left out. It may already have been rounded as part of a
            larger breakdown, so it may differ from the sum by a few units of the last place.

    Returns:
        The rounded parts in the order given; their sum is exactly `display(whole)`.

    Raises:
        ValueError: `whole` is another amount than the sum of `parts`, which no rounding explains.
    """
    exact = total(parts.values())
    printed = display(exact if whole is None else whole)
    if abs(CONTEXT.subtract(printed, exact)) > DISPLAY_UNIT * (len(parts) + 1):
        raise ValueError(f"The parts add up to {plain(exact)}, which is not the total {plain(printed)}.")
    floors = {key: part.quantize(DISPLAY_UNIT, rounding=ROUND_FLOOR, context=_ROUNDING) for key, part in parts.items()}
    missing = int(CONTEXT.subtract(printed, total(floors.values())).scaleb(10))
    if not missing:
        return {key: normalise(part) for key, part in floors.items()}
    movable = [key for key, part in parts.items() if part] or list(parts)
    if not movable:
        raise ValueError(f"There are no parts to add up to {plain(printed)}.")
    if missing > 0:
        movable.sort(key=lambda key: (floors[key] - parts[key], -abs(parts[key]), str(key)))
    else:
        movable.sort(key=lambda key: (-abs(parts[key]), str(key)))
    step = DISPLAY_UNIT if missing > 0 else -DISPLAY_UNIT
    for turn in range(abs(missing)):
        key = movable[turn % len(movable)]
        floors[key] = CONTEXT.add(floors[key], step)
    return {key: normalise(part) for key, part in floors.items()}


def _strip(number: Decimal) -> Decimal:
    """Drop trailing zeros of the coefficient without rounding, however long it is."""
    sign, digits, exponent = number.as_tuple()
    kept = len(digits)
    while kept > 1 and digits[kept - 1] == 0:
        kept -= 1
    # The exponent of a finite number is an integer; its type also covers NaN and Infinity.
    return Decimal((sign, digits[:kept], int(exponent) + len(digits) - kept))
