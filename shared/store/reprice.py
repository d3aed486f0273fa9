"""Re-pricing as sets: the cards of a day go to Postgres, which multiplies; a million lines never leave it.

The arithmetic is `core.pricing.price`'s, in SQL: numerics multiply exactly there too, and a test compares the two.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any

from shared.core import jsontext
from shared.core.pricing import PRICES
from shared.store import rollups
from shared.store.products import PARTS, PRODUCTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from decimal import Decimal

    from shared.store.database import Connection

Record = dict[str, Any]

_IDS_AT_ONCE = 100_000
# What each step may take of the server's memory.
_MEMORY = "128MB"
# The days of the ledger among advisory locks.
_LOCK = 0x1ED6E2

# Lines that came with the id of a model. Manual entries are a person's word, balance lines follow their buckets.
# A voided line is in no figure, so no figure of it is worth mending.
_NAMED = "ledger.source IN ('api', 'event', 'import') AND ledger.model_raw IS NOT NULL AND ledger.voided_at IS NULL"
_SPAN = "ledger.recorded_at >= %(start)s AND ledger.recorded_at < %(end)s"
_TOKENS = "input_tokens + output_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens"
# Of a bill's money no token knows the price, and what a caller said of a line without tokens stands.
_IS_PRICED = f"""(
    ledger.rates_id IS NOT NULL OR ledger.cost IS NULL
    OR (ledger.source <> 'api' AND {_TOKENS} > 0)
)"""
_SHAPE = ("provider", "model_raw", "service_tier", "is_batch", "speed", "inference_geo", "context_window")
# Equality that finds NULL and can still be hashed; no circumstance is written as a control character.
_SAME_SHAPE = """
    card.provider = ledger.provider AND card.model_raw = ledger.model_raw AND card.is_batch = ledger.is_batch
    AND coalesce(card.service_tier, chr(1)) = coalesce(ledger.service_tier, chr(1))
    AND coalesce(card.speed, chr(1)) = coalesce(ledger.speed, chr(1))
    AND coalesce(card.inference_geo, chr(1)) = coalesce(ledger.inference_geo, chr(1))
    AND coalesce(card.context_window, chr(1)) = coalesce(ledger.context_window, chr(1))
"""
_CARD_COLUMNS = (
    "number integer, provider text, model_raw text, service_tier text, is_batch boolean, speed text, "
    "inference_geo text, context_window text, starts timestamptz, ends timestamptz, above numeric, up_to numeric, "
    "model text, detail jsonb, " + ", ".join(f"{name}_price numeric" for name in PRICES)
)


def next_line(
    connection: Connection, start: datetime, end: datetime, *, only_unpriced: bool = False
) -> datetime | None:
    """Return the first instant in `[start, end)` with a line that came with a model, None if there is none."""
    unpriced = "AND cost IS NULL" if only_unpriced else ""
    row = connection.execute(
        f"SELECT recorded_at FROM ledger WHERE {_SPAN} AND {_NAMED} {unpriced} ORDER BY recorded_at LIMIT 1",
        {"start": start, "end": end},
    ).fetchone()
    return None if row is None else row["recorded_at"]


def last_line(connection: Connection) -> datetime | None:
    """Return the last instant with a line, None for an empty ledger."""
    row = connection.execute("SELECT max(recorded_at) AS last FROM ledger").fetchone()
    return None if row is None else row["last"]


def shapes(connection: Connection, start: datetime, end: datetime, *, only_unpriced: bool = False) -> list[Record]:
    """Return every distinct (provider, id as sent, circumstances) of the lines in `[start, end)`, in a fixed order."""
    unpriced = "AND cost IS NULL" if only_unpriced else ""
    columns = ", ".join(_SHAPE)
    return connection.execute(
        f"SELECT {columns} FROM ledger WHERE {_SPAN} AND {_NAMED} {unpriced} GROUP BY {columns} ORDER BY {columns}",
        {"start": start, "end": end},
    ).fetchall()


def lock(connection: Connection, instant: datetime) -> None:
    """Keep others off the lines of a UTC day until this transaction ends: they move the same lines and sums.

    Collections merge no window meanwhile; of two who re-price or re-map the day, the second one waits.
    """
    day = instant.astimezone(UTC).toordinal()
    connection.execute("SELECT pg_advisory_xact_lock(%s::integer, %s::integer)", [_LOCK, day])
    connection.execute("SELECT 1 FROM collection_state ORDER BY account_id, stream FOR SHARE")


def compute(
    connection: Connection,
    start: datetime,
    end: datetime,
    cards: Sequence[Record],
    *,
    only_unpriced: bool,
    is_dry: bool,
) -> None:
    """Price the lines of `[start, end)` by `cards` and keep those that come out different in the table `repriced`.

    The table lives as long as the transaction. Unless it is dry, its lines are locked until then.
    """
    # By default Postgres would join and sort the lines of a busy day on disk.
    connection.execute("SELECT set_config('work_mem', %s, true)", [_MEMORY])
    connection.execute(
        f"""
        CREATE TEMP TABLE repriced (
            id bigint, card integer, keeps_rates boolean, is_renamed boolean, account_id bigint,
            recorded_at timestamptz, name text, requests bigint, tokens bigint,
            model_before text, cost_before numeric, model text, cost numeric,
            {", ".join(f"{name} numeric" for name in rollups.COSTS)}
        ) ON COMMIT DROP
        """
    )
    connection.execute(
        _compute(only_unpriced=only_unpriced, is_dry=is_dry),
        {"start": start, "end": end, "cards": jsontext.dumps(cards)},
    )
    # How many there are, and of each kind, is all that the planner has to know.
    connection.execute("ANALYZE repriced (id, is_renamed)")


def changes(connection: Connection, zone: str) -> list[Record]:
    """Sum what `repriced` changes by month in `zone`, model before and model after. Costs in USD, unpriced as 0."""
    return connection.execute(
        """
        SELECT to_char(recorded_at AT TIME ZONE %(zone)s, 'YYYY-MM') AS month, model_before, model,
            count(*) AS lines, sum(requests) AS requests, sum(tokens) AS tokens,
            trim_scale(coalesce(sum(cost_before), 0)) AS cost_before,
            trim_scale(coalesce(sum(cost), 0)) AS cost_after,
            count(*) FILTER (WHERE cost_before IS NULL) AS unpriced_before,
            count(*) FILTER (WHERE cost IS NULL) AS unpriced_after
        FROM repriced GROUP BY 1, 2, 3 ORDER BY 1, 3, 2
        """,
        {"zone": zone},
    ).fetchall()


def used_cards(connection: Connection) -> list[int]:
    """Return the numbers of the cards that changed lines will be priced by."""
    rows = connection.execute(
        "SELECT DISTINCT card FROM repriced WHERE card IS NOT NULL AND NOT keeps_rates ORDER BY card"
    )
    return [row["card"] for row in rows]


def names(connection: Connection) -> dict[str, str]:
    """Return id as sent (lower case) -> new canonical id of the lines that are renamed."""
    rows = connection.execute("SELECT DISTINCT name, model FROM repriced WHERE is_renamed ORDER BY name")
    return {row["name"].lower(): row["model"] for row in rows}


def accounts(connection: Connection) -> list[int]:
    """Return the accounts of the changed lines that have one."""
    rows = connection.execute(
        "SELECT DISTINCT account_id FROM repriced WHERE account_id IS NOT NULL ORDER BY account_id"
    )
    return [row["account_id"] for row in rows]


def has_polled(connection: Connection) -> bool:
    """Return whether any of the changed lines is of an account that was ever collected."""
    row = connection.execute(
        """
        SELECT 1 FROM accounts WHERE complete_until IS NOT NULL
            AND id IN (SELECT account_id FROM repriced WHERE account_id IS NOT NULL) LIMIT 1
        """
    ).fetchone()
    return row is not None


def balances(
    connection: Connection, account_ids: Sequence[int], start: datetime, end: datetime, zone: str
) -> dict[tuple[str, str], Decimal]:
    """Return what the balance lines of these accounts in `[start, end)` add up to: (month in `zone`, model) -> USD."""
    rows = connection.execute(
        """
        SELECT to_char(recorded_at AT TIME ZONE %(zone)s, 'YYYY-MM') AS month, model,
            trim_scale(coalesce(sum(cost), 0)) AS cost
        FROM ledger
        WHERE source = 'attribution' AND account_id = ANY(%(accounts)s)
            AND recorded_at >= %(start)s AND recorded_at < %(end)s
        GROUP BY 1, 2
        """,
        {"accounts": list(account_ids), "start": start, "end": end, "zone": zone},
    )
    return {(row["month"], row["model"]): row["cost"] for row in rows}


def apply(connection: Connection, start: datetime, end: datetime, rates_ids: Mapping[int, int], now: datetime) -> None:
    """Bring ledger and roll-ups of `[start, end)` to what `repriced` says.

    `rates_ids` are the stored rates of each used card.
    """
    bounds = {"start": start, "end": end}
    rows = connection.execute("SELECT id FROM repriced WHERE is_renamed ORDER BY id").fetchall()
    renamed = [[row["id"] for row in rows[at : at + _IDS_AT_ONCE]] for at in range(0, len(rows), _IDS_AT_ONCE)]
    for ids in renamed:
        rollups.subtract(connection, ids)
    rollups.shift(connection, _SHIFT, _MOVED, bounds, (start, end))
    figures = ("model", "cost", *rollups.COSTS)
    connection.execute(
        f"""
        UPDATE ledger SET {", ".join(f"{name} = repriced.{name}" for name in figures)}, updated_at = %(now)s,
            rates_id = CASE WHEN repriced.keeps_rates THEN ledger.rates_id ELSE stored.rates_id END
        FROM repriced
        LEFT JOIN jsonb_to_recordset(%(rates)s::jsonb) AS stored (card integer, rates_id bigint)
            ON stored.card = repriced.card
        WHERE ledger.id = repriced.id AND {_SPAN}
        """,
        {
            **bounds,
            "now": now,
            "rates": jsontext.dumps([{"card": card, "rates_id": rates_id} for card, rates_id in rates_ids.items()]),
        },
    )
    for ids in renamed:
        rollups.add(connection, ids)


# What costs move while keys stay: one pass over the roll-ups where subtracting and adding would be two. It runs before
# the ledger is updated.
_KEYS = ", ".join(f"facts.{name}" for name in ("slot", *rollups.KEYS))
_MOVED = ("cost", *rollups.COSTS, "unpriced_requests", "unpriced_tokens")
_SHIFT = f"""
    SELECT {_KEYS}, sum(coalesce(repriced.cost, 0) - facts.cost) AS cost,
        {", ".join(f"sum(repriced.{name} - facts.{name}) AS {name}" for name in rollups.COSTS)},
        sum(CASE WHEN repriced.cost IS NULL THEN facts.requests ELSE 0 END - unpriced_requests) AS unpriced_requests,
        sum(CASE WHEN repriced.cost IS NULL THEN repriced.tokens ELSE 0 END - unpriced_tokens) AS unpriced_tokens
    FROM repriced JOIN facts ON facts.id = repriced.id
    WHERE NOT repriced.is_renamed AND facts.recorded_at >= %(start)s AND facts.recorded_at < %(end)s
    GROUP BY {_KEYS}
"""


def _compute(*, only_unpriced: bool, is_dry: bool) -> str:
    products = ", ".join(f"{product} AS {name}" for name, product in PRODUCTS.items())
    new_costs = ", ".join(
        f"CASE WHEN NOT is_priced THEN ledger.{name} WHEN total IS NULL THEN 0 ELSE trim_scale(product.{name}) END "
        f"AS {name}"
        for name in rollups.COSTS
    )
    is_changed = " OR ".join(f"new.{name} <> ledger.{name}" for name in rollups.COSTS)
    wanted = (
        "ledger.cost IS NULL AND new.cost IS NOT NULL"
        if only_unpriced
        else f"card.model <> ledger.model OR new.cost IS DISTINCT FROM ledger.cost OR NOT keeps OR {is_changed}"
    )
    return f"""
        INSERT INTO repriced
        WITH card AS MATERIALIZED (
            SELECT *, md5((detail - 'version')::text) AS substance
            FROM jsonb_to_recordset(%(cards)s::jsonb) AS listed ({_CARD_COLUMNS})
        )
        SELECT ledger.id, CASE WHEN total IS NULL THEN NULL ELSE card.number END, keeps,
            card.model <> ledger.model, ledger.account_id,
            ledger.recorded_at, ledger.model_raw, ledger.requests, {_TOKENS}, ledger.model, ledger.cost,
            card.model, new.cost,
            {", ".join(f"new.{name}" for name in rollups.COSTS)}
        FROM ledger
        JOIN card ON {_SAME_SHAPE} AND ledger.recorded_at >= card.starts AND ledger.recorded_at < card.ends,
        LATERAL (SELECT {_IS_PRICED} AS is_priced, CASE WHEN ledger.requests = 1 AND ledger.context_window IS NULL THEN
            ledger.input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens
            ELSE 0 END AS size) AS line,
        {PARTS},
        LATERAL (SELECT {products} OFFSET 0) AS product,
        LATERAL (SELECT CASE WHEN card.detail IS NOT NULL THEN {" + ".join(f"product.{name}" for name in rollups.COSTS)}
            END AS total OFFSET 0) AS whole,
        LATERAL (SELECT
            CASE WHEN is_priced THEN coalesce(trim_scale(total), reported_cost) ELSE ledger.cost END AS cost,
            CASE WHEN NOT is_priced THEN true WHEN total IS NULL THEN ledger.rates_id IS NULL
                ELSE coalesce((ledger.rates_id, card.substance) IN (SELECT id, substance FROM rates), false)
                END AS keeps,
            {new_costs} OFFSET 0) AS new
        WHERE {_SPAN} AND {_NAMED} AND size > card.above AND (card.up_to IS NULL OR size <= card.up_to)
            AND ({wanted})
        {"" if is_dry else "FOR UPDATE OF ledger"}
    """
