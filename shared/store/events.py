"""Usage events in the ledger: recognised by the hash of their id, written by COPY, voided but never deleted."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import tuple_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from shared.store.database import Connection

# What calls and purposes of a batch share; see `fields`.
_CALL = (
    "account_id", "provider", "model", "model_raw", "service_tier", "is_batch", "speed", "inference_geo",
)  # fmt: skip
_PURPOSE = (
    "source", "project", "project_given", "agent", "user_name", "session_label", "session_type", "category",
    "request_type",
)  # fmt: skip
_COLUMNS = (
    "id", "event_id", "event_key", "payload_hash", "recorded_at", "collected_at", "updated_at", *_CALL, *_PURPOSE,
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens",
    "reasoning_tokens", "audio_input_tokens", "audio_output_tokens", "image_input_tokens", "image_output_tokens",
    "web_searches", "requests", "input_cost", "output_cost", "cache_read_cost", "cache_write_5m_cost",
    "cache_write_1h_cost", "audio_cost", "image_cost", "web_search_cost", "request_cost", "cost", "rates_id",
    "reported_cost", "description", "tags", "metadata",
)  # fmt: skip
_COPY = f"COPY ledger ({', '.join(_COLUMNS)}) FROM STDIN"
_CHUNK = 128
_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})
NULL = "\\N"


class RacedError(Exception):
    """Look again: another writer stored one of the events first, and now it can be seen."""


def draw_ids(connection: Connection, count: int) -> list[str]:
    """Return so many new ids of ledger lines, ascending, as text."""
    row = connection.execute(
        "SELECT string_agg(nextval('ledger_id_seq')::text, ' ') AS ids FROM generate_series(1, %s)",
        [count],
    ).fetchone()
    return str(row["ids"]).split() if row and row["ids"] else []


def known(connection: Connection, keys: Iterable[str]) -> dict[str, tuple[str, int]]:
    """Return those keys that are stored, voided ones too: key -> (payload hash, line id), hashes in hex."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        rows = cursor.execute(
            "SELECT event_key, payload_hash, id FROM stored_events(%s::uuid[])", ["{" + ",".join(keys) + "}"]
        ).fetchall()
    return {key: (payload, line_id) for key, payload, line_id in rows}


def has(connection: Connection, line_id: int) -> bool:
    """Return whether there is a line of this id."""
    return connection.execute("SELECT 1 FROM ledger WHERE id = %s", [line_id]).fetchone() is not None


def text(value: str | None) -> str:
    """Return a text as a field of COPY."""
    if value is None:
        return NULL
    return value if value.isalnum() else value.translate(_ESCAPES)


def fields(values: Sequence[str | int | bool | None]) -> str:
    """Return values as fields of COPY: those of `_CALL` or `_PURPOSE`, which many lines share."""
    return "\t".join(
        text(value) if value is None or isinstance(value, str) else "ft"[value] if value is True or value is False
        else str(value)
        for value in values
    )  # fmt: skip


def write(connection: Connection, lines: Iterable[str]) -> None:
    """Append lines, each a row of COPY's text format in the order of `_COLUMNS`; roll-ups are the caller's.

    The server works on what is sent while the caller makes the rest.

    Raises:
        RacedError: somebody stored an event of these in the meantime; nothing was written.
    """
    chunks = _chunks(lines)
    first = next(chunks, None)
    if first is None:
        return
    try:
        # Whoever makes the lines may need the transaction after a failure of its own.
        with connection.transaction(), connection.cursor().copy(_COPY) as copy:
            copy.write(first)
            for chunk in chunks:
                copy.write(chunk)
    except psycopg.errors.UniqueViolation as error:
        raise RacedError from error


def _chunks(lines: Iterable[str]) -> Iterator[str]:
    rest = iter(lines)
    while chunk := "".join(islice(rest, _CHUNK)):
        yield chunk


def lock(connection: Connection, line_id: int) -> dict[str, Any] | None:
    """Return a line's `id, source, account_id, recorded_at, model, voided_at` and keep others from changing it."""
    return connection.execute(
        "SELECT id, source, account_id, recorded_at, model, voided_at FROM ledger WHERE id = %s FOR UPDATE", [line_id]
    ).fetchone()


def void(connection: Connection, line_id: int, reason: str, now: datetime) -> None:
    """Mark a line as void; taking it out of the roll-ups is the caller's, before."""
    connection.execute(
        "UPDATE ledger SET voided_at = %(now)s, void_reason = %(reason)s, updated_at = %(now)s WHERE id = %(id)s",
        {"id": line_id, "reason": reason, "now": now},
    )
