"""Recurring entries over HTTP: what is paid every week, month or year, and becomes a manual entry each time."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from functions.api.errors import refuse_unknown
from functions.api.manual import ENTRY, OPTIONAL
from functions.api.routing import Answer, Body, Request, Result, Router, Scope
from functions.api.schemas import (
    COUNT,
    DATE,
    FLAG,
    INSTANT,
    INSTANT_OR_NULL,
    INTEGER,
    MONEY,
    TEXT,
    TEXT_OR_NULL,
    array,
    mapping,
    schema,
)
from shared.core.periods import local_date
from shared.core.recurring import REPEATS
from shared.errors import InvalidInputError
from shared.store import recurring as store
from shared.store.audit import Author
from shared.workflows import recurring as workflow
from shared.workflows.pricing import load_book

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import date

    from functions.runtime import App
    from shared.prices.book import PriceBook
    from shared.store.database import Connection

router: Router[App] = Router("Usage")

_SECONDS = 15.0
_DATE_OR_NULL = {"type": ["string", "null"], "format": "date"}
_REPEAT = {"type": "string", "enum": list(REPEATS)}
_GIVEN = {
    **ENTRY,
    "date": {**DATE, "description": "The first date; the 31st is the last day of shorter months"},
    "repeat": _REPEAT,
    "until": {**_DATE_OR_NULL, "description": "The last date it may have; null for ever"},
}
_EXAMPLE = {"service": "claude-max", "cost": 100, "date": "2026-11-02", "repeat": "monthly", "project": "Office"}
_RULE = schema(
    {
        "id": INTEGER,
        "service": TEXT,
        "account": TEXT,
        "cost": MONEY,
        "tokens": COUNT,
        "model": TEXT_OR_NULL,
        "notes": TEXT_OR_NULL,
        "project": TEXT_OR_NULL,
        "tags": mapping(TEXT),
        "repeat": _REPEAT,
        "date": DATE,
        "until": _DATE_OR_NULL,
        "next": {**_DATE_OR_NULL, "description": "The date that is booked next; null if there is none any more"},
        "booked": {**COUNT, "description": "How many of its dates became entries, deleted ones included"},
        "active": FLAG,
        "ended_at": INSTANT_OR_NULL,
        "created_at": INSTANT,
        "updated_at": INSTANT,
    }
)
_ONE = schema({"success": FLAG, "status": TEXT, "data": _RULE})


@router.get(
    "/api/usage/manual/recurring",
    scope=Scope.USAGE_READ,
    summary="Recurring entries, ended ones included, oldest first",
    response=schema({"success": FLAG, "data": array(_RULE), "count": COUNT}),
)
def list_recurring(_request: Request, app: App) -> Result:
    """Answer every rule."""
    rows = app.database.run(store.everyone)
    return {"success": True, "data": [_shown(row) for row in rows], "count": len(rows)}


@router.post(
    "/api/usage/manual/recurring",
    scope=Scope.USAGE_WRITE,
    summary="Record what a service costs every week, month or year",
    description="Each date becomes an ordinary manual entry on the day it comes, by the collector; those that have "
    "passed already become entries at once.",
    body=Body(schema(_GIVEN, "until", *OPTIONAL), _EXAMPLE),
    response=_ONE,
    status=201,
)
def create_recurring(request: Request, app: App) -> Result:
    """Store a rule, book what is due, and answer with the rule."""
    author = _author(request)
    rule_id = workflow.create(app.database, _load(app), _body(request), author)
    # What is left is booked by the next collection.
    workflow.book(app.database, _load(app), rule_id, _today(request, app), author, _patience())
    return Answer({"success": True, "status": "created", "data": _one(app, rule_id)}, 201)


@router.get(
    "/api/usage/manual/recurring/{id}",
    scope=Scope.USAGE_READ,
    summary="One recurring entry",
    response=schema({"success": FLAG, "data": _RULE}),
    errors=(404,),
)
def get_recurring(request: Request, app: App) -> Result:
    """Answer one rule."""
    return {"success": True, "data": _one(app, request.number("id"))}


@router.put(
    "/api/usage/manual/recurring/{id}",
    scope=Scope.USAGE_WRITE,
    summary="Change a recurring entry from tomorrow on",
    description="Fields that are left out stay, null empties one. What is booked stays as it is: it is changed at "
    "/api/usage/manual/{id}.",
    body=Body(schema(_GIVEN, *_GIVEN), {"cost": 120}),
    response=_ONE,
    errors=(404, 409),
)
def change_recurring(request: Request, app: App) -> Result:
    """Change a rule and answer with it."""
    rule_id, body = request.number("id"), _body(request)
    if not body:
        raise InvalidInputError(f"Send at least one of the fields {', '.join(workflow.FIELDS)}.")
    today, remaining = _today(request, app), _patience()
    workflow.change(app.database, _load(app), rule_id, body, today, _author(request), remaining)
    workflow.book(app.database, _load(app), rule_id, today, _author(request), remaining)
    return {"success": True, "status": "updated", "data": _one(app, rule_id)}


@router.delete(
    "/api/usage/manual/recurring/{id}",
    scope=Scope.USAGE_WRITE,
    summary="End a recurring entry; what was booked stays",
    response=_ONE,
    errors=(404, 409),
)
def end_recurring(request: Request, app: App) -> Result:
    """End a rule and answer with it."""
    rule_id = request.number("id")
    workflow.end(app.database, _load(app), rule_id, _today(request, app), _author(request), _patience())
    return {"success": True, "status": "ended", "data": _one(app, rule_id)}


def _body(request: Request) -> dict[str, Any]:
    body = request.json_object()
    refuse_unknown("field", body, workflow.FIELDS)
    return body


def _one(app: App, rule_id: int) -> dict[str, Any]:
    found = app.database.run(lambda c: store.get(c, rule_id))
    if found is None:
        raise workflow.no_rule(rule_id)
    return _shown(found)


def _shown(rule: Mapping[str, Any]) -> dict[str, Any]:
    due = workflow.next_date(rule)
    named = {"date": rule["first_date"], "tags": rule["tags"] or {}, "next": due, "active": due is not None}
    return {name: named[name] if name in named else rule[name] for name in _RULE["properties"]}


def _load(app: App) -> workflow.Load:
    def load(connection: Connection) -> PriceBook:
        return load_book(connection, app.catalogue)

    return load


def _patience() -> Callable[[], float]:
    # A caller who waits in vain sends the request again.
    end = monotonic() + _SECONDS
    return lambda: end - monotonic()


def _author(request: Request) -> Author:
    return Author(request.caller.name, request.now)


def _today(request: Request, app: App) -> date:
    return local_date(request.now, app.settings.zone)
