"""Quarantine: rows of reports that look absurd wait here, in no total, until a person releases or drops them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.api.errors import nearest, refuse_unknown
from functions.api.lists import page_of
from functions.api.parameters import PAGE, SHAPE
from functions.api.query import Param
from functions.api.routing import Body, Request, Result, Router, Scope
from functions.api.schemas import (
    COUNT,
    FLAG,
    INSTANT,
    INSTANT_OR_NULL,
    INTEGER,
    MONEY,
    MONEY_OR_NULL,
    TEXT,
    TEXT_OR_NULL,
    array,
    schema,
)
from shared.core.conventions import EventError
from shared.core.labels import check_label
from shared.core.quarantine import FACTOR
from shared.errors import InvalidInputError
from shared.store import quarantine as store
from shared.store.audit import Author
from shared.workflows.pricing import load_book
from shared.workflows.quarantine import ACTIONS, decide

if TYPE_CHECKING:
    from collections.abc import Mapping

    from functions.api.schemas import Schema
    from functions.runtime import App

router: Router[App] = Router("Quarantine")

_LONGEST_REASON = 500
_BIGINT_DIGITS = 19
_ALL = "all"
_ROW: dict[str, Schema] = {
    "id": INTEGER,
    "account": TEXT,
    "provider": TEXT,
    "stream": {**TEXT, "description": "The provider's report that it is a row of"},
    "recorded_at": INSTANT,
    "ends_at": INSTANT,
    "model": TEXT,
    "project": TEXT,
    "session_label": TEXT_OR_NULL,
    "state": {"type": "string", "enum": [*store.STATES]},
    "cost": {**MONEY_OR_NULL, "description": "What it would count for, USD; null without a price"},
    "tokens": INTEGER,
    "usual_cost": {**MONEY, "description": "The account's usual day, USD: the median of 30"},
    "usual_tokens": INTEGER,
    "held_at": INSTANT,
    "decided_at": INSTANT_OR_NULL,
    "decided_by": TEXT_OR_NULL,
    "reason": {**TEXT_OR_NULL, "description": "What was said with the decision"},
    "raw_data": {"type": "object", "description": "The provider's own words"},
}
_DECISION: dict[str, Schema] = {
    "action": {"type": "string", "enum": list(ACTIONS)},
    "reason": {"type": ["string", "null"], "maxLength": _LONGEST_REASON},
}
_STATE = Param(
    "state", f"Rows in this state, or {_ALL}.", choices=(*store.STATES, _ALL), default=store.HELD, example=store.HELD
)


@router.get(
    "/admin/quarantine",
    scope=Scope.ADMIN,
    summary="Rows of reports that look absurd, newest first",
    description=f"A row of {FACTOR:,} usual days of its account or more is held back: it is in no total, and every "
    "report that it would touch counts it in its coverage.",
    query=(_STATE, *PAGE, SHAPE),
    response=schema(
        {
            "success": FLAG,
            "data": array(schema(_ROW)),
            "count": COUNT,
            "has_more": FLAG,
            "next_cursor": TEXT_OR_NULL,
            "next": TEXT_OR_NULL,
        }
    ),
)
def list_quarantine(request: Request, app: App) -> Result:
    """Answer a page of rows; the cursor is the id of the last one."""
    limit = request.query.need("limit", int)
    offset = request.query.get("offset", int) or 0
    state = request.query.need("state", str)
    before = _before(request.query.get("cursor", str))
    rows = app.database.run(lambda c: store.newest(c, None if state == _ALL else state, before, limit + 1, offset))
    shown = [_shown(row) for row in rows]
    return page_of(request, shown, limit, lambda row: str(row["id"]), _scalars)


@router.post(
    "/admin/quarantine/{id}",
    scope=Scope.ADMIN,
    summary="Release a row into every figure, or drop it",
    description="A released row counts from then on, at the price in force, and is not held again unless it grows. A "
    "dropped one stays out as long as its provider does not restate it. Again changes nothing; either decision may be "
    "taken back by the other.",
    body=Body(schema(_DECISION, "reason"), {"action": "release", "reason": "The migration really was that large"}),
    response=schema({"success": FLAG, "data": schema(_ROW)}),
    errors=(404, 409),
)
def decide_quarantine(request: Request, app: App) -> Result:
    """Carry the decision out and answer with the row."""
    body = request.json_object()
    refuse_unknown("field", body, _DECISION)
    author = Author(request.caller.name, request.now)
    row = decide(
        app.database,
        lambda connection: load_book(connection, app.catalogue),
        request.number("id"),
        _action(body.get("action")),
        _reason(body),
        author,
    )
    return {"success": True, "data": _shown(row)}


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row["note"] if name == "reason" else row[name] for name in _ROW}


def _scalars(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "raw_data"}


def _action(value: object) -> str:
    if isinstance(value, str) and value in ACTIONS:
        return value
    near = nearest(value, ACTIONS) if isinstance(value, str) else None
    hint = f"; did you mean {near}?" if near else "."
    raise InvalidInputError(
        f"The action is {' or '.join(ACTIONS)}{hint}",
        [{"field": "action", "message": f"Write {' or '.join(ACTIONS)}."}],
    )


def _reason(body: Mapping[str, Any]) -> str | None:
    try:
        return check_label("reason", body.get("reason"), _LONGEST_REASON)
    except EventError as error:
        raise InvalidInputError(str(error), [{"field": "reason", "message": str(error)}]) from error


def _before(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) < _BIGINT_DIGITS):
        message = "Use `next_cursor` of the page before."
        raise InvalidInputError(
            f"The cursor is not one of ours; {message[0].lower()}{message[1:]}",
            [{"field": "cursor", "message": message}],
        )
    return int(cursor)
