"""A provider's JSON as exact values: numbers as int or Decimal, and nothing that Postgres cannot store."""

from __future__ import annotations

import json
import re
from decimal import Decimal

# Postgres keeps 16,383 digits after the point; more is an attack or a mistake. OpenAI's `0E-6176` is real.
MAX_EXPONENT = 10_000
MAX_DIGITS = 1_000

# Text that Postgres cannot store: NUL, and halves of a surrogate pair. JSON can only spell them as escapes.
_SUSPICIOUS_ESCAPE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def decode(body: bytes) -> object:
    """Return the value of a JSON text in UTF-8.

    Raises:
        ValueError, ArithmeticError, RecursionError: it is not JSON, holds NaN, Infinity or absurd numbers, a text that
            cannot be stored, or is too deep.
    """
    # Decoded here, not by json: given bytes it would also take UTF-16 and halves of surrogate pairs.
    text = body.decode("utf-8-sig")
    answer: object = json.loads(text, parse_float=_number, parse_constant=_refuse_constant)
    if _SUSPICIOUS_ESCAPE.search(text):
        _refuse_unstorable(answer)
    return answer


def _number(text: str) -> Decimal:
    value = Decimal(text)
    if len(text) > MAX_DIGITS or abs(value.adjusted()) > MAX_EXPONENT:
        raise ValueError("a number is out of range")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def _refuse_unstorable(answer: object) -> None:
    pending = [answer]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            pending += [*value.keys(), *value.values()]
        elif isinstance(value, list):
            pending += value
        elif isinstance(value, str) and _UNSTORABLE.search(value):
            raise ValueError("a text holds a character that cannot be stored")
