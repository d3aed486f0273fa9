"""Sums for reports: from the roll-ups by days, else the fine one, and from the ledger for labels and tags."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared.core import jsontext
from shared.core.totals import Totals
from shared.store import dailies
from shared.store.day_plans import Plan, plan_days
from shared.store.rollups import KEYS, MEASURES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from shared.store.dailies import State
    from shared.store.database import Connection

# Dimension in questions -> column. `account` stands for the account's id until the answer is written.
DIMENSIONS = {
    "model": "model",
    "session_type": "session_type",
    "project": "project",
    "provider": "provider",
    "agent": "agent",
    "category": "category",
    "account": "account_id",
    "user": "user_name",
    "session_label": "session_label",
    "source": "source",
    "request_type": "request_type",
}
# What answers show where a line has no such key.
UNASSIGNED = "unassigned"
_QUARTER = timedelta(minutes=15)
_ADDED = ("lines", *MEASURES)
_SUMS = ", ".join(f"sum({name}) AS {name}" for name in _ADDED)


@dataclass(frozen=True, slots=True)
class Filters:
    """What a question is narrowed to: per column the values allowed, and tags that must all be there."""

    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sums:
    """Exact sums of one period (by index) and one key of a dimension; dimension and key None for the whole period."""

    period: int
    dimension: str | None
    key: Any
    totals: Totals


def sums(
    connection: Connection,
    bounds: Sequence[datetime],
    dimensions: Sequence[str],
    filters: Filters,
    only_costs: Collection[str] = (),
) -> list[Sums]:
    """Sum the periods that `bounds` cut (UTC, ascending, one more than periods), whole and by each dimension.

    Periods and keys without lines are left out. Of the dimensions in `only_costs` nothing but costs is summed.
    """
    names = {DIMENSIONS[name]: name for name in dimensions}
    full = ["", *(column for column, name in names.items() if name not in only_costs)]
    values = {"bounds": list(bounds), "start": bounds[0], "end": bounds[-1], "wanted": ["", *names], "full": full}
    for query, more in _ways(connection, bounds, list(names), filters):
        rows = connection.execute(query.encode(), {**values, **more}).fetchall()
        # A roll-up by days that is cut anew at this moment answers nothing; the next one knows.
        if rows:
            return [_sums(row, names) for row in rows]
    return []


def _sums(row: dict[str, Any], names: Mapping[str, str]) -> Sums:
    totals = Totals(cost=row["cost"]) if row["requests"] is None else Totals.of_row(row)
    column = row["dimension"]
    key = int(row["key"]) if column == "account_id" else row["key"]
    return Sums(row["period"], names[column], key, totals) if column else Sums(row["period"], None, None, totals)


def _ways(
    connection: Connection, bounds: Sequence[datetime], columns: Sequence[str], filters: Filters
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield queries that answer the same, each with its own values, the fastest first."""
    # Zones cut days at quarter hours; should one ever not, only the ledger knows on which side a line is.
    is_aligned = all(bound.timestamp() % _QUARTER.total_seconds() == 0 for bound in bounds)
    if not is_aligned or filters.tags or not {*columns, *filters.columns} <= {*KEYS}:
        yield _between("facts", "recorded_at", columns, filters)
        return
    state = dailies.read(connection)
    is_narrowed = bool(filters.columns)
    plan = plan_days(bounds, state, state.closed_until if is_narrowed else state.cut_until)
    if plan is not None:
        yield _by_days(plan, state, columns, filters, is_narrowed=is_narrowed)
    yield _between("rollup_quarter", "slot", columns, filters)


def _between(table: str, time: str, columns: Sequence[str], filters: Filters) -> tuple[str, dict[str, Any]]:
    where, values = conditions(time, filters, table)
    keys = ", ".join(("period", *columns))
    # Keys are put together first, so that only what is left has to be added up once per dimension.
    rows = f"""
        SELECT width_bucket({time}, %(bounds)s::timestamptz[]) - 1 AS {keys}, {_SUMS}
        FROM {table} WHERE {where} GROUP BY {keys}
        """
    return _answer(_apart(rows, columns)), values


def _by_days(
    plan: Plan, state: State, columns: Sequence[str], filters: Filters, *, is_narrowed: bool
) -> tuple[str, dict[str, Any]]:
    """Return the query that adds up whole days, and adds or takes away what periods have more or less."""
    keys = ", ".join(columns)
    day = "width_bucket(day, %(marks)s::timestamptz[]) - 1 AS period"
    whole = "day >= %(first)s AND day < %(last)s"
    narrowed, values = _narrowed(filters, "rollup_day_keys")
    if is_narrowed:
        keyed = ", ".join(("period", *columns))
        rows = f"SELECT {day}, {', '.join((*columns, *_ADDED))} FROM rollup_day_keys WHERE {whole}{narrowed}"
        rows = _apart(f"SELECT {keyed}, {_SUMS} FROM ({rows}) AS cut GROUP BY {keyed}", columns)
    else:
        rows = f"""
            SELECT {day}, dimension, key, {", ".join(_ADDED)} FROM rollup_day
            WHERE {whole} AND dimension = ANY(%(wanted)s)
            """
    if plan.slices:
        own, _ = _narrowed(filters, "rollup_quarter")
        own_keys = "".join(f"{name}, " for name in columns)
        signed = ", ".join(f"sign * {name} AS {name}" for name in _ADDED)
        grouped = f"GROUP BY {keys}" if keys else "HAVING count(*) > 0"
        rest = f"""
            SELECT period, {own_keys}{signed}
            FROM unnest(%(lows)s::timestamptz[], %(highs)s::timestamptz[]) WITH ORDINALITY AS slice (low, high, number)
            CROSS JOIN LATERAL (
                SELECT {own_keys}{_SUMS} FROM rollup_quarter
                WHERE slot >= low AND slot < high{own} {grouped}
            ) AS found
            JOIN unnest(%(numbers)s::integer[], %(periods)s::integer[], %(signs)s::integer[])
                AS effect (number, period, sign) USING (number)
            """
        rows = f"{rows} UNION ALL {_apart(rest, columns)}"
    until = "closed_until" if is_narrowed else "cut_until"
    still = f"EXISTS (SELECT FROM rollup_state WHERE zone = %(zone)s AND {until} >= %(last)s)"
    return _answer(rows, still), {**values, **plan.values(), "zone": state.zone.key}


def _apart(rows: str, columns: Sequence[str]) -> str:
    """Return the query that gives each row of another one once per dimension, `''` for the whole."""
    named = ", ".join(("('', '')", *(f"('{name}', {name}::text)" for name in columns)))
    return f"""
        SELECT period, dimension, key, {", ".join(_ADDED)} FROM ({rows}) AS found
        CROSS JOIN LATERAL (VALUES {named}) AS named (dimension, key)
        """


def _answer(rows: str, condition: str = "true") -> str:
    """Return the query that adds up `period, dimension, key` and sums; costs only but for dimensions in `full`."""
    others = ", ".join(f"sum({name}) FILTER (WHERE is_full) AS {name}" for name in MEASURES if name != "cost")
    return f"""
        SELECT period, dimension, key, sum(cost) AS cost, {others}
        FROM (SELECT *, dimension = ANY(%(full)s::text[]) AS is_full FROM ({rows}) AS apart) AS marked
        WHERE {condition} GROUP BY period, dimension, key HAVING sum(lines) <> 0
        """


def conditions(time: str, filters: Filters, table: str) -> tuple[str, dict[str, Any]]:
    """Return the WHERE clause over `[%(start)s, %(end)s)` and the filters, and the filters' parameters."""
    narrowed, values = _narrowed(filters, table)
    return f"{time} >= %(start)s AND {time} < %(end)s{narrowed}", values


def _narrowed(filters: Filters, table: str) -> tuple[str, dict[str, Any]]:
    clauses = [""]
    values: dict[str, Any] = {}
    for column, allowed in filters.columns.items():
        clause = f"{table}.{column} = ANY(%({column})s)"
        # Labels are not coalesced like the other keys, so that their index can be used.
        is_missing = column == "session_label" and UNASSIGNED in allowed
        clauses.append(f"({clause} OR {table}.session_label IS NULL)" if is_missing else clause)
        values[column] = list(allowed)
    if filters.tags:
        clauses.append(f"{table}.tags @> %(tags)s::jsonb")
        values["tags"] = jsontext.dumps(dict(filters.tags))
    return " AND ".join(clauses), values
