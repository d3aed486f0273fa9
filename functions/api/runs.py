"""Long work started over HTTP: collect and verify, and the runs they leave."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from functions import sources
from functions.api import report_schemas as schemas
from functions.api.errors import nearest, refuse_unknown
from functions.api.lists import page_of
from functions.api.parameters import PAGE, SHAPE, WAIT
from functions.api.query import Param
from functions.api.routing import Answer, Body, Request, Result, Router, Scope
from functions.api.schemas import DATE, TEXT, schema
from shared.core.naming import provider_id
from shared.core.periods import parse_date, resolve_range, span
from shared.errors import InvalidInputError, NotFoundError
from shared.providers.registry import REGISTRY
from shared.store import accounts, runs

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from functions.runtime import App

router: Router[App] = Router("Runs")

_LOOK_SECONDS = 0.1
_ANSWER_SECONDS = 3.0
_COLLECT = {"provider": TEXT, "account": TEXT, "start": DATE, "end": DATE}
_REPAIR = Param("repair", "Replace the roll-ups that differ by what the ledger says.", "flag")
_JOB = Param("job", "Only runs of this job.", example="collect")
_LONGEST_DAYS = 400
_BIGINT_DIGITS = 19


@router.post(
    "/admin/collect",
    scope=Scope.ADMIN,
    summary="Collect now: from the watermark, or the days given",
    query=(WAIT,),
    body=Body(schema(_COLLECT, *_COLLECT), {"provider": "anthropic"}),
    response=schemas.RUN,
    also={202: schemas.RUN},
)
def collect(request: Request, app: App) -> Result:
    """Start a collection and answer with its run."""
    body = request.json_object()
    refuse_unknown("field", body, _COLLECT)
    return start_run(request, app, "collect", _collection(body, request, app))


@router.post(
    "/admin/verify",
    scope=Scope.ADMIN,
    summary="Recompute the roll-ups from the ledger and report drift per day",
    query=(WAIT, _REPAIR),
    response=schemas.RUN,
    also={202: schemas.RUN},
)
def verify(request: Request, app: App) -> Result:
    """Start a verification and answer with its run."""
    return start_run(request, app, "verify", {"repair": request.query.flag("repair")})


@router.get("/admin/runs/{id}", scope=Scope.ADMIN, summary="One run", response=schemas.RUN, errors=(404,))
def run(request: Request, app: App) -> Result:
    """Answer one run, finished or not."""
    return _get(app, request.number("id"))


@router.get(
    "/admin/runs", scope=Scope.ADMIN, summary="Runs, newest first", query=(_JOB, *PAGE, SHAPE), response=schemas.RUNS
)
def list_runs(request: Request, app: App) -> Result:
    """Answer a page of runs; the cursor is the id of the last one."""
    limit = request.query.need("limit", int)
    before = _before(request.query.get("cursor", str))
    offset = request.query.get("offset", int) or 0
    job = request.query.get("job", str)
    rows = app.database.run(lambda c: runs.newest(c, job, before, limit + 1, offset, request.now))
    return page_of(request, rows, limit, lambda row: str(row["id"]), _scalars)


def start_run(request: Request, app: App, job: str, asked: Mapping[str, Any]) -> Answer:
    """Start a run of `job`, wait for it as long as the request says, and answer it: 200 when it ended, else 202."""
    run_id = app.database.run(lambda c: runs.start(c, job, asked, request.now))
    app.dispatch(app, run_id)
    # The function ends before API Gateway gives up, and the answer must be out by then: the run goes on either way.
    wait = min(request.query.need("wait", int), app.database.left() - _ANSWER_SECONDS)
    deadline = time.monotonic() + wait
    while (found := _get(app, run_id))["status"] == "running" and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
    if found["status"] == "running":
        return Answer(found, 202, {"Location": f"{request.base_url}/admin/runs/{run_id}"})
    return Answer(found)


def _scalars(run: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in run.items() if name != "result"}


def _get(app: App, run_id: int) -> dict[str, Any]:
    found = app.database.run(lambda c: runs.get(c, run_id, app.clock()))
    if found is None:
        raise NotFoundError(f"There is no run {run_id}; GET /admin/runs lists them.")
    return found


def _collection(body: Mapping[str, Any], request: Request, app: App) -> dict[str, Any]:
    """Read what to collect: dates are inclusive and in the TIMEZONE setting, as people write them."""
    texts = {name: _text(body, name) for name in _COLLECT}
    asked: dict[str, Any] = {name: texts[name] for name in ("provider", "account") if texts[name] is not None}
    if "provider" in asked:
        asked["provider"] = provider_id(asked["provider"])
        _check_one_of("provider", asked["provider"], REGISTRY)
    if "account" in asked:
        everyone = app.database.run(accounts.everyone)
        names = {account.name for account in sources.polled(app, everyone)} | set(sources.given(app))
        _check_one_of("account", asked["account"], sorted(names))
    zone = app.settings.zone
    start, end = (None if texts[name] is None else parse_date(str(texts[name])) for name in ("start", "end"))
    if end is not None and start is None:
        raise InvalidInputError(
            "A collection that ends on a date needs a start.", [{"field": "start", "message": "Add it."}]
        )
    if start is not None:
        today = request.now.astimezone(zone).date()
        if start > today:
            raise InvalidInputError(
                f"The start {start} is in the future; today is {today}.",
                [{"field": "start", "message": "It is in the future."}],
            )
        days = resolve_range(start, end, today=today, longest=_LONGEST_DAYS)
        whole = span(days, zone)
        asked |= {"start": whole.start, "end": whole.end}
    return asked


def _check_one_of(field: str, value: str, known: Collection[str]) -> None:
    if value not in known:
        near = nearest(value, known)
        hint = f"did you mean {near}?" if near else f"known are {', '.join(known) or 'none yet'}."
        raise InvalidInputError(
            f"The {field} {value[:60]!r} cannot be collected; {hint}", [{"field": field, "message": f"Unknown; {hint}"}]
        )


def _text(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is None or isinstance(value, str):
        return value
    raise InvalidInputError(f"The field {name} must be text.", [{"field": name, "message": "It must be text."}])


def _before(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) < _BIGINT_DIGITS):
        raise InvalidInputError(
            "The cursor is not one of ours; use `next_cursor` of the page before.",
            [{"field": "cursor", "message": "Use `next_cursor` of the page before."}],
        )
    return int(cursor)
