"""Ending an account: archived with its figures, or gone with everything that was counted under it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.core import crash
from shared.store import rollups
from shared.store.rollups import KEYS, SUMMED

if TYPE_CHECKING:
    from datetime import datetime

    from shared.store.database import Connection


def usage(connection: Connection, account_id: int) -> dict[str, int]:
    """Return how many lines count under an account, by source, voided events left out; `held` await a decision."""
    rows = connection.execute(
        """
        SELECT source, sum(lines)::bigint AS lines FROM rollup_quarter WHERE account_id = %(id)s GROUP BY source
        UNION ALL SELECT 'held', count(*) FROM quarantine WHERE account_id = %(id)s AND state = 'held'
        """,
        {"id": account_id},
    )
    return {row["source"]: row["lines"] for row in rows if row["lines"]}


def end_what_recurs(connection: Connection, account_id: int, now: datetime) -> None:
    """End an account's collections and recurring entries: the first step, before the account itself is locked.

    A collection that is under way finds its checkpoint gone and stops; it locks that first as well.
    """
    connection.execute("DELETE FROM collection_state WHERE account_id = %s", [account_id])
    connection.execute("DELETE FROM staged_rows WHERE account_id = %s", [account_id])
    connection.execute(
        "UPDATE recurring_entries SET ended_at = %s, updated_at = %s WHERE account_id = %s AND ended_at IS NULL",
        [now, now, account_id],
    )


def archive(connection: Connection, account_id: int, now: datetime) -> None:
    """End an account's polling: its credential goes, its figures and its coverage stay."""
    connection.execute(
        """
        UPDATE accounts SET credential = NULL, is_default = false, error = NULL, archived_at = coalesce(archived_at, %s)
        WHERE id = %s
        """,
        [now, account_id],
    )


def mark(connection: Connection, account_id: int, now: datetime) -> None:
    """Have nothing new belong to an account: what is being written ends before this transaction or fails after it."""
    connection.execute(
        """
        UPDATE accounts SET credential = NULL, is_default = false, deleting_at = coalesce(deleting_at, %s) WHERE id = %s
        """,
        [now, account_id],
    )


def erase(connection: Connection, account_id: int, reason: str, now: datetime) -> bool:
    """Delete a marked account with all that was polled, derived and entered under it, and count it out of the roll-ups.

    Events are voided with the reason: what a program sent stays readable. In the order of every writer: lines, their
    sums, the account. Returns False if another one has deleted it meanwhile.
    """
    values: dict[str, Any] = {"id": account_id, "now": now, "reason": reason}
    connection.execute(
        """
        UPDATE ledger SET voided_at = %(now)s, void_reason = %(reason)s, updated_at = %(now)s
        WHERE account_id = %(id)s AND source IN ('event', 'import') AND voided_at IS NULL
        """,
        values,
    )
    # In one statement: of two at once only one finds the entries, and keeps what they said.
    connection.execute(
        """
        WITH gone AS (
            DELETE FROM ledger WHERE account_id = %(id)s AND source IN ('api', 'attribution', 'manual')
            RETURNING ledger.*
        )
        INSERT INTO manual_versions (line_id, entry, updated_at, replaced_at, reason)
        SELECT id, to_jsonb(gone), updated_at, %(now)s, 'deleted' FROM gone WHERE source = 'manual'
        """,
        values,
    )
    crash.at("remove:lines")
    _count_out(connection, account_id)
    crash.at("remove:counted")
    return connection.execute("DELETE FROM accounts WHERE id = %(id)s", values).rowcount > 0


def _count_out(connection: Connection, account_id: int) -> None:
    # Every line of the account is gone by now, and its roll-up cells are exactly what they added up to.
    extent = connection.execute(
        "SELECT min(slot) AS first, max(slot) AS last FROM rollup_quarter WHERE account_id = %s", [account_id]
    ).fetchone()
    if extent is None or extent["first"] is None:
        return
    columns = ", ".join(("slot", *KEYS, *(f"-{name} AS {name}" for name in SUMMED)))
    source = f"SELECT {columns} FROM rollup_quarter WHERE account_id = %(account)s"
    rollups.shift(connection, source, SUMMED, {"account": account_id}, (extent["first"], extent["last"]))
    connection.execute("DELETE FROM rollup_quarter WHERE account_id = %s AND lines = 0", [account_id])
