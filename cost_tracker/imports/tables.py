"""Rows of tables: CSV with a heading, JSON lines, or one JSON array, alone or under `data`."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from cost_tracker.imports.decoding import loads
from cost_tracker.imports.jsonlines import objects_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cost_tracker.imports.units import Reading

Row: TypeAlias = dict[str, Any]

_ENDINGS = (".csv", ".tsv", ".json", ".jsonl", ".ndjson")
_DELIMITERS = ",;\t|"
_WRAPPERS = ("data", "rows", "results", "records")


def is_table(path: str) -> bool:
    """Return whether a file is a table by its name."""
    return path.lower().endswith(_ENDINGS)


def names_in(head: bytes) -> list[str]:
    """Return the names of the columns of a file that begins like this; empty where it is no table."""
    text = head.decode("utf-8-sig", "replace").lstrip()
    if text[:1] in {"{", "["}:
        return _keys_of(text)
    first = text.splitlines()[:1]
    return next(csv.reader(first, delimiter=_delimiter(first[0])), []) if first else []


def rows_in(path: str, reading: Reading, *, exact: bool = False) -> Iterator[Row]:
    """Yield the rows of a table; what is no row is counted. Numbers of `exact` ones keep every digit.

    Raises:
        OSError: the file cannot be read.
    """
    with Path(path).open("rb") as file:
        head = file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()
        file.seek(0)
        if not head.startswith((b"{", b"[")):
            with io.TextIOWrapper(file, "utf-8-sig", "replace", newline="") as text:
                yield from _csv(text, reading)
        elif path.lower().endswith(".json") or head.startswith(b"["):
            yield from _array(file.read(), reading, exact=exact)
        elif exact:
            yield from _exact_lines(file, reading)
        else:
            yield from objects_of(file, reading)
    reading.end = Path(path).stat().st_size


def _csv(file: io.TextIOWrapper, reading: Reading) -> Iterator[Row]:
    first = file.readline()
    file.seek(0)
    for row in csv.DictReader(file, delimiter=_delimiter(first)):
        reading.lines += 1
        found = {str(name).strip(): value for name, value in row.items() if name is not None and isinstance(value, str)}
        if any(value.strip() for value in found.values()):
            yield found


def _array(data: bytes, reading: Reading, *, exact: bool) -> Iterator[Row]:
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        found = json.loads(data, parse_float=Decimal) if exact else loads(data)
    except ValueError:
        # One object per line, under the name of a document.
        yield from objects_of(io.BytesIO(data), reading)
        return
    if isinstance(found, dict):
        found = next((found[name] for name in _WRAPPERS if isinstance(found.get(name), list)), [found])
    for row in found if isinstance(found, list) else ():
        reading.lines += 1
        if isinstance(row, dict):
            yield row
        else:
            reading.skip("not a row")


def _exact_lines(file: Any, reading: Reading) -> Iterator[Row]:  # noqa: ANN401 - an open file
    for line in file:
        if line.strip():
            reading.lines += 1
            try:
                yield json.loads(line, parse_float=Decimal)
            except ValueError:
                reading.skip("not JSON")


def _delimiter(line: str) -> str:
    return max(_DELIMITERS, key=line.count)


def _keys_of(text: str) -> list[str]:
    """Return the names of the first object in JSON that may be cut off."""
    decoder = json.JSONDecoder()
    for begin in (at for at, character in enumerate(text[:4096]) if character == "{"):
        try:
            found, _ = decoder.raw_decode(text, begin)
        except ValueError:
            continue
        if isinstance(found, dict) and not any(isinstance(found.get(name), list) for name in _WRAPPERS):
            return list(found)
        if isinstance(found, dict):
            rows = next(found[name] for name in _WRAPPERS if isinstance(found.get(name), list))
            return list(rows[0]) if rows and isinstance(rows[0], dict) else []
    return []
