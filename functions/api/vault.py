"""Daily summaries: push one to Context Vault now, or have one summed again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.api.errors import refuse_unknown
from functions.api.parameters import DRY_RUN
from functions.api.routing import Body, Request, Result, Router, Scope
from functions.api.schemas import (
    ANYTHING,
    COUNT,
    DATE,
    FLAG,
    INSTANT_OR_NULL,
    INTEGER,
    MONEY,
    TEXT_OR_NULL,
    mapping,
    schema,
)
from shared.core.money import apportion, display
from shared.core.periods import local_date, parse_date
from shared.errors import InvalidInputError
from shared.store.summaries import DIMENSIONS
from shared.workflows.push import Pace, preview, push_day
from shared.workflows.summarise import aggregate

if TYPE_CHECKING:
    from datetime import date

    from functions.runtime import App
    from shared.store.summaries import Summary

router: Router[App] = Router("Summaries")

# The gateway gives up after 30 s.
_PUSH_SECONDS = 20.0
_BODY = {"date": DATE}
_STATUSES = ("pushed", "unchanged", "failed", "not_configured", "dry_run")
_DELIVERY = schema(
    {
        "status": {"type": "string", "enum": list(_STATUSES)},
        "date": DATE,
        "payload": {**ANYTHING, "description": "What is sent; null where there is no summary of that day"},
        "http_status": {"type": ["integer", "null"]},
        "attempts": COUNT,
        "error": TEXT_OR_NULL,
    }
)
_SUMMARY = schema(
    {
        "success": FLAG,
        "data": schema(
            {
                "date": DATE,
                "total_cost": MONEY,
                "total_requests": INTEGER,
                **{f"by_{name}": mapping(MONEY) for name in DIMENSIONS},
                "synced_to_cv": FLAG,
                "synced_at": INSTANT_OR_NULL,
                "payload_hash": TEXT_OR_NULL,
            }
        ),
    }
)


@router.post(
    "/admin/sync-cv",
    scope=Scope.ADMIN,
    summary="Push a day's summary to Context Vault now, by default yesterday's",
    description="A payload that was acknowledged is not sent again. With `dry_run` nothing is sent or stored.",
    query=(DRY_RUN,),
    body=Body(schema(_BODY, *_BODY), {"date": "2026-11-22"}),
    response=_DELIVERY,
    errors=(404,),
)
def sync_cv(request: Request, app: App) -> Result:
    """Push one closed day and answer what became of it."""
    from functions import jobs  # noqa: PLC0415 - it loads an HTTP client, which no other route needs

    day = _date(request)
    outbox = jobs.outbox(app, Pace.lasting(_PUSH_SECONDS))
    found = (preview if request.query.flag("dry_run") else push_day)(outbox, day)
    return {
        "status": "failed" if found.status == "busy" else found.status,
        "date": found.date,
        "payload": found.payload,
        "http_status": found.http_status,
        "attempts": found.attempts,
        "error": found.error,
    }


@router.post(
    "/api/usage/aggregate",
    scope=Scope.USAGE_WRITE,
    summary="Sum a day again and answer its row of daily_summaries",
    description="Today's is computed as far as the day has come, and stored once the day is over.",
    body=Body(schema(_BODY), {"date": "2026-11-22"}),
    response=_SUMMARY,
)
def aggregate_day(request: Request, app: App) -> Result:
    """Answer the summary of one day in the TIMEZONE setting, as it is stored now."""
    day = _date(request)
    if day is None:
        raise InvalidInputError("Add the field date.", [{"field": "date", "message": "It is required."}])
    zone = app.settings.zone
    today = local_date(request.now, zone)
    if day > today:
        raise InvalidInputError(
            f"{day} has not begun yet in {zone.key}; today is {today}.",
            [{"field": "date", "message": f"It must be {today} or earlier."}],
        )
    return {"success": True, "data": _row(aggregate(app.database, day, today, zone))}


def _date(request: Request) -> date | None:
    body = request.json_object()
    refuse_unknown("field", body, _BODY)
    text = body.get("date")
    if text is None:
        return None
    if not isinstance(text, str):
        raise InvalidInputError(
            "The field date must be text.", [{"field": "date", "message": "Write it as YYYY-MM-DD."}]
        )
    return parse_date(text)


def _row(summary: Summary) -> dict[str, Any]:
    return {
        "date": summary.date,
        "total_cost": display(summary.total_cost),
        "total_requests": summary.total_requests,
        **{f"by_{name}": apportion(getattr(summary, f"by_{name}"), summary.total_cost) for name in DIMENSIONS},
        "synced_to_cv": summary.synced_to_cv,
        "synced_at": summary.synced_at,
        "payload_hash": summary.payload_hash,
    }
