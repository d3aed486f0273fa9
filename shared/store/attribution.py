"""What balance lines are derived from, and the balance lines themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.core.attribution import CLASSES, COUNTERS
from shared.core.windows import Coverage
from shared.errors import ConflictError
from shared.store import ledger, rollups

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from datetime import datetime

    from shared.store.database import Connection

# What a balance line takes over from its bucket's.
TERMS = (
    "provider", "model_raw", "service_tier", "is_batch", "speed", "inference_geo", "context_window", "project",
    "session_label", "session_type", "request_type",
)  # fmt: skip
# Everything a balance line says; `insert` takes dicts of these.
COLUMNS = (
    "account_id", "recorded_at", "collected_at", "updated_at", "model", *TERMS, *COUNTERS, *CLASSES, "cost",
)  # fmt: skip
_TOKENS = "input_tokens + output_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens"


def lock(
    connection: Connection, account_ids: Collection[int], *, strict: bool = False
) -> dict[int, tuple[str, Coverage]]:
    """Return id -> (provider, coverage) of those accounts that were ever collected, and keep others from deriving.

    Whoever changes lines of an account locks it after writing them and before deriving, until the end of its
    transaction: of two writers the second one sees what the first wrote, and the coverage that holds. Accounts that
    are being deleted, or are gone, are left out; `strict` is for those who may have written lines of one.

    Raises:
        ConflictError: strictly, one of them is being deleted, or gone.
    """
    rows = connection.execute(
        """
        SELECT id, provider, covered_from, complete_until FROM accounts WHERE id = ANY(%s) AND deleting_at IS NULL
        ORDER BY id FOR NO KEY UPDATE
        """,
        [list(account_ids)],
    ).fetchall()
    if strict and len(rows) < len(set(account_ids)):
        raise ConflictError("The account was deleted at this moment; name another one, or none, and send it again.")
    return {
        row["id"]: (row["provider"], Coverage(row["covered_from"], row["complete_until"]))
        for row in rows
        if row["complete_until"] is not None
    }


def groups(
    connection: Connection, account_ids: Collection[int], spans: Iterable[tuple[datetime, datetime]]
) -> set[tuple[int, datetime, str]]:
    """Return (account id, slot, model) of every event and balance line of these accounts in half-open spans of UTC.

    Asked before `lock`, the answer could miss what another writer commits in between.
    """
    starts, ends = zip(*spans, strict=True)
    rows = connection.execute(
        """
        SELECT DISTINCT account_id, date_bin('15 minutes', recorded_at, '2000-01-01 00:00+00') AS slot, model
        FROM unnest(%s::timestamptz[], %s::timestamptz[]) AS span (first, last)
        JOIN ledger ON recorded_at >= first AND recorded_at < last
        WHERE account_id = ANY(%s) AND source IN ('event', 'import', 'attribution')
        """,
        [list(starts), list(ends), list(account_ids)],
    )
    return {(row["account_id"], row["slot"], row["model"]) for row in rows}


def logged(connection: Connection, account_ids: Sequence[int], slots: Sequence[datetime]) -> list[dict[str, Any]]:
    """Sum the covered events of these accounts and slots per account, slot, model and whether they have a price.

    Each row has `account_id, slot, model, is_priced`, the sums of counters and costs by column, `cost`, and the newest
    `collected_at` and `updated_at`.
    """
    sums = ", ".join(f"sum({name}) AS {name}" for name in (*COUNTERS, *CLASSES, "cost"))
    return connection.execute(
        f"""
        SELECT event.account_id, slot, model, cost IS NOT NULL AS is_priced, max(event.collected_at) AS collected_at,
            max(updated_at) AS updated_at, {sums}
        FROM unnest(%(slots)s::timestamptz[]) AS asked (slot)
        CROSS JOIN LATERAL (
            SELECT * FROM ledger WHERE recorded_at >= slot AND recorded_at < slot + interval '15 minutes'
                AND account_id = ANY(%(accounts)s) AND source IN ('event', 'import') AND voided_at IS NULL
        ) AS event
        JOIN accounts ON accounts.id = event.account_id
        WHERE recorded_at >= covered_from AND recorded_at < complete_until AND NOT never_read @> recorded_at
        GROUP BY 1, 2, 3, 4
        """,
        {"slots": list(slots), "accounts": list(account_ids)},
    ).fetchall()


def polled(
    connection: Connection, account_ids: Sequence[int], days: Sequence[datetime], models: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the usage buckets of these accounts and models that start in these UTC days (their midnights).

    Of buckets with an amount those of a bill have a charge as well, the others are usage that says what it cost. Each
    row has `account_id, model, bucket_start, bucket_end, key, cost, tokens, is_billed, updated_at` and `TERMS`.
    """
    return connection.execute(
        f"""
        SELECT line.account_id, line.model, bucket_start, bucket_end, stream || ' ' || key AS key, cost,
            {_TOKENS} AS tokens, amount IS NOT NULL AS is_billed, updated_at,
            {", ".join(f"line.{name}" for name in TERMS)}
        FROM unnest(%(days)s::timestamptz[]) AS asked (day)
        CROSS JOIN LATERAL (
            SELECT * FROM ledger WHERE source = 'api' AND account_id = ANY(%(accounts)s) AND model = ANY(%(models)s)
                AND recorded_at >= day AND recorded_at < day + interval '24 hours'
        ) AS line
        JOIN buckets ON buckets.id = line.bucket_id
        WHERE buckets.amount IS NULL OR buckets.charge IS NULL
        """,
        {"days": list(days), "accounts": list(account_ids), "models": list(models)},
    ).fetchall()


def stored(connection: Connection, account_ids: Sequence[int], slots: Sequence[datetime]) -> list[dict[str, Any]]:
    """Return the balance lines of these accounts and slots: `id` and `COLUMNS`."""
    return connection.execute(
        f"""
        SELECT id, {", ".join(COLUMNS)} FROM ledger
        WHERE source = 'attribution' AND account_id = ANY(%s) AND recorded_at = ANY(%s) ORDER BY id
        """,
        [list(account_ids), list(slots)],
    ).fetchall()


def insert(connection: Connection, lines: Sequence[dict[str, Any]]) -> None:
    """Store balance lines (dicts of `COLUMNS`) and count them in."""
    ledger.insert(connection, [{**line, "source": "attribution"} for line in lines])


def delete(connection: Connection, line_ids: Sequence[int]) -> None:
    """Count these balance lines out and delete them: they are derived, so there is nothing to remember."""
    rollups.subtract(connection, line_ids)
    connection.execute("DELETE FROM ledger WHERE id = ANY(%s) AND source = 'attribution'", [list(line_ids)])
