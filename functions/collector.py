"""EventBridge schedule -> collect. Also the worker that the API hands runs to: `{"run": id}`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions import jobs, runtime
from functions.runtime import logger
from shared.store import runs

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Collect every account, or do the run that is named; returns `{"run", "status"}`.

    The schedule sends `{"time": <scheduled instant>}`, so that a retry works on the window it was meant for.
    """
    app = runtime.app()
    run_id = event.get("run")
    if run_id is None:
        request = {"now": event["time"]} if "time" in event else {}
        run_id = app.database.run(lambda c: runs.start(c, "collect", request, app.clock()))
    outcome = jobs.work(app, int(run_id), lambda: context.get_remaining_time_in_millis() / 1000)
    logger.info("run finished", extra={"run": run_id, "status": outcome.status, "error": outcome.error})
    return {"run": run_id, "status": outcome.status}
