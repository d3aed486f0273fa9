"""API keys as they are kept: recognised by their digest, never deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.core.keys import StoredKey

if TYPE_CHECKING:
    from datetime import datetime

    from shared.store.database import Connection

# The public part of a row: no digest.
_SHOWN = """
    id, name, scopes, created_at, last_used_at, expires_at, revoked_at, rotated_from,
    CASE WHEN revoked_at <= %(now)s THEN 'revoked' WHEN expires_at <= %(now)s THEN 'expired' ELSE 'active' END AS status
"""


def find(connection: Connection, key_id: str) -> StoredKey | None:
    """Return what a request with this key is checked against, None where there is no such key."""
    row = connection.execute(
        "SELECT id, name, scopes, digest, expires_at, revoked_at, last_used_at FROM keys WHERE id = %s", [key_id]
    ).fetchone()
    return None if row is None else StoredKey(**{**row, "scopes": tuple(row["scopes"])})


def insert(connection: Connection, key: StoredKey, now: datetime, rotated_from: str | None = None) -> bool:
    """Store a new key and tell whether it is there now; the same key again changes nothing.

    False means that another key has this id, or that `rotated_from` has another successor.
    """
    connection.execute(
        """
        INSERT INTO keys (id, name, scopes, digest, created_at, expires_at, rotated_from)
        VALUES (%(id)s, %(name)s, %(scopes)s, %(digest)s, %(now)s, %(expires_at)s, %(rotated_from)s)
        ON CONFLICT DO NOTHING
        """,
        {
            "id": key.id,
            "name": key.name,
            "scopes": list(key.scopes),
            "digest": key.digest,
            "now": now,
            "expires_at": key.expires_at,
            "rotated_from": rotated_from,
        },
    )
    found = find(connection, key.id)
    return found is not None and found.digest == key.digest


def get(connection: Connection, key_id: str, now: datetime) -> dict[str, Any] | None:
    """Return a key's public row and its `status` at `now`, None where there is none.

    `{"id", "name", "scopes": [...], "created_at", "last_used_at", "expires_at", "revoked_at", "rotated_from",
    "status": "active" | "expired" | "revoked"}`, instants in UTC.
    """
    return connection.execute(f"SELECT {_SHOWN} FROM keys WHERE id = %(id)s", {"id": key_id, "now": now}).fetchone()


def lock(connection: Connection, key_id: str) -> None:
    """Let nobody else change a key until the end of the transaction."""
    connection.execute("SELECT 1 FROM keys WHERE id = %s FOR UPDATE", [key_id])


def successor(connection: Connection, key_id: str) -> str | None:
    """Return the id of the key that a rotation put in the place of this one."""
    row = connection.execute("SELECT id FROM keys WHERE rotated_from = %s", [key_id]).fetchone()
    return None if row is None else str(row["id"])


def revoke(connection: Connection, key_id: str, at: datetime) -> None:
    """Let a key end at an instant, if it does not end earlier anyway."""
    # least() passes over NULL.
    connection.execute("UPDATE keys SET revoked_at = least(revoked_at, %s) WHERE id = %s", [at, key_id])


def touch(connection: Connection, key_id: str, now: datetime, unless_since: datetime) -> None:
    """Note that a key was used, unless that was noted after `unless_since`, or the row is locked: nobody waits."""
    connection.execute(
        """
        UPDATE keys SET last_used_at = %(now)s WHERE id = (
            SELECT id FROM keys WHERE id = %(id)s AND (last_used_at IS NULL OR last_used_at <= %(since)s)
            FOR UPDATE SKIP LOCKED
        )
        """,
        {"id": key_id, "now": now, "since": unless_since},
    )


def newest(connection: Connection, before: str | None, limit: int, offset: int, now: datetime) -> list[dict[str, Any]]:
    """Return public rows created before the key `before`, newest first, the id as tie-break."""
    return connection.execute(
        f"""
        SELECT {_SHOWN} FROM keys
        WHERE %(before)s::text IS NULL
           OR (created_at, id) < (SELECT created_at, id FROM keys WHERE id = %(before)s)
        ORDER BY created_at DESC, id DESC LIMIT %(limit)s OFFSET %(offset)s
        """,
        {"before": before, "limit": limit, "offset": offset, "now": now},
    ).fetchall()
