"""What polled tokens cost by our prices and what the provider billed, per account and UTC day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from shared.store.database import Connection

_FILTER = "(%(accounts)s::bigint[] IS NULL OR account_id = ANY(%(accounts)s))"


def estimated(
    connection: Connection, start: datetime, end: datetime, accounts: list[int] | None
) -> list[dict[str, Any]]:
    """Return what there is per account and UTC day of `[start, end)`, voided events left out.

    Each row has `account_id, date, cost` (of polled lines), `logged` (of events), `unattributed` (what balance lines
    leave of the polled), `unpriced_models`, `unpriced_tokens` and `tiers` (of polled lines); USD.
    """
    return connection.execute(
        f"""
        SELECT account_id, (recorded_at AT TIME ZONE 'UTC')::date AS date,
            coalesce(sum(cost) FILTER (WHERE source = 'api'), 0) AS cost,
            coalesce(sum(cost) FILTER (WHERE source IN ('event', 'import')), 0) AS logged,
            coalesce(sum(cost) FILTER (WHERE source IN ('api', 'attribution')), 0) AS unattributed,
            coalesce(array_agg(DISTINCT model) FILTER (WHERE cost IS NULL AND source = 'api'), '{{}}')
                AS unpriced_models,
            coalesce(sum(input_tokens + output_tokens + cache_read_tokens + cache_write_5m_tokens
                + cache_write_1h_tokens) FILTER (WHERE cost IS NULL AND source = 'api'), 0) AS unpriced_tokens,
            coalesce(array_agg(DISTINCT service_tier) FILTER (WHERE source = 'api' AND service_tier IS NOT NULL),
                '{{}}') AS tiers
        FROM ledger
        WHERE recorded_at >= %(start)s AND recorded_at < %(end)s AND account_id IS NOT NULL AND voided_at IS NULL
            AND source <> 'manual' AND {_FILTER}
        GROUP BY 1, 2
        """,
        {"start": start, "end": end, "accounts": accounts},
    ).fetchall()


def billed(connection: Connection, start: datetime, end: datetime, accounts: list[int] | None) -> list[dict[str, Any]]:
    """Return `account_id, date, amount` (USD) and `charges` of the bills whose buckets start in `[start, end)`.

    What is held back as absurd, or was dropped, is in no figure, so not in these either.
    """
    return connection.execute(
        f"""
        SELECT account_id, (bucket_start AT TIME ZONE 'UTC')::date AS date, sum(amount) AS amount,
            coalesce(array_agg(DISTINCT charge) FILTER (WHERE charge IS NOT NULL AND amount <> 0), '{{}}') AS charges
        FROM buckets
        WHERE amount IS NOT NULL AND bucket_start >= %(start)s AND bucket_start < %(end)s AND {_FILTER}
            AND NOT EXISTS (
                SELECT FROM quarantine WHERE quarantine.bucket_id = buckets.id AND quarantine.state <> 'released'
            )
        GROUP BY 1, 2
        """,
        {"start": start, "end": end, "accounts": accounts},
    ).fetchall()
