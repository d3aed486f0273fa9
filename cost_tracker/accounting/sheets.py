"""Excel sheets that are written row by row and never held: texts stay texts, numbers and dates are real ones."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import xlsxwriter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from decimal import Decimal
    from typing import BinaryIO

# Excel's own, the heading included.
MAX_ROWS = 1_048_576

# At least the cents, and whatever there is behind them.
MONEY = "[$$-409]#,##0.00########;-[$$-409]#,##0.00########"
COUNT, SHARE = "#,##0", "0.0%"
DAY, INSTANT = "yyyy-mm-dd", "yyyy-mm-dd hh:mm:ss"
TEXT = "@"
_BOLD = "bold"


@dataclass(frozen=True, slots=True)
class Column:
    """A column's heading, its width in characters, and the form of what is in it."""

    name: str
    width: int
    form: str = TEXT


class Sheet:
    """One sheet: rows follow each other, below a heading that stays in sight."""

    def __init__(self, sheet: Any, columns: Sequence[Column], formats: dict[str, Any]) -> None:  # noqa: ANN401 - published without type information
        self._sheet = sheet
        self._columns = columns
        self._formats = formats
        self.rows = 0
        for number, column in enumerate(columns):
            sheet.set_column(number, number, column.width)
        if any(column.name for column in columns):
            sheet.freeze_panes(1, 0)
            self.title(*(column.name for column in columns))

    def add(self, *values: str | date | Decimal | int | None) -> None:
        """Write a row of values in the forms of their columns; None and "" leave a cell empty."""
        for number, (value, column) in enumerate(zip(values, self._columns, strict=False)):
            self._put(number, value, column.form)
        self.rows += 1

    def title(self, *texts: str) -> None:
        """Write a row of bold texts."""
        for number, text in enumerate(texts):
            self._sheet.write_string(self.rows, number, text, self._formats[_BOLD])
        self.rows += 1

    def named(self, name: str, value: str | Decimal | int, form: str = TEXT) -> None:
        """Write a row of a bold name and a value."""
        self._sheet.write_string(self.rows, 0, name, self._formats[_BOLD])
        self._put(1, value, form)
        self.rows += 1

    def skip(self) -> None:
        """Leave a row empty."""
        self.rows += 1

    def filter(self) -> None:
        """Let the reader narrow the rows by any column."""
        self._sheet.autofilter(0, 0, max(1, self.rows - 1), len(self._columns) - 1)

    def _put(self, column: int, value: str | date | Decimal | int | None, form: str) -> None:
        if not value and value != 0:
            return
        if isinstance(value, str):
            self._sheet.write_string(self.rows, column, value)
        elif isinstance(value, date):
            self._sheet.write_datetime(self.rows, column, value, self._formats[form])
        else:
            self._sheet.write_number(self.rows, column, float(value), self._formats[form])


class Workbook:
    """A workbook under way; sheets have the order they are asked for in."""

    def __init__(self, book: Any) -> None:  # noqa: ANN401 - published without type information
        self._book = book
        self._formats = {form: book.add_format({"num_format": form}) for form in (MONEY, COUNT, SHARE, DAY, INSTANT)}
        self._formats[_BOLD] = book.add_format({"bold": True})

    def sheet(self, name: str, *columns: Column) -> Sheet:
        """Add a sheet; columns without any name have no heading."""
        return Sheet(self._book.add_worksheet(name), columns, self._formats)


@contextmanager
def workbook(target: BinaryIO) -> Iterator[Workbook]:
    """Yield a workbook that is written to `target` at the end."""
    options = {
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_numbers": False,
        "strings_to_urls": False,
    }
    with xlsxwriter.Workbook(target, options) as book:
        yield Workbook(book)


def summary(book: Workbook) -> Sheet:
    """Add the sheet that says what a workbook is: names and values, and notes below them."""
    found = book.sheet("Summary", Column("", 26), Column("", 60))
    found.title("AI Cost Tracker")
    found.skip()
    return found
