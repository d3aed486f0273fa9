"""Numbers as people and programs write them in tables: `$1,234.56`, `1 500`, `12.0`."""

from __future__ import annotations

import math
import re
from decimal import Decimal, InvalidOperation

_ORNAMENT = re.compile(r"[\s,$'_\u00a0\u202f]|usd", re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?", re.IGNORECASE | re.ASCII)


def amount(value: object) -> Decimal | None:
    """Return an amount of money with all of its digits; None where there is none.

    A comma separates thousands, as `$1,234.56` has it.

    Raises:
        ValueError: a text that is no amount.
    """
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, str):
        text = _ORNAMENT.sub("", value)
        if not text or text == "-":
            return None
        if not _NUMBER.fullmatch(text):
            raise ValueError(f"{value[:40]!r} is no amount")
        return Decimal(text)
    if isinstance(value, float):
        return Decimal(repr(value)) if math.isfinite(value) else None
    return Decimal(value) if isinstance(value, (int, Decimal)) else None


def whole(value: object) -> int:
    """Return a count; 0 where there is none.

    Raises:
        ValueError: it is negative, or not whole.
    """
    try:
        found = amount(value)
    except InvalidOperation as error:
        raise ValueError(f"{value!r} is no count") from error
    if found is None:
        return 0
    if found < 0 or found != found.to_integral_value():
        raise ValueError(f"{value!r} is no count")
    return int(found)
