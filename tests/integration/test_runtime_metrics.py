"""What alarms watch: each metric as CloudWatch reads it from stdout, emitted where it is known."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import httpx
import pytest

from functions import metrics, runtime
from functions.jobs import Outcome
from functions.runtime import App
from infra.demo.anthropic import ADMIN_KEY
from shared.config import Settings
from shared.store import accounts
from shared.store.database import Connection
from tests.integration.migrating import url_of

NOW = datetime(2026, 11, 20, 10, 30, tzinfo=UTC)
# What every collection says.
QUIET = {"AccountsFailed": 0, "AccountsSilent": 0, "RowsQuarantined": 0, "RunsFailed": 0}


@pytest.fixture
def app(dsn: str) -> Iterator[App]:
    settings = Settings.load({"DATABASE_URL": url_of(dsn), "ANTHROPIC_ADMIN_KEY": ADMIN_KEY, "ENVIRONMENT": "prod"})
    found = runtime.build(settings, cache(httpx.Client), clock=lambda: NOW, dispatch=lambda _app, _run: None)
    yield found
    found.database.close()
    found.http.close()


def emitted(capsys: pytest.CaptureFixture[str]) -> dict[str, float]:
    """Return name -> value of the metrics on stdout, each checked to be whole EMF with our dimensions only."""
    found: dict[str, float] = {}
    for line in capsys.readouterr().out.splitlines():
        if '"_aws"' not in line:
            continue
        blob: dict[str, Any] = json.loads(line)
        [directive] = blob["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == "AICostTracker"
        assert [sorted(names) for names in directive["Dimensions"]] == [["service", "stage"]]
        assert (blob["service"], blob["stage"]) == ("ai-cost-tracker", "prod")
        assert isinstance(blob["_aws"]["Timestamp"], int)
        names = {metric["Name"] for metric in directive["Metrics"]}
        assert set(blob) == {"_aws", "service", "stage", *names}
        found |= {name: blob[name][0] for name in names}
    return found


def account(app: App, name: str, state: str, complete_until: datetime | None, at: datetime = NOW) -> None:
    found = app.database.run(lambda c: accounts.ensure(c, name, "anthropic", "environment"))
    app.database.run(lambda c: accounts.set_health(c, found.id, state, None, at))
    app.database.run(
        lambda c: c.execute("UPDATE accounts SET complete_until = %s WHERE id = %s", [complete_until, found.id])
    )


def collected(*statuses: str) -> Outcome:
    status = "succeeded" if set(statuses) == {"succeeded"} else "failed"
    return Outcome(status, {"accounts": [{"status": each} for each in statuses]}, job="collect")


def test_lag_is_since_an_account_was_collected(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    account(app, "anthropic", "ok", NOW - timedelta(hours=5), NOW - timedelta(hours=2))
    account(app, "openai", "ok", NOW, NOW - timedelta(days=40))  # its key was taken away: no longer polled
    metrics.of_run(app, collected("succeeded"))
    assert emitted(capsys) == {**QUIET, "CollectorLagSeconds": 7200.0}


@pytest.mark.parametrize(
    ("state", "complete_until"), [("credential_refused", NOW - timedelta(hours=2)), ("failing", NOW)]
)
def test_without_a_healthy_account_there_is_no_lag_and_the_alarm_sees_silence(
    app: App, capsys: pytest.CaptureFixture[str], state: str, complete_until: datetime | None
) -> None:
    account(app, "anthropic", state, complete_until)
    metrics.of_run(app, collected("failed"))
    assert emitted(capsys) == {**QUIET, "AccountsFailed": 1, "RunsFailed": 1}


def test_whoever_has_nothing_to_poll_has_no_lag_and_is_alive(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    metrics.of_run(app, collected("succeeded"))
    assert emitted(capsys) == {**QUIET, "CollectorLagSeconds": 0.0}


@pytest.mark.parametrize("complete_until", [None, NOW - timedelta(days=1)])
def test_how_far_a_report_reaches_is_no_lag_of_the_collector(
    app: App, capsys: pytest.CaptureFixture[str], complete_until: datetime | None
) -> None:
    account(app, "anthropic", "ok", complete_until)
    metrics.of_run(app, collected("succeeded"))
    assert emitted(capsys)["CollectorLagSeconds"] == 0.0


def test_a_collection_of_one_account_says_nothing_of_the_others(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    account(app, "anthropic", "failing", NOW)
    metrics.of_run(app, collected("succeeded"))
    assert emitted(capsys)["AccountsFailed"] == 1


def test_an_account_that_is_much_later_than_usual_is_silent(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    account(app, "anthropic", "ok", NOW - timedelta(hours=13))
    metrics.of_run(app, collected("succeeded"))
    assert emitted(capsys)["AccountsSilent"] == 1
    [found] = app.database.run(accounts.everyone)
    # Two days are usual for it, as the median of what was.
    for day, lag in enumerate((1, 48, 48, 50, 300)):
        at = NOW - timedelta(days=9 - day)
        complete(app, found.id, at - timedelta(hours=lag))
        well(app, found.id, at)
    complete(app, found.id, NOW - timedelta(days=3))
    metrics.of_run(app, collected("succeeded"))
    assert emitted(capsys)["AccountsSilent"] == 0


def complete(app: App, account_id: int, until: datetime) -> None:
    app.database.run(lambda c: c.execute("UPDATE accounts SET complete_until = %s WHERE id = %s", [until, account_id]))


def well(app: App, account_id: int, at: datetime) -> None:
    app.database.run(lambda c: accounts.set_health(c, account_id, "ok", None, at))


def use(app: App, account_id: int, last: datetime) -> None:
    """Every six hours for twenty days."""

    def work(connection: Connection) -> None:
        connection.execute("DELETE FROM buckets")
        connection.execute(
            """
            INSERT INTO buckets
                (account_id, stream, bucket_start, bucket_end, key, content_hash, dimensions, raw, fetched_at)
            SELECT %s, 'usage', at, at + interval '1 hour', '', '', '{}', '{}', at
            FROM generate_series(%s, %s, interval '6 hours') AS at
            """,
            [account_id, last - timedelta(days=20), last],
        )

    app.database.run(work)


def test_an_account_that_nobody_uses_any_more_is_silent(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    account(app, "anthropic", "ok", NOW)
    [found] = app.database.run(accounts.everyone)
    for days, silent in ((0.5, 0), (2, 1)):
        use(app, found.id, NOW - timedelta(days=days))
        metrics.of_run(app, collected("succeeded"))
        assert emitted(capsys)["AccountsSilent"] == silent


def test_a_verification_says_how_many_days_drifted(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    drift = [{"date": "2026-11-18"}, {"date": "2026-11-19"}]
    metrics.of_run(app, Outcome("succeeded", {"days_checked": 30, "drift": drift}, job="verify"))
    assert emitted(capsys) == {"RollupDriftDays": 2, "RunsFailed": 0}


def test_a_push_says_how_many_summaries_wait(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    metrics.summaries_pending(app, 3)
    assert emitted(capsys) == {"SummariesPending": 3}


def test_a_run_that_was_left_alone_says_nothing(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    metrics.of_run(app, Outcome("skipped", {}, "Run 3 has ended, or another worker has it."))
    metrics.emit("prod", {})
    assert emitted(capsys) == {}


def test_a_database_that_is_away_costs_what_it_knows_and_nothing_else(
    dsn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings.load({"DATABASE_URL": url_of(dsn), "ANTHROPIC_ADMIN_KEY": ADMIN_KEY, "ENVIRONMENT": "prod"})
    away = runtime.build(
        settings,
        cache(httpx.Client),
        clock=lambda: NOW,
        dispatch=lambda _app, _run: None,
        dsn="postgresql://postgres@127.0.0.1:1/nowhere",
    )
    metrics.of_run(away, collected("succeeded"))
    away.http.close()
    assert emitted(capsys) == {"RunsFailed": 0}


def test_nothing_of_one_line_is_in_the_next(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    metrics.summaries_pending(app, 3)
    metrics.emit("prod", {metrics.RUNS_FAILED: 1})
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    assert [set(line) - {"_aws", "service", "stage"} for line in lines] == [{"SummariesPending"}, {"RunsFailed"}]


def test_every_metric_has_its_name_once() -> None:
    assert len({metric.name for metric in metrics.EVERY}) == len(metrics.EVERY)
