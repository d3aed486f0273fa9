"""API Gateway -> the API. Lambda calls `handler`; tests and the local service build their own."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

from functions import events, logs, runtime
from functions.api import (
    account_checks,
    accounts,
    audit,
    bills,
    export,
    keys,
    manual,
    models,
    prices,
    projects,
    quarantine,
    records,
    recurring,
    reports,
    runs,
    services,
    usage,
    vault,
)
from functions.api.app import Handler, build_api
from functions.api.auth import stored_key
from shared.errors import CostTrackerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_lambda_powertools.utilities.typing import LambdaContext

    from functions.runtime import App

ROUTERS = (
    usage.router,
    records.router,
    manual.router,
    recurring.router,
    export.router,
    reports.router,
    audit.router,
    bills.router,
    accounts.router,
    account_checks.router,
    services.router,
    models.router,
    prices.router,
    projects.router,
    runs.router,
    quarantine.router,
    vault.router,
    keys.router,
)


def build(get_app: Callable[[], App]) -> Handler:
    """Return the handler of the whole API over the App that `get_app` gives."""
    return build_api(get_app, ROUTERS, stored_key)


_handler = build(runtime.app)
# What was imported stays: without this a collection now and then walks over all of it in the middle of a request.
gc.freeze()


@logs.entry(events.of_request)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one HTTP API v2 event, before API Gateway loses patience.

    Raises:
        FunctionFailedError: the event is none of API Gateway's.
    """
    try:
        database = runtime.app().database
    except CostTrackerError:
        return _handler(event, context)  # a setting is wrong, and the answer says so in our shape
    with database.within(lambda: context.get_remaining_time_in_millis() / 1000):
        return _handler(event, context)
