"""JSON that keeps every digit: Decimals are read from and written as plain numbers, never through a float."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

_encode_text = json.encoder.encode_basestring_ascii


def loads(text: str | bytes) -> Any:  # noqa: ANN401 - JSON is any shape until it is validated
    """Decode JSON with every non-integer number as a Decimal.

    Raises:
        ValueError: malformed, or it holds NaN or Infinity, which JSON does not have.
    """
    return json.loads(text, parse_float=Decimal, parse_constant=_refuse)


def _plain(number: Decimal) -> str:
    return format(number, "f")


def dumps(value: object, write: Callable[[Decimal], str] = _plain) -> str:  # noqa: PLR0911 - one line per type reads best flat
    """Encode compactly, keys in the order given; Decimals as `write` does, instants as ISO UTC with `Z`.

    Raises:
        TypeError: a value that JSON has no form for, floats included.
    """
    if value is None:
        return "null"
    if isinstance(value, str):
        return _encode_text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal):
        return write(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{_encode_text(str(key))}:{dumps(item, write)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join([dumps(item, write) for item in value]) + "]"
    if isinstance(value, datetime):
        return f'"{value.astimezone(UTC).replace(tzinfo=None).isoformat()}Z"'
    if isinstance(value, date):
        return f'"{value.isoformat()}"'
    raise TypeError(f"JSON has no form for {type(value).__name__}")


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
