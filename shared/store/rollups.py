"""The roll-ups, moved by the same transaction as the ledger: the fine one, and those by days of a zone."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from shared.store import dailies
from shared.store.cells import AMOUNTS, COUNTED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from shared.store.cells import Cells
    from shared.store.dailies import State
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
SUMMED = ("lines", *MEASURES)

# A statement and its values, made by `move`.
Move: TypeAlias = tuple[str, dict[str, Any]]

# The keys of a cell in each roll-up by day.
BY_DAY = {"rollup_day": ("day", "dimension", "key"), "rollup_day_keys": ("day", *KEYS)}
# The keys of `rollup_day`, in two groups that are summed one after the other: few cells are left for the second step.
_SOLD, _USED = KEYS[:3], KEYS[3:]
# Stripes of the roll-ups by day among advisory locks; beyond so many at once the backend's own number is one.
_STRIPE_LOCK, _STRIPES = 0x57A1BE, 100

# The first instant of the day that holds a slot, out of those bound as `days`.
DAY = "(%(days)s::timestamptz[])[width_bucket(slot, %(days)s::timestamptz[])] AS day"

_keys = ", ".join(("slot", *KEYS))
_columns = ", ".join(("slot", *KEYS, *SUMMED))


def add(connection: Connection, line_ids: Sequence[int]) -> None:
    """Count these ledger lines in."""
    _move(connection, line_ids, "+")


def subtract(connection: Connection, line_ids: Sequence[int]) -> None:
    """Count these ledger lines out, before they change or go."""
    _move(connection, line_ids, "-")


def move(cells: Cells, state: State) -> Move | None:
    """Return the statement that moves the roll-ups by these sums, None where there are none.

    Making it takes a while, which can be spent while Postgres is at work. `state` is shared by this transaction.
    """
    rows = cells.rows()
    if not rows:
        return None
    names = ("slot", *KEYS, *COUNTED, *AMOUNTS)
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    # Most lines have neither audio nor searches: what is zero everywhere is neither sent nor added.
    moved = [name for name in SUMMED if any(value != "0" for value in columns[name])]
    # Each set of keys is sent once and named by its number.
    keys = list(zip(*(columns[name] for name in KEYS), strict=True))
    sets = {one: str(number) for number, one in enumerate(dict.fromkeys(keys), start=1)}
    source = f"""
        SELECT slot, {", ".join(KEYS)}, {", ".join(moved)}
        FROM unnest(%(slots)s::timestamptz[], %(numbers)s::integer[],
            {", ".join(f"%({name})s::numeric[]" for name in moved)}) AS sent (slot, number, {", ".join(moved)})
        JOIN unnest({", ".join(f"%(key_{name})s::{'bigint' if name == 'account_id' else 'text'}[]" for name in KEYS)})
            WITH ORDINALITY AS known ({", ".join(KEYS)}, number) USING (number)
        """
    values = {
        "slots": _array(columns["slot"]),
        "numbers": _array(sets[one] for one in keys),
        **{name: _array(columns[name]) for name in moved},
        **{f"key_{name}": [one[i] for one in sets] for i, name in enumerate(KEYS)},
    }
    first, last = (datetime.fromisoformat(end(columns["slot"])) for end in (min, max))
    return _shift(source, moved, state, first), {**values, **_days(state, first, last)}


def carry_out(connection: Connection, moved: Move) -> None:
    """Move the roll-ups by lines that the same transaction wrote."""
    connection.execute(moved[0].encode(), moved[1])


def shift(
    connection: Connection,
    source: str,
    moved: Sequence[str],
    values: Mapping[str, Any],
    span: tuple[datetime, datetime],
) -> list[dict[str, Any]]:
    """Add what a query gives to the roll-ups: one row per cell with `slot`, `KEYS` and the measures `moved`.

    `span` holds all of its slots. Returns `slot` and `lines` of every cell of the fine roll-up that was moved.
    """
    state = dailies.share(connection)
    statement = _shift(source, moved, state, span[0])
    return connection.execute(statement.encode(), {**values, **_days(state, *span)}).fetchall()


def _days(state: State, first: datetime, last: datetime) -> dict[str, Any]:
    return {"days": state.days(first, last), "cut_until": state.cut_until, "closed_until": state.closed_until}


def _shift(source: str, moved: Sequence[str], state: State, first: datetime) -> str:
    """Return the statement that adds the cells of `source` to every roll-up that reaches so far."""
    parts = [_CELL.format(source=source), _STRIPE]
    if first < state.cut_until:
        parts += _by_dimension(moved)
    if first < state.closed_until:
        parts.append(_by_keys(moved))
    # A fixed order of rows keeps two writers on the same slots from waiting for each other in a circle.
    ordered = f"SELECT {_keys}, {', '.join(moved)} FROM cell ORDER BY {_keys}"
    fine = _insert("rollup_quarter", ("slot", *KEYS), moved, ordered)
    return f"WITH {', '.join(parts)} {fine} RETURNING slot, lines"


_CELL = f"""
    cell AS MATERIALIZED (SELECT {DAY}, found.* FROM ({{source}}) AS found)"""
_STRIPE = f"""
    stripe AS MATERIALIZED (
        SELECT coalesce((
            SELECT number FROM generate_series(0, {_STRIPES - 1}) AS number
            WHERE pg_try_advisory_xact_lock({_STRIPE_LOCK}, number) LIMIT 1
        ), {_STRIPES} + pg_backend_pid()) AS stripe
    )"""


def _by_dimension(moved: Sequence[str]) -> list[str]:
    sums = _summed(moved)
    named = [("", "''", 0), *((name, f"{name}::text", 0) for name in _SOLD), *((name, name, 1) for name in _USED)]
    values = ", ".join(f"('{name}', {key}, {side})" for name, key, side in named)
    query = f"""
        SELECT day, dimension, key, stripe, {sums}
        FROM pair JOIN LATERAL (VALUES {values}) AS named (dimension, key, its_side) ON its_side = side, stripe
        GROUP BY day, dimension, key, stripe"""
    return [
        f"""
    pair AS (
        SELECT day, grouping(model) AS side, {", ".join(KEYS)}, {sums} FROM cell WHERE slot < %(cut_until)s
        GROUP BY GROUPING SETS ((day, {", ".join(_SOLD)}), (day, {", ".join(_USED)}))
    )""",
        f"by_dimension AS ({_insert('rollup_day', ('day', 'dimension', 'key', 'stripe'), moved, query)})",
    ]


def _by_keys(moved: Sequence[str]) -> str:
    keys = ", ".join(("day", *KEYS, "stripe"))
    query = f"SELECT {keys}, {_summed(moved)} FROM cell, stripe WHERE slot < %(closed_until)s GROUP BY {keys}"
    return f"by_keys AS ({_insert('rollup_day_keys', ('day', *KEYS, 'stripe'), moved, query)})"


def _summed(names: Sequence[str]) -> str:
    return ", ".join(f"sum({name}) AS {name}" for name in names)


def _insert(table: str, keys: Sequence[str], moved: Sequence[str], query: str) -> str:
    """Return the statement that adds the rows of a query (`keys`, then `moved`) to a roll-up."""
    still = [name for name in SUMMED if name not in moved]
    return f"""
        INSERT INTO {table} ({", ".join((*keys, *moved, *still))})
        SELECT moving.*{", 0" * len(still)} FROM ({query}) AS moving
        ON CONFLICT ({", ".join(keys)}) DO UPDATE SET
        {", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in moved)}"""


def _array(values: Iterable[str]) -> str:
    return "{" + ",".join(values) + "}"


def _move(connection: Connection, line_ids: Sequence[int], sign: str) -> None:
    ids = list(line_ids)
    query = "SELECT min(recorded_at) AS first, max(recorded_at) AS last FROM ledger WHERE id = ANY(%s)"
    extent = connection.execute(query, [ids]).fetchone()
    if extent is None or extent["first"] is None:
        return
    source = f"""
        SELECT {_keys}, {", ".join(f"{sign}sum({name}) AS {name}" for name in SUMMED)} FROM facts
        WHERE id = ANY(%(ids)s) GROUP BY {_keys}
        """
    touched = shift(connection, source, SUMMED, {"ids": ids}, (extent["first"], extent["last"]))
    emptied = sorted({row["slot"] for row in touched if row["lines"] == 0})
    if emptied:
        connection.execute("DELETE FROM rollup_quarter WHERE slot = ANY(%s) AND lines = 0", [emptied])


def fill(connection: Connection, state: State, start: datetime, end: datetime, by: Sequence[str]) -> None:
    """Add the fine roll-up of `[start, end)`, whole days of the state's zone, to the roll-ups `by` day without it."""
    everything = {"rollup_day": _by_dimension(SUMMED), "rollup_day_keys": [_by_keys(SUMMED)]}
    source = f"SELECT {_columns} FROM rollup_quarter WHERE slot >= %(start)s AND slot < %(end)s"
    parts = [_CELL.format(source=source), _STRIPE, *(part for table in by for part in everything[table])]
    values = {"start": start, "end": end, "days": state.days(start, end), "cut_until": end, "closed_until": end}
    connection.execute(f"WITH {', '.join(parts)} SELECT 1".encode(), values)


def fold(connection: Connection, table: str, keys: Sequence[str]) -> None:
    """Add up the stripes of a roll-up by day; others are kept off by the caller."""
    names = ", ".join(keys)
    query = f"""
        SELECT {names}, 0 AS stripe, {_summed(SUMMED)} FROM gone GROUP BY {names}
        """
    connection.execute(
        f"WITH gone AS (DELETE FROM {table} WHERE stripe > 0 RETURNING *) "
        f"{_insert(table, (*keys, 'stripe'), SUMMED, query)}".encode()
    )
