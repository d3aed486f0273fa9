"""Fetched editions of the price catalogue, and each attempt to fetch one."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import date, datetime

    from shared.store.database import Connection

# Rates are stored with the lines they priced, so old editions are kept only to look into.
_KEPT = 10


def newest(connection: Connection) -> dict[str, Any] | None:
    """Return `sha256`, `stored_at`, `library` and `models` of the edition that was stored last, None without any."""
    return connection.execute(
        "SELECT sha256, stored_at, library, models FROM price_catalogues ORDER BY id DESC LIMIT 1"
    ).fetchone()


def content(connection: Connection, sha256: str) -> bytes:
    """Return the bytes of a stored edition as they were fetched."""
    row = connection.execute("SELECT content FROM price_catalogues WHERE sha256 = %s", [sha256]).fetchone()
    if row is None:
        raise AssertionError("the newest edition is never deleted")
    return gzip.decompress(row["content"])


def store(connection: Connection, sha256: str, data: bytes, models: int, library: str, at: datetime) -> None:
    """Make an edition the newest; the oldest are dropped."""
    connection.execute("DELETE FROM price_catalogues WHERE sha256 = %s", [sha256])
    connection.execute(
        "INSERT INTO price_catalogues (sha256, stored_at, library, models, content) VALUES (%s, %s, %s, %s, %s)",
        [sha256, at, library, models, gzip.compress(data, mtime=0)],
    )
    connection.execute(
        """
        DELETE FROM price_catalogues
        WHERE id NOT IN (SELECT id FROM price_catalogues ORDER BY id DESC LIMIT %s)
        """,
        [_KEPT],
    )


def note_check(connection: Connection, at: datetime, status: str, sha256: str | None, error: str | None) -> None:
    """Remember an attempt: `stored`, `unchanged`, `refused` or `unreachable`."""
    connection.execute(
        "INSERT INTO catalogue_checks (checked_at, status, sha256, error) VALUES (%s, %s, %s, %s)",
        [at, status, sha256, error],
    )


def is_answered(connection: Connection, day: date) -> bool:
    """Return whether the file was fetched on a UTC day, for better or worse."""
    row = connection.execute(
        """
        SELECT 1 FROM catalogue_checks
        WHERE status <> 'unreachable' AND (checked_at AT TIME ZONE 'UTC')::date = %s LIMIT 1
        """,
        [day],
    ).fetchone()
    return row is not None
