"""Ledger lines as a workbook: what they cost by day and by each dimension, and the lines themselves.

All sheets are made of one reading of one export, so they agree with each other. Excel's numbers have 15 digits; sums
are exact before they are rounded to that.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from cost_tracker.accounting import sheets
from cost_tracker.accounting.lines import TOKENS, Sums, instant, read, unguarded
from cost_tracker.accounting.sheets import COUNT, DAY, INSTANT, MAX_ROWS, MONEY, SHARE, TEXT, Column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import date, datetime
    from pathlib import Path
    from typing import BinaryIO
    from zoneinfo import ZoneInfo

    from cost_tracker.accounting.lines import Line
    from cost_tracker.accounting.sheets import Sheet, Workbook

# Sheet -> column of a line that it sums by.
_DIMENSIONS = {
    "By model": "model",
    "By project": "project",
    "By session type": "session_type",
    "By category": "category",
    "By account": "account",
}
_COST, _SHARE = Column("Cost (USD)", 18, MONEY), Column("Share", 9, SHARE)
_COUNTS = [
    Column(name, 20, COUNT)
    for name in (
        "Requests", "Input tokens", "Output tokens", "Cache read tokens", "Cache write tokens",
        "Cache write 1h tokens", "Unpriced requests", "Unpriced tokens",
    )
]  # fmt: skip
_MONEY = ("cost_usd", "reported_cost")
# What the sheet of lines shows of each, and how wide texts are.
_TEXTS_BEFORE = {
    "provider": 12, "account": 16, "model": 24, "project": 16, "agent": 14, "user": 12, "session_type": 13,
    "session_label": 22, "category": 14, "description": 30, "source": 11,
}  # fmt: skip
_TEXTS_BEHIND = {"priced_by": 12, "event_id": 24, "tags": 24}


def write(
    source: Path,
    target: BinaryIO,
    zone: ZoneInfo,
    about: Mapping[str, str],
    done: Callable[[int], object] | None = None,
    most_rows: int = MAX_ROWS,
) -> None:
    """Write the CSV of ledger lines `source` as a workbook to `target`; `done` is told how many bytes were read.

    Days are those of `zone`; `about` is what the summary says of the export: its range, filters and the like. Lines
    that find no row any more are left out of their sheet, which the summary says, and of nothing else.
    """
    with sheets.workbook(target) as book:
        summary = sheets.summary(book)
        by_day = _breakdown(book, "By day", Column(f"Day ({zone.key})", 28, DAY))
        parts = {
            name: _breakdown(book, name, Column(name.removeprefix("By ").capitalize(), 28)) for name in _DIMENSIONS
        }
        lines = book.sheet("Lines", *_columns(zone))
        # Lines are added up once, by everything that a sheet sums by; sheets add these sums up.
        cells: defaultdict[tuple[Any, ...], Sums] = defaultdict(Sums)
        for line in read(source, done):
            at = instant(line, zone)
            keys = (unguarded(line[name]) or "unassigned" for name in _DIMENSIONS.values())
            cells[at.date(), *keys].add(line)
            if lines.rows < most_rows:
                lines.add(*_row(line, at))
        lines.filter()
        total = Sums()
        for sums in cells.values():
            total.merge(sums)
        _fill(by_day, sorted(_by(cells, 0).items()), total)
        for place, sheet in enumerate(parts.values(), 1):
            _fill(sheet, sorted(_by(cells, place).items(), key=lambda entry: (-entry[1].cost, entry[0])), total)
        _summarise(summary, total, about, lines.rows - 1)


def _by(cells: Mapping[tuple[Any, ...], Sums], place: int) -> dict[Any, Sums]:
    found: defaultdict[Any, Sums] = defaultdict(Sums)
    for key, sums in cells.items():
        found[key[place]].merge(sums)
    return found


def _columns(zone: ZoneInfo) -> Iterator[Column]:
    yield Column("id", 10, COUNT)
    yield Column(f"recorded_at ({zone.key})", 24, INSTANT)
    yield from (Column(name, width) for name, width in _TEXTS_BEFORE.items())
    yield from (Column(name, 16, COUNT) for name in (*TOKENS, "requests"))
    yield from (Column(name, 18, MONEY) for name in _MONEY)
    yield from (Column(name, width) for name, width in _TEXTS_BEHIND.items())


def _row(line: Line, at: datetime) -> Iterator[str | datetime | Decimal | int | None]:
    yield int(line["id"])
    yield at.replace(tzinfo=None)
    yield from (unguarded(line[name]) for name in _TEXTS_BEFORE)
    yield from (int(line[name]) for name in (*TOKENS, "requests"))
    yield from (Decimal(line[name]) if line[name] else None for name in _MONEY)
    yield from (unguarded(line[name]) for name in _TEXTS_BEHIND)


def _breakdown(book: Workbook, name: str, key: Column) -> Sheet:
    return book.sheet(name, key, _COST, _SHARE, *_COUNTS)


def _fill(sheet: Sheet, entries: Iterable[tuple[date | str, Sums]], total: Sums) -> None:
    for key, sums in (*entries, ("Total", total)):
        share = sums.cost / total.cost if total.cost else Decimal(0)
        sheet.add(key, sums.cost, share, *_counts(sums))


def _counts(sums: Sums) -> tuple[int, ...]:
    return (sums.requests, *sums.tokens, sums.unpriced_requests, sums.unpriced_tokens)


def _summarise(sheet: Sheet, total: Sums, about: Mapping[str, str], written: int) -> None:
    for name, text in about.items():
        sheet.named(name, text, TEXT)
    sheet.skip()
    sheet.named(_COST.name, total.cost, MONEY)
    for column, figure in zip(_COUNTS, _counts(total), strict=True):
        sheet.named(column.name, figure, COUNT)
    sheet.skip()
    sheet.add("Excel keeps 15 digits of a number; an export as CSV has all of them.")
    if total.unpriced_requests or total.unpriced_tokens:
        sheet.add("Usage without a known price is in no cost: what it counts is under Unpriced.")
    if written < total.lines:
        sheet.add(
            f"The sheet Lines ends with line {written:,} of {total.lines:,}, because Excel has no more rows; "
            "all other sheets count all of them."
        )
