"""Ledger lines as the contract shows them: one, several, or a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.store.reports import Filters, conditions

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from shared.store.database import Connection

# The record of the contract in its order, then what else decides its price: the columns of `usage_records`.
COLUMNS = (
    "id", "event_id", "recorded_at", "collected_at", "updated_at", "provider", "account", "model", "model_raw",
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens",
    "total_tokens", "requests", "cost_usd", "input_cost", "output_cost", "cache_cost", "reported_cost", "priced_by",
    "project", "agent", "user", "session_label", "session_type", "category", "description", "request_type", "source",
    "tags", "metadata", "raw_data", "reasoning_tokens", "audio_input_tokens", "audio_output_tokens",
    "image_input_tokens", "image_output_tokens", "web_searches", "service_tier", "batch", "speed", "inference_geo",
)  # fmt: skip
_SELECT = ", ".join('"user"' if name == "user" else name for name in COLUMNS)

# The place of a line in lists: when it was recorded, and its id among those of the same instant.
Place = tuple["datetime", int]


def by_ids(connection: Connection, ids: Collection[int]) -> dict[int, dict[str, Any]]:
    """Return records by id, voided ones too: the columns of `usage_records`, `voided_at` and `void_reason`."""
    rows = connection.execute(
        f"SELECT {_SELECT}, voided_at, void_reason FROM kept_records WHERE id = ANY(%s)", [list(ids)]
    )
    return {row["id"]: row for row in rows}


def get(connection: Connection, line_id: int) -> dict[str, Any] | None:
    """Return one record as `by_ids` does, None where there is no such line."""
    return by_ids(connection, [line_id]).get(line_id)


def page(
    connection: Connection,
    span: tuple[datetime, datetime],
    filters: Filters,
    after: Place | None,
    limit: int,
    offset: int,
) -> list[dict[str, Any]]:
    """Return records of `[start, end)` (UTC) that pass the filters, newest first, beginning behind `after`."""
    where, values = conditions("recorded_at", filters, "facts")
    if after is not None:
        where += " AND (recorded_at, id) < (%(after_at)s, %(after_id)s)"
        values |= {"after_at": after[0], "after_id": after[1]}
    return connection.execute(
        f"""
        SELECT {_SELECT} FROM usage_records WHERE id IN (
            SELECT id FROM facts WHERE {where} ORDER BY recorded_at DESC, id DESC LIMIT %(limit)s OFFSET %(offset)s
        )
        ORDER BY recorded_at DESC, id DESC
        """,
        {**values, "start": span[0], "end": span[1], "limit": limit, "offset": offset},
    ).fetchall()
