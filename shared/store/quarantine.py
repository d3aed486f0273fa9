"""Rows of reports that are held back: stored with the line that they would be, and what a person decided."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from shared.core import jsontext
from shared.core.quarantine import MEMORY, Figures
from shared.store.reports import Filters, conditions

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from datetime import date, datetime

    from shared.store.database import Connection

HELD, RELEASED, DROPPED = STATES = ("held", "released", "dropped")
_TOKENS = "input_tokens + output_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens"
_SHOWN = """
    quarantine.id, accounts.name AS account, accounts.provider, quarantine.stream, quarantine.recorded_at,
    buckets.bucket_end AS ends_at, line ->> 'model' AS model, line ->> 'project' AS project,
    line ->> 'session_label' AS session_label, quarantine.state, quarantine.cost, quarantine.tokens::bigint AS tokens,
    usual_cost, usual_tokens::bigint AS usual_tokens, held_at, decided_at, decided_by, note, buckets.raw AS raw_data
"""
_FROM = """
    quarantine JOIN accounts ON accounts.id = quarantine.account_id JOIN buckets ON buckets.id = quarantine.bucket_id
"""


@contextmanager
def days_before(
    connection: Connection, account_id: int, start: datetime, end: datetime
) -> Iterator[Callable[[], dict[date, Figures]]]:
    """Give what sums an account's polled lines by UTC day, as far back as habits go from `start`, up to `end`.

    The sums are those of this moment, whatever the transaction has changed when they are asked for; unasked they cost
    nothing.
    """
    with connection.cursor(name="usual_days") as cursor:
        # A cursor sees the ledger as it was when it was declared, and reads nothing before it is fetched from.
        cursor.execute(
            f"""
            SELECT (recorded_at AT TIME ZONE 'UTC')::date AS day, coalesce(sum(cost), 0) AS cost,
                sum({_TOKENS})::bigint AS tokens
            FROM ledger WHERE account_id = %s AND source = 'api' AND recorded_at >= %s AND recorded_at < %s GROUP BY 1
            """,
            [account_id, start - MEMORY, end],
        )
        yield lambda: {row["day"]: Figures(row["cost"], row["tokens"]) for row in cursor.fetchall()}


def believed(connection: Connection, account_id: int, start: datetime, end: datetime) -> Figures:
    """Return the largest cost (USD) and number of tokens that were released of an account in that span."""
    row = connection.execute(
        """
        SELECT coalesce(max(abs(believed_cost)), 0) AS cost, coalesce(max(believed_tokens), 0)::bigint AS tokens
        FROM quarantine
        WHERE account_id = %s AND state = 'released' AND recorded_at >= %s AND recorded_at < %s
        """,
        [account_id, start - MEMORY, end],
    ).fetchone()
    if row is None:
        raise AssertionError("an aggregate gives a row")
    return Figures(row["cost"], row["tokens"])


def hold(connection: Connection, rows: Sequence[Mapping[str, Any]], now: datetime) -> None:
    """Hold these rows, whatever was decided about earlier figures of theirs.

    Each has `bucket_id, account_id, stream, recorded_at, line` (by column), `rates_id, cost, tokens, usual_cost` and
    `usual_tokens`.
    """
    connection.execute(
        """
        INSERT INTO quarantine (bucket_id, account_id, stream, recorded_at, state, line, rates_id, cost, tokens,
                                usual_cost, usual_tokens, held_at)
        SELECT bucket_id, account_id, stream, recorded_at, 'held', line, rates_id, cost, tokens, usual_cost,
               usual_tokens, %s
        FROM jsonb_populate_recordset(NULL::quarantine, %s::jsonb) ORDER BY bucket_id
        ON CONFLICT (bucket_id) DO UPDATE SET state = 'held', line = excluded.line, rates_id = excluded.rates_id,
            cost = excluded.cost, tokens = excluded.tokens, usual_cost = excluded.usual_cost,
            usual_tokens = excluded.usual_tokens, held_at = excluded.held_at, decided_at = NULL, decided_by = NULL,
            note = NULL, believed_cost = 0, believed_tokens = 0
        """,
        [now, jsontext.dumps(list(rows))],
    )


def restate(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Have rows say what counts for them now; what was decided, and about which figures, stays.

    Each has `bucket_id, line` (by column), `rates_id, cost` and `tokens`.
    """
    connection.execute(
        """
        UPDATE quarantine SET line = new.line, rates_id = new.rates_id, cost = new.cost, tokens = new.tokens
        FROM jsonb_populate_recordset(NULL::quarantine, %s::jsonb) AS new WHERE quarantine.bucket_id = new.bucket_id
        """,
        [jsontext.dumps(list(rows))],
    )


def forget(connection: Connection, bucket_ids: Collection[int]) -> None:
    """Take rows out of quarantine that look usual now, or say nothing any more."""
    connection.execute("DELETE FROM quarantine WHERE bucket_id = ANY(%s)", [list(bucket_ids)])


def lock(connection: Connection, row_id: int) -> dict[str, Any] | None:
    """Return a row with its account, its `line`, `rates_id` and `state`, and its `line_id` if it counts; None if gone.

    Nobody else decides about it, and no collection of its stream ends, before this transaction does.
    """
    # First the checkpoint, as a collection does: else each may wait for the other.
    connection.execute(
        """
        SELECT 1 FROM collection_state JOIN quarantine USING (account_id, stream) WHERE quarantine.id = %s
        FOR UPDATE OF collection_state
        """,
        [row_id],
    )
    return connection.execute(
        """
        SELECT quarantine.id, account_id, accounts.name AS account, accounts.deleting_at, bucket_id, line, rates_id,
            quarantine.state, recorded_at, quarantine.stream, cost, tokens::bigint AS tokens,
            (SELECT ledger.id FROM ledger WHERE ledger.bucket_id = quarantine.bucket_id) AS line_id
        FROM quarantine JOIN accounts ON accounts.id = account_id WHERE quarantine.id = %s FOR UPDATE OF quarantine
        """,
        [row_id],
    ).fetchone()


def decide(connection: Connection, row_id: int, state: str, by: str, at: datetime, note: str | None) -> None:
    """Note what a person decided about a row; the figures of one that is released are believed from then on."""
    connection.execute(
        """
        UPDATE quarantine SET state = %(state)s, decided_by = %(by)s, decided_at = %(at)s, note = %(note)s,
            believed_cost = CASE %(state)s WHEN 'released' THEN coalesce(cost, 0) ELSE 0 END,
            believed_tokens = CASE %(state)s WHEN 'released' THEN tokens ELSE 0 END
        WHERE id = %(id)s
        """,
        {"state": state, "by": by, "at": at, "note": note, "id": row_id},
    )


def get(connection: Connection, row_id: int) -> dict[str, Any] | None:
    """Return one row as `newest` does, None if there is none."""
    return connection.execute(f"SELECT {_SHOWN} FROM {_FROM} WHERE quarantine.id = %s", [row_id]).fetchone()


def newest(
    connection: Connection, state: str | None, before: int | None, limit: int, offset: int
) -> list[dict[str, Any]]:
    """Return rows with ids below `before`, of one state or of all, newest first."""
    return connection.execute(
        f"""
        SELECT {_SHOWN} FROM {_FROM}
        WHERE (%(state)s::text IS NULL OR quarantine.state = %(state)s)
            AND (%(before)s::bigint IS NULL OR quarantine.id < %(before)s)
        ORDER BY quarantine.id DESC LIMIT %(limit)s OFFSET %(offset)s
        """,
        {"state": state, "before": before, "limit": limit, "offset": offset},
    ).fetchall()


def touching(connection: Connection, start: datetime, end: datetime, filters: Filters) -> dict[str, Any]:
    """Return `rows` and `cost` (USD, of those with a price) of what is held of `[start, end)` behind these filters."""
    where, values = conditions("recorded_at", filters, "held_facts")
    row = connection.execute(
        f"SELECT count(*) AS rows, coalesce(sum(cost), 0) AS cost FROM held_facts WHERE {where}".encode(),
        {**values, "start": start, "end": end},
    ).fetchone()
    if row is None:
        raise AssertionError("an aggregate gives a row")
    return row


def by_day(connection: Connection, start: datetime, end: datetime, accounts: Sequence[int]) -> list[dict[str, Any]]:
    """Return `account_id, date` (UTC) and the number of `rows` that are held of these accounts in `[start, end)`."""
    return connection.execute(
        """
        SELECT account_id, (recorded_at AT TIME ZONE 'UTC')::date AS date, count(*) AS rows FROM quarantine
        WHERE state = 'held' AND recorded_at >= %s AND recorded_at < %s AND account_id = ANY(%s) GROUP BY 1, 2
        """,
        [start, end, list(accounts)],
    ).fetchall()


def count(connection: Connection) -> int:
    """Return how many rows are held."""
    row = connection.execute("SELECT count(*) AS rows FROM quarantine WHERE state = 'held'").fetchone()
    return 0 if row is None else int(row["rows"])
