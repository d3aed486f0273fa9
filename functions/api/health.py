"""What the service is and whether it works. Liveness never touches the database: asking would wake Neon."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import psycopg

from functions.api.errors import RETRY_AFTER_SECONDS, error_body
from functions.api.routing import Answer, Request, Result, Route, Router, Scope, ShellApp
from functions.api.schemas import INSTANT, TEXT, array, schema
from shared import VERSION
from shared.errors import DatabaseUnavailableError
from shared.store.database import ping

if TYPE_CHECKING:
    from collections.abc import Sequence

_STATUS = {"status": TEXT, "version": TEXT, "timestamp": INSTANT, "environment": TEXT}
_INDEX = schema(
    {
        "name": TEXT,
        "version": TEXT,
        "docs": TEXT,
        "openapi": TEXT,
        "routes": array(schema({"method": TEXT, "path": TEXT, "scope": TEXT, "summary": TEXT})),
    }
)


def router(routes: Sequence[Route[Any]]) -> Router[ShellApp]:
    """Return the health routes and the index of `routes`, which may still grow."""
    found: Router[ShellApp] = Router("Service")

    @found.get("/", scope=Scope.PUBLIC, summary="What this service answers", response=_INDEX)
    def index(request: Request, _app: ShellApp) -> Result:
        return {
            "name": "AI Cost Tracker",
            "version": VERSION,
            "docs": f"{request.base_url}/docs",
            "openapi": f"{request.base_url}/openapi.json",
            "routes": [
                {"method": route.method, "path": route.path, "scope": route.scope.value, "summary": route.summary}
                for route in routes
            ],
        }

    summary = "Liveness, without the database"
    found.get("/health", scope=Scope.PUBLIC, summary=summary, response=schema(_STATUS))(health)
    found.get("/api/health", scope=Scope.PUBLIC, summary=summary, response=schema(_STATUS))(api_health)
    found.get(
        "/health/ready",
        scope=Scope.USAGE_READ,
        summary="Readiness, with the database",
        response=schema({**_STATUS, "checks": schema({"database": TEXT})}),
        errors=(HTTPStatus.SERVICE_UNAVAILABLE,),
    )(ready)
    return found


def health(request: Request, app: ShellApp) -> Result:
    """Answer that the service runs."""
    return _alive(request, app)


def api_health(request: Request, app: ShellApp) -> Result:
    """Answer the same under the path that clients of the `/api` prefix look for."""
    return _alive(request, app)


def ready(request: Request, app: ShellApp) -> Result:
    """Answer whether the database does: 200, or 503 `degraded`."""
    alive = _alive(request, app)
    try:
        with app.database.transaction() as connection:
            ping(connection)
    except (psycopg.Error, DatabaseUnavailableError):
        failure = error_body("database_unavailable", "The database did not answer; try again in a few seconds.")
        body = {**alive, "status": "degraded", "checks": {"database": "unavailable"}, **failure}
        return Answer(body, HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": RETRY_AFTER_SECONDS})
    return {**alive, "checks": {"database": "connected"}}


def _alive(request: Request, app: ShellApp) -> dict[str, object]:
    environment = app.settings.environment
    return {"status": "ok", "version": VERSION, "timestamp": request.now, "environment": environment}
