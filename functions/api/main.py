"""API Gateway -> the API. `HANDLER` is what Lambda calls; tests and the local service build their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions import runtime
from functions.api import audit, reports, runs
from functions.api.app import Handler, build_api

if TYPE_CHECKING:
    from collections.abc import Callable

    from functions.runtime import App

ROUTERS = (reports.router, audit.router, runs.router)


def build(get_app: Callable[[], App]) -> Handler:
    """Return the handler of the whole API over the App that `get_app` gives."""
    return build_api(get_app, ROUTERS)


_handler = build(runtime.app)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ANN401 - Lambda's context object
    """Answer one HTTP API v2 event."""
    return _handler(event, context)
