"""Void: a wrong event leaves every figure and stays in the ledger, with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.core import crash
from shared.core.periods import floor_quarter
from shared.errors import ConflictError, NotFoundError
from shared.store import events, records, rollups

if TYPE_CHECKING:
    from datetime import datetime

    from shared.store.database import Connection, Database
    from shared.workflows.ingest import Touched

_VOIDABLE = ("event", "import")
_INSTEAD = {
    "api": "is the provider's word: it is corrected when the provider restates it",
    "attribution": "is derived from the provider's report and the events in it: void the event instead",
    "manual": "is a manual entry: change or delete it at /api/usage/manual",
}


def void(
    database: Database, line_id: int, reason: str, now: datetime, *, touched: Touched | None = None
) -> dict[str, Any]:
    """Take an event out of every figure and return its record with `voided_at` and `void_reason`.

    Again changes nothing: the first reason and time stay. `touched` is told, in the same transaction, which group of
    lines changed.

    Raises:
        NotFoundError: no such line.
        ConflictError: it is not an event's.
    """
    found = database.run(lambda connection: _void(connection, line_id, reason, now, touched))
    crash.at("void:answered")
    return found


def _void(connection: Connection, line_id: int, reason: str, now: datetime, touched: Touched | None) -> dict[str, Any]:
    line = events.lock(connection, line_id)
    if line is None:
        raise NotFoundError(f"There is no usage record {line_id}.")
    if line["source"] not in _VOIDABLE:
        raise ConflictError(f"The record {line_id} {_INSTEAD[line['source']]}.")
    if line["voided_at"] is None:
        rollups.subtract(connection, [line_id])
        crash.at("void:rolled-up")
        events.void(connection, line_id, reason, now)
        crash.at("void:marked")
        if touched is not None and line["account_id"] is not None:
            touched(connection, {(line["account_id"], floor_quarter(line["recorded_at"]), line["model"])})
    found = records.get(connection, line_id)
    if found is None:
        raise AssertionError("the line is locked, so it is there")
    return found
