"""Long work started over HTTP: collect and verify, and the runs they leave."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from functions.api import report_schemas as schemas
from functions.api.errors import refuse_unknown
from functions.api.parameters import PAGE, WAIT
from functions.api.query import Param
from functions.api.routing import Answer, Body, Request, Result, Router, Scope
from functions.api.schemas import DATE, TEXT, schema
from shared.core.periods import parse_date, resolve_range, span
from shared.errors import InvalidInputError, NotFoundError
from shared.providers.registry import REGISTRY
from shared.store import runs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from functions.runtime import App

router: Router[App] = Router("Runs")

_LOOK_SECONDS = 0.1
_COLLECT = {"provider": TEXT, "account": TEXT, "start": DATE, "end": DATE}
_REPAIR = Param("repair", "Replace the roll-ups that differ by what the ledger says.", "flag")
_JOB = Param("job", "Only runs of this job.", choices=("collect", "verify"))
_LONGEST_DAYS = 400


@router.post(
    "/admin/collect",
    scope=Scope.ADMIN,
    summary="Collect now: from the watermark, or the days given",
    query=(WAIT,),
    body=Body(schema(_COLLECT, *_COLLECT), {"provider": "anthropic"}),
    response=schemas.RUN,
    errors=(202,),
)
def collect(request: Request, app: App) -> Result:
    """Start a collection and answer with its run."""
    body = request.json_object()
    refuse_unknown("field", body, _COLLECT)
    return _start(request, app, "collect", _collection(body, request, app))


@router.post(
    "/admin/verify",
    scope=Scope.ADMIN,
    summary="Recompute the roll-ups from the ledger and report drift per day",
    query=(WAIT, _REPAIR),
    response=schemas.RUN,
    errors=(202,),
)
def verify(request: Request, app: App) -> Result:
    """Start a verification and answer with its run."""
    return _start(request, app, "verify", {"repair": request.query.flag("repair")})


@router.get("/admin/runs/{id}", scope=Scope.ADMIN, summary="One run", response=schemas.RUN, errors=(404,))
def run(request: Request, app: App) -> Result:
    """Answer one run, finished or not."""
    return _get(app, request.number("id"))


@router.get("/admin/runs", scope=Scope.ADMIN, summary="Runs, newest first", query=(_JOB, *PAGE), response=schemas.RUNS)
def list_runs(request: Request, app: App) -> Result:
    """Answer a page of runs; the cursor is the id of the last one."""
    limit = request.query.need("limit", int)
    before = _before(request.query.get("cursor", str))
    offset = request.query.get("offset", int) or 0
    job = request.query.get("job", str)
    rows = app.database.run(lambda c: runs.newest(c, job, before, limit + 1, offset))
    page, has_more = rows[:limit], len(rows) > limit
    cursor = str(page[-1]["id"]) if has_more else None
    return {
        "success": True,
        "data": page,
        "count": len(page),
        "has_more": has_more,
        "next_cursor": cursor,
        "next": request.url(cursor=cursor, offset=None) if has_more else None,
    }


def _start(request: Request, app: App, job: str, asked: Mapping[str, Any]) -> Answer:
    run_id = app.database.run(lambda c: runs.start(c, job, asked, request.now))
    app.dispatch(app, run_id)
    deadline = time.monotonic() + request.query.need("wait", int)
    while (found := _get(app, run_id))["status"] == "running" and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
    if found["status"] == "running":
        return Answer(found, 202, {"Location": f"{request.base_url}/admin/runs/{run_id}"})
    return Answer(found)


def _get(app: App, run_id: int) -> dict[str, Any]:
    found = app.database.run(lambda c: runs.get(c, run_id))
    if found is None:
        raise NotFoundError(f"There is no run {run_id}; GET /admin/runs lists them.")
    return found


def _collection(body: Mapping[str, Any], request: Request, app: App) -> dict[str, Any]:
    """Read what to collect: dates are inclusive and in the TIMEZONE setting, as people write them."""
    texts = {name: _text(body, name) for name in _COLLECT}
    asked: dict[str, Any] = {name: texts[name] for name in ("provider", "account") if texts[name] is not None}
    if asked.get("provider") not in {None, *REGISTRY}:
        raise InvalidInputError(
            f"The provider {asked['provider']!r} is not one of {', '.join(REGISTRY)}.",
            [{"field": "provider", "message": f"It is one of {', '.join(REGISTRY)}."}],
        )
    zone = app.settings.zone
    start, end = (None if texts[name] is None else parse_date(str(texts[name])) for name in ("start", "end"))
    if end is not None and start is None:
        raise InvalidInputError(
            "A collection that ends on a date needs a start.", [{"field": "start", "message": "Add it."}]
        )
    if start is not None:
        today = request.now.astimezone(zone).date()
        days = resolve_range(start, end, today=today, longest=_LONGEST_DAYS)
        whole = span(days, zone)
        asked |= {"start": whole.start, "end": whole.end}
    return asked


def _text(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is None or isinstance(value, str):
        return value
    raise InvalidInputError(f"The field {name} must be text.", [{"field": name, "message": "It must be text."}])


def _before(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    if not cursor.isdecimal() or not cursor.isascii():
        raise InvalidInputError(
            "The cursor is not one of ours; use `next_cursor` of the page before.",
            [{"field": "cursor", "message": "Use `next_cursor` of the page before."}],
        )
    return int(cursor)
