"""Ledger lines of any kind, stored directly with their roll-ups: what re-pricing and re-mapping find."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from shared.core.usage import PriceContext, Usage
from shared.store import rollups
from shared.store.database import Connection, Database
from shared.workflows.lines import _costs, _counts
from shared.workflows.verify import verify

Line = dict[str, Any]
AT = datetime(2026, 11, 18, 9, tzinfo=UTC)
COSTS = tuple(_costs(None))


def line(
    usage: Usage | None = None,
    *,
    at: datetime = AT,
    model: str = "claude-sonnet-4-5",
    context: PriceContext | None = None,
    cost: Decimal | str | None = None,
    **columns: object,
) -> Line:
    """An event of 1000 input and 500 output tokens that has no price yet, unless said otherwise."""
    usage = usage or Usage(input=1000, output=500, requests=1)
    context = context or PriceContext()
    return {
        "source": "event",
        "recorded_at": at,
        "collected_at": at,
        "updated_at": at,
        "provider": "anthropic",
        "model": model,
        "model_raw": model,
        **_counts(usage),
        **_costs(None),
        "cost": cost,
        "service_tier": context.service_tier,
        "is_batch": context.batch,
        "speed": context.speed,
        "inference_geo": context.inference_geo,
        "context_window": context.context_window,
        "project": "General",
        "session_type": "main",
        "project_given": False,
        **columns,
    }


def store(connection: Connection, lines: Iterable[Line]) -> list[int]:
    """Store the lines with their roll-ups and return their ids, in order."""
    with connection.transaction():
        ids = store_bare(connection, lines)
        rollups.add(connection, ids)
    return ids


def store_bare(connection: Connection, lines: Iterable[Line]) -> list[int]:
    """Store the lines alone."""
    rows = list(lines)
    columns = ", ".join(dict.fromkeys(name for row in rows for name in row))
    found = connection.execute(
        f"INSERT INTO ledger ({columns}) SELECT {columns} "  # noqa: S608 - columns of this file
        "FROM jsonb_populate_recordset(NULL::ledger, %s::jsonb) RETURNING id",
        [json.dumps(rows, default=str)],
    )
    return [row["id"] for row in found]


def ledger(connection: Connection, ids: list[int]) -> list[Line]:
    """The lines as they are now, in the order of `ids`."""
    found = {row["id"]: row for row in connection.execute("SELECT * FROM ledger WHERE id = ANY(%s)", [ids])}
    return [found[number] for number in ids]


def no_drift(database: Database) -> bool:
    """Whether every roll-up is exactly the sum of its lines."""
    drift: list[Line] = verify(database, repair=False)["drift"]
    return not drift
