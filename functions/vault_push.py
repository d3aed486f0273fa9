"""Daily schedule -> Context Vault: the summary of the day that ended, and what is still due of those before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions import events, jobs, logs, metrics, runtime
from functions.logs import logger
from shared.errors import CostTrackerError
from shared.store import claims

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


class PushUnfinishedError(CostTrackerError):
    """Wait: Lambda tries the push again, and what it leaves unsent the next day's does."""


@logs.entry(events.of_schedule)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Push what is due; returns `{"run", "status"}`.

    The schedule sends `{"time": <scheduled instant>}`, so that a retry works on the day it was meant for. Delivered
    twice, or twice at once, each day is sent once; what fails is still due the next time. A push that leaves anything
    unsent fails once its run is closed and its metrics are out, so that Lambda tries it again within minutes: the next
    schedule is a day away.

    Raises:
        FunctionFailedError: the event is none of ours, the database is away, or days are still to be sent; nothing was
            lost.
    """
    due, app = events.scheduled(event), runtime.app()
    with app.database.within(lambda: context.get_remaining_time_in_millis() / 1000):
        request = {"time": due or app.clock()}
        run_id = app.database.run(lambda c: claims.start_once(c, "push", request, app.clock()))
        outcome = jobs.work(app, run_id, lambda: context.get_remaining_time_in_millis() / 1000)
        logger.info("run finished", extra={"run": run_id, "status": outcome.status, "error": outcome.error})
        metrics.of_run(app, outcome)
        if "pending" in outcome.result:
            metrics.summaries_pending(app, outcome.result["pending"])
        if outcome.status in {"failed", "partial"}:
            raise PushUnfinishedError(f"Run {run_id} is to be tried again. {outcome.error}")
        return {"run": run_id, "status": outcome.status}
