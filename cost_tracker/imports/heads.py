"""The beginning of a file, by which its format is known."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE = 1 << 16
_MOST_LINES = 40
_TEXT = rb'"\s*:\s*("(?:[^"\\]|\\.)*")'


def objects(head: bytes) -> Iterator[dict[str, Any]]:
    """Yield the first JSON objects that are whole lines of a file's beginning."""
    lines = head.split(b"\n", _MOST_LINES)
    # The last piece may be cut off; a file of one line without an end is whole.
    for text in lines[:-1] if len(lines) > 1 else lines:
        if not text.lstrip().startswith(b"{"):
            continue
        try:
            found = orjson.loads(text)
        except ValueError:
            continue
        if type(found) is dict:
            yield found


def first_text(head: bytes, name: str) -> str:
    """Return the first text of this name in a file of JSON lines, empty where there is none.

    The first line may be longer than what was read of it; then the name is looked for in its bytes.
    """
    for line in objects(head):
        if type(found := line.get(name)) is str:
            return found
    match = re.search(b'"' + name.encode() + _TEXT, head)
    found = orjson.loads(match[1]) if match else ""
    return found if type(found) is str else ""
