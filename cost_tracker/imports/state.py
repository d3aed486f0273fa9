"""What was imported before, kept beside the database: how far files were read, and which responses are in the ledger.

It only saves work: whatever is lost here is read again, and the ledger recognises it by its event ids. So it is written
after the ledger has answered, a batch at a time. It holds hashes, counts and paths of files.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, NamedTuple

from cost_tracker.imports.dedupe import Stored
from cost_tracker.imports.units import Unit

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
    path TEXT PRIMARY KEY, format TEXT NOT NULL, device INTEGER NOT NULL, inode INTEGER NOT NULL, size INTEGER NOT NULL,
    modified INTEGER NOT NULL, end INTEGER NOT NULL, mark BLOB NOT NULL, since TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS files_by_inode ON files (device, inode);
CREATE TABLE IF NOT EXISTS units (
    grp BLOB NOT NULL, part BLOB NOT NULL, rank INTEGER NOT NULL, total INTEGER NOT NULL, ids TEXT NOT NULL,
    PRIMARY KEY (grp, part)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS refused (
    grp BLOB NOT NULL, part BLOB NOT NULL, rank INTEGER NOT NULL, total INTEGER NOT NULL, at TEXT NOT NULL,
    rows BLOB NOT NULL, size INTEGER NOT NULL, source TEXT NOT NULL, PRIMARY KEY (grp, part)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
_VERSION = 1
_AT_ONCE = 500
_FILE = "path, format, device, inode, size, modified, end, mark, since"


class FileState(NamedTuple):
    """How far a file was read: to the byte `end`, when it was `size` long and last `modified` (ns since 1970).

    `mark` is a digest of its beginning and of what lies before `end`; lines older than `since` were left out.
    """

    path: str
    format: str
    device: int
    inode: int
    size: int
    modified: int
    end: int
    mark: bytes
    since: str


class State:
    """The state for one ledger. Use it in one thread; `close` it."""

    def __init__(self, path: Path | None) -> None:
        """Open the file at `path`, made if it is missing or unreadable; None keeps nothing."""
        self._path = path
        self._db = self._open()

    def _open(self) -> sqlite3.Connection:
        if self._path is None:
            return _prepared(sqlite3.connect(":memory:"))
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return _prepared(sqlite3.connect(self._path, timeout=30))
        except sqlite3.DatabaseError:
            # It is only worth the work that it saves.
            self._path.unlink(missing_ok=True)
            return _prepared(sqlite3.connect(self._path, timeout=30))

    def close(self) -> None:
        """Let the file go."""
        self._db.close()

    def forget(self) -> None:
        """Begin anew: it belonged to another ledger."""
        with self._db:
            for table in ("files", "units", "refused", "notes"):
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names

    def files(self) -> dict[str, FileState]:
        """Return every file that was read, by path."""
        return {row[0]: FileState(*row) for row in self._db.execute(f"SELECT {_FILE} FROM files")}  # noqa: S608 - ours

    def stored(self, groups: Sequence[bytes]) -> dict[bytes, list[Stored]]:
        """Return by group what was imported of these groups."""
        found: dict[bytes, list[Stored]] = {}
        if self._db.execute("SELECT 1 FROM units LIMIT 1").fetchone() is None:
            return found
        for at in range(0, len(groups), _AT_ONCE):
            some = groups[at : at + _AT_ONCE]
            marks = ",".join("?" * len(some))
            rows = self._db.execute(f"SELECT grp, part, rank, total, ids FROM units WHERE grp IN ({marks})", some)  # noqa: S608 - marks
            for group, part, rank, total, ids in rows:
                found.setdefault(group, []).append(Stored(group, part, rank, total, tuple(map(int, ids.split()))))
        return found

    def refused(self) -> list[Unit]:
        """Return units that the ledger did not take: they are tried again, because a file is read once."""
        rows = self._db.execute("SELECT grp, part, rank, total, at, rows, size, source FROM refused")
        return [Unit(*row) for row in rows]

    def save_units(
        self, stored: Iterable[tuple[Unit, Sequence[int]]], gone: Iterable[Stored], refused: Iterable[Unit]
    ) -> None:
        """Keep what the ledger answered about a batch: units with the ids of their lines, and what it did not take."""
        taken = [(unit.group, unit.part, unit.rank, unit.total, " ".join(map(str, ids))) for unit, ids in stored]
        with self._db:
            self._db.executemany(
                "DELETE FROM units WHERE grp = ? AND part = ?", [(old.group, old.part) for old in gone]
            )
            self._db.executemany("INSERT OR REPLACE INTO units VALUES (?, ?, ?, ?, ?)", taken)
            self._db.executemany("DELETE FROM refused WHERE grp = ? AND part = ?", [row[:2] for row in taken])
            self._db.executemany("INSERT OR REPLACE INTO refused VALUES (?, ?, ?, ?, ?, ?, ?, ?)", refused)

    def save_files(self, files: Iterable[FileState]) -> None:
        """Keep how far files were read, once everything that was found in them is in the ledger."""
        with self._db:
            self._db.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", files)

    def note(self, name: str) -> str:
        """Return a note, empty where there is none."""
        row = self._db.execute("SELECT value FROM notes WHERE name = ?", [name]).fetchone()
        return str(row[0]) if row else ""

    def save_note(self, name: str, value: str) -> None:
        """Keep a note."""
        with self._db:
            self._db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", [name, value])


def _prepared(db: sqlite3.Connection) -> sqlite3.Connection:
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        if db.execute("PRAGMA user_version").fetchone()[0] not in {0, _VERSION}:
            raise sqlite3.DatabaseError("of another version")  # noqa: TRY301 - as what cannot be read at all
        db.executescript(_SCHEMA)
        db.execute(f"PRAGMA user_version = {_VERSION}")
    except sqlite3.DatabaseError:
        db.close()
        raise
    return db
