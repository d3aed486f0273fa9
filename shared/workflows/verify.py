"""Verify: recompute the roll-ups from the ledger, report each day that differs, repair on request."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared.store import drift, ledger

if TYPE_CHECKING:
    from shared.store.database import Database

# A month at a time keeps each transaction short on a large ledger.
_SPAN = timedelta(days=31)


def verify(database: Database, *, repair: bool) -> dict[str, Any]:
    """Compare the fine roll-up with the ledger, and those by day with the fine one.

    Returns:
        `{"days_checked", "drift": [{"date", "slots", "rolled_up_cost", "ledger_cost"}], "repaired": bool}`, costs in
        USD. Days are those of UTC; where only a roll-up by day differs, those of its zone. No drift is an empty list.
    """
    bounds = database.run(ledger.bounds)
    if bounds is None:
        return {"days_checked": 0, "drift": [], "repaired": False}
    start, end = (_midnight(bounds[0]), _midnight(bounds[1]) + timedelta(days=1))
    wrong: dict[date, dict[str, Any]] = {}
    at = start
    while at < end:
        until = min(at + _SPAN, end)
        found = database.run(lambda c, a=at, b=until: drift.find(c, a, b))  # type: ignore[misc] # bound now, run now
        if found and repair:
            database.run(lambda c, a=at, b=until: drift.rebuild(c, a, b))  # type: ignore[misc] # the same
        # A day of the zone that begins in one span and ends in the next is checked with both.
        wrong = {**{row["date"]: row for row in found}, **wrong}
        at = until
    days = [wrong[day] for day in sorted(wrong)]
    return {"days_checked": (end - start).days, "drift": days, "repaired": repair and bool(days)}


def _midnight(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
