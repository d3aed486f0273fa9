"""Sums for reports: from the roll-ups by days, else the fine one, and from the ledger for labels and tags."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from psycopg.rows import tuple_row

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
_OTHERS = tuple(name for name in MEASURES if name != "cost")
_EMPTY = "''"
_ADDED_NAMES = ", ".join(_ADDED)
_REST = f"ARRAY[{', '.join(f'sum({name})' for name in _OTHERS)}]"
_SUMS = ", ".join(f"sum({name}) AS {name}" for name in _ADDED)


@dataclass(frozen=True, slots=True)
class Filters:
    """What a question is narrowed to: per column the values allowed, and tags that must all be there."""

    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


class Sums(NamedTuple):
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
    costs = [column for column, name in names.items() if name in only_costs]
    full = ["", *(column for column in names if column not in costs)]
    values = {"bounds": list(bounds), "start": bounds[0], "end": bounds[-1]}
    values |= {"wanted": ["", *names], "full": full, "costs": costs}
    for query, more in _ways(connection, bounds, list(names), costs, filters):
        with connection.cursor(row_factory=tuple_row) as cursor:
            rows = cursor.execute(query.encode(), {**values, **more}).fetchall()
        # A roll-up by days that is cut anew at this moment answers nothing; the next one knows.
        if rows:
            return [_sums(row, names) for row in rows]
    return []


def _sums(row: Sequence[Any], names: Mapping[str, str]) -> Sums:
    period, column, key, cost, others = row
    if others is None:
        totals = Totals(cost)
    else:
        totals = Totals.of_row({"cost": cost, **dict(zip(_OTHERS, others, strict=True))})
    if not column:
        return Sums(period, None, None, totals)
    return Sums(period, names[column], int(key) if column == "account_id" else key, totals)


def _ways(
    connection: Connection,
    bounds: Sequence[datetime],
    columns: Sequence[str],
    costs: Sequence[str],
    filters: Filters,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield queries that answer the same, each with its own values, the fastest first."""
    # Zones cut days at quarter hours; should one ever not, only the ledger knows on which side a line is.
    is_aligned = all(bound.timestamp() % _QUARTER.total_seconds() == 0 for bound in bounds)
    if not is_aligned or filters.tags or not {*columns, *filters.columns} <= {*KEYS}:
        yield _between("facts", "recorded_at", columns, filters)
        return
    state = dailies.read(connection)
    plan = plan_days(bounds, state, state.closed_until if filters.columns else state.cut_until)
    if plan is not None:
        yield _by_days(plan, state, columns, costs, filters)
    yield _between("rollup_quarter", "slot", columns, filters)


def _between(table: str, time: str, columns: Sequence[str], filters: Filters) -> tuple[str, dict[str, Any]]:
    where, values = conditions(time, filters, table)
    rows = f"SELECT width_bucket({time}, %(bounds)s::timestamptz[]) - 1 AS period, * FROM {table} WHERE {where}"
    return _answer(_added(_apart(rows, columns))), values


def _by_days(
    plan: Plan, state: State, columns: Sequence[str], costs: Sequence[str], filters: Filters
) -> tuple[str, dict[str, Any]]:
    """Return the query that adds up whole days, and adds or takes away what periods have more or less."""
    is_narrowed = bool(filters.columns)
    narrowed, values = _narrowed(filters, "rollup_day_keys")
    values |= {**plan.values(), "zone": state.zone.key}
    until = "closed_until" if is_narrowed else "cut_until"
    still = f"EXISTS (SELECT FROM rollup_state WHERE zone = %(zone)s AND {until} >= %(last)s)"
    days = f"""
        SELECT width_bucket(day, %(marks)s::timestamptz[]) - 1 AS period, *
        FROM {"rollup_day_keys" if is_narrowed else "rollup_day"} WHERE day >= %(first)s AND day < %(last)s{narrowed}
        """
    if not (is_narrowed or plan.slices):
        return f"{_ready(days, 'costs', 'NULL', still)} UNION ALL {_ready(days, 'full', _REST, still)}", values
    if is_narrowed:
        days = _apart(days, columns)
    else:
        days = f"SELECT period, dimension, key, {_ADDED_NAMES} FROM ({days} AND dimension = ANY(%(wanted)s)) AS whole"
    if plan.slices:
        days = f"{days} UNION ALL {_slices(costs, [name for name in columns if name not in costs], filters)}"
    return _answer(_added(days), still), values


def _slices(costs: Sequence[str], full: Sequence[str], filters: Filters) -> str:
    """Return the query of what the slices of a plan do to its periods.

    What only costs are asked of is summed apart: many combinations of keys with two sums each, few with all sums.
    """
    parts = [_of_slices(["", *full], full, _ADDED, filters)]
    if costs:
        parts.append(_of_slices(costs, costs, ("lines", "cost"), filters))
    return f"""
        SELECT period, dimension, key, {", ".join(f"sign * {name} AS {name}" for name in _ADDED)}
        FROM ({" UNION ALL ".join(parts)}) AS slice
        JOIN unnest(%(numbers)s::integer[], %(periods)s::integer[], %(signs)s::integer[])
            AS effect (number, period, sign) USING (number)
        """


def _of_slices(dimensions: Sequence[str], columns: Sequence[str], measures: Sequence[str], filters: Filters) -> str:
    narrowed, _ = _narrowed(filters, "rollup_quarter")
    sums = ", ".join(f"sum({name}) AS {name}" for name in measures)
    # Summed inside, because the planner would rather read the whole roll-up than join it to slices.
    cells = f"""
        SELECT slice.number, cell.*
        FROM unnest(%(lows)s::timestamptz[], %(highs)s::timestamptz[]) WITH ORDINALITY AS slice (low, high, number)
        CROSS JOIN LATERAL (
            SELECT {"".join(f"{name}, " for name in columns)}{sums} FROM rollup_quarter
            WHERE slot >= low AND slot < high{narrowed} {f"GROUP BY {', '.join(columns)}" if columns else ""}
        ) AS cell
        """
    totals = ", ".join(f"sum({name}) AS {name}" if name in measures else f"NULL::numeric AS {name}" for name in _ADDED)
    return f"""
        SELECT number, dimension, key, {totals}
        FROM ({cells}) AS found CROSS JOIN LATERAL (VALUES {_named(dimensions)}) AS named (dimension, key)
        GROUP BY number, dimension, key
        """


def _ready(days: str, dimensions: str, others: str, condition: str) -> str:
    """Return the query that adds up rows of a roll-up that has a dimension in each."""
    return f"""
        SELECT period, dimension, key, sum(cost), {others}::numeric[]
        FROM ({days} AND dimension = ANY(%({dimensions})s)) AS apart WHERE {condition}
        GROUP BY period, dimension, key HAVING sum(lines) <> 0
        """


def _apart(rows: str, columns: Sequence[str]) -> str:
    """Return the query that gives sums of rows by period and columns once per dimension, `''` for the whole."""
    keys = ", ".join(("period", *columns))
    # Keys are put together first, so that only what is left has to be added up once per dimension.
    return f"""
        SELECT period, dimension, key, {_ADDED_NAMES}
        FROM (SELECT {keys}, {_SUMS} FROM ({rows}) AS cell GROUP BY {keys}) AS found
        CROSS JOIN LATERAL (VALUES {_named(["", *columns])}) AS named (dimension, key)
        """


def _named(dimensions: Sequence[str]) -> str:
    return ", ".join(f"('{name}', {f'{name}::text' if name else _EMPTY})" for name in dimensions)


def _added(rows: str) -> str:
    """Return the query that adds up rows by dimension and key; but for dimensions in `full`, lines and costs only."""
    others = ", ".join(f"sum({name}) FILTER (WHERE is_full) AS {name}" for name in _OTHERS)
    return f"""
        SELECT period, dimension, key, sum(lines) AS lines, sum(cost) AS cost, {others}
        FROM (SELECT *, dimension = ANY(%(full)s::text[]) AS is_full FROM ({rows}) AS apart) AS marked
        GROUP BY period, dimension, key
        """


def _answer(rows: str, condition: str = "true") -> str:
    """Return the query for what `sums` reads: period, dimension, key, cost and the other measures or NULL."""
    others = f"CASE WHEN requests IS NOT NULL THEN ARRAY[{', '.join(_OTHERS)}] END"
    return f"SELECT period, dimension, key, cost, {others} FROM ({rows}) AS added WHERE lines <> 0 AND {condition}"


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
