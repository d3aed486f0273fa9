"""Ledger lines of a span grouped by the rates that priced them: the arithmetic behind a total."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.store.reports import Filters, conditions
from shared.store.rollups import COSTS

if TYPE_CHECKING:
    from datetime import datetime

    from shared.store.database import Connection

_TOKENS = (
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens",
    "reasoning_tokens", "audio_input_tokens", "audio_output_tokens", "image_input_tokens", "image_output_tokens",
    "web_searches", "requests",
)  # fmt: skip
_GROUP = (
    "ledger.provider", "ledger.model", "model_raw", "service_tier", "is_batch", "speed", "inference_geo",
    "context_window", "ledger.source", "ledger.request_type", "rates.detail",
)  # fmt: skip


def lines(connection: Connection, start: datetime, end: datetime, filters: Filters) -> list[dict[str, Any]]:
    """Return per model, circumstances and rates: summed tokens, `cost` (None without a price) and class costs.

    `detail` holds the rates as stored when the lines were priced, None where no rates were used.
    """
    where, values = conditions("facts.recorded_at", filters, "facts")
    sums = ", ".join(f"sum(ledger.{name}) AS {name}" for name in (*_TOKENS, *COSTS))
    return connection.execute(
        f"""
        SELECT {", ".join(_GROUP)}, ledger.cost IS NULL AS is_unpriced, count(*) AS lines, sum(ledger.cost) AS cost,
            sum(reported_cost) AS reported_cost, {sums}
        FROM ledger JOIN facts USING (id) LEFT JOIN rates ON rates.id = ledger.rates_id
        WHERE {where}
        GROUP BY {", ".join(_GROUP)}, is_unpriced
        ORDER BY cost DESC NULLS LAST, ledger.model, {", ".join(_GROUP)}
        """,
        {**values, "start": start, "end": end},
    ).fetchall()
