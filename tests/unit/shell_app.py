"""A small application for the tests of the API's shell: one route of every kind, no database that answers."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import httpx

from functions.api.app import Handler, build_api
from functions.api.encoding import Exact
from functions.api.errors import TooLargeError
from functions.api.parameters import FILTERS, PAGE, RANGE
from functions.api.query import Param
from functions.api.routing import Answer, Body, Caller, Request, Result, Router, Scope
from functions.api.schemas import ANYTHING, COUNT, MONEY, TEXT, schema
from infra.local.transport import HandlerTransport
from shared import errors
from shared.config import Settings
from shared.core.periods import PeriodError
from shared.store.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = "bootstrap-key"
NOW = datetime(2026, 11, 23, 10, 15, 30, 250000, tzinfo=UTC)


@dataclass(frozen=True)
class App:
    settings: Settings
    database: Database
    clock: Callable[[], datetime]


def make_app(**environ: str) -> App:
    return App(
        settings=Settings.load({"API_KEY": KEY, "ENVIRONMENT": "test", **environ}),
        database=Database("postgresql://nobody@127.0.0.1:1/none?connect_timeout=1"),
        clock=lambda: NOW,
    )


router: Router[App] = Router("Shell")
DECLARED = (
    *RANGE,
    *FILTERS,
    *PAGE,
    Param("dry_run", "Say what would happen.", "flag"),
    Param("group_by", "Length of a period.", choices=("day", "week")),
    Param("since", "From this instant.", "instant"),
    Param("least", "At least this much.", "number", minimum=0),
)
FAILURES: dict[str, Exception] = {
    "invalid": errors.InvalidInputError("Correct it.", [{"field": "a", "message": "b"}]),
    "period": PeriodError("The range is reversed."),
    "missing": errors.NotFoundError("There is none."),
    "conflict": errors.ConflictError("The first one was kept."),
    "large": TooLargeError("Send less."),
    "database": errors.DatabaseUnavailableError("The database did not answer."),
    "setting": errors.SettingError("Set DATABASE_URL."),
    "credential": errors.CredentialError("Replace the key."),
    "provider": errors.ProviderUnavailableError("Wait."),
    "value": ValueError("a detail of the code with secret-path"),
    "key": KeyError("secret-path"),
}


@router.get(
    "/echo/{name}",
    scope=Scope.USAGE_READ,
    summary="What was understood",
    query=DECLARED,
    response=schema({"name": TEXT}),
    errors=(404,),
)
def echo(request: Request, app: App) -> Result:
    """Answer with what the shell made of the request."""
    query = request.query
    zone = query.get("tz", ZoneInfo) or app.settings.zone
    return {
        "name": request.params["name"],
        "start": query.get("start", date),
        "since": query.get("since", datetime),
        "tz": zone.key,
        "models": query.all("model"),
        "limit": query.need("limit", int),
        "least": query.get("least", Decimal),
        "group_by": query.get("group_by", str),
        "dry_run": query.flag("dry_run"),
        "caller": request.caller.name,
        "base": request.base_url,
        "next": request.url(cursor="a b"),
    }


@router.post(
    "/body",
    scope=Scope.USAGE_WRITE,
    summary="The body, as decoded",
    body=Body(schema({"cost": MONEY}), {"cost": Decimal("0.5"), "note": "it's"}),
    response=schema({"body": ANYTHING}),
    status=201,
)
def body(request: Request, _app: App) -> Result:
    """Answer with every digit of the body."""
    return {"body": _exact(request.json())}


@router.put(
    "/object",
    scope=Scope.CONFIG_WRITE,
    summary="An object",
    body=Body(schema({}), {}),
    response=schema({"fields": COUNT}),
)
def object_(request: Request, _app: App) -> Result:
    """Answer with the number of fields."""
    return {"fields": len(request.json_object())}


@router.get("/rows/{id}", scope=Scope.ADMIN, summary="A row", response=schema({"id": COUNT}), errors=(404,))
def row(request: Request, _app: App) -> Result:
    """Answer with the id."""
    return {"id": request.number("id")}


@router.get("/fail/{kind}", scope=Scope.USAGE_READ, summary="Every failure", response=ANYTHING)
def fail(request: Request, _app: App) -> Result:
    """Raise what is asked for."""
    raise FAILURES[request.params["kind"]]


@router.get("/plain", scope=Scope.USAGE_READ, summary="Text", response=TEXT, content_type="text/csv")
def plain(_request: Request, _app: App) -> Result:
    """Answer with more text than fits uncompressed."""
    return Answer("line\n" * 10_000, headers={"Link": "<x>; rel=next"}, content_type="text/csv")


@router.get("/list", scope=Scope.USAGE_READ, summary="A bare array", response=ANYTHING)
def bare(_request: Request, _app: App) -> Result:
    """Answer with an array."""
    return Answer([{"cost": Decimal("0.10")}])


@router.get("/slow/{text}", scope=Scope.USAGE_READ, summary="A slow echo", query=(), response=ANYTHING)
def slow(request: Request, _app: App) -> Result:
    """Answer after a moment, so that requests overlap."""
    time.sleep(0.002)
    return {"text": request.params["text"], "agent": request.headers.get("user-agent")}


def stored_key(_app: App, key: str) -> Caller | None:
    """Know one key that may read only."""
    return Caller("reader", frozenset({Scope.USAGE_READ})) if key == "reader-key" else None


def make_handler(**environ: str) -> Handler:
    app = make_app(**environ)
    return build_api(lambda: app, [router], stored_key)


def make_client(key: str | None = KEY, **environ: str) -> httpx.Client:
    headers = {"X-API-Key": key} if key else {}
    return httpx.Client(
        transport=HandlerTransport(make_handler(**environ)), base_url="http://api.test", headers=headers
    )


def _exact(value: object) -> object:
    if isinstance(value, dict):
        return {key: _exact(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_exact(item) for item in value]
    return Exact(value) if isinstance(value, Decimal) else value
