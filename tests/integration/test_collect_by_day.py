"""Reports that say what each day cost, GitHub Copilot's and xAI's: read twice, restated, and gone again."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from shared.providers.base import Provider
from shared.providers.http import Budget
from shared.providers.registry import REGISTRY
from shared.store.database import Connection, Database
from shared.workflows.collect import AccountReport
from tests.fixtures.providers.github_fake import TOKEN, FakeGitHub, item
from tests.fixtures.providers.xai_fake import KEY, FakeXAI
from tests.integration.collecting import changes, run, tables

NOW = datetime(2026, 9, 11, 10, 30, tzinfo=UTC)
DAY = timedelta(days=1)
# USD by line; Copilot's come out of a plan that includes half.
BILLS: dict[date, dict[str, str]] = {
    date(2026, 5, 30): {"one": "50"},
    date(2026, 6, 1): {"one": "0.3333333333", "two": "1.20"},
    date(2026, 9, 8): {"one": "2"},
    date(2026, 9, 9): {"one": "4.125", "two": "0.07"},
    date(2026, 9, 11): {"two": "0.5"},
}


class World:
    """A provider against its fake; `bills` may change between collections, `requests` is what was asked."""

    def __init__(self, name: str, key: str, fake: Any, fill: Callable[[Any, dict[date, dict[str, str]]], None]) -> None:  # noqa: ANN401 - either fake
        self.name, self.fake, self.bills = name, fake, {day: dict(lines) for day, lines in BILLS.items()}
        self._key, self._fill = key, fill

    def collect(self, database: Database) -> AccountReport:
        self._fill(self.fake, self.bills)
        [report] = run(database, self.provider(), now=NOW, backfill=150 * DAY)
        assert report.status == "succeeded", report
        return report

    def provider(self) -> Provider:
        options = {"organization": "tidewater-labs"} if self.name == "github-copilot" else {}
        http = httpx.Client(transport=httpx.MockTransport(self.fake))
        return REGISTRY[self.name].connect(self._key, http, Budget.lasting(600), None, options)

    def billed(self, since: date) -> Decimal:
        return sum(
            (Decimal(usd) for day, lines in self.bills.items() if day >= since for usd in lines.values()), Decimal(0)
        )


def _github(fake: FakeGitHub, bills: dict[date, dict[str, str]]) -> None:
    fake.bills = {
        day: [item(line, str(Decimal(usd) * 200), str(Decimal(usd) * 100)) for line, usd in lines.items()]
        for day, lines in bills.items()
    }


def _xai(fake: FakeXAI, bills: dict[date, dict[str, str]]) -> None:
    fake.bills = bills


@pytest.fixture(params=["github-copilot", "x-ai"])
def world(request: pytest.FixtureRequest) -> World:
    if request.param == "x-ai":
        return World(request.param, KEY, FakeXAI({}), _xai)
    return World(request.param, TOKEN, FakeGitHub({}, now=lambda: NOW), _github)


def test_a_span_before_there_was_anything_to_tell_is_no_success_without_a_word(database: Database) -> None:
    world = World("github-copilot", TOKEN, FakeGitHub({}, now=lambda: NOW), _github)
    asked = datetime(2026, 4, 1, tzinfo=UTC)
    [report] = run(database, world.provider(), now=NOW, start=asked, end=asked + 30 * DAY)
    [stream] = report.as_json()["streams"]
    assert (report.status, stream["why"], stream["window_start"]) == ("succeeded", "asked", None)
    assert stream["note"] == "What lies before 2026-06-01 00:00 UTC cannot be asked for."
    [stream] = world.collect(database).as_json()["streams"]
    assert (stream["why"], stream["note"]) == ("backfill", None)


def test_days_are_read_restated_and_gone(database: Database, connection: Connection, world: World) -> None:
    # Copilot's days before credits are in another report.
    since = date(2026, 6, 1) if world.name == "github-copilot" else date(2026, 4, 14)
    [stream] = world.collect(database).streams
    assert stream.window_start is not None
    assert stream.window_start.date() == since
    rows = connection.execute("SELECT * FROM ledger ORDER BY recorded_at, model").fetchall()
    assert sum(row["cost"] for row in rows) == world.billed(since)
    assert {(row["rates_id"], row["provider"], row["requests"]) for row in rows} == {(None, world.name, 0)}
    assert [row["model"] for row in rows][-4:] == ["one", "one", "two", "two"]
    first = len(rows)

    before = tables(connection)
    [stream] = world.collect(database).streams
    assert changes(_report(stream), stream.stream) == (0, 0, 4, 0)
    after = tables(connection)
    assert [name for name in after if after[name] != before[name]] == []

    world.bills[date(2026, 9, 9)] = {"one": "4.5", "three": "1"}
    del world.bills[date(2026, 9, 8)]
    [stream] = world.collect(database).streams
    assert changes(_report(stream), stream.stream) == (1, 1, 1, 2)
    [total] = connection.execute("SELECT sum(cost) AS cost, count(*) AS lines FROM ledger").fetchall()
    assert (total["cost"], total["lines"]) == (world.billed(since), first - 1)
    [rolled] = connection.execute("SELECT sum(cost) AS cost FROM rollup_quarter").fetchall()
    assert rolled["cost"] == total["cost"]
    versions = connection.execute("SELECT amount FROM bucket_versions ORDER BY amount").fetchall()
    assert [row["amount"] for row in versions] == [Decimal("0.07"), Decimal(2), Decimal("4.125")]


def _report(stream: Any) -> AccountReport:  # noqa: ANN401 - a stream's report
    return AccountReport("", "", streams=[stream])


def test_a_cut_answer_stores_nothing_of_the_window(database: Database, connection: Connection) -> None:
    world = World("x-ai", KEY, FakeXAI({}, most=1), _xai)
    world.fake.bills = world.bills
    [report] = run(database, world.provider(), now=NOW, backfill=150 * DAY)
    assert report.status == "failed"
    assert "short, because it has more lines than one answer lists" in str(report.error)
    assert connection.execute("SELECT 1 FROM ledger").fetchall() == []
