"""Anthropic's analytics pair into a real Postgres: the same money, by key; over to it and back nothing is doubled."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from infra.demo.anthropic import ADMIN_KEY, FakeAnthropic, Path
from infra.demo.claude_code import records
from infra.demo.dataset import ApiKey, CostRow, FixedDataset, UsageRow
from infra.demo.faults import Fault
from infra.demo.query import detailed
from shared.providers.base import Provider
from shared.providers.http import Budget
from shared.providers.registry import REGISTRY
from shared.store import silence
from shared.store.database import Connection, Database
from shared.workflows.verify import verify
from tests.e2e.brute_force import facts
from tests.integration.account_world import World
from tests.integration.collecting import NOW, changes, run

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MIDNIGHT = NOW.replace(hour=0, minute=0)
# Ten minutes past it, figures were refreshed.
REFRESHED = datetime(2026, 11, 20, 8, tzinfo=UTC)
SONNET = "claude-sonnet-4-5-20250929"


def provider(fake: FakeAnthropic, reports: str) -> Provider:
    patient = Budget(deadline=float("inf"), clock=lambda: 0.0, sleep=lambda _: None)
    http = httpx.Client(trust_env=False)
    return REGISTRY["anthropic"].connect(ADMIN_KEY, http, patient, fake.url, {"reports": reports})


@pytest.fixture
def fake() -> Iterator[FakeAnthropic]:
    with FakeAnthropic(clock=lambda: NOW) as server:
        yield server


def totals(connection: Connection) -> dict[str, Any]:
    """What there is by day: the ledger's cost and tokens, and the bill."""
    ledger = connection.execute(
        "SELECT (recorded_at AT TIME ZONE 'UTC')::date AS day, sum(cost) AS cost, sum(input_tokens) AS input, "
        "sum(output_tokens) AS output, sum(cache_read_tokens) AS read, sum(cache_write_5m_tokens) AS w5, "
        "sum(cache_write_1h_tokens) AS w1, sum(web_searches) AS searches, "
        "sum(input_tokens) FILTER (WHERE cost IS NULL) AS unpriced FROM ledger GROUP BY 1 ORDER BY 1"
    ).fetchall()
    bill = connection.execute(
        "SELECT (bucket_start AT TIME ZONE 'UTC')::date AS day, sum(amount) AS amount FROM buckets "
        "WHERE amount IS NOT NULL GROUP BY 1 ORDER BY 1"
    ).fetchall()
    projects = connection.execute("SELECT project, sum(cost) AS cost FROM ledger GROUP BY 1 ORDER BY 1").fetchall()
    return {"ledger": ledger, "bill": bill, "projects": projects}


def grouped(connection: Connection, dimension: str) -> dict[str | None, Decimal]:
    rows = connection.execute(
        "SELECT dimensions ->> %s AS part, sum(amount) AS amount FROM buckets WHERE stream = 'costs' GROUP BY 1",
        [dimension],
    )
    return {row["part"]: row["amount"] for row in rows}


def test_totals_are_the_sums_of_the_raw_rows_and_the_bill_is_by_key(
    database: Database, connection: Connection, fake: FakeAnthropic
) -> None:
    since = MIDNIGHT - 4 * DAY
    [report] = run(database, provider(fake, "analytics"), backfill=4 * DAY)
    assert (report.status, report.error) == ("succeeded", None)
    expected = [one for one in facts(fake, since, REFRESHED) if one.at < REFRESHED]
    found = totals(connection)
    assert sum(row["cost"] for row in found["ledger"]) == sum(one.cost for one in expected if one.cost is not None)
    assert sum(row["input"] for row in found["ledger"]) == sum(one.tokens.get("input", 0) for one in expected)
    wanted: dict[str, dict[str | None, Decimal]] = {"api_key_id": {}, "product": {}}
    for line in detailed(fake.dataset).costs_by_key(since, MIDNIGHT, NOW):
        for name, sums in wanted.items():
            part = getattr(line, name)
            sums[part] = sums.get(part, Decimal(0)) + line.amount / 100
    assert {name: grouped(connection, name) for name in wanted} == wanted
    account = connection.execute("SELECT covered_from, complete_until FROM accounts").fetchone()
    assert account is not None
    assert account["complete_until"] <= REFRESHED
    latest = connection.execute("SELECT max(bucket_end) AS last FROM buckets").fetchone()
    assert latest is not None
    assert latest["last"] == REFRESHED
    raw = connection.execute("SELECT raw FROM buckets WHERE stream = 'costs' LIMIT 1").fetchone()
    assert raw is not None
    assert Decimal(raw["raw"]["cost"]["list_amount"]) == 2 * Decimal(raw["raw"]["cost"]["amount"])
    [again] = run(database, provider(fake, "analytics"), backfill=4 * DAY)
    assert [changes(again, stream)[:2] for stream in ("usage", "costs")] == [(0, 0), (0, 0)]


@pytest.mark.parametrize(("first", "second"), [("stable", "analytics"), ("analytics", "stable")])
def test_going_over_and_back_doubles_nothing(
    database: Database, connection: Connection, fake: FakeAnthropic, first: str, second: str
) -> None:
    # Both have read up to now, or stable has nothing but hours more.
    run(database, provider(fake, "stable"), backfill=6 * DAY)
    run(database, provider(fake, first), backfill=6 * DAY)
    before = totals(connection)
    for reports in (second, first):
        [report] = run(database, provider(fake, reports), backfill=6 * DAY)
        assert report.status == "succeeded"
        assert changes(report)[3] > 0  # what the other pair said of the days that were read again is gone
        assert totals(connection) == before
        assert verify(database, repair=False)["drift"] == []


def _row(at: datetime) -> UsageRow:
    return UsageRow(at, SONNET, uncached_input_tokens=1_000_000, api_key_id="apikey_a")


@pytest.mark.parametrize(("first", "second"), [("stable", "analytics"), ("analytics", "stable")])
def test_seats_are_not_priced_by_the_token_and_claude_code_with_a_key_is(
    database: Database, connection: Connection, first: str, second: str
) -> None:
    at = MIDNIGHT - DAY
    api = [_row(at), replace(_row(at), through="claude_code"), replace(_row(at), api_key_id=None)]
    seats = [replace(api[2], through=product) for product in ("chat", "claude_code", "cowork")]
    data = FixedDataset([*api, *seats], keys=[ApiKey("apikey_a", "main")])
    with FakeAnthropic(data, clock=lambda: NOW) as fake:
        for reports in (first, second):
            [report] = run(database, provider(fake, reports), backfill=3 * DAY)
            assert report.status == "succeeded"
            [found] = totals(connection)["ledger"]
            assert (found["input"], found["cost"]) == (3_000_000, 9)
            assert verify(database, repair=False)["drift"] == []


def test_what_lies_before_the_floor_stays(database: Database, connection: Connection) -> None:
    now = datetime(2026, 1, 3, 12, tzinfo=UTC)
    data = FixedDataset([_row(now - 5 * DAY), _row(now - DAY)], keys=[ApiKey("apikey_a", "main")])
    with FakeAnthropic(data, clock=lambda: now) as fake:
        run(database, provider(fake, "stable"), now=now, backfill=10 * DAY)
        [report] = run(database, provider(fake, "analytics"), now=now, start=now - 8 * DAY)
        [anew] = run(database, provider(fake, "analytics"), provider(fake, "analytics"), now=now, backfill=9 * DAY)[:1]
    assert [one.status for one in (report, anew)] == ["succeeded", "succeeded"]
    assert report.streams[0].window_start == datetime(2026, 1, 1, tzinfo=UTC)
    assert changes(report) == (0, 1, 0, 0)
    assert [row["cost"] for row in totals(connection)["ledger"]] == [3, 3]


def test_a_long_window_is_asked_for_in_spans_of_a_month(database: Database) -> None:
    days = (89, 60, 59, 58, 31, 30, 5)
    costs = [CostRow(MIDNIGHT - day * DAY, Decimal(10), "", "code_execution", api_key_id="apikey_a") for day in days]
    data = FixedDataset([_row(MIDNIGHT - day * DAY + HOUR) for day in days], costs)
    with FakeAnthropic(data, clock=lambda: NOW) as fake:
        [report] = run(database, provider(fake, "analytics"))
        spans = [dict(one.request.query) for one in fake.requests if one.path == Path.ANALYTICS_USAGE]
    assert (report.status, changes(report), changes(report, "costs")) == ("succeeded", (7, 0, 0, 0), (7, 0, 0, 0))
    bounds = list(dict.fromkeys((one["starting_at"], one["ending_at"]) for one in spans))
    assert (len(spans), len(bounds)) == (6, 3)
    assert [end for _, end in bounds[:-1]] == [start for start, _ in bounds[1:]]


@pytest.mark.parametrize(("first", "second", "path"), [
    ("stable", "analytics", Path.USAGE), ("analytics", "stable", Path.ANALYTICS_USAGE),
])  # fmt: skip
def test_going_over_in_the_middle_of_a_window(
    database: Database, connection: Connection, fake: FakeAnthropic, first: str, second: str, path: str
) -> None:
    fake.faults.append(Fault(path=path, skip=1, times=None, status=500))
    [cut] = run(database, provider(fake, first), backfill=20 * DAY)
    assert (cut.status, cut.streams[0].pages) == ("failed", 1)
    fake.faults.clear()
    [report] = run(database, provider(fake, second), backfill=20 * DAY)
    assert (report.status, report.error) == ("succeeded", None)
    expected = [one for one in facts(fake, MIDNIGHT - 20 * DAY, REFRESHED) if one.at < REFRESHED]
    found = connection.execute("SELECT sum(input_tokens) AS input FROM ledger WHERE recorded_at < %s", [REFRESHED])
    assert found.fetchall() == [{"input": sum(one.tokens.get("input", 0) for one in expected)}]


def test_claude_code_is_kept_and_books_nothing(database: Database, connection: Connection) -> None:
    days = [MIDNIGHT - 2 * DAY, MIDNIGHT]
    told = [one for day in days for one in records(day, list(range(40)))]
    data = FixedDataset([_row(MIDNIGHT + HOUR)], claude_code_records=told)
    with FakeAnthropic(data, clock=lambda: NOW) as fake:
        both = provider(fake, "stable+claude-code")
        run(database, both, backfill=5 * DAY)
        before = totals(connection)
        [account] = connection.execute("SELECT id, covered_from FROM accounts").fetchall()
        more = {**told[1]["core_metrics"], "num_sessions": 77}
        data.claude_code_records = [replace_metrics(one, more) if one is told[1] else one for one in told]
        [report] = run(database, both, backfill=5 * DAY)
    assert account["covered_from"] == MIDNIGHT + HOUR
    assert silence.active(connection, account["id"], MIDNIGHT - 9 * DAY) == [(MIDNIGHT + HOUR, MIDNIGHT + 2 * HOUR)]
    assert changes(report, "claude_code") == (0, 1, 3, 0)
    assert totals(connection) == before
    assert len(before["ledger"]) == 1
    rows = connection.execute(
        "SELECT dimensions, raw FROM buckets WHERE stream = 'claude_code' ORDER BY bucket_start, dimensions"
    ).fetchall()
    assert [row["dimensions"]["api_key_name"] for row in rows].count("cost-tracker-main") == 2
    # Two people of one kind of seat are one row of the two records: nobody is told apart.
    people = next(row["raw"]["rows"] for row in rows if row["dimensions"]["actor_type"] == "user_actor")
    assert sorted(one["core_metrics"]["num_sessions"] for one in people) == [8, 77]
    assert "example" not in str(rows)


def replace_metrics(record: dict[str, Any], metrics: dict[str, Any]) -> dict[str, Any]:
    return {**record, "core_metrics": metrics}


def test_a_page_that_is_refused_begins_the_window_again(database: Database, fake: FakeAnthropic) -> None:
    refusal = Fault(path=Path.ANALYTICS_USAGE, skip=1, status=400, payload={"error": {"message": "expired"}})
    fake.faults.append(replace(refusal))
    [report] = run(database, provider(fake, "analytics"), backfill=20 * DAY)
    assert report.status == "succeeded"


def test_the_bill_by_product_and_what_claude_code_did_are_shown(world: World) -> None:
    account = world.add(options={"base_url": world.fake.url, "reports": "analytics+claude-code"})["data"]
    path = f"/api/accounts/{account['id']}"
    assert account["options"]["reports"] == "analytics+claude-code"
    assert world.ok("POST", f"{path}/sync", wait="28")["status"] == "succeeded"
    days = {"start": "2026-11-17", "end": "2026-11-19"}
    lines = list(detailed(world.fake.dataset).costs_by_key(MIDNIGHT - 3 * DAY, MIDNIGHT, NOW))
    whole = sum((line.amount for line in lines), Decimal(0)) / 100
    for by, name in (("product", "product"), ("key", "api_key_id")):
        answer = world.ok("GET", "/costs/billed", by=by, **days)
        parts: dict[str | None, Decimal] = {}
        for line in lines:
            part = getattr(line, name)
            parts[part] = parts.get(part, Decimal(0)) + line.amount / 100
        assert {row["id"]: round(row["billed"], 6) for row in answer["data"]} == {
            part: round(amount, 6) for part, amount in parts.items()
        }
        assert round(answer["billed"], 6) == round(whole, 6)
        amounts = [row["billed"] for row in answer["data"]]
        assert sum(amounts) == answer["billed"]
        assert amounts == sorted(amounts, reverse=True)
    assert ("peakpaws-main", "design") in {(row["name"], row["account"]) for row in answer["data"]}
    told = [one for day in (3, 2, 1) for one in detailed(world.fake.dataset).claude_code(MIDNIGHT - day * DAY)]
    rows = world.ok("GET", f"{path}/claude-code", **days)["data"]
    assert [(row["customer_type"], row["key_name"]) for row in rows] == [
        ("subscription", None), ("api", "cost-tracker-main"),
    ]  # fmt: skip
    assert sum(row["sessions"] for row in rows) == sum(one["core_metrics"]["num_sessions"] for one in told)
    cents = sum(one["model_breakdown"][0]["estimated_cost"]["amount"] for one in told)
    estimated = [model["estimated_cost"] for row in rows for model in row["models"]]
    assert sum(estimated) == Decimal(cents) / 100
    assert world.refused(404, "GET", "/api/accounts/999/claude-code")
    assert "must be one of" in world.refused(400, "GET", "/costs/billed", by="colour")
    before = world.ok("GET", "/costs/range", **days)["total_cost"]
    world.ok("PUT", path, {"options": {"base_url": world.fake.url, "reports": "stable"}})
    again = world.ok("POST", f"{path}/sync", wait="28")
    assert [one["stream"] for one in again["result"]["accounts"][0]["streams"]] == ["usage", "costs"]
    assert world.ok("GET", "/costs/range", **days)["total_cost"] == before > 0
    assert round(world.ok("GET", "/costs/billed", by="charge", **days)["billed"], 6) == round(whole, 6)
