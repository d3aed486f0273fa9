"""Sums for reports: from the roll-up where it can answer, from the ledger for labels and tags."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared.core import jsontext
from shared.core.totals import Totals
from shared.store.rollups import KEYS, MEASURES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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


def sums(connection: Connection, bounds: Sequence[datetime], dimensions: Sequence[str], filters: Filters) -> list[Sums]:
    """Sum the periods that `bounds` cut (UTC, ascending, one more than periods), whole and by each dimension.

    Periods and keys without lines are left out.
    """
    columns = [DIMENSIONS[name] for name in dimensions]
    table, time = _table(bounds, columns, filters)
    where, values = conditions(time, filters, table)
    sets = ", ".join(["(period)", *(f"(period, {column})" for column in columns)])
    mask = f"grouping({', '.join(columns)})" if columns else "0"
    rows = connection.execute(
        f"""
        SELECT width_bucket({time}, %(bounds)s::timestamptz[]) - 1 AS period, {mask} AS mask,
            {"".join(f"{column} AS key_{column}, " for column in columns)}
            {", ".join(f"sum({name}) AS {name}" for name in MEASURES)}
        FROM {table} WHERE {where} GROUP BY GROUPING SETS ({sets})
        """,
        {**values, "bounds": list(bounds), "start": bounds[0], "end": bounds[-1]},
    ).fetchall()
    # grouping() sets the bit of every column that a row is not grouped by, the first column's bit highest.
    every = (1 << len(columns)) - 1
    by_mask = {every & ~(1 << (len(columns) - 1 - i)): i for i in range(len(columns))}
    answer = []
    for row in rows:
        index = by_mask.get(row["mask"]) if columns else None
        dimension = None if index is None else dimensions[index]
        key = None if index is None else row[f"key_{columns[index]}"]
        answer.append(Sums(row["period"], dimension, key, Totals.of_row(row)))
    return answer


def _table(bounds: Sequence[datetime], columns: Sequence[str], filters: Filters) -> tuple[str, str]:
    wanted = {*columns, *filters.columns}
    # Zones cut days at quarter hours; should one ever not, only the ledger knows on which side a line is.
    is_aligned = all(bound.timestamp() % _QUARTER.total_seconds() == 0 for bound in bounds)
    if is_aligned and wanted <= {*KEYS} and not filters.tags:
        return "rollup_quarter", "slot"
    return "facts", "recorded_at"


def conditions(time: str, filters: Filters, table: str) -> tuple[str, dict[str, Any]]:
    """Return the WHERE clause over `[%(start)s, %(end)s)` and the filters, and the filters' parameters."""
    clauses = [f"{time} >= %(start)s AND {time} < %(end)s"]
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
