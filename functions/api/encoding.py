"""JSON out and in: money as plain numbers of at most 10 decimals, digits never through a float."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

from shared.core import jsontext
from shared.errors import InvalidInputError

DECIMALS = 10

_HALF_PAIR = re.compile("[\\ud800-\\udfff]")
_TEN_DECIMALS = Decimal(1).scaleb(-DECIMALS)
# Wide enough that rounding to 10 decimals never meets the limit of digits.
_WIDE = Context(prec=10_000, rounding=ROUND_HALF_EVEN)


class Exact(Decimal):
    """A Decimal that is written with all of its digits: what `explain` and exports show."""


def encode(value: object) -> str:
    """Encode a response.

    Decimals become plain numbers without exponent or trailing zeros, rounded half even to 10 decimals unless they
    are `Exact`; instants become ISO UTC with `Z`.

    Raises:
        TypeError: a value that JSON has no form for, floats included.
        ValueError: a Decimal that is not a number.
    """
    return jsontext.dumps(value, _number)


def _number(value: Decimal) -> str:
    text = str(value)
    # Most amounts were rounded and stripped when they were apportioned: nothing is left to do.
    whole, point, decimals = text.partition(".")
    if decimals.isdigit() and len(decimals) <= DECIMALS and decimals[-1] != "0":
        return text
    if not point and whole.isdigit():
        return text
    return format(_shown(value), "f")


def _shown(value: Decimal) -> Decimal:
    if not value.is_finite():
        raise ValueError(f"{value} cannot be written as JSON")
    if not isinstance(value, Exact) and value < _TEN_DECIMALS.scaleb(-1) and value > -_TEN_DECIMALS.scaleb(-1):
        return Decimal(0)  # also spares 0E-6176 its six thousand digits
    exponent = value.as_tuple().exponent
    if not isinstance(value, Exact) and isinstance(exponent, int) and exponent < -DECIMALS:
        value = value.quantize(_TEN_DECIMALS, context=_WIDE)
    return value.normalize(_WIDE) if value else Decimal(0)


def decode(content: bytes) -> Any:  # noqa: ANN401 - JSON is any shape until it is validated
    """Decode a request body with numbers as int or Decimal; an empty body is `{}`.

    Raises:
        InvalidInputError: not UTF-8, not JSON, or text that cannot be stored.
    """
    try:
        text = content.decode("utf-8-sig")
        value = jsontext.loads(text) if text.strip() else {}
    except UnicodeDecodeError:
        raise InvalidInputError("The body is not UTF-8 text; send JSON encoded as UTF-8.") from None
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise InvalidInputError(f"The body is not valid JSON: {_where(error)}.") from error
    # Only an escape can produce these characters: raw ones are refused by the JSON grammar and by UTF-8.
    if "\\u" in text:
        _check_storable(value)
    return value


def _where(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return str(error)[:200].rstrip(".") if isinstance(error, ValueError) else "a number is out of range"


def _check_storable(value: object) -> None:
    if isinstance(value, str):
        check_text(value)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            check_text(str(key))
            _check_storable(item)
    elif isinstance(value, list):
        for item in value:
            _check_storable(item)


def check_text(text: str) -> str:
    """Return text that Postgres can store.

    Raises:
        InvalidInputError: it holds a NUL character or half a surrogate pair.
    """
    if "\x00" in text or _HALF_PAIR.search(text):
        raise InvalidInputError("A text holds a NUL character or half a surrogate pair; remove it.")
    return text
