"""Closed days: summed from the roll-up, kept for people to query, and the outbox of the daily push."""

from __future__ import annotations

from dataclasses import dataclass, fields
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from shared.core import jsontext
from shared.core.money import normalise
from shared.core.totals import Totals
from shared.store import reports
from shared.store.reports import Filters

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import date, datetime

    from shared.core.periods import Period
    from shared.store.database import Connection

DIMENSIONS = ("model", "session_type", "project", "agent")
Costs = dict[str, Decimal]


@dataclass(frozen=True, slots=True)
class Figures:
    """What one local day cost: exact USD; each map of key -> USD adds up to `total_cost`."""

    date: date
    total_cost: Decimal
    total_requests: int
    by_model: Costs
    by_session_type: Costs
    by_project: Costs
    by_agent: Costs


@dataclass(frozen=True, slots=True)
class Summary(Figures):
    """A stored day and its push.

    `payload_hash` is the last one acknowledged, at `synced_at` (UTC); `synced_to_cv` says that nothing was sent or
    found to be due since then, so that the vault has it. `push_due` says that the vault is to have this day. `attempts`
    counts the requests sent for the present figures; `last_error` is what the last one met, None after
    an acknowledgement. Until `leased_until` nobody but `leased_by` may send it.
    """

    synced_to_cv: bool
    synced_at: datetime | None
    payload_hash: str | None
    push_due: bool
    attempts: int
    last_error: str | None
    leased_by: str | None
    leased_until: datetime | None


@dataclass(frozen=True, slots=True)
class State:
    """The zone that stored days are cut in, and the day that the first scheduled push was for; None before that."""

    zone: str | None
    push_from: date | None


_FIGURES = tuple(field.name for field in fields(Figures))
_COLUMNS = ", ".join(field.name for field in fields(Summary))


def lock(connection: Connection) -> State:
    """Wait for whoever else sums days, and return the state; held until the transaction ends."""
    row = connection.execute("SELECT zone, push_from FROM summary_state FOR UPDATE").fetchone()
    if row is None:
        raise AssertionError("the migration made the row")
    return State(**row)


def set_zone(connection: Connection, zone: str) -> None:
    """Remember the zone that days are cut in from now on."""
    connection.execute("UPDATE summary_state SET zone = %s", [zone])


def recut(connection: Connection, today: date) -> None:
    """Have every day summed again, and forget those that are not over in the new zone."""
    connection.execute("DELETE FROM daily_summaries WHERE date >= %s", [today])
    connection.execute(
        """
        INSERT INTO summary_changes (day)
        SELECT (slot AT TIME ZONE 'UTC')::date FROM rollup_quarter UNION SELECT date FROM daily_summaries
        """
    )


def take_changes(connection: Connection, most: int) -> list[date]:
    """Return UTC days whose roll-up changed, oldest first, and forget that they did."""
    rows = connection.execute(
        """
        DELETE FROM summary_changes
        WHERE day IN (SELECT DISTINCT day FROM summary_changes ORDER BY day LIMIT %s) RETURNING day
        """,
        [most],
    )
    return sorted({row["day"] for row in rows})


def first_slot(connection: Connection) -> datetime | None:
    """Return the quarter hour of the first usage, None where there is none."""
    row = connection.execute("SELECT min(slot) AS first FROM rollup_quarter").fetchone()
    return None if row is None else row["first"]


def missing(connection: Connection, first: date, last: date, most: int) -> list[date]:
    """Return dates of `first`..`last` without a summary, oldest first."""
    rows = connection.execute(
        """
        SELECT day::date AS day FROM generate_series(%s::timestamp, %s::timestamp, '1 day') AS day
        WHERE NOT EXISTS (SELECT FROM daily_summaries WHERE date = day::date) ORDER BY day LIMIT %s
        """,
        [first, last, most],
    )
    return [row["day"] for row in rows]


def stored(connection: Connection, days: Collection[date]) -> set[date]:
    """Return those of the dates that have a summary."""
    rows = connection.execute("SELECT date FROM daily_summaries WHERE date = ANY(%s)", [list(days)])
    return {row["date"] for row in rows}


def figures(connection: Connection, days: Sequence[Period]) -> list[Figures]:
    """Sum days that follow one another without a gap; days without usage cost 0."""
    bounds = [days[0].start, *(day.end for day in days)]
    totals = [Totals() for _ in days]
    parts: list[dict[str, Costs]] = [{name: {} for name in DIMENSIONS} for _ in days]
    for row in reports.sums(connection, bounds, DIMENSIONS, Filters()):
        if row.dimension is None:
            totals[row.period] = row.totals
        else:
            parts[row.period][row.dimension][row.key] = normalise(row.totals.cost)
    return [
        Figures(
            date=day.date,
            total_cost=normalise(whole.cost),
            total_requests=whole.requests,
            **{f"by_{name}": dict(sorted(costs.items())) for name, costs in found.items()},
        )
        for day, whole, found in zip(days, totals, parts, strict=True)
    ]


def save(connection: Connection, rows: Iterable[Figures]) -> int:
    """Store days and return how many are new or differ from what was stored; what was pushed of them stays known."""
    records = [{name: getattr(row, name) for name in _FIGURES} for row in rows]
    columns = ", ".join(_FIGURES)
    excluded = ", ".join(f"excluded.{name}" for name in _FIGURES)
    present = ", ".join(f"daily_summaries.{name}" for name in _FIGURES)
    changes = ", ".join(f"{name} = excluded.{name}" for name in _FIGURES)
    return connection.execute(
        f"""
        INSERT INTO daily_summaries ({columns})
        SELECT {columns} FROM jsonb_populate_recordset(NULL::daily_summaries, %s::jsonb)
        ON CONFLICT (date) DO UPDATE SET {changes}, attempts = 0 WHERE ({present}) IS DISTINCT FROM ({excluded})
        """,
        [jsontext.dumps(records)],
    ).rowcount


def get(connection: Connection, day: date, *, for_update: bool = False) -> Summary | None:
    """Return a stored day, None where there is none; `for_update` keeps others from it until the transaction ends."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM daily_summaries WHERE date = %s {'FOR UPDATE' if for_update else ''}", [day]
    ).fetchone()
    return None if row is None else _summary(row)


def want(connection: Connection, first: date, last: date) -> None:
    """Say that the vault is to have the days `first`..`last`, from now on and whenever they change."""
    connection.execute(
        "UPDATE daily_summaries SET push_due = true WHERE date BETWEEN %s AND %s AND NOT push_due", [first, last]
    )


def set_push_from(connection: Connection, day: date) -> None:
    """Remember the day from which on the vault is to have every one."""
    connection.execute("UPDATE summary_state SET push_from = %s", [day])


def owe(connection: Connection, days: Collection[date]) -> None:
    """Say that the vault lacks the present figures of these days: they stay outstanding, however old they become."""
    connection.execute(
        "UPDATE daily_summaries SET push_due = true, synced_to_cv = false "
        "WHERE date = ANY(%s) AND (synced_to_cv OR NOT push_due)",
        [list(days)],
    )


def outstanding(connection: Connection, since: date, last: date) -> list[Summary]:
    """Return the days up to `last` that may have to be sent, oldest first; they are locked until the transaction ends.

    That is every due day that is owed, failed or in doubt, whatever its age, and those from `since` on, whose payload
    may have changed.
    """
    rows = connection.execute(
        f"""
        SELECT {_COLUMNS} FROM daily_summaries
        WHERE push_due AND date <= %s AND (date >= %s OR NOT synced_to_cv) ORDER BY date FOR UPDATE
        """,
        [last, since],
    )
    return [_summary(row) for row in rows]


def lease(connection: Connection, day: date, holder: str, until: datetime) -> None:
    """Give the day to `holder` until an instant, and count the request that it is about to send.

    From here on nobody knows which payload the vault has, until one is acknowledged: an answer may be lost. So the day
    counts as not synced, and even the payload of the last acknowledgement is sent again.
    """
    connection.execute(
        """
        UPDATE daily_summaries SET leased_by = %s, leased_until = %s, attempts = attempts + 1, synced_to_cv = false
        WHERE date = %s
        """,
        [holder, until, day],
    )


def acknowledge(connection: Connection, day: date, holder: str, payload_hash: str, now: datetime) -> bool:
    """Record that the vault took the payload and release the day; False where another one holds it by now."""
    return _settle(
        connection,
        "synced_to_cv = true, synced_at = %(now)s, payload_hash = %(hash)s, last_error = NULL",
        {"day": day, "holder": holder, "hash": payload_hash, "now": now},
    )


def fail(connection: Connection, day: date, holder: str, error: str) -> bool:
    """Keep the sentence of a failed try and release the day; False where another one holds it by now."""
    return _settle(connection, "last_error = %(error)s", {"day": day, "holder": holder, "error": error})


def _settle(connection: Connection, changes: str, values: Mapping[str, Any]) -> bool:
    done = connection.execute(
        f"""
        UPDATE daily_summaries SET {changes}, leased_by = NULL, leased_until = NULL
        WHERE date = %(day)s AND leased_by = %(holder)s
        """,
        values,
    )
    return done.rowcount == 1


def _summary(row: Mapping[str, Any]) -> Summary:
    # A whole number of dollars is read from JSON as an int.
    maps = {f"by_{name}": {k: Decimal(v) for k, v in row[f"by_{name}"].items()} for name in DIMENSIONS}
    return Summary(**{**row, **maps})
