"""Roll-ups compared with what they are sums of, and replaced by it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.core.periods import local_date
from shared.store import dailies, rollups
from shared.store.rollups import BY_DAY, KEYS, SUMMED

if TYPE_CHECKING:
    from datetime import datetime

    from shared.store.dailies import State
    from shared.store.database import Connection

_keys = ", ".join(("slot", *KEYS))
_columns = ", ".join(("slot", *KEYS, *SUMMED))
_sums = ", ".join(f"sum({name}) AS {name}" for name in SUMMED)
_named = ", ".join(("('', '')", *(f"('{name}', {name}::text)" for name in KEYS)))
_truth = f"SELECT {_keys}, {_sums} FROM facts WHERE recorded_at >= %(start)s AND recorded_at < %(end)s GROUP BY {_keys}"


def find(connection: Connection, start: datetime, end: datetime) -> list[dict[str, Any]]:
    """Compare all roll-ups over `[start, end)` UTC and return the days that differ, oldest first.

    The fine one is compared with the ledger by UTC days, those by day with the fine one by days of their zone. Each row
    has `date`, `slots` (rows that differ), and the day's `rolled_up_cost` and `ledger_cost` in USD.
    """
    state = dailies.share(connection)
    found = [row for table in BY_DAY for row in _by_day(connection, state, table, start, end)]
    # A date that is named twice differs by the finer account of it.
    dated = {row["date"]: row for row in [*reversed(found), *_fine(connection, start, end)]}
    return [dated[date] for date in sorted(dated)]


def _fine(connection: Connection, start: datetime, end: datetime) -> list[dict[str, Any]]:
    query = f"""
        WITH stored AS (SELECT {_columns} FROM rollup_quarter WHERE slot >= %(start)s AND slot < %(end)s),
        truth AS ({_truth}),
        wrong AS (
            (SELECT * FROM stored EXCEPT SELECT * FROM truth) UNION (SELECT * FROM truth EXCEPT SELECT * FROM stored)
        ),
        days AS (
            SELECT (slot AT TIME ZONE 'UTC')::date AS date, count(DISTINCT ({_keys})) AS slots FROM wrong GROUP BY 1
        )
        SELECT date, slots,
            (SELECT coalesce(sum(cost), 0) FROM stored WHERE (slot AT TIME ZONE 'UTC')::date = date) AS rolled_up_cost,
            (SELECT coalesce(sum(cost), 0) FROM truth WHERE (slot AT TIME ZONE 'UTC')::date = date) AS ledger_cost
        FROM days ORDER BY date
    """
    return connection.execute(query, {"start": start, "end": end}).fetchall()


def _by_day(connection: Connection, state: State, table: str, start: datetime, end: datetime) -> list[dict[str, Any]]:
    days = _whole(state, start, end)
    keys = ", ".join(BY_DAY[table])
    until = state.cut_until if table == "rollup_day" else state.closed_until
    # The whole of a day is among the keys of one roll-up, and the sum over them in the other.
    whole = "dimension = ''" if table == "rollup_day" else "true"
    truth = f"SELECT {rollups.DAY}, * FROM rollup_quarter WHERE slot >= %(start)s AND slot < least(%(end)s, %(until)s)"
    if table == "rollup_day":
        truth = f"SELECT * FROM ({truth}) AS cell CROSS JOIN LATERAL (VALUES {_named}) AS named (dimension, key)"
    query = f"""
        WITH stored AS (
            SELECT {keys}, {_sums} FROM {table} WHERE day >= %(start)s AND day < %(end)s GROUP BY {keys}
            HAVING ({", ".join(f"sum({name})" for name in SUMMED)}) <> ({", ".join("0" for _ in SUMMED)})
        ),
        truth AS (SELECT {keys}, {_sums} FROM ({truth}) AS apart GROUP BY {keys}),
        wrong AS (
            (SELECT * FROM stored EXCEPT SELECT * FROM truth) UNION (SELECT * FROM truth EXCEPT SELECT * FROM stored)
        ),
        differ AS (SELECT day, count(DISTINCT ({keys})) AS slots FROM wrong GROUP BY day)
        SELECT day, slots,
            (SELECT coalesce(sum(cost), 0) FROM stored WHERE stored.day = differ.day AND {whole}) AS rolled_up_cost,
            (SELECT coalesce(sum(cost), 0) FROM truth WHERE truth.day = differ.day AND {whole}) AS ledger_cost
        FROM differ ORDER BY day
    """
    rows = connection.execute(query, {"start": days[0], "end": days[-1], "until": until, "days": days}).fetchall()
    return [{"date": local_date(row.pop("day"), state.zone), **row} for row in rows]


def rebuild(connection: Connection, start: datetime, end: datetime) -> None:
    """Replace the roll-ups of `[start, end)` UTC, both at quarter hours, by what the ledger says."""
    state = dailies.take(connection)
    bounds = {"start": start, "end": end}
    connection.execute("DELETE FROM rollup_quarter WHERE slot >= %(start)s AND slot < %(end)s", bounds)
    connection.execute(f"INSERT INTO rollup_quarter ({_columns}) {_truth}", bounds)
    days = _whole(state, start, end)
    for table, until in (("rollup_day", state.cut_until), ("rollup_day_keys", state.closed_until)):
        connection.execute(f"DELETE FROM {table} WHERE day >= %s AND day < %s", [days[0], days[-1]])
        rollups.fill(connection, state, days[0], min(days[-1], until), by=(table,))


def _whole(state: State, start: datetime, end: datetime) -> list[datetime]:
    """Return the bounds of the days that hold `[start, end)`."""
    days = state.days(start, end)
    first, last = max(day for day in days if day <= start), min(day for day in days if day >= end)
    return [day for day in days if first <= day <= last]
