"""Exports: asked for week by week, newest first, so that no answer takes long, and joined into one file as they come.

A format is one line of `FORMATS`: what the API is asked for, how its parts become one, and what is made of that.
"""

from __future__ import annotations

import os
from codecs import BOM_UTF8
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from cost_tracker.accounting.conversions import to_parquet, to_workbook
from shared.errors import CostTrackerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path
    from typing import Any, BinaryIO

    from cost_tracker.client import Client

# Steps of the progress bar, and requests, at most.
_MOST_PARTS = 40
_CRLF = b"\r\n"
# What the API writes before, between and after the lines of a JSON array.
_OPEN, _COMMA, _CLOSE = b"[\n", b",\n", b"\n]\n"
_EMPTY = b"[\n]\n"


class ExportError(CostTrackerError):
    """Choose another file, or make room for it; nothing was left behind."""


@dataclass(frozen=True, slots=True)
class Format:
    """`asked` is the API's `format`; `join` makes the file of the parts, each as the API wrote it, newest first.

    `join` yields nothing at all where no part has a line. `convert` writes what is to be made of the whole, from a file
    that holds it, and tells how many bytes of that it has read. `mark` is what a file begins with, and a stream to
    another program does not. A format that `has_metadata` gets a second file beside it.
    """

    asked: str
    join: Callable[[Iterable[Iterable[bytes]]], Iterator[bytes]]
    convert: Callable[[Client, Path, BinaryIO, Mapping[str, Any], Callable[[int], object]], None] | None = None
    mark: bytes = b""
    has_metadata: bool = False


@dataclass(frozen=True, slots=True)
class Span:
    """Inclusive dates; None is unlimited."""

    start: date | None
    end: date | None


def spans(client: Client, whole: Span, asked: Mapping[str, object]) -> list[Span]:
    """Cut the dates of an export, newest first and without a gap, where weeks with usage begin.

    `asked` are filters and `tz`.

    Raises:
        ApiError, UnreachableError: see `cost_tracker.caller`.
    """
    weeks = client.get("/api/usage/summary", **asked, start=whole.start, end=whole.end, group_by="week")["data"]
    first = [date.fromisoformat(week["period"]) for week in weeks]
    inside = [day for day in first if whole.start is None or day > whole.start]
    step = -(-len(inside) // _MOST_PARTS) or 1
    found, end = [], whole.end
    for day in inside[step - 1 :: step]:
        found.append(Span(day, end))
        end = day - timedelta(days=1)
    return [*found, Span(whole.start, end)]


def parts(
    client: Client, form: Format, cut: Iterable[Span], asked: Mapping[str, object], done: Callable[[], object]
) -> Iterator[Iterator[bytes]]:
    """Yield the answer of each span, to be read before the next; `done` is called after each.

    Raises:
        ApiError, UnreachableError: see `cost_tracker.caller`.
    """
    for span in cut:
        yield client.download("/api/usage/export", **asked, format=form.asked, start=span.start, end=span.end)
        done()


@contextmanager
def written(path: Path) -> Iterator[BinaryIO]:
    """Yield a file that becomes `path` at the end, whole; an exception, Ctrl-C included, leaves nothing behind.

    Devices and pipes are written as they are.

    Raises:
        ExportError: it cannot be written.
    """
    target = path.resolve()
    try:
        if target.exists() and not target.is_file():
            with target.open("wb") as file:
                yield file
            return
        draft = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            with draft.open("wb") as file:
                yield file
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise ExportError(f"{path} cannot be written ({error.strerror}); choose another file.") from error


def _lines(found: Iterable[Iterable[bytes]]) -> Iterator[bytes]:
    for part in found:
        yield from part


def _tables(found: Iterable[Iterable[bytes]]) -> Iterator[bytes]:
    """Join CSV: the heading once, and only where a line follows it."""
    heading = b""
    for part in found:
        head, is_past_heading = b"", False
        for piece in part:
            if is_past_heading:
                yield piece
                continue
            head += piece
            before, ended, rest = head.partition(_CRLF)
            is_past_heading = bool(ended and rest)
            if is_past_heading:
                yield rest if heading else before + ended + rest
                heading = before


def _arrays(found: Iterable[Iterable[bytes]]) -> Iterator[bytes]:
    """Join JSON arrays as the API writes them, one line per element."""
    before = _OPEN
    for part in found:
        held, is_first = b"", True
        for piece in part:
            held += piece
            # An array without elements is as short as this.
            if is_first and len(held) > len(_EMPTY):
                yield before
                held, before, is_first = held[len(_OPEN) :], _COMMA, False
            # The end of a part is not the end of the whole.
            if not is_first and len(held) > len(_CLOSE):
                yield held[: -len(_CLOSE)]
                held = held[-len(_CLOSE) :]
    if before == _COMMA:
        yield _CLOSE


FORMATS = {
    # Excel takes a file without the mark for one of its own old encodings.
    "csv": Format("csv", _tables, mark=BOM_UTF8),
    "json": Format("json", _arrays),
    "jsonl": Format("jsonl", _lines),
    "xlsx": Format("csv", _tables, to_workbook),
    "focus": Format("focus", _tables, has_metadata=True),
    "focus-parquet": Format("focus", _tables, to_parquet, has_metadata=True),
}
# What the name of a file ends with, where that is no format's name.
ENDINGS = {"parquet": "focus-parquet"}
