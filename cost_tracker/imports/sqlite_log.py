"""The file of a predecessor: SQLite with a table `usage_log`."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from cost_tracker.imports.tabular import units_of
from cost_tracker.imports.units import Reading

if TYPE_CHECKING:
    from cost_tracker.imports.units import Terms

NAME = "usage-log"
_MAGIC = b"SQLite format 3\x00"
_TABLE = "usage_log"
_ENDINGS = (".db", ".sqlite", ".sqlite3", ".db3")


def is_named(path: str) -> bool:
    """Return whether a file is a database by its name."""
    return path.lower().endswith(_ENDINGS)


def is_ours(path: str, head: bytes) -> bool:
    """Return whether a file that begins like this is a database with the table."""
    if not head.startswith(_MAGIC):
        return False
    try:
        with closing(_opened(path)) as database:
            return database.execute("SELECT 1 FROM sqlite_master WHERE name = ?", [_TABLE]).fetchone() is not None
    except sqlite3.Error:
        return False


def read(path: str, offset: int, terms: Terms) -> Reading:
    """Return what the table says; it is read whole, and nothing is written to the file.

    Raises:
        OSError: the file cannot be read.
    """
    del offset
    reading = Reading()
    try:
        with closing(_opened(path)) as database:
            database.row_factory = sqlite3.Row
            rows = [dict(row) for row in database.execute(f"SELECT * FROM {_TABLE} ORDER BY rowid")]  # noqa: S608 - ours
    except sqlite3.Error as error:
        raise OSError(f"the table {_TABLE} cannot be read ({error})") from error
    reading.lines, reading.end = len(rows), Path(path).stat().st_size
    reading.units += units_of(NAME, rows, terms, reading)
    return reading


def _opened(path: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro", uri=True)
