"""Many accounts at once: whoever hangs, fails or talks nonsense, the others come to their end with their figures."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from math import inf
from typing import Any

import pytest

from infra.demo.anthropic import FakeAnthropic, Path
from infra.demo.dataset import ApiKey, FixedDataset, UsageRow
from infra.demo.faults import Fault, counts_as_text
from shared.core.windows import Plan
from shared.errors import ProviderUnavailableError
from shared.providers.base import Owner, Page, Provider, Stream, Window
from shared.store import accounts
from shared.store.database import Database
from shared.workflows.collect import AT_ONCE, AccountReport, Progress, Source, collect
from shared.workflows.pricing import load_book
from shared.workflows.verify import verify
from tests.integration.collecting import CATALOGUE, NOW, provider

HOUR = timedelta(hours=1)
SONNET = "claude-sonnet-4-5"
PLAN = Plan(now=NOW, lookback=timedelta(days=3), backfill=timedelta(days=9), start=None, end=None)
WAIT_SECONDS = 60.0


@dataclass
class Watched:
    """A provider that tells a test when it is asked, and does what it is told first."""

    inner: Provider
    before: Callable[[], None]
    name: str = field(init=False)
    streams: tuple[Stream, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.name, self.streams = self.inner.name, self.inner.streams

    def owner(self) -> Owner:
        self.before()
        return self.inner.owner()

    def fetch(self, stream: Stream, window: Window, cursor: str | None) -> Page:
        return self.inner.fetch(stream, window, cursor)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever else a provider has
        return getattr(self.inner, name)


@pytest.fixture
def fakes() -> Iterator[list[FakeAnthropic]]:
    """Ten organisations, each with usage of its own."""
    with ExitStack() as stack:
        found = []
        for number in range(10):
            hours = [NOW - HOUR * ago for ago in range(20, 120)]
            rows = [
                UsageRow(at, SONNET, uncached_input_tokens=1000 + number, output_tokens=1, api_key_id="key")
                for at in hours
            ]
            organisation = {"id": f"organisation-{number}", "name": f"Organisation {number}", "type": "organization"}
            data = FixedDataset(rows, keys=[ApiKey("key", "main")])
            found.append(stack.enter_context(FakeAnthropic(data, clock=lambda: NOW, organisation=organisation)))
        yield found


def run(
    database: Database,
    sources: list[Source],
    remaining: Callable[[], float] = lambda: inf,
    progress: Callable[[Progress], None] = lambda _: None,
) -> dict[str, AccountReport]:
    reports = collect(database, sources, lambda c: load_book(c, CATALOGUE), PLAN, remaining, progress)
    assert [report.account for report in reports] == [source.account for source in sources]
    return {report.account: report for report in reports}


def named(number: int, one: Provider) -> Source:
    return Source(f"account-{number}", "environment", one)


def tokens(database: Database) -> dict[str, int]:
    rows = database.run(
        lambda c: c.execute(
            "SELECT name, sum(input_tokens)::bigint AS tokens FROM ledger JOIN accounts ON accounts.id = account_id "
            "GROUP BY name"
        ).fetchall()
    )
    return {row["name"]: row["tokens"] for row in rows}


def test_ten_accounts_are_collected_some_at_once(database: Database, fakes: list[FakeAnthropic]) -> None:
    now, most, lock = 0, 0, threading.Lock()
    several = threading.Event()

    def enter() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
            if now == AT_ONCE:
                several.set()
        assert several.wait(WAIT_SECONDS)

    def leave(at: Progress) -> None:
        nonlocal now
        if at.stream == "usage" and at.done == 1:
            now -= 1

    sources = [named(number, Watched(provider(fake), enter)) for number, fake in enumerate(fakes)]
    reports = run(database, sources, progress=leave)
    assert {report.status for report in reports.values()} == {"succeeded"}
    assert most <= AT_ONCE + 1  # whoever is done reading still merges
    assert tokens(database) == {f"account-{number}": 100 * (1000 + number) for number in range(10)}
    assert verify(database, repair=False)["drift"] == []


def test_whoever_hangs_is_waited_for_by_nobody(database: Database, fakes: list[FakeAnthropic]) -> None:
    """Three of ten hang until all others are through, and then give up."""
    through, everybody = 0, threading.Event()

    def hang() -> None:
        assert everybody.wait(WAIT_SECONDS)
        raise ProviderUnavailableError("Anthropic did not answer in time; the next run asks again.")

    def note(at: Progress) -> None:
        nonlocal through
        through += at.stream == "costs" and at.done == 1
        if through == 7:
            everybody.set()

    hanging = [named(number, Watched(provider(fakes[number]), hang)) for number in range(3)]
    sources = [*hanging, *(named(number, provider(fakes[number])) for number in range(3, 10))]
    reports = run(database, sources, progress=note)
    assert [report.status for report in reports.values()] == ["failed"] * 3 + ["succeeded"] * 7
    assert "did not answer in time" in str(reports["account-2"].error)
    assert tokens(database) == {f"account-{number}": 100 * (1000 + number) for number in range(3, 10)}
    states = {one.name: one.state for one in database.run(accounts.everyone)}
    assert [states[f"account-{number}"] for number in range(10)] == ["failing"] * 3 + ["ok"] * 7


def test_failures_and_nonsense_stay_where_they_are(database: Database, fakes: list[FakeAnthropic]) -> None:
    fakes[0].faults.append(Fault(status=401, times=None))
    fakes[1].faults.append(Fault(path=Path.USAGE, transform=counts_as_text, times=None))
    fakes[2].faults.append(Fault(path=Path.USAGE, text="<html>", times=None))

    def mistake() -> None:
        raise ValueError("a mistake of ours")

    sources = [
        named(number, Watched(provider(fake), mistake) if number == 3 else provider(fake))
        for number, fake in enumerate(fakes[:6])
    ]
    reports = run(database, sources)
    assert [report.status for report in reports.values()] == ["failed"] * 4 + ["succeeded"] * 2
    assert isinstance(reports["account-3"].cause, ValueError)
    assert tokens(database) == {"account-4": 100 * 1004, "account-5": 100 * 1005}
    states = {one.name: one.state for one in database.run(accounts.everyone)}
    assert states["account-0"] == "credential_refused"


def test_the_same_owner_twice_is_counted_once(database: Database, fakes: list[FakeAnthropic]) -> None:
    reports = run(database, [named(number, provider(fakes[0])) for number in range(3)])
    assert sorted(report.status for report in reports.values()) == ["failed", "failed", "succeeded"]
    refused = [report.error for report in reports.values() if report.status == "failed"]
    assert all("would count twice" in str(error) for error in refused)
    assert list(tokens(database).values()) == [100 * 1000]


def test_each_has_its_share_of_the_time(database: Database, fakes: list[FakeAnthropic]) -> None:
    given: list[float] = []

    def bound(fake: FakeAnthropic) -> Callable[[float], Provider]:
        def bind(seconds: float) -> Provider:
            given.append(seconds)
            return provider(fake)

        return bind

    sources = [
        Source(f"account-{number}", "environment", provider(fake), bind=bound(fake))
        for number, fake in enumerate(fakes)
    ]
    run(database, sources, remaining=lambda: 930.0)
    # Ten accounts, four at once: three rounds of 300 seconds, and the reserve is nobody's.
    assert len(given) == 10
    assert all(290 < seconds <= 300 for seconds in given)


def test_who_needs_more_goes_on_when_the_others_are_done(database: Database, fakes: list[FakeAnthropic]) -> None:
    mine = threading.local()
    asked: list[str] = []

    def tire() -> None:
        mine.is_tired = not asked
        asked.append("slow")

    def remaining() -> float:
        return 10.0 if getattr(mine, "is_tired", False) else 900.0

    sources = [named(0, Watched(provider(fakes[0]), tire)), *(named(n, provider(fakes[n])) for n in (1, 2))]
    reports = run(database, sources, remaining=remaining)
    assert asked == ["slow", "slow"]
    assert {report.status for report in reports.values()} == {"succeeded"}
    assert reports["account-0"].streams[-1].stream == "costs"
    assert set(tokens(database)) == {"account-0", "account-1", "account-2"}


def test_an_account_that_was_removed_meanwhile_is_not_made_again(
    database: Database, fakes: list[FakeAnthropic]
) -> None:
    sources = [Source("gone", "stored", provider(fakes[0]), account_id=4711), named(1, provider(fakes[1]))]
    reports = run(database, sources)
    assert (reports["gone"].status, reports["gone"].error) == (
        "partial",
        "The account was removed before its turn came.",
    )
    assert [one.name for one in database.run(accounts.everyone)] == ["account-1"]
