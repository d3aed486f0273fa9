"""Prices over time: the history of a model, prices of the user's own, and what they change of the past."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from functions.api import report_schemas as schemas
from functions.api.errors import refuse_unknown
from functions.api.models import LONGEST_NAME, PRICING, Shelf, pricing
from functions.api.parameters import DRY_RUN, END, START, TZ, WAIT
from functions.api.query import Param
from functions.api.routing import Answer, Body, Request, Result, Router, Scope
from functions.api.runs import start_run
from functions.api.schemas import COUNT, FLAG, INSTANT, INTEGER, NUMBER_OR_NULL, TEXT, TEXT_OR_NULL, array, schema
from shared.core import periods
from shared.core.money import parse_money
from shared.core.naming import provider_id
from shared.core.pricing import checked_price
from shared.errors import ConflictError, InvalidInputError
from shared.store import prices
from shared.store.audit import Author
from shared.workflows.pricing import set_price

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from functions.api.schemas import Schema
    from functions.runtime import App
    from shared.core.pricing import Rates
    from shared.prices.periods import Period

router: Router[App] = Router("Prices")

_REQUIRED = ("input_per_1m", "output_per_1m")
_COLUMNS = {column: name for name, column in prices.COLUMNS.items()}
_GIVEN: dict[str, Schema] = {
    **{column: {"type": ["number", "string", "null"]} for column in _COLUMNS},
    "since": {"type": ["string", "null"], "description": "Date (midnight UTC) or instant; default now"},
    "provider": {"type": ["string", "null"], "description": "Only when this provider sells it; default any"},
}
_STORED = {
    "id": INTEGER,
    "model": TEXT,
    "provider": TEXT_OR_NULL,
    "since": INSTANT,
    **dict.fromkeys(_COLUMNS, NUMBER_OR_NULL),
    "created_at": INSTANT,
    "note": {"type": "string", "description": "What follows from it"},
}
_ONE = schema({"success": FLAG, "data": schema(_STORED)})
_PERIOD = schema(
    {
        "since": {"type": ["string", "null"], "description": "Date or instant (UTC); null: since ever"},
        "hours": {"type": ["string", "null"], "description": "Hours of the day (UTC) it holds in, where it has some"},
        "source": TEXT,
        "provider": TEXT_OR_NULL,
        "pricing": PRICING,
        "tiers": {"type": "array", "description": "Prices of requests whose input is above so many tokens"},
        "id": {"type": ["integer", "null"], "description": "Of an override"},
        "created_at": {"type": ["string", "null"], "description": "When the override was entered"},
        "in_force": FLAG,
    }
)


@router.put(
    "/api/models/{id}/price",
    scope=Scope.CONFIG_WRITE,
    summary="Add a price of your own for a model, from a date on",
    description="Prices are never edited: a later one, or a newer one for the same instant, takes over. Classes that "
    "are left out keep the catalogue's proportion to input and output; so do batch, tiers and regions. Usage without a "
    "price is priced by the next collection, what has one by POST /admin/reprice.",
    body=Body(
        schema(_GIVEN, *(name for name in _GIVEN if name not in _REQUIRED)),
        {"input_per_1m": 3, "output_per_1m": 15, "since": "2026-11-01"},
    ),
    response=_ONE,
    also={201: _ONE},
)
def put_price(request: Request, app: App) -> Result:
    """Answer 201 with the new price, or 200 with the one that says the same already."""
    body = request.json_object()
    refuse_unknown("field", body, _GIVEN)
    figures = {name: _price(body, column) for column, name in _COLUMNS.items()}
    since, provider = _since(body.get("since")), _provider(body.get("provider"))
    model = request.params["id"].strip()
    if not model or len(model) > LONGEST_NAME:
        raise _wrong("id", f"Name the model in 1 to {LONGEST_NAME} characters.")
    shelf = Shelf.open(request, app)
    author = Author(request.caller.name, request.now)
    row, is_new = set_price(app.database, app.catalogue, model, provider, since, figures, author)
    return Answer({"success": True, "data": {**row, "note": _note(shelf, model, row)}}, 201 if is_new else 200)


@router.get(
    "/api/models/{id}/prices",
    scope=Scope.USAGE_READ,
    summary="Every price a model has or had: your own, the catalogue's, the built-in one",
    query=(Param("provider", "The model as this provider sells it.", example="anthropic"),),
    response=schema({"success": FLAG, "data": array(_PERIOD), "count": COUNT}),
    errors=(404,),
)
def list_prices(request: Request, app: App) -> Result:
    """Answer the standard price's periods, latest first."""
    shelf = Shelf.open(request, app)
    given = request.query.get("provider", str)
    provider, model = shelf.find(request.params["id"], None if given is None else provider_id(given))
    card = shelf.book.card(provider, model, shelf.now)
    rows = [_period(period, card.base if card else None) for period in shelf.book.history(provider, model)]
    return {"success": True, "data": rows, "count": len(rows)}


@router.post(
    "/admin/reprice",
    scope=Scope.ADMIN,
    summary="Price the past by today's prices, or say what that would change",
    description="Every line that tokens price, at the price of its own instant; models are named anew. Each UTC day is "
    "changed as a whole, and again changes nothing. The result says per month and model what changed. Without `start` "
    "and `end` everything.",
    query=(START, END, TZ, DRY_RUN, WAIT),
    response=schemas.RUN,
    also={202: schemas.RUN},
)
def reprice(request: Request, app: App) -> Result:
    """Start a re-pricing and answer with its run."""
    return start_run(request, app, "reprice", asked_of_the_past(request, app))


@router.post(
    "/admin/refresh",
    scope=Scope.ADMIN,
    summary="Fetch the published price catalogue now",
    description="Collections do it once a day where PRICE_CATALOGUE_URL is set. A file that is malformed, shrunken or "
    "lacks a model in use is refused, and the last good one stays.",
    query=(WAIT,),
    response=schemas.RUN,
    also={202: schemas.RUN},
    errors=(409,),
)
def refresh(request: Request, app: App) -> Result:
    """Start a refresh and answer with its run."""
    if app.settings.price_catalogue_url is None:
        raise ConflictError("No published catalogue is configured; set PRICE_CATALOGUE_URL to its address first.")
    return start_run(request, app, "refresh", {"by": request.caller.name})


def asked_of_the_past(request: Request, app: App) -> dict[str, Any]:
    """Return what a run over the past is asked: inclusive dates as instants, whether it is dry, and by whom."""
    bounds = span_of(request, app)
    start, end = bounds
    return {
        **({} if start is None else {"start": start}),
        **({} if end is None else {"end": end}),
        "dry_run": request.query.flag("dry_run"),
        "by": request.caller.name,
    }


def span_of(request: Request, app: App) -> tuple[datetime | None, datetime | None]:
    """Return the instants `[start, end)` of a request's dates in its zone, None where there is no bound."""
    zone = request.query.get("tz", ZoneInfo) or app.settings.zone
    first, last = periods.open_range(request.query.get("start", date), request.query.get("end", date))
    start = None if first is None else periods.day(first, zone).start
    return start, None if last is None else periods.day(last, zone).end


def _price(body: Mapping[str, Any], column: str) -> Decimal | None:
    value = body.get(column)
    if value is None:
        if column in _REQUIRED:
            raise _wrong(column, "Give the price in USD per million tokens.")
        return None
    try:
        return checked_price(column, parse_money(value))
    except ValueError as error:
        raise _wrong(column, str(error)) from error


def _since(value: object) -> datetime | None:
    if value is None:
        return None
    try:
        found = periods.parse_instant(value) if isinstance(value, str) else None
    except periods.PeriodError as error:
        raise _wrong("since", str(error)) from error
    if found is None:
        raise _wrong("since", "Write a date or an instant, such as 2026-11-23 or 2026-11-23T10:15:00Z.")
    return found


def _provider(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip() or len(value) > LONGEST_NAME:
        raise _wrong("provider", "Name the provider, such as anthropic, or leave it out.")
    return provider_id(value)


def _note(shelf: Shelf, model: str, row: Mapping[str, Any]) -> str:
    since: datetime = row["since"]
    later = "It begins in the future. " if since > shelf.now else ""
    is_known = shelf.book.is_known(row["provider"], model) or any(used == row["model"] for _, used in shelf.used)
    near = [] if is_known else shelf.book.nearest(model)
    unknown = (
        ""
        if is_known
        else "No list and no usage knows this model" + (f"; did you mean {' or '.join(near)}? " if near else ". ")
    )
    return f"{later}{unknown}POST /admin/reprice applies it to what is stored from {since.date()} on."


def _period(period: Period, now: Rates | None) -> dict[str, Any]:
    base, override = period.card.base, period.override
    same = now is not None and (now.source, now.version) == (base.source, base.version) and now.since == base.since
    return {
        "since": period.since.astimezone(UTC) if isinstance(period.since, datetime) else period.since,
        "hours": period.hours,
        "source": base.source,
        "provider": base.provider,
        "pricing": pricing(base),
        "tiers": [{"above": above, **pricing(rates)} for above, rates in period.card.tiers[1:]],
        "id": int(override.id) if override else None,
        "created_at": override.created_at if override else None,
        "in_force": now is not None and same and pricing(now) == pricing(base),
    }


def _wrong(field: str, message: str) -> InvalidInputError:
    return InvalidInputError(
        f"The field {field}: {message[0].lower()}{message[1:]}", [{"field": field, "message": message}]
    )
