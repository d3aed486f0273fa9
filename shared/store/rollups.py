"""The fine roll-up: moved by the same transaction as the ledger, and recomputed from it to check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from shared.store.cells import AMOUNTS, COUNTED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from shared.store.cells import Cells
    from shared.store.database import Connection

# What a roll-up keeps apart. Session labels and tags are not here: those questions read the ledger.
KEYS = (
    "provider", "account_id", "model", "project", "session_type", "agent", "category", "user_name", "request_type",
    "source",
)  # fmt: skip
TOKENS = (
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens",
    "reasoning_tokens", "audio_tokens", "image_tokens", "web_searches",
)  # fmt: skip
COSTS = (
    "input_cost", "output_cost", "cache_read_cost", "cache_write_5m_cost", "cache_write_1h_cost", "audio_cost",
    "image_cost", "web_search_cost", "request_cost",
)  # fmt: skip
MEASURES = ("requests", *TOKENS, "cost", *COSTS, "unpriced_requests", "unpriced_tokens")
_SUMMED = ("lines", *MEASURES)

# A statement and its values, made by `move`.
Move: TypeAlias = tuple[str, list[Any]]

_keys = ", ".join(("slot", *KEYS))
_sums = ", ".join(f"sum({name}) AS {name}" for name in _SUMMED)
_columns = ", ".join(("slot", *KEYS, *_SUMMED))


def add(connection: Connection, line_ids: Sequence[int]) -> None:
    """Count these ledger lines in."""
    _move(connection, line_ids, "+")


def subtract(connection: Connection, line_ids: Sequence[int]) -> None:
    """Count these ledger lines out, before they change or go."""
    _move(connection, line_ids, "-")


def move(cells: Cells) -> Move | None:
    """Return the statement that moves the roll-up by these sums, None where there are none.

    Making it takes a while, which can be spent while Postgres is at work.
    """
    rows = cells.rows()
    if not rows:
        return None
    names = ("slot", *KEYS, *COUNTED, *AMOUNTS)
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    # Most lines have neither audio nor searches: what is zero everywhere is neither sent nor added.
    moved = [name for name in _SUMMED if any(value != "0" for value in columns[name])]
    # Each set of keys is sent once and named by its number.
    keys = list(zip(*(columns[name] for name in KEYS), strict=True))
    sets = {one: str(number) for number, one in enumerate(dict.fromkeys(keys), start=1)}
    statement = f"""
        INSERT INTO rollup_quarter ({_columns})
        SELECT {_keys}, {", ".join(name if name in moved else "0" for name in _SUMMED)}
        FROM unnest({", ".join(["%s::timestamptz[]", "%s::integer[]", *("%s::numeric[]" for _ in moved)])})
            AS cell (slot, number, {", ".join(moved)})
        JOIN unnest({", ".join("%s::bigint[]" if name == "account_id" else "%s::text[]" for name in KEYS)})
            WITH ORDINALITY AS known ({", ".join(KEYS)}, number) USING (number)
        ORDER BY {_keys}
        ON CONFLICT ({_keys}) DO UPDATE SET
        {", ".join(f"{name} = rollup_quarter.{name} + excluded.{name}" for name in moved)}
        """
    values = [
        _array(columns["slot"]),
        _array(sets[one] for one in keys),
        *(_array(columns[name]) for name in moved),
        *([one[i] for one in sets] for i in range(len(KEYS))),
    ]
    return statement, values


def carry_out(connection: Connection, moved: Move) -> None:
    """Move the roll-up by lines that the same transaction wrote."""
    # A fixed order of rows keeps two writers on the same slots from waiting for each other in a circle.
    connection.execute(moved[0].encode(), moved[1])


def _array(values: Iterable[str]) -> str:
    return "{" + ",".join(values) + "}"


def drift(connection: Connection, start: datetime, end: datetime) -> list[dict[str, Any]]:
    """Compare roll-up and ledger over `[start, end)` UTC and return the UTC days that differ, oldest first.

    Each row has `date`, `slots` (rows that differ), and the day's `rolled_up_cost` and `ledger_cost` in USD.
    """
    query = f"""
        WITH stored AS (SELECT {_columns} FROM rollup_quarter WHERE slot >= %(start)s AND slot < %(end)s),
        truth AS ({_truth()}),
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


def rebuild(connection: Connection, start: datetime, end: datetime) -> None:
    """Replace the roll-up of `[start, end)` UTC, both at quarter hours, by what the ledger says."""
    # Writers take row locks on the roll-up; this keeps them out until the replacement is committed.
    connection.execute("LOCK TABLE rollup_quarter IN SHARE ROW EXCLUSIVE MODE")
    bounds = {"start": start, "end": end}
    connection.execute("DELETE FROM rollup_quarter WHERE slot >= %(start)s AND slot < %(end)s", bounds)
    connection.execute(f"INSERT INTO rollup_quarter ({_columns}) {_truth()}", bounds)


def _truth() -> str:
    return (
        f"SELECT {_keys}, {_sums} FROM facts WHERE recorded_at >= %(start)s AND recorded_at < %(end)s GROUP BY {_keys}"
    )


def _move(connection: Connection, line_ids: Sequence[int], sign: str) -> None:
    # A fixed order of rows keeps two writers on the same slots from waiting for each other in a circle.
    touched = connection.execute(
        f"""
        INSERT INTO rollup_quarter ({_columns})
        SELECT {_keys}, {", ".join(f"{sign}sum({name})" for name in _SUMMED)} FROM facts
        WHERE id = ANY(%s) GROUP BY {_keys} ORDER BY {_keys}
        ON CONFLICT ({_keys}) DO UPDATE SET
        {", ".join(f"{name} = rollup_quarter.{name} + excluded.{name}" for name in _SUMMED)}
        RETURNING slot, lines
        """,
        [list(line_ids)],
    )
    emptied = sorted({row["slot"] for row in touched if row["lines"] == 0})
    if emptied:
        connection.execute("DELETE FROM rollup_quarter WHERE slot = ANY(%s) AND lines = 0", [emptied])
