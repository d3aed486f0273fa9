"""Cutting days anew and closing them: the roll-ups by day brought to another zone, or to another day, step by step.

Each step is a transaction of its own that keeps writers off for a moment, or raises `BusyError` where one takes long;
reports go by the fine roll-up where days are not cut yet.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from shared.store import dailies, rollups

if TYPE_CHECKING:
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from shared.store.dailies import State
    from shared.store.database import Connection

# Days of one step: some seconds on a ledger of many millions.
_AT_ONCE = timedelta(days=10)


def rezone(connection: Connection, zone: ZoneInfo) -> bool:
    """Have days cut in this zone from now on, and return whether they were cut in another one."""
    if dailies.read(connection).zone.key == zone.key or dailies.try_take(connection).zone.key == zone.key:
        return False
    connection.execute("DELETE FROM rollup_day")
    connection.execute("DELETE FROM rollup_day_keys")
    connection.execute(
        "UPDATE rollup_state SET zone = %(zone)s, cut_until = %(none)s, closed_until = %(none)s",
        {"zone": zone.key, "none": dailies.BEGINNING},
    )
    return True


def cut(connection: Connection) -> bool:
    """Cut some days more for one dimension at a time; return whether there may be more to do."""
    if dailies.read(connection).cut_until == dailies.END:
        return False
    state = dailies.try_take(connection)
    span, until = _next(connection, state, state.cut_until, dailies.END)
    if span is not None:
        rollups.fill(connection, state, *span, by=("rollup_day",))
    connection.execute("UPDATE rollup_state SET cut_until = %s", [until])
    return until < dailies.END


def close(connection: Connection, now: datetime) -> bool:
    """Close some days more that are over; return whether there may be more to do."""
    state = dailies.read(connection)
    over = state.days(now, now)[1]
    if state.closed_until >= over:
        return False
    state = dailies.try_take(connection)
    if state.closed_until >= over:
        return False
    span, until = _next(connection, state, state.closed_until, over)
    if span is not None:
        rollups.fill(connection, state, *span, by=("rollup_day_keys",))
    connection.execute("UPDATE rollup_state SET closed_until = %s", [until])
    return until < over


def fold(connection: Connection) -> None:
    """Bring what transactions wrote side by side together, where there is such."""
    for table, keys in rollups.BY_DAY.items():
        if connection.execute(f"SELECT 1 FROM {table} WHERE stripe > 0 LIMIT 1").fetchone() is not None:
            dailies.try_take(connection)
            rollups.fold(connection, table, keys)


def _next(
    connection: Connection, state: State, done: datetime, end: datetime
) -> tuple[tuple[datetime, datetime] | None, datetime]:
    """Return the first days with lines that are left before `end`, if any, and how far the roll-up is with them."""
    row = connection.execute(
        "SELECT min(slot) AS first, (SELECT max(slot) FROM rollup_quarter) AS last FROM rollup_quarter "
        "WHERE slot >= %s AND slot < %s",
        [done, end],
    ).fetchone()
    if row is None or row["first"] is None:
        return None, end
    days = state.days(row["first"], row["first"] + _AT_ONCE)
    first, last = max(day for day in days if day <= row["first"]), min(days[-1], end)
    # The days filled end with the lines even so: until 2300 there are a hundred thousand.
    return (first, last), end if row["last"] < last else last
