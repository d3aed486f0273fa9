"""JSON of logs: quickly where it is well-formed, and forgiving where a text was cut in the middle of a character."""

from __future__ import annotations

import json
from typing import Any

import orjson


def loads(text: bytes) -> Any:  # noqa: ANN401 - JSON of any shape
    """Decode JSON; half a surrogate pair, which a cut text leaves behind, costs nobody the whole line.

    Raises:
        ValueError: it is no JSON.
    """
    try:
        return orjson.loads(text)
    except ValueError:
        # Few lines are like this, and most of them are broken in other ways too.
        if b"\\ud" not in text and b"\\uD" not in text:
            raise
        return json.loads(text)
