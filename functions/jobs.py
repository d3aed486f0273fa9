"""What runs do: a stored run is taken up, worked on with a heartbeat, and always closed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from functions import entry_jobs, price_jobs
from shared.core.periods import local_date
from shared.core.vault import Style
from shared.core.windows import Plan
from shared.errors import CostTrackerError
from shared.outbound.vault import Vault
from shared.store import claims, runs
from shared.store.audit import Author
from shared.workflows.collect import RESERVE_SECONDS, AccountReport, Progress, collect
from shared.workflows.cut import cut
from shared.workflows.pricing import load_book
from shared.workflows.push import Delivery, Outbox, Pace, push_due
from shared.workflows.remove_account import remove
from shared.workflows.summarise import summarise
from shared.workflows.verify import verify

logger = Logger(service="ai-cost-tracker", child=True)

# A little less than a day: collections come every few hours, and the one of the night should find it due.
_VERIFY_EVERY = timedelta(hours=20)
# Less is not worth beginning: the next collection finds it due as well.
_VERIFY_SECONDS = 120.0
# A provider that hangs must not hold a local run for ever.
_LONGEST_SECONDS = 3600.0
# The same for a vault; what it did not take is still due at the next push.
_LONGEST_PUSH_SECONDS = 300.0
# Lambda ends a function without warning: the last answer has to be noted, and the run closed.
_RESERVE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended: `succeeded`, `partial` or `failed`, with its result and a sentence if not all went well.

    `skipped` is a run that was left alone, because it has ended or another worker has it.
    """

    status: str
    result: dict[str, Any]
    error: str | None = None
    job: str = ""


Beat = Callable[[Mapping[str, Any]], None]
if TYPE_CHECKING:
    from functions.runtime import App
    from shared.store.database import Connection

    Job = Callable[[App, Mapping[str, Any], Callable[[], float], Beat], Outcome]


def work(app: App, run_id: int, remaining: Callable[[], float]) -> Outcome:
    """Do the run's job and store how it ended; a run that has ended, or that another worker has, is left alone.

    `remaining` gives the seconds this process has left.
    """
    taken = app.database.run(lambda c: claims.claim(c, run_id, app.clock()))
    if taken is None:
        return Outcome("skipped", {}, f"Run {run_id} has ended, or another worker has it.")
    request = {**taken["request"], "run": run_id}
    outcome = _attempt(app, taken["job"], request, remaining, lambda progress: _beat(app, run_id, progress))
    app.database.run(lambda c: runs.finish(c, run_id, outcome.status, outcome.result, outcome.error, app.clock()))
    return replace(outcome, job=taken["job"])


def nightly(app: App, remaining: Callable[[], float]) -> int | None:
    """Open the run that checks the roll-ups if none did for most of a day and there is time; return its id or None."""
    now = app.clock()
    if remaining() < _VERIFY_SECONDS:
        return None

    def start(connection: Connection) -> int | None:
        last = runs.last_succeeded(connection, "verify")
        is_due = last is None or now - last > _VERIFY_EVERY
        return runs.start(connection, "verify", {}, now) if is_due else None

    return app.database.run(start)


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
    booked = entry_jobs.book(app, request, remaining)
    outcome = _polled(app, request, remaining, beat)
    return Outcome(*entry_jobs.with_entries((outcome.status, outcome.result, outcome.error), booked))


def _polled(app: App, request: Mapping[str, Any], remaining: Callable[[], float], beat: Beat) -> Outcome:
    fetched = price_jobs.refresh_if_due(app, remaining)
    # Cutting gets half of the time at most. Where time has no end, its half has to have one: inf - inf is no number.
    half = min(remaining(), _LONGEST_SECONDS) / 2
    cut(app.database, app.settings.zone, app.clock(), lambda: remaining() - half)
    # A wait that a provider asks for must end before the reserve in which the run is closed.
    seconds = min(remaining() - RESERVE_SECONDS, _LONGEST_SECONDS)
    sources = app.sources(seconds, request.get("provider"), request.get("account"))
    if not sources:
        # Whoever only sends events has nothing to poll, which is no failure.
        sentence = "There is no account to collect; set a provider's key, .env.example lists them."
        return _with_prices(app, request, remaining, Outcome("succeeded", {"accounts": []}, sentence), fetched)
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
    for report in reports:
        if report.cause is not None:
            logger.error("account failed", extra={"account": report.account}, exc_info=report.cause)
    outcome = _with_prices(app, request, remaining, _collected(reports), fetched)
    try:
        summarise(app.database, local_date(app.clock(), app.settings.zone), app.settings.zone)
    except CostTrackerError as error:
        # Every window is in the ledger by now; the push sums the days up again.
        return replace(outcome, status="partial", error=f"{outcome.error or ''} Daily summaries: {error}".strip())
    return outcome


def _with_prices(
    app: App,
    request: Mapping[str, Any],
    remaining: Callable[[], float],
    outcome: Outcome,
    fetched: price_jobs.Refreshed | None,
) -> Outcome:
    """Price what had no price until now, and say with the collection what became of the prices."""
    try:
        priced = price_jobs.price_new(app, request, remaining)
    except CostTrackerError as error:
        # Every window is in the ledger by now; the next collection prices what is left.
        return replace(outcome, status="partial", error=f"{outcome.error or ''} New prices: {error}".strip())
    return Outcome(*price_jobs.with_prices((outcome.status, outcome.result, outcome.error), fetched, priced))


def _collected(reports: list[AccountReport]) -> Outcome:
    states = {report.status for report in reports}
    status = states.pop() if len(states) == 1 else "partial"
    sentences = [f"{report.account}: {report.error}" for report in reports if report.error]
    return Outcome(status, {"accounts": [report.as_json() for report in reports]}, " ".join(sentences) or None)


def _reprice(app: App, request: Mapping[str, Any], remaining: Callable[[], float], beat: Beat) -> Outcome:
    return Outcome(*price_jobs.do_reprice(app, request, remaining, _daily(beat)))


def _reassign(app: App, request: Mapping[str, Any], remaining: Callable[[], float], beat: Beat) -> Outcome:
    return Outcome(*price_jobs.do_reassign(app, request, remaining, _daily(beat)))


def _refresh(app: App, _request: Mapping[str, Any], remaining: Callable[[], float], _beat: Beat) -> Outcome:
    return Outcome(*price_jobs.do_refresh(app, remaining))


def _daily(beat: Beat) -> Callable[[datetime], None]:
    return lambda day: beat({"progress": {"day": day.date()}})


def _verify(app: App, request: Mapping[str, Any], _remaining: Callable[[], float], _beat: Beat) -> Outcome:
    return Outcome("succeeded", verify(app.database, repair=bool(request.get("repair"))))


def _remove_account(app: App, request: Mapping[str, Any], _remaining: Callable[[], float], _beat: Beat) -> Outcome:
    author = Author(request.get("by") or "remove-account", app.clock(), request.get("run"))
    return Outcome("succeeded", remove(app.database, request["account_id"], request.get("usage"), author))


def outbox(app: App, pace: Pace) -> Outbox:
    """Return what a push needs; without CONTEXT_VAULT_URL there is no vault in it."""
    settings = app.settings
    key = settings.context_vault_api_key
    vault = None
    if settings.context_vault_url is not None:
        vault = Vault(
            http=app.http,
            url=settings.context_vault_url,
            path=settings.context_vault_path,
            method=settings.context_vault_method,
            header=settings.context_vault_auth_header,
            key=None if key is None else key.get_secret_value(),
        )
    style = Style(
        workspace=settings.context_vault_workspace,
        envelope=settings.context_vault_envelope,
        content=settings.context_vault_content,
        names=settings.context_vault_names,
    )
    return Outbox(database=app.database, vault=vault, style=style, zone=settings.zone, clock=app.clock, pace=pace)


def _push(app: App, request: Mapping[str, Any], remaining: Callable[[], float], _beat: Beat) -> Outcome:
    longest = Pace.lasting(_LONGEST_PUSH_SECONDS)
    pace = replace(longest, left=lambda: min(remaining() - _RESERVE_SECONDS, longest.left()))
    return _pushed(push_due(outbox(app, pace), _instant(request.get("time")) or app.clock()))


def _pushed(deliveries: list[Delivery]) -> Outcome:
    # A day that another push is sending at this moment may still fail there, so this run cannot vouch for it.
    pending = [delivery for delivery in deliveries if delivery.status in {"failed", "busy"}]
    is_hopeless = bool(deliveries) and all(delivery.status == "failed" for delivery in deliveries)
    status = "succeeded" if not pending else "failed" if is_hopeless else "partial"
    days = [
        {
            "date": delivery.date,
            "status": delivery.status,
            "http_status": delivery.http_status,
            "attempts": delivery.attempts,
            "error": delivery.error,
        }
        for delivery in deliveries
    ]
    sentences = [f"{delivery.date}: {delivery.error}" for delivery in pending]
    result: dict[str, Any] = {"days": days}
    if all(delivery.status != "not_configured" for delivery in deliveries):
        result["pending"] = len(pending)
    return Outcome(status, result, " ".join(sentences) or None)


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


JOBS: dict[str, Job] = {
    "collect": _collect,
    "push": _push,
    "reassign": _reassign,
    "refresh": _refresh,
    "remove-account": _remove_account,
    "reprice": _reprice,
    "verify": _verify,
}
