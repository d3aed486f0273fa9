"""What providers say besides what is counted: their bills by their own dimensions, and remarks that book nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.store.dimensions import KEY_ID, WORKSPACE_ID

if TYPE_CHECKING:
    from datetime import datetime

    from shared.store.database import Connection

# The parts of a bill, and the kind of name that its ids have, if they have one.
PARTS = {
    "key": (KEY_ID, "key"),
    "workspace": (WORKSPACE_ID, "workspace"),
    "product": ("buckets.dimensions ->> 'product'", None),
    "model": ("buckets.model", None),
    "charge": ("buckets.charge", None),
}


def billed_by(
    connection: Connection, part: str, start: datetime, end: datetime, accounts: list[int]
) -> list[dict[str, Any]]:
    """Return `account_id, id, name, amount` (USD) of the bills in `[start, end)` by one of `PARTS`, dearest first.

    `id` is None for what the provider does not say, `name` what it calls a key or workspace. What is held back as
    absurd is left out.
    """
    value, kind = PARTS[part]
    return connection.execute(
        f"""
        SELECT buckets.account_id, {value} AS id, max(names.name) AS name, sum(buckets.amount) AS amount
        FROM buckets LEFT JOIN provider_names AS names
            ON names.account_id = buckets.account_id AND names.kind = %(kind)s AND names.external_id = {value}
        WHERE buckets.amount IS NOT NULL AND buckets.bucket_start >= %(start)s AND buckets.bucket_start < %(end)s
            AND buckets.account_id = ANY(%(accounts)s)
            AND NOT EXISTS (
                SELECT FROM quarantine WHERE quarantine.bucket_id = buckets.id AND quarantine.state <> 'released'
            )
        GROUP BY 1, 2 ORDER BY 4 DESC, 1, 2
        """,
        {"kind": kind or "", "start": start, "end": end, "accounts": accounts},
    ).fetchall()


# A row of several people holds their records.
_RECORDS = """
    WITH records AS (
        SELECT dimensions ->> 'api_key_name' AS key_name, dimensions ->> 'customer_type' AS customer_type,
            dimensions ->> 'subscription_type' AS subscription_type,
            jsonb_array_elements(CASE WHEN raw ? 'rows' THEN raw -> 'rows' ELSE jsonb_build_array(raw) END) AS record
        FROM buckets
        WHERE account_id = %s AND stream = 'claude_code' AND bucket_start >= %s AND bucket_start < %s
    )
"""
_WHO = "key_name, customer_type, subscription_type"


def claude_code(connection: Connection, account_id: int, start: datetime, end: datetime) -> list[dict[str, Any]]:
    """Return what Claude Code did in the UTC days of `[start, end)`, by key and kind of customer.

    Each row has `key_name, customer_type, subscription_type, sessions, lines_added, lines_removed, commits,
    pull_requests`.
    """
    return connection.execute(
        f"""
        {_RECORDS}
        SELECT {_WHO}, sum((record #>> '{{core_metrics,num_sessions}}')::bigint)::bigint AS sessions,
            sum((record #>> '{{core_metrics,lines_of_code,added}}')::bigint)::bigint AS lines_added,
            sum((record #>> '{{core_metrics,lines_of_code,removed}}')::bigint)::bigint AS lines_removed,
            sum((record #>> '{{core_metrics,commits_by_claude_code}}')::bigint)::bigint AS commits,
            sum((record #>> '{{core_metrics,pull_requests_by_claude_code}}')::bigint)::bigint AS pull_requests
        FROM records GROUP BY {_WHO} ORDER BY sessions DESC, {_WHO}
        """,
        [account_id, start, end],
    ).fetchall()


def claude_code_models(connection: Connection, account_id: int, start: datetime, end: datetime) -> list[dict[str, Any]]:
    """Return the models behind `claude_code`, dearest first, as the provider estimates them.

    Each row has the same three words and `model, input_tokens, output_tokens, cache_read_tokens,
    cache_creation_tokens` and `estimated_cost` (USD).
    """
    return connection.execute(
        f"""
        {_RECORDS}
        SELECT {_WHO}, used ->> 'model' AS model, sum((used #>> '{{tokens,input}}')::bigint)::bigint AS input_tokens,
            sum((used #>> '{{tokens,output}}')::bigint)::bigint AS output_tokens,
            sum((used #>> '{{tokens,cache_read}}')::bigint)::bigint AS cache_read_tokens,
            sum((used #>> '{{tokens,cache_creation}}')::bigint)::bigint AS cache_creation_tokens,
            coalesce(sum((used #>> '{{estimated_cost,amount}}')::numeric * 0.01)
                FILTER (WHERE used #>> '{{estimated_cost,currency}}' = 'USD'), 0) AS estimated_cost
        FROM records, jsonb_array_elements(record -> 'model_breakdown') AS used
        GROUP BY {_WHO}, model ORDER BY estimated_cost DESC, model
        """,
        [account_id, start, end],
    ).fetchall()
