"""Events of a provider that belong to no account, and giving them to one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg.rows import tuple_row

from shared.store import rollups

if TYPE_CHECKING:
    from datetime import datetime

    from shared.store.database import Connection

_IDS_AT_ONCE = 100_000
# As the index `ledger_homeless` has it.
_HOMELESS = "account_id IS NULL AND source IN ('event', 'import') AND provider = %(provider)s"


def next_event(connection: Connection, provider: str, start: datetime, end: datetime) -> datetime | None:
    """Return the first instant in `[start, end)` with such an event, None if there is none: one look at an index."""
    row = connection.execute(
        f"SELECT min(recorded_at) AS first FROM ledger "
        f"WHERE {_HOMELESS} AND recorded_at >= %(start)s AND recorded_at < %(end)s",
        {"provider": provider, "start": start, "end": end},
    ).fetchone()
    return None if row is None else row["first"]


def move(
    connection: Connection, provider: str, account_id: int, span: tuple[datetime, datetime], now: datetime
) -> set[tuple[int, datetime, str]]:
    """Give such events of a half-open span of UTC to an account, voided ones too, and move the roll-ups with them.

    The lines stay locked until the transaction ends. Returns (account id, slot, model) of each group of them.
    """
    bounds = {"provider": provider, "start": span[0], "end": span[1]}
    with connection.cursor(row_factory=tuple_row) as cursor:
        found = cursor.execute(
            f"SELECT id FROM ledger WHERE {_HOMELESS} AND recorded_at >= %(start)s AND recorded_at < %(end)s "
            "ORDER BY id FOR UPDATE",
            bounds,
        ).fetchall()
    groups: set[tuple[int, datetime, str]] = set()
    for at in range(0, len(found), _IDS_AT_ONCE):
        ids = [line_id for (line_id,) in found[at : at + _IDS_AT_ONCE]]
        rollups.subtract(connection, ids)
        rows = connection.execute(
            """
            WITH moved AS (
                UPDATE ledger SET account_id = %(account)s, updated_at = %(now)s
                WHERE id = ANY(%(ids)s) AND recorded_at >= %(start)s AND recorded_at < %(end)s
                RETURNING recorded_at, model
            )
            SELECT DISTINCT date_bin('15 minutes', recorded_at, '2000-01-01 00:00+00') AS slot, model FROM moved
            """,
            {**bounds, "ids": ids, "account": account_id, "now": now},
        )
        groups |= {(account_id, row["slot"], row["model"]) for row in rows}
        rollups.add(connection, ids)
    return groups
