"""What runs do: a stored run is taken up, worked on with a heartbeat, and always closed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from shared.core.windows import Plan
from shared.errors import CostTrackerError, InvalidInputError
from shared.store import runs
from shared.workflows.collect import AccountReport, Progress, collect
from shared.workflows.pricing import load_book
from shared.workflows.verify import verify

logger = Logger(service="ai-cost-tracker", child=True)

# A provider that hangs must not hold a local run for ever.
_LONGEST_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended: `succeeded`, `partial` or `failed`, with its result and a sentence if not all went well."""

    status: str
    result: dict[str, Any]
    error: str | None = None


Beat = Callable[[Mapping[str, Any]], None]
if TYPE_CHECKING:
    from functions.runtime import App

    Job = Callable[[App, Mapping[str, Any], Callable[[], float], Beat], Outcome]


def work(app: App, run_id: int, remaining: Callable[[], float]) -> Outcome:
    """Do the run's job and store how it ended; a run that is already closed is left alone.

    `remaining` gives the seconds this process has left.
    """
    taken = app.database.run(lambda c: runs.request_of(c, run_id))
    if taken is None:
        return Outcome("failed", {}, f"Run {run_id} is not running.")
    outcome = _attempt(app, taken["job"], taken["request"], remaining, lambda progress: _beat(app, run_id, progress))
    app.database.run(lambda c: runs.finish(c, run_id, outcome.status, outcome.result, outcome.error, app.clock()))
    return outcome


def _attempt(app: App, job: str, request: Mapping[str, Any], remaining: Callable[[], float], beat: Beat) -> Outcome:
    try:
        return JOBS[job](app, request, remaining, beat)
    except CostTrackerError as error:
        return Outcome("failed", {}, str(error))
    except Exception:
        logger.exception("run failed", extra={"job": job})
        return Outcome("failed", {}, "It failed inside the tracker; the log has the details.")


def _beat(app: App, run_id: int, progress: Mapping[str, Any]) -> None:
    app.database.run(lambda c: runs.beat(c, run_id, progress, app.clock()))


def _collect(app: App, request: Mapping[str, Any], remaining: Callable[[], float], beat: Beat) -> Outcome:
    seconds = min(remaining(), _LONGEST_SECONDS)
    sources = [
        source
        for source in app.sources(seconds)
        if request.get("provider") in {None, source.provider.name} and request.get("account") in {None, source.account}
    ]
    if not sources:
        raise InvalidInputError("There is no account to collect; set a provider's key, .env.example lists them.")
    plan = Plan(
        now=_instant(request.get("now")) or app.clock(),
        lookback=app.lookback,
        backfill=app.backfill,
        start=_instant(request.get("start")),
        end=_instant(request.get("end")),
    )

    def progress(at: Progress) -> None:
        beat(
            {"progress": {"account": at.account, "stream": at.stream, "pages": at.pages, "done": round(at.done * 100)}}
        )

    reports = collect(app.database, sources, lambda c: load_book(c, app.catalogue), plan, remaining, progress)
    return _summarise(reports)


def _summarise(reports: list[AccountReport]) -> Outcome:
    states = {report.status for report in reports}
    status = states.pop() if len(states) == 1 else "partial"
    sentences = [f"{report.account}: {report.error}" for report in reports if report.error]
    return Outcome(status, {"accounts": [report.as_json() for report in reports]}, " ".join(sentences) or None)


def _verify(app: App, request: Mapping[str, Any], _remaining: Callable[[], float], _beat: Beat) -> Outcome:
    return Outcome("succeeded", verify(app.database, repair=bool(request.get("repair"))))


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


JOBS: dict[str, Job] = {"collect": _collect, "verify": _verify}
