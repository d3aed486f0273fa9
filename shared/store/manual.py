"""Manual entries in the ledger, and what they said before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.store import rollups

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from shared.store.database import Connection

# What an entry says; everything else of its line is the same for all.
COLUMNS = (
    "account_id", "recorded_at", "updated_at", "provider", "model", "model_raw", "input_tokens", "cost",
    "reported_cost", "project", "project_given", "description", "tags",
)  # fmt: skip
_ZERO = (
    "output_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "reasoning_tokens",
    "audio_input_tokens", "audio_output_tokens", "image_input_tokens", "image_output_tokens", "web_searches",
    "requests", "input_cost", "output_cost", "cache_read_cost", "cache_write_5m_cost", "cache_write_1h_cost",
    "audio_cost", "image_cost", "web_search_cost", "request_cost",
)  # fmt: skip


def insert(connection: Connection, line_id: int, line: Mapping[str, Any], session_type: str) -> None:
    """Store a new entry (`COLUMNS`; tags as JSON text) under an id that was drawn, and count it in."""
    columns = ", ".join(COLUMNS)
    connection.execute(
        f"""
        INSERT INTO ledger (id, source, collected_at, session_type, is_batch, {", ".join(_ZERO)}, {columns})
        OVERRIDING SYSTEM VALUE
        VALUES (%(id)s, 'manual', %(updated_at)s, %(session_type)s, false, {", ".join("0" for _ in _ZERO)},
            {", ".join(f"%({name})s" for name in COLUMNS)})
        """,
        {**line, "id": line_id, "session_type": session_type},
    )
    rollups.add(connection, [line_id])


def lock(connection: Connection, line_id: int) -> dict[str, Any] | None:
    """Return a line's `source` and `COLUMNS`, None where there is none, and keep others from changing it."""
    return connection.execute(
        f"SELECT source, {', '.join(COLUMNS)} FROM ledger WHERE id = %s FOR UPDATE", [line_id]
    ).fetchone()


def keep_version(connection: Connection, line_id: int, reason: str, now: datetime) -> None:
    """Write what an entry says into its history, before it is `edited` or `deleted`."""
    connection.execute(
        """
        INSERT INTO manual_versions (line_id, entry, updated_at, replaced_at, reason)
        SELECT id, to_jsonb(ledger), updated_at, %s, %s FROM ledger WHERE id = %s
        """,
        [now, reason, line_id],
    )


def replace(connection: Connection, line_id: int, line: Mapping[str, Any]) -> None:
    """Give an entry other words (`COLUMNS`), in the ledger and in the roll-ups."""
    rollups.subtract(connection, [line_id])
    connection.execute(
        f"UPDATE ledger SET {', '.join(f'{name} = %({name})s' for name in COLUMNS)} WHERE id = %(id)s",
        {**line, "id": line_id},
    )
    rollups.add(connection, [line_id])


def delete(connection: Connection, line_id: int) -> None:
    """Take an entry out of ledger and roll-ups."""
    rollups.subtract(connection, [line_id])
    connection.execute("DELETE FROM ledger WHERE id = %s AND source = 'manual'", [line_id])
