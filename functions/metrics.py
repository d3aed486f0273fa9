"""What alarms watch, as CloudWatch's embedded metric format on stdout: the log is the transport, nothing is called.

Every metric has the dimensions `service` and `stage` and no other: each combination of dimensions is billed apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from functions import sources
from functions.logs import SERVICE, logger
from shared.core.silence import MEMORY, is_late, is_unused
from shared.errors import CostTrackerError
from shared.store import accounts, quarantine
from shared.store import silence as store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from functions.jobs import Outcome
    from functions.runtime import App
    from shared.store.accounts import Account

NAMESPACE = "AICostTracker"


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric's name and CloudWatch unit."""

    name: str
    unit: MetricUnit


# How long ago the healthy polled accounts were collected, the longest; no data while there are some but none is well.
COLLECTOR_LAG = Metric("CollectorLagSeconds", MetricUnit.Seconds)
ACCOUNTS_FAILED = Metric("AccountsFailed", MetricUnit.Count)
# Polled accounts that were not used, or not reported, for longer than is usual for them.
ACCOUNTS_SILENT = Metric("AccountsSilent", MetricUnit.Count)
RUNS_FAILED = Metric("RunsFailed", MetricUnit.Count)
ROLLUP_DRIFT = Metric("RollupDriftDays", MetricUnit.Count)
# Closed days whose summary the vault does not have yet, after a push.
SUMMARIES_PENDING = Metric("SummariesPending", MetricUnit.Count)
# Rows of reports that are held back as absurd until somebody decides.
ROWS_QUARANTINED = Metric("RowsQuarantined", MetricUnit.Count)
# What alarms watch.
EVERY = (
    COLLECTOR_LAG, ACCOUNTS_FAILED, ACCOUNTS_SILENT, ROWS_QUARANTINED, RUNS_FAILED, ROLLUP_DRIFT, SUMMARIES_PENDING,
)  # fmt: skip


def emit(stage: str, values: Mapping[Metric, float]) -> None:
    """Print one line with these metrics, under the dimensions `service` and `stage`; nothing where there are none."""
    if not values:
        return
    # An object of its own for each line: Powertools' other one is shared by the process and outlives an invocation.
    metrics = EphemeralMetrics(namespace=NAMESPACE, service=SERVICE)
    metrics.add_dimension("stage", stage)
    for metric, value in values.items():
        metrics.add_metric(metric.name, metric.unit, value)
    metrics.flush_metrics()


def of_run(app: App, outcome: Outcome) -> None:
    """Emit what a finished run says of the state of things; a run that was left alone says nothing."""
    if outcome.status == "skipped":
        return
    values: dict[Metric, float] = {RUNS_FAILED: outcome.status == "failed"}
    if outcome.job == "verify" and "drift" in outcome.result:
        values[ROLLUP_DRIFT] = len(outcome.result["drift"])
    if outcome.job == "collect":
        values |= _of_collection(app)
    emit(app.settings.environment, values)


def summaries_pending(app: App, days: int) -> None:
    """Emit how many closed days still wait to be pushed."""
    emit(app.settings.environment, {SUMMARIES_PENDING: days})


def _of_collection(app: App) -> dict[Metric, float]:
    try:
        known = polled(app)
        quiet = silent(app, known)
        held = app.database.run(quarantine.count)
    except CostTrackerError as error:
        # The run is closed: failing here would only have Lambda repeat it. The alarm treats silence as a breach.
        logger.warning("the state of the accounts is unknown", extra={"error": str(error)})
        return {}
    # What the accounts are, not what this run did: one that collects a single account says nothing of the others.
    values: dict[Metric, float] = {
        ACCOUNTS_FAILED: sum(account.state not in {"ok", "new"} for account in known),
        ACCOUNTS_SILENT: len(quiet),
        ROWS_QUARANTINED: held,
    }
    if held:
        logger.warning("rows are in quarantine", extra={"rows": held})
    if quiet:
        logger.warning("accounts are silent", extra={"accounts": [account.name for account in quiet]})
    lag = collector_lag(known, app.clock())
    return values if lag is None else {**values, COLLECTOR_LAG: lag}


def polled(app: App) -> list[Account]:
    """Return the accounts whose credential is set now; one whose key was taken away is no longer polled."""
    return sources.polled(app, app.database.run(accounts.everyone))


def silent(app: App, known: Sequence[Account]) -> list[Account]:
    """Return the accounts that were not used, or not reported, for longer than is usual for them."""
    now, interval = app.clock(), timedelta(hours=app.settings.collection_interval_hours)
    usual = app.database.run(store.usual_lags)

    def is_silent(account: Account) -> bool:
        complete = account.complete_until
        if complete is None:
            return False
        used = app.database.run(lambda c: store.active(c, account.id, complete - MEMORY))
        return is_unused(used, complete) or is_late(now - complete, usual.get(account.id, timedelta(0)), interval)

    return [account for account in known if is_silent(account)]


def collector_lag(known: Sequence[Account], now: datetime) -> float | None:
    """Return the seconds since the polled accounts that are healthy were collected, the longest of them.

    How far reports reach is no matter: some are a day behind after the best of collections. Nobody to poll is no lag.
    None where no account is healthy: they have a metric of their own, and this one's silence is a breach.
    """
    if not known:
        return 0.0
    collected = [
        account.collected_at for account in known if account.state == "ok" and account.collected_at is not None
    ]
    return max((now - min(collected)).total_seconds(), 0.0) if collected else None
