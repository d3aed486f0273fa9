"""Bad days: kills between pages, nonsense from the provider, refused keys, time that runs out, a second collector."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path as File
from typing import Any

import pytest

from infra.demo import faults
from infra.demo.anthropic import FakeAnthropic, Path
from infra.demo.dataset import CostRow, FixedDataset, UsageRow
from infra.demo.faults import Fault
from shared.providers.base import Owner, Provider, Stream
from shared.store import accounts
from shared.store.database import Connection, Database
from tests.integration.collecting import NOW, changes, provider, run, tables

ROOT = File(__file__).parents[2]
HOUR = timedelta(hours=1)
# What 40 days take: 6 pages of 168 hours and 2 of 31 days.
DAYS = 40
USAGE_PAGES = 6
PAGES = USAGE_PAGES + 2
USAGE = [
    UsageRow(NOW - hours * HOUR, model, uncached_input_tokens=hours + 1, output_tokens=7, api_key_id="apikey_a")
    for hours in range(0, 89 * 24, 11)
    for model in ("claude-sonnet-4-5-20250929", "claude-nobody-knows")
]
COSTS = [CostRow(NOW - day * 24 * HOUR, Decimal("1.5"), "Code", "code_execution") for day in range(1, 89)]


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeAnthropic]:
    with FakeAnthropic(FixedDataset(USAGE, COSTS), clock=lambda: NOW) as server:
        yield server


@pytest.fixture(autouse=True)
def no_faults(fake: FakeAnthropic) -> Iterator[None]:
    fake.requests.clear()
    yield
    fake.faults.clear()


def test_a_kill_after_any_page_leaves_what_an_undisturbed_run_leaves(
    database: Database, connection: Connection, dsn: str, fake: FakeAnthropic
) -> None:
    backfill = timedelta(days=DAYS)
    run(database, provider(fake), backfill=backfill)
    undisturbed = tables(connection)
    expected_rows = connection.execute("SELECT count(*) AS n FROM buckets WHERE stream = 'usage'").fetchone()
    for last in range(PAGES):
        _wipe(connection)
        said = [dsn, fake.url, str(last), NOW.isoformat(), str(DAYS)]
        script = [sys.executable, "-m", "tests.integration.doomed", *said]
        assert subprocess.run(script, cwd=ROOT, timeout=60, check=False).returncode == -signal.SIGKILL  # noqa: S603 - our own script
        expected = {"n": 0} if last < USAGE_PAGES else expected_rows
        assert connection.execute("SELECT count(*) AS n FROM ledger").fetchone() == expected
        before = len(fake.requests)
        run(database, provider(fake), backfill=backfill)
        read = [one for one in fake.requests[before:] if one.path in {Path.USAGE, Path.COST}]
        assert tables(connection) == undisturbed, f"killed after page {last}"
        # Pages that were kept are not read again; each stream may be looked over once more from its watermark.
        assert PAGES - last <= len(read) <= PAGES - last + 2


def _wipe(connection: Connection) -> None:
    connection.execute("TRUNCATE accounts, rates, rollup_quarter, rollup_day, model_names RESTART IDENTITY CASCADE")


def overlapping() -> Fault:
    """A second page that repeats the last day of the first: added up, it would be billed twice."""
    first: list[Any] = []

    def change(payload: dict[str, Any]) -> object:
        if first:
            return {**payload, "data": [*first[-24:], *payload["data"]]}
        first.extend(payload["data"])
        return payload

    return Fault(path=Path.USAGE, transform=change, times=None)


NONSENSE: dict[str, Callable[[], Fault]] = {
    "malformed JSON": lambda: Fault(path=Path.USAGE, text='{"data": [', times=None),
    "not JSON at all": lambda: Fault(path=Path.USAGE, text="<html>busy</html>", times=None),
    "wrong types": lambda: Fault(path=Path.USAGE, transform=faults.counts_as_text, times=None),
    "no results": lambda: Fault(path=Path.USAGE, transform=faults.without_results, times=None),
    "an amount that is an object": lambda: Fault(path=Path.COST, transform=faults.amount_as_object, times=None),
    "a repeated cursor": lambda: faults.repeated_cursor(Path.USAGE),
    "more without a token": lambda: Fault(path=Path.USAGE, transform=faults.missing_token, times=None),
    "an endless chain": lambda: faults.endless_chain(Path.USAGE),
    "nonsense on the third page": lambda: Fault(path=Path.USAGE, skip=2, transform=faults.counts_as_text, times=None),
    "a server that always fails": lambda: Fault(path=Path.USAGE, status=500, times=None),
    "an overloaded server": lambda: Fault(path=Path.USAGE, status=529, times=None),
    "a limit without end": lambda: faults.rate_limited(Path.USAGE, times=None),
    "a connection that breaks": lambda: Fault(path=Path.USAGE, cut=True, times=None),
    "no interval at all": lambda: Fault(
        path=Path.USAGE, transform=lambda _: {"data": [], "has_more": False, "next_page": None}, times=None
    ),
    "pages that overlap": overlapping,
    "names that fail": lambda: Fault(path=Path.API_KEYS, status=500, times=None),
}
MONEY = ("buckets", "bucket_versions", "ledger", "rollup_quarter")


@pytest.mark.parametrize("kind", NONSENSE)
def test_nonsense_leaves_the_figures_alone_and_a_sentence_in_the_run(
    database: Database, connection: Connection, fake: FakeAnthropic, kind: str
) -> None:
    run(database, provider(fake), now=NOW - timedelta(days=30), backfill=timedelta(days=40))
    before = tables(connection)
    fake.faults.append(NONSENSE[kind]())
    [report] = run(database, provider(fake), now=NOW)
    assert report.status == "failed"
    assert report.error
    assert report.error.endswith(".")
    assert len(report.error.split()) > 5
    [account] = database.run(accounts.everyone)
    assert (account.state, account.error) == ("failing", report.error)
    # What was read in full before the nonsense came may stand: usage is whole when only the bill is nonsense.
    untouched = ("bucket_versions",) if kind == "an amount that is an object" else MONEY
    after = tables(connection)
    assert {name: after[name] for name in untouched} == {name: before[name] for name in untouched}
    fake.faults.clear()
    [healed] = run(database, provider(fake), now=NOW)
    assert healed.status == "succeeded"
    assert database.run(accounts.everyone)[0].state == "ok"
    healed_tables = tables(connection)
    # Once it is over, the figures are those of somebody who never met it.
    _wipe(connection)
    run(database, provider(fake), now=NOW - timedelta(days=30), backfill=timedelta(days=40))
    run(database, provider(fake), now=NOW)
    undisturbed = tables(connection)
    assert connection.execute("SELECT count(*) AS n FROM staged_rows").fetchone() == {"n": 0}
    assert {name: healed_tables[name] for name in MONEY} == {name: undisturbed[name] for name in MONEY}


@pytest.mark.parametrize("fault", ["429 with Retry-After", "500", "529", "reset"])
def test_a_passing_failure_is_tried_again(database: Database, fake: FakeAnthropic, fault: str) -> None:
    made = {
        "429 with Retry-After": faults.rate_limited(Path.USAGE, retry_after="2", times=2),
        "500": Fault(path=Path.USAGE, status=500, times=2),
        "529": Fault(path=Path.USAGE, status=529, times=2),
        "reset": Fault(path=Path.USAGE, cut=True, times=2),
    }
    fake.faults.append(made[fault])
    [report] = run(database, provider(fake), backfill=timedelta(days=5))
    assert (report.status, report.error) == ("succeeded", None)


@pytest.mark.parametrize(("key", "status"), [("sk-ant-admin01-wrong", 401), ("sk-ant-api03-workspace", 403)])
def test_a_refused_key_is_one_call_and_a_clear_state(
    database: Database, fake: FakeAnthropic, key: str, status: int
) -> None:
    [report] = run(database, provider(fake, key))
    assert [one.status for one in fake.requests] == [status]
    assert report.status == "failed"
    assert report.error
    assert "sk-ant-admin" in report.error
    assert key not in report.error
    assert database.run(accounts.everyone)[0].state == "credential_refused"


@dataclass
class Broken:
    """A provider with a mistake in our own code for it."""

    inner: Provider
    name: str = "anthropic"

    @property
    def streams(self) -> tuple[Stream, ...]:
        return self.inner.streams

    def owner(self) -> Owner:
        raise ZeroDivisionError

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the real one has
        return getattr(self.inner, name)


def test_a_mistake_of_ours_with_one_account_does_not_stop_the_others(database: Database, fake: FakeAnthropic) -> None:
    broken: Any = Broken(provider(fake))
    bad, good = run(database, broken, provider(fake), backfill=timedelta(days=5))
    assert (bad.status, good.status) == ("failed", "succeeded")
    assert isinstance(bad.cause, ZeroDivisionError)
    assert bad.error
    assert "ZeroDivisionError" in bad.error


def test_one_account_failing_does_not_stop_the_others(database: Database, fake: FakeAnthropic) -> None:
    bad, good = run(database, provider(fake, "sk-ant-admin01-wrong"), provider(fake), backfill=timedelta(days=5))
    assert (bad.status, good.status) == ("failed", "succeeded")
    assert changes(good)[0] > 0


def test_a_run_out_of_time_keeps_its_pages_and_the_next_one_goes_on(
    database: Database, connection: Connection, fake: FakeAnthropic
) -> None:
    left = iter([500.0, 400.0, 300.0, 200.0, 100.0])
    [report] = run(database, provider(fake), remaining=lambda: next(left, 29.0))
    assert report.status == "partial"
    assert report.error
    assert connection.execute("SELECT count(*) AS n FROM ledger").fetchone() == {"n": 0}
    kept = connection.execute("SELECT pages FROM collection_state WHERE stream = 'usage'").fetchone()
    assert kept is not None
    assert kept["pages"] > 0
    before = len(fake.requests)
    [rest] = run(database, provider(fake))
    assert rest.status == "succeeded"
    read = [one for one in fake.requests[before:] if one.path == Path.USAGE]
    assert len(read) == 13 - kept["pages"]


def test_a_second_collector_takes_over_and_the_first_one_stops(
    database: Database, connection: Connection, dsn: str, fake: FakeAnthropic
) -> None:
    entered, go_on = threading.Event(), threading.Event()
    reports = []

    def pause(_progress: object) -> None:
        entered.set()
        go_on.wait(20)

    def first() -> None:
        own = Database(dsn)
        reports.extend(run(own, provider(fake), progress=pause))
        own.close()

    thread = threading.Thread(target=first)
    thread.start()
    assert entered.wait(20)
    [second] = run(database, provider(fake))
    go_on.set()
    thread.join(20)
    assert second.status == "succeeded"
    assert [report.status for report in reports] == ["partial"]
    after = tables(connection)
    run(database, provider(fake))
    assert tables(connection) == after


def test_a_refused_cursor_starts_the_window_again(database: Database, fake: FakeAnthropic) -> None:
    payload = {"type": "error", "error": {"type": "invalid_request_error", "message": "page: invalid page token"}}
    fake.faults.append(Fault(path=Path.USAGE, skip=3, status=400, payload=payload))
    [report] = run(database, provider(fake))
    assert (report.status, report.error) == ("succeeded", None)
    assert changes(report)[0] > 0
