"""Provider snapshots: upserted when their content changed, earlier versions kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.core import jsontext

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from shared.store.database import Connection

Record = dict[str, Any]


def known(
    connection: Connection,
    account_id: int,
    stream: str,
    start: datetime,
    end: datetime,
    *,
    dimension: str | None = None,
) -> dict[tuple[datetime, str], Record]:
    """Return the buckets that start in `[start, end)`, by (start, key).

    Each has `id`, `content_hash`, `line_id` (None without a line), its value of the `dimension`, and of those that ever
    looked absurd the `state` in quarantine with `believed_cost` and `believed_tokens`.
    """
    rows = connection.execute(
        """
        SELECT buckets.id, bucket_start, buckets.key, content_hash, ledger.id AS line_id, quarantine.state,
            believed_cost, believed_tokens, buckets.dimensions ->> %s::text AS dimension
        FROM buckets LEFT JOIN ledger ON ledger.bucket_id = buckets.id
            LEFT JOIN quarantine ON quarantine.bucket_id = buckets.id
        WHERE buckets.account_id = %s AND buckets.stream = %s AND bucket_start >= %s AND bucket_start < %s
        """,
        [dimension, account_id, stream, start, end],
    )
    return {(row["bucket_start"], row["key"]): row for row in rows}


def first(
    connection: Connection, account_id: int, streams: Sequence[str], start: datetime, end: datetime
) -> datetime | None:
    """Return where the first bucket of these streams starts in `[start, end)`, None if there is none."""
    row = connection.execute(
        """
        SELECT min(bucket_start) AS first FROM buckets
        WHERE account_id = %s AND stream = ANY(%s) AND bucket_start >= %s AND bucket_start < %s
        """,
        [account_id, list(streams), start, end],
    ).fetchone()
    return None if row is None else row["first"]


def insert(connection: Connection, records: Sequence[Record]) -> dict[tuple[datetime, str], int]:
    """Store new buckets and return their ids by (start, key)."""
    rows = connection.execute(
        """
        INSERT INTO buckets (account_id, stream, bucket_start, bucket_end, key, content_hash, dimensions, raw, amount,
                             charge, model, fetched_at)
        SELECT account_id, stream, bucket_start, bucket_end, key, content_hash, dimensions, raw, amount, charge, model,
               fetched_at
        FROM jsonb_populate_recordset(NULL::buckets, %s::jsonb)
        RETURNING id, bucket_start, key
        """,
        [jsontext.dumps(records)],
    )
    return {(row["bucket_start"], row["key"]): row["id"] for row in rows}


def restate(connection: Connection, records: Sequence[Record], replaced_at: datetime) -> None:
    """Replace the content of the buckets with these ids; what they said before goes to the history."""
    _keep_versions(connection, [record["id"] for record in records], replaced_at, "restated")
    connection.execute(
        """
        UPDATE buckets SET content_hash = new.content_hash, raw = new.raw, amount = new.amount, charge = new.charge,
            model = new.model, fetched_at = new.fetched_at
        FROM jsonb_populate_recordset(NULL::buckets, %s::jsonb) AS new WHERE buckets.id = new.id
        """,
        [jsontext.dumps(records)],
    )


def remove(connection: Connection, bucket_ids: Sequence[int], replaced_at: datetime) -> None:
    """Delete buckets that the provider no longer reports, with their ledger lines; their history stays."""
    _keep_versions(connection, bucket_ids, replaced_at, "removed")
    connection.execute("DELETE FROM buckets WHERE id = ANY(%s)", [list(bucket_ids)])


def _keep_versions(connection: Connection, bucket_ids: Sequence[int], replaced_at: datetime, reason: str) -> None:
    connection.execute(
        """
        INSERT INTO bucket_versions (bucket_id, account_id, stream, bucket_start, bucket_end, key, dimensions, raw,
                                     amount, cost, fetched_at, replaced_at, reason)
        SELECT buckets.id, buckets.account_id, stream, bucket_start, bucket_end, key, dimensions, raw, amount, cost,
               fetched_at, %s, %s
        FROM buckets LEFT JOIN ledger ON ledger.bucket_id = buckets.id WHERE buckets.id = ANY(%s) ORDER BY buckets.id
        """,
        [replaced_at, reason, list(bucket_ids)],
    )
