"""Ledger lines. Whoever changes them moves the roll-ups in the same transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.core import jsontext
from shared.store import rollups
from shared.store.database import as_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from shared.store.database import Connection

Record = dict[str, Any]

# What a new word of the provider changes. Its project, label and type stay: re-mapping the past is a step of its own.
_RESTATED = (
    "updated_at", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_5m_tokens",
    "cache_write_1h_tokens", "reasoning_tokens", "audio_input_tokens", "audio_output_tokens", "image_input_tokens",
    "image_output_tokens", "web_searches", "requests", "cost", "input_cost", "output_cost", "cache_read_cost",
    "cache_write_5m_cost", "cache_write_1h_cost", "audio_cost", "image_cost", "web_search_cost", "request_cost",
    "rates_id", "model", "model_raw", "service_tier", "is_batch", "speed", "inference_geo", "context_window",
    "description", "request_type",
)  # fmt: skip
_COLUMNS = (
    *_RESTATED,
    "source", "account_id", "bucket_id", "recorded_at", "collected_at", "provider", "project", "session_label",
    "session_type",
)  # fmt: skip


def insert(connection: Connection, lines: Sequence[Record]) -> None:
    """Store new lines (dicts by column) and add them to the roll-ups."""
    columns = ", ".join(_COLUMNS)
    rows = connection.execute(
        f"INSERT INTO ledger ({columns}) SELECT {columns} "
        "FROM jsonb_populate_recordset(NULL::ledger, %s::jsonb) RETURNING id",
        [as_rows(lines)],
    ).fetchall()
    rollups.add(connection, [row["id"] for row in rows])


def replace(connection: Connection, lines: Sequence[Record]) -> None:
    """Give the lines with these `id`s what their provider says now, in the ledger and in the roll-ups."""
    ids = [line["id"] for line in lines]
    # What is counted out has to be what is replaced.
    connection.execute("SELECT 1 FROM ledger WHERE id = ANY(%s) ORDER BY id FOR UPDATE", [ids])
    rollups.subtract(connection, ids)
    changes = ", ".join(f"{column} = new.{column}" for column in _RESTATED)
    connection.execute(
        f"UPDATE ledger SET {changes} "
        "FROM jsonb_populate_recordset(NULL::ledger, %s::jsonb) AS new WHERE ledger.id = new.id",
        [as_rows(lines)],
    )
    rollups.add(connection, ids)


def remove(connection: Connection, line_ids: Sequence[int]) -> None:
    """Count these polled lines out of the roll-ups and delete them; what they said is with their buckets."""
    rollups.subtract(connection, line_ids)
    connection.execute("DELETE FROM ledger WHERE id = ANY(%s) AND source = 'api'", [list(line_ids)])


def rates_ids(connection: Connection, rates: Mapping[str, object]) -> dict[str, int]:
    """Store rates by fingerprint where they are new, and return fingerprint -> id."""
    found = _rates_ids(connection, list(rates))
    # Most are there already; asking first spares their writers from waiting for each other.
    missing = {fingerprint: detail for fingerprint, detail in rates.items() if fingerprint not in found}
    if not missing:
        return found
    connection.execute(
        """
        INSERT INTO rates (fingerprint, detail)
        SELECT fingerprint, detail FROM jsonb_to_recordset(%s::jsonb) AS new (fingerprint text, detail jsonb)
        ORDER BY fingerprint ON CONFLICT (fingerprint) DO NOTHING
        """,
        [jsontext.dumps([{"fingerprint": key, "detail": detail} for key, detail in missing.items()])],
    )
    return found | _rates_ids(connection, list(missing))


def known_rates(connection: Connection) -> dict[str, int]:
    """Return fingerprint -> id of all rates that ever priced a line: some hundreds."""
    row = connection.execute("SELECT string_agg(fingerprint || ' ' || id, ',') AS known FROM rates").fetchone()
    pairs = (pair.split(" ") for pair in str(row["known"]).split(",")) if row and row["known"] else ()
    return {fingerprint: int(rates_id) for fingerprint, rates_id in pairs}


def _rates_ids(connection: Connection, fingerprints: list[str]) -> dict[str, int]:
    rows = connection.execute("SELECT fingerprint, id FROM rates WHERE fingerprint = ANY(%s)", [fingerprints])
    return {row["fingerprint"]: row["id"] for row in rows}


def save_model_names(connection: Connection, names: Mapping[str, str]) -> None:
    """Remember id as sent (lower case) -> canonical id."""
    rows = connection.execute("SELECT name, model FROM model_names WHERE name = ANY(%s)", [list(names)])
    stored = {row["name"]: row["model"] for row in rows}
    # An upsert locks the rows that it leaves as they are, until the end of a transaction that may be long.
    changed = {name: model for name, model in names.items() if stored.get(name) != model}
    if not changed:
        return
    connection.execute(
        """
        INSERT INTO model_names (name, model) SELECT key, value FROM jsonb_each_text(%s::jsonb) ORDER BY key
        ON CONFLICT (name) DO UPDATE SET model = excluded.model WHERE model_names.model <> excluded.model
        """,
        [jsontext.dumps(changed)],
    )


def model_names(connection: Connection) -> dict[str, str]:
    """Return every id seen (lower case) -> canonical id."""
    return {row["name"]: row["model"] for row in connection.execute("SELECT name, model FROM model_names")}


def bounds(connection: Connection) -> tuple[datetime, datetime] | None:
    """Return the first and last instant that the ledger or a roll-up knows, None when both are empty."""
    row = connection.execute(
        """
        SELECT least(
                (SELECT min(recorded_at) FROM ledger), (SELECT min(slot) FROM rollup_quarter),
                (SELECT min(day) FROM rollup_day), (SELECT min(day) FROM rollup_day_keys)
            ) AS first,
            greatest(
                (SELECT max(recorded_at) FROM ledger), (SELECT max(slot) FROM rollup_quarter),
                (SELECT max(day) FROM rollup_day), (SELECT max(day) FROM rollup_day_keys)
            ) AS last
        """
    ).fetchone()
    return None if row is None or row["first"] is None else (row["first"], row["last"])
