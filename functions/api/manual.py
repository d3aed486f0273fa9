"""Manual entries over HTTP: made, changed and deleted; listed with all other records as `source=manual`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.api import record_schemas as schemas
from functions.api.errors import refuse_unknown
from functions.api.records import one
from functions.api.routing import Answer, Body, Request, Result, Router, Scope
from functions.api.schemas import COUNT, DATE, FLAG, MONEY, TEXT, TEXT_OR_NULL, schema
from shared.errors import InvalidInputError
from shared.workflows import manual
from shared.workflows.pricing import load_book

if TYPE_CHECKING:
    from functions.runtime import App

router: Router[App] = Router("Usage")

ENTRY = {
    "service": TEXT,
    "account": TEXT_OR_NULL,
    "account_id": {"type": ["integer", "string", "null"]},
    "date": DATE,
    "cost": MONEY,
    "tokens": COUNT,
    "model": TEXT_OR_NULL,
    "notes": TEXT_OR_NULL,
    "project": TEXT_OR_NULL,
    "tags": {"type": ["object", "null"]},
}
OPTIONAL = tuple(name for name in ENTRY if name not in {"service", "date", "cost"})
_EXAMPLE = {"service": "chatgpt plus", "date": "2026-11-01", "cost": 20, "notes": "subscription", "project": "Office"}
_ONE = schema({"success": FLAG, "status": TEXT, "data": schemas.RECORD})


@router.post(
    "/api/usage/manual",
    scope=Scope.USAGE_WRITE,
    summary="Record what a service cost on a day, by hand",
    description="It counts at noon UTC of the date; several per day and service are several entries. What is paid "
    "again and again is recorded once at /api/usage/manual/recurring.",
    body=Body(schema(ENTRY, *OPTIONAL), _EXAMPLE),
    response=_ONE,
    status=201,
)
def create_manual(request: Request, app: App) -> Result:
    """Store an entry and answer with its record."""
    found = manual.create(app.database, lambda c: load_book(c, app.catalogue), _body(request), request.now)
    return Answer({"success": True, "status": "created", **one(found)}, 201)


@router.put(
    "/api/usage/manual/{id}",
    scope=Scope.USAGE_WRITE,
    summary="Change a manual entry; what it said is kept",
    description="Fields that are left out stay, null empties one.",
    body=Body(schema(ENTRY, *ENTRY), {"cost": 25}),
    response=_ONE,
    errors=(404, 409),
)
def edit_manual(request: Request, app: App) -> Result:
    """Change an entry and answer with its record."""
    line_id = request.number("id")
    body = _body(request)
    if not body:
        raise InvalidInputError(f"Send at least one of the fields {', '.join(manual.FIELDS)}.")
    found = manual.edit(app.database, lambda c: load_book(c, app.catalogue), line_id, body, request.now)
    return {"success": True, "status": "updated", **one(found)}


@router.delete(
    "/api/usage/manual/{id}",
    scope=Scope.USAGE_WRITE,
    summary="Delete a manual entry; its history is kept",
    response=_ONE,
    errors=(404, 409),
)
def delete_manual(request: Request, app: App) -> Result:
    """Take an entry out of every figure and answer with its last record."""
    line_id = request.number("id")
    return {"success": True, "status": "deleted", **one(manual.delete(app.database, line_id, request.now))}


def _body(request: Request) -> dict[str, Any]:
    body = request.json_object()
    refuse_unknown("field", body, manual.FIELDS)
    return body
