"""Lines of a file, whole ones only: the last one may still be in the middle of being written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cost_tracker.imports.decoding import loads

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from cost_tracker.imports.units import Reading


def objects_of(file: BinaryIO, reading: Reading) -> Iterator[dict[str, Any]]:
    """Yield the objects of JSON lines from here on; `reading` learns of lines, their end, and what is no JSON.

    A last line without an end counts if it is whole JSON: programs that write whole files leave the end out.
    """
    for line in file:
        is_whole = line.endswith(b"\n")
        if not line.strip():
            reading.end += len(line) if is_whole else 0
            continue
        try:
            found = loads(line)
        except ValueError:
            if not is_whole:
                return
            found = None
        reading.end += len(line)
        reading.lines += 1
        if type(found) is dict:
            yield found
        else:
            reading.skip("not JSON")
