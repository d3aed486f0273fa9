"""Verify: recompute the roll-ups from the ledger, report each day that differs, repair on request."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared.store import ledger, rollups

if TYPE_CHECKING:
    from shared.store.database import Connection, Database

# A month at a time keeps each transaction short on a large ledger.
_SPAN = timedelta(days=31)


def verify(database: Database, *, repair: bool) -> dict[str, Any]:
    """Compare every roll-up with the ledger.

    Returns:
        `{"days_checked", "drift": [{"date", "slots", "rolled_up_cost", "ledger_cost"}], "repaired": bool}`, costs in
        USD, days in UTC. No drift is an empty list.
    """
    bounds = database.run(ledger.bounds)
    if bounds is None:
        return {"days_checked": 0, "drift": [], "repaired": False}
    start, end = (_midnight(bounds[0]), _midnight(bounds[1]) + timedelta(days=1))
    drift: list[dict[str, Any]] = []
    at = start
    while at < end:
        until = min(at + _SPAN, end)
        drift += database.run(lambda c, a=at, b=until: _span(c, a, b, repair=repair))  # type: ignore[misc] # bound now, run now
        at = until
    return {"days_checked": (end - start).days, "drift": drift, "repaired": repair and bool(drift)}


def _span(connection: Connection, start: datetime, end: datetime, *, repair: bool) -> list[dict[str, Any]]:
    wrong = rollups.drift(connection, start, end)
    if wrong and repair:
        rollups.rebuild(connection, start, end)
    return wrong


def _midnight(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
