"""Free texts, tags and metadata of an event: bounded, so that no row is larger than a row should be."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from shared.core import jsontext
from shared.core.conventions import EventError

MAX_TAGS = 50
LONGEST_TAG = 500
MAX_METADATA = 2048
# Postgres' JSON takes numbers of any size and writes them out in full.
_MAX_DIGITS = 100
_MAX_DEPTH = 20
_BYTES_PER_CHARACTER = 4
_ESCAPED = re.compile(r"\\u[0-9a-f]{4}")


def check_label(name: str, value: object, most: int) -> str | None:
    """Return a text without blanks around it, None where nothing is left; `most` are UTF-8 bytes.

    Raises:
        EventError: it is not text or too long.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise EventError(name, f"{name} must be text.")
    text = value.strip()
    if len(text) * _BYTES_PER_CHARACTER > most and (size := len(text.encode())) > most:
        raise EventError(name, f"{name} has {size} bytes; send at most {most}.")
    return text or None


def tags_json(value: object) -> str | None:
    """Return flat tags as JSON text with every value as text, keys sorted; None where there are none.

    Raises:
        EventError: they are nested, too many or too long.
    """
    if value is None or value == {}:
        return None
    if not isinstance(value, dict):
        raise EventError("tags", 'tags must be an object of key and value, such as {"team": "search"}.')
    if len(value) > MAX_TAGS:
        raise EventError("tags", f"tags has {len(value)} keys; send at most {MAX_TAGS}.")
    found = {}
    for key in sorted(value):
        if not key:
            raise EventError("tags", "tags has an empty key.")
        text = _tag(key, value[key])
        if text is not None:
            found[_bounded("tags", key)] = text
    return jsontext.dumps(found) if found else None


def metadata_json(value: object) -> str | None:
    """Return metadata as compact JSON text; None where there is none.

    Raises:
        EventError: it is not an object, larger than 2 KB, nested too deeply, or holds a number out of range.
    """
    if value is None or value == {}:
        return None
    if not isinstance(value, dict):
        raise EventError("metadata", "metadata must be a JSON object.")
    text = jsontext.dumps(_sorted(value, 1))
    # We escape what is not ASCII; a limit in bytes means the plain characters.
    if len(text) > MAX_METADATA and len(_ESCAPED.sub("\N{EURO SIGN}", text).encode()) > MAX_METADATA:
        raise EventError("metadata", f"metadata has more than {MAX_METADATA} bytes; send less, or a link to it.")
    return text


def _tag(key: str, value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, Decimal)):
        return jsontext.dumps(_number("tags", value))
    if not isinstance(value, str):
        raise EventError("tags", f"tags.{key[:60]} must be text, a number, true or false; tags are flat.")
    return _bounded(f"tags.{key[:60]}", value)


def _bounded(name: str, text: str) -> str:
    if len(text) * _BYTES_PER_CHARACTER > LONGEST_TAG and (size := len(text.encode())) > LONGEST_TAG:
        raise EventError(name, f"{name} has {size} bytes; send at most {LONGEST_TAG}.")
    return text


def _sorted(value: Any, depth: int) -> Any:  # noqa: ANN401 - JSON of any shape
    """Return the value with every object's keys sorted, so that equal metadata gives equal text."""
    if depth > _MAX_DEPTH:
        raise EventError("metadata", f"metadata is nested more than {_MAX_DEPTH} deep.")
    if isinstance(value, dict):
        return {key: _sorted(value[key], depth + 1) for key in sorted(value)}
    if isinstance(value, list):
        return [_sorted(item, depth + 1) for item in value]
    return _number("metadata", value) if isinstance(value, (int, Decimal)) and not isinstance(value, bool) else value


def _number(name: str, value: int | Decimal) -> int | Decimal:
    number = Decimal(value)
    if not number.is_finite() or abs(number.adjusted()) > _MAX_DIGITS or len(number.as_tuple().digits) > _MAX_DIGITS:
        raise EventError(name, f"{name} holds a number out of range; send it as text.")
    return value
