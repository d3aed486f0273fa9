"""Ledger lines as an Excel workbook: what they cost by day and by each dimension, and the lines themselves.

All sheets are made of one reading of one export, so they agree with each other. Excel's numbers have 15 digits; sums
are exact before they are rounded to that.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

import xlsxwriter

from cost_tracker.accounting.lines import TOKENS, Sums, instant, read

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date, datetime
    from pathlib import Path
    from typing import BinaryIO
    from zoneinfo import ZoneInfo

    from cost_tracker.accounting.lines import Line

# Excel's own, the heading included.
MAX_ROWS = 1_048_576

_MONEY = "[$$-409]#,##0.00########;-[$$-409]#,##0.00########"
_COUNT, _DAY, _INSTANT, _SHARE = "#,##0", "yyyy-mm-dd", "yyyy-mm-dd hh:mm:ss", "0.0%"
# Sheet -> column of a line that it sums by.
_DIMENSIONS = {
    "By model": "model",
    "By project": "project",
    "By session type": "session_type",
    "By category": "category",
    "By account": "account",
}
_SUMS = (
    ("Cost (USD)", 18, _MONEY), ("Share", 9, _SHARE), ("Requests", 12, _COUNT), ("Input tokens", 16, _COUNT),
    ("Output tokens", 16, _COUNT), ("Cache read tokens", 18, _COUNT), ("Cache write tokens", 18, _COUNT),
    ("Cache write 1h tokens", 20, _COUNT), ("Unpriced requests", 18, _COUNT), ("Unpriced tokens", 18, _COUNT),
)  # fmt: skip
# Columns of a line, how wide they are and the format of those that are no text.
_LINES: dict[str, tuple[int, str | None]] = {
    "id": (10, _COUNT), "recorded_at": (20, _INSTANT), "provider": (12, None), "account": (16, None),
    "model": (24, None), "project": (16, None), "agent": (14, None), "user": (12, None),
    "session_type": (13, None), "session_label": (22, None), "category": (14, None), "description": (30, None),
    "source": (11, None), **dict.fromkeys(TOKENS, (16, _COUNT)), "requests": (10, _COUNT),
    "cost_usd": (18, _MONEY), "reported_cost": (18, _MONEY), "priced_by": (12, None), "event_id": (24, None),
    "tags": (24, None),
}  # fmt: skip
Formats: TypeAlias = "Mapping[str | None, Any]"


def write(source: Path, target: BinaryIO, zone: ZoneInfo, about: Mapping[str, str], most_rows: int = MAX_ROWS) -> int:
    """Write the CSV of ledger lines `source` as a workbook to `target` and return how many lines there were.

    Days are those of `zone`; `about` is what the summary says of the export: its range, filters and the like. Lines
    that find no row any more are left out of their sheet, which the summary says, and of nothing else.
    """
    with _workbook(target) as book:
        formats: Formats = {None: None, "bold": book.add_format({"bold": True})} | {
            form: book.add_format({"num_format": form}) for form in (_MONEY, _COUNT, _DAY, _INSTANT, _SHARE)
        }
        summary, by_day = book.add_worksheet("Summary"), book.add_worksheet("By day")
        sheets = {name: book.add_worksheet(name) for name in _DIMENSIONS}
        total, days, found = _lines(book.add_worksheet("Lines"), source, zone, formats, most_rows)
        _breakdown(by_day, f"Day ({zone.key})", sorted(days.items()), total, formats)
        for name, sheet in sheets.items():
            dearest = sorted(found[name].items(), key=lambda entry: (-entry[1].cost, entry[0]))
            _breakdown(sheet, name.removeprefix("By ").capitalize(), dearest, total, formats)
        _summary(summary, total, about, formats, min(total.lines, most_rows - 1))
    return total.lines


@contextmanager
def _workbook(target: BinaryIO) -> Iterator[Any]:
    # Rows go to disk as they come; nothing that a text looks like becomes anything but text.
    options = {
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_numbers": False,
        "strings_to_urls": False,
    }
    with xlsxwriter.Workbook(target, options) as book:
        yield book


def _lines(
    sheet: Any,  # noqa: ANN401 - published without type information
    source: Path,
    zone: ZoneInfo,
    formats: Formats,
    most_rows: int,
) -> tuple[Sums, dict[date, Sums], dict[str, dict[str, Sums]]]:
    """Write the lines and sum them: the whole, by day, and by sheet and key."""
    total, days = Sums(), defaultdict[Any, Sums](Sums)
    found: dict[str, dict[str, Sums]] = {name: defaultdict(Sums) for name in _DIMENSIONS}
    shown = {"recorded_at": f"recorded_at ({zone.key})"}
    _heading(sheet, [(shown.get(name, name), width) for name, (width, _) in _LINES.items()], formats)
    for number, line in enumerate(read(source), 1):
        at = instant(line, zone)
        total.add(line)
        days[at.date()].add(line)
        for name, column in _DIMENSIONS.items():
            found[name][line[column] or "unassigned"].add(line)
        if number < most_rows:
            _line(sheet, number, line, at.replace(tzinfo=None), formats)
    sheet.autofilter(0, 0, max(1, min(total.lines, most_rows - 1)), len(_LINES) - 1)
    return total, days, found


def _line(sheet: Any, row: int, line: Line, at: datetime, formats: Formats) -> None:  # noqa: ANN401 - the same
    for column, (name, (_, form)) in enumerate(_LINES.items()):
        text = line[name]
        if form is None:
            sheet.write_string(row, column, text)
        elif form == _INSTANT:
            sheet.write_datetime(row, column, at, formats[form])
        elif text:
            sheet.write_number(row, column, float(text), formats[form])


def _breakdown(
    sheet: Any,  # noqa: ANN401 - the same
    key: str,
    entries: Sequence[tuple[date | str, Sums]],
    total: Sums,
    formats: Formats,
) -> None:
    _heading(sheet, [(key, 28), *((name, width) for name, width, _ in _SUMS)], formats)
    for row, (name, sums) in enumerate(entries, 1):
        if isinstance(name, str):
            sheet.write_string(row, 0, name)
        else:
            sheet.write_datetime(row, 0, name, formats[_DAY])
        _figures(sheet, row, sums, total, formats)
    sheet.write_string(len(entries) + 1, 0, "Total", formats["bold"])
    _figures(sheet, len(entries) + 1, total, total, formats)


def _figures(sheet: Any, row: int, sums: Sums, total: Sums, formats: Formats) -> None:  # noqa: ANN401 - the same
    share = sums.cost / total.cost if total.cost else Decimal(0)
    figures: tuple[Decimal | int, ...] = (
        sums.cost,
        share,
        sums.requests,
        *sums.tokens,
        sums.unpriced_requests,
        sums.unpriced_tokens,
    )
    for column, (figure, (_, _, form)) in enumerate(zip(figures, _SUMS, strict=True), 1):
        sheet.write_number(row, column, float(figure), formats[form])


def _summary(sheet: Any, total: Sums, about: Mapping[str, str], formats: Formats, written: int) -> None:  # noqa: ANN401
    sheet.set_column(0, 0, 26)
    sheet.set_column(1, 1, 60)
    sheet.write_string(0, 0, "AI Cost Tracker", formats["bold"])
    row = 2
    for name, text in about.items():
        sheet.write_string(row, 0, name, formats["bold"])
        sheet.write_string(row, 1, text)
        row += 1
    figures: tuple[Decimal | int, ...] = (
        total.cost,
        total.requests,
        *total.tokens,
        total.unpriced_requests,
        total.unpriced_tokens,
    )
    named = [(name, form) for name, _, form in _SUMS if name != "Share"]
    for (name, form), figure in zip(named, figures, strict=True):
        row += 1
        sheet.write_string(row, 0, name, formats["bold"])
        sheet.write_number(row, 1, float(figure), formats[form])
    row += 2
    for note in _notes(total, written):
        sheet.write_string(row, 0, note)
        row += 1


def _notes(total: Sums, written: int) -> Iterator[str]:
    yield "Excel keeps 15 digits of a number; an export as CSV has all of them."
    if total.unpriced_requests or total.unpriced_tokens:
        yield "Usage without a known price is in no cost: what it counts is under Unpriced."
    if written < total.lines:
        yield (
            f"The sheet Lines ends with line {written:,} of {total.lines:,}, because Excel has no more rows; "
            "all other sheets count all of them."
        )


def _heading(sheet: Any, columns: Sequence[tuple[str, int]], formats: Formats) -> None:  # noqa: ANN401 - the same
    sheet.freeze_panes(1, 0)
    for number, (name, width) in enumerate(columns):
        sheet.set_column(number, number, width)
        sheet.write_string(0, number, name, formats["bold"])
