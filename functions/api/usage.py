"""Usage events: taken one by one or by thousands, and voided."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from functions.api import record_schemas as schemas
from functions.api.encoding import check_text, encode
from functions.api.errors import TooLargeError, refuse_unknown
from functions.api.parameters import DRY_RUN
from functions.api.query import Param
from functions.api.records import one
from functions.api.routing import Answer, Body, Request, Result, Router, Scope
from functions.api.schemas import TEXT, schema
from shared.errors import ConflictError, InvalidInputError
from shared.workflows.attribute import rebuild
from shared.workflows.ingest import Options, ingest, no_collection
from shared.workflows.outcomes import CONFLICT, CREATED, DUPLICATE, REJECTED, Outcome, Report
from shared.workflows.pricing import load_book
from shared.workflows.void import void

if TYPE_CHECKING:
    from functions.runtime import App

router: Router[App] = Router("Usage")

MAX_ROWS = 5000
_LONGEST_REASON = 500
_SOURCE = Param("source", "What the records say they are.", choices=("event", "import"), default="event")
_KEY_HEADER = "idempotency-key"
# Text that is JSON already: results of thousands of rows are written in one go instead of value by value.
_ENCODED = "application/json; charset=utf-8"


@router.post(
    "/api/usage",
    scope=Scope.USAGE_WRITE,
    summary="Record usage: one object or an array of up to 5,000",
    description=(
        "An object is answered with its record: 201, or 200 where its `event_id` (or `Idempotency-Key`) is stored "
        "already. An array is answered with 200 and a result per row; bad rows never lose the good ones."
    ),
    query=(DRY_RUN, _SOURCE),
    body=Body(schemas.SENT, schemas.EXAMPLE),
    response=schemas.ACCEPTED,
    status=201,
    also={200: schemas.ACCEPTED},
    errors=(409,),
)
def record_usage(request: Request, app: App) -> Result:
    """Store events and say what became of each."""
    with no_collection():
        return _record_usage(request, app)


def _record_usage(request: Request, app: App) -> Result:
    body = request.json()
    if isinstance(body, dict):
        return _one(request, app, _with_key(request, body))
    if not isinstance(body, list):
        raise InvalidInputError("Send one JSON object or an array of objects as the body.")
    if len(body) > MAX_ROWS:
        parts = -(-len(body) // MAX_ROWS)
        raise TooLargeError(
            f"The body has {len(body)} rows; send at most 5,000 (and 4 MiB) at once, such as {parts} requests of "
            f"{-(-len(body) // parts)}."
        )
    if _KEY_HEADER in request.headers:
        raise InvalidInputError(
            "Idempotency-Key is for one object; give each row of an array an event_id of its own.",
            [{"field": "Idempotency-Key", "message": "Send it with one object only."}],
        )
    return _many(request, app, body)


@router.post(
    "/api/usage/{id}/void",
    scope=Scope.USAGE_WRITE,
    summary="Take a wrong event out of every figure and keep it, with the reason",
    body=Body(schema({"reason": TEXT}), {"reason": "sent twice under two ids"}),
    response=schemas.VOIDED,
    errors=(404, 409),
)
def void_usage(request: Request, app: App) -> Result:
    """Void an event; again is no error and changes nothing."""
    line_id = request.number("id")
    body = request.json_object()
    refuse_unknown("field", body, ["reason"])
    reason = body.get("reason")
    if not isinstance(reason, str) or not 0 < len(reason.strip()) <= _LONGEST_REASON:
        raise InvalidInputError(
            f"Add reason: why the event is wrong, in at most {_LONGEST_REASON} characters.",
            [{"field": "reason", "message": f"It must be text of 1 to {_LONGEST_REASON} characters."}],
        )
    found = void(app.database, line_id, reason.strip(), request.now, touched=rebuild)
    return {"success": True, "status": "voided", **one(found)}


def _with_key(request: Request, body: dict[str, Any]) -> dict[str, Any]:
    """Return the body with the header's key as its event id."""
    key = check_text(request.headers.get(_KEY_HEADER, "").strip())
    if not key:
        return body
    if body.get("event_id") not in {None, key} if not isinstance(body.get("event_id"), (list, dict)) else True:
        raise InvalidInputError(
            "event_id and Idempotency-Key name different events; send one of them.",
            [{"field": "event_id", "message": "It is not the Idempotency-Key."}],
        )
    return {**body, "event_id": key}


def _one(request: Request, app: App, body: dict[str, Any]) -> Result:
    dry_run = request.query.flag("dry_run")
    report = _ingest(request, app, [body], with_records=True)
    [outcome] = report.outcomes
    if outcome.status == REJECTED:
        message = outcome.message or ""
        if outcome.code == CONFLICT:
            raise ConflictError(message)
        raise InvalidInputError(message, [{"field": outcome.field or "", "message": message}])
    made = _made(report, dry_run=dry_run)
    answer = {
        "success": True,
        "status": outcome.status,
        **_record(report, outcome, made),
        **_notes(report, dry_run=dry_run),
    }
    is_new = outcome.status == CREATED and not dry_run
    return Answer(answer, HTTPStatus.CREATED if is_new else HTTPStatus.OK)


def _many(request: Request, app: App, body: list[Any]) -> Result:
    dry_run = request.query.flag("dry_run")
    report = _ingest(request, app, body, with_records=dry_run)
    made = _made(report, dry_run=dry_run)
    results = [_result(index, outcome, report, made) for index, outcome in enumerate(report.outcomes)]
    statuses = [outcome.status for outcome in report.outcomes]
    counted = {
        "success": True,
        "created": statuses.count(CREATED),
        "duplicates": statuses.count(DUPLICATE),
        "rejected": statuses.count(REJECTED),
        **_notes(report, dry_run=dry_run),
    }
    text = f'{encode(counted)[:-1]},"results":[{",".join(results)}]}}'
    return Answer(text, content_type=_ENCODED)


def _made(report: Report, *, dry_run: bool) -> set[int | None]:
    """Return the ids that only a dry run gave: nobody will find a record under them."""
    return {outcome.id for outcome in report.outcomes if outcome.status == CREATED} if dry_run else set()


def _result(index: int, outcome: Outcome, report: Report, made: set[int | None]) -> str:
    if outcome.status == REJECTED:
        details = [{"field": outcome.field or "", "message": outcome.message}]
        error = encode({"code": outcome.code, "message": outcome.message, "details": details})
        stored = "null" if outcome.id is None or outcome.id in made else outcome.id
        return f'{{"index":{index},"status":"rejected","id":{stored},"error":{error}}}'
    line_id = "null" if outcome.id in made else outcome.id
    plain = f'{{"index":{index},"status":"{outcome.status}","id":{line_id},"error":null'
    if not report.records:
        return plain + "}"
    return f"{plain},{encode(_record(report, outcome, made))[1:]}"


def _record(report: Report, outcome: Outcome, made: set[int | None]) -> dict[str, Any]:
    found = one(report.records[outcome.id or 0])
    return {"data": {**found["data"], "id": None}} if outcome.id in made else found


def _notes(report: Report, *, dry_run: bool) -> dict[str, Any]:
    noted: dict[str, Any] = {"dry_run": True} if dry_run else {}
    if report.warnings:
        noted |= {"warnings": list(report.warnings), "unpriced": report.unpriced}
    return noted


def _ingest(request: Request, app: App, rows: list[Any], *, with_records: bool) -> Report:
    options = Options(
        source=request.query.need("source", str),
        dry_run=request.query.flag("dry_run"),
        with_records=with_records,
        touched=rebuild,
    )
    return ingest(app.database, lambda c: load_book(c, app.catalogue), rows, request.now, options)
