"""EventBridge schedule -> collect. Also the worker that the API hands runs to: `{"run": id}`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions import events, jobs, logs, metrics, runtime
from functions.logs import logger
from shared.store import claims

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@logs.entry(events.of_work)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Collect every account, or do the run that is named; returns `{"run", "status"}`.

    The schedule sends `{"time": <scheduled instant>}`, so that a retry works on the window it was meant for. An event
    that is delivered twice is done once: the second one's status is `skipped`.

    Raises:
        FunctionFailedError: the event is none of ours, or the database is away; nothing was lost.
    """
    asked, app = events.work(event), runtime.app()

    def remaining() -> float:
        return context.get_remaining_time_in_millis() / 1000

    with app.database.within(remaining):
        request = {"now": asked.time or app.clock()}
        run_id = asked.run or app.database.run(lambda c: claims.start_once(c, "collect", request, app.clock()))
        outcome = jobs.work(app, run_id, remaining)
        logger.info("run finished", extra={"run": run_id, "status": outcome.status, "error": outcome.error})
        metrics.of_run(app, outcome)
        if asked.run is None and (check := jobs.nightly(app, remaining)) is not None:
            metrics.of_run(app, jobs.work(app, check, remaining))
        return {"run": run_id, "status": outcome.status}
