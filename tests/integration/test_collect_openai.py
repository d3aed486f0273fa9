"""Collecting OpenAI into a real Postgres: parts of buckets add up, no day counts twice, and the bill is booked once."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from infra.demo.faults import Fault
from infra.demo.openai.data import CostRow, FixedDataset, Key, Project, UsageRow
from infra.demo.openai.fake import ADMIN_KEY, FakeOpenAI
from shared.providers.base import Provider
from shared.providers.http import Budget
from shared.providers.registry import REGISTRY
from shared.store import accounts
from shared.store.database import Connection, Database
from shared.workflows.collect import AccountReport
from tests.integration.collecting import changes, run, tables

NOW = datetime(2026, 11, 20, 10, 30, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
AT = datetime(2026, 11, 18, 14, tzinfo=UTC)
MIDNIGHT = AT.replace(hour=0)
MINI = "gpt-5-mini-2025-08-07"
PROJECTS = (Project("proj_a", "Shop"), Project("proj_b", "Old", archived_at=AT))
KEYS = (Key("key_a", "proj_a", "peakpaws-main"), Key("key_b", "proj_b", None, service_account="kanban-subagent"))


def chat(at: datetime = AT, key: str = "key_a", **counts: int) -> UsageRow:
    told = {"input_tokens": 1_000_000, "output_tokens": 100_000, "num_model_requests": 4, **counts}
    words = {"project_id": "proj_a" if key == "key_a" else "proj_b", "api_key_id": key, "model": MINI}
    return UsageRow(at, "completions", told, {**words, "batch": False, "service_tier": "default"})


def search(key: str = "key_a", *, number: int = 3) -> UsageRow:
    words = {"project_id": "proj_a", "api_key_id": key, "model": MINI, "context_level": "low"}
    return UsageRow(AT, "web_search_calls", {"num_requests": number, "num_model_requests": 2}, words)


def bill(at: datetime = AT, key: str = "key_a", amount: str = "0.03", line: str = "web search tool calls") -> CostRow:
    return CostRow(at, Decimal(amount), line, "proj_a" if key == "key_a" else "proj_b", key)


@pytest.fixture
def data() -> FixedDataset:
    return FixedDataset(
        usage_rows=[chat(), chat(key="key_b", input_cached_tokens=400_000), chat(AT - HOUR), search()],
        cost_rows=[
            bill(),
            bill(amount="0.25", line=f"{MINI}, input"),
            bill(key="key_b", amount="1.1", line="Vector storage"),
        ],
        projects=PROJECTS,
        keys=KEYS,
    )


@pytest.fixture
def fake(data: FixedDataset) -> Iterator[FakeOpenAI]:
    with FakeOpenAI(data, clock=lambda: NOW) as server:
        yield server


def openai(fake: FakeOpenAI) -> Provider:
    return connect(httpx.Client(trust_env=False), fake.base_url)


def connect(http: httpx.Client, address: str) -> Provider:
    patient = Budget(deadline=float("inf"), clock=lambda: 0.0, sleep=lambda _: None)
    return REGISTRY["openai"].connect(ADMIN_KEY, http, patient, address)


def total(connection: Connection) -> Any:  # noqa: ANN401 - a column
    row = connection.execute("SELECT sum(cost) AS cost, sum(web_searches) AS searches FROM ledger").fetchone()
    assert row is not None
    return row["cost"], row["searches"]


def collected(database: Database, fake: FakeOpenAI, **plan: Any) -> AccountReport:  # noqa: ANN401 - as `run` takes them
    [report] = run(database, openai(fake), **{"backfill": 10 * DAY, "now": NOW, **plan})
    return report


def test_rows_become_named_priced_lines_and_money_is_booked_once(
    database: Database, connection: Connection, fake: FakeOpenAI
) -> None:
    report = collected(database, fake)
    assert report.status == "succeeded"
    assert changes(report, "completions") == (3, 0, 0, 0)
    rows = connection.execute(
        "SELECT recorded_at, model, session_label, session_type, project, cost, requests, web_searches, input_tokens, "
        "cache_read_tokens, request_type FROM ledger ORDER BY recorded_at, session_label, cost"
    ).fetchall()
    # 1M input x 0.25 + 0.1M output x 2; of the second key 0.4M came from the cache, at 0.025.
    plain, cached = Decimal("0.45"), Decimal("0.36")
    told = [(r["recorded_at"], r["model"], r["session_label"], r["cost"], r["request_type"]) for r in rows]
    assert told == [
        (MIDNIGHT, "Vector storage", "kanban-subagent", Decimal("1.1"), "Vector storage"),
        (MIDNIGHT, "gpt-5-mini", "peakpaws-main", 0, "web_search"),
        (MIDNIGHT, "web search tool calls", "peakpaws-main", Decimal("0.03"), "web search tool calls"),
        (AT - HOUR, "gpt-5-mini", "peakpaws-main", plain, None),
        (AT, "gpt-5-mini", "kanban-subagent", cached, None),
        (AT, "gpt-5-mini", "peakpaws-main", plain, None),
    ]
    assert [(r["session_type"], r["project"]) for r in rows if r["session_label"] == "kanban-subagent"] == [
        ("subagent", "Kanban Board")
    ] * 2
    assert sum(r["web_searches"] for r in rows) == 3
    assert {(r["input_tokens"], r["cache_read_tokens"]) for r in rows if r["cost"] == cached} == {(600_000, 400_000)}


@pytest.mark.parametrize("rows_per_page", [1, 2])
def test_a_bucket_in_pieces_is_the_same_as_whole(
    database: Database, connection: Connection, data: FixedDataset, fake: FakeOpenAI, rows_per_page: int
) -> None:
    collected(database, fake)
    whole = tables(connection)
    connection.execute("TRUNCATE accounts, rates, rollup_quarter, rollup_day, model_names RESTART IDENTITY CASCADE")
    with FakeOpenAI(data, clock=lambda: NOW, rows_per_page=rows_per_page) as pieces:
        report = collected(database, pieces)
        again = collected(database, pieces)
    assert tables(connection).keys() == whole.keys()
    for name in ("buckets", "ledger", "rollup_quarter", "accounts"):
        assert tables(connection)[name] == whole[name], name
    assert report.streams[0].pages > 2
    assert changes(again, "completions") == (0, 0, 3, 0)


def test_dimensions_that_are_split_over_two_rows_are_added_up(
    database: Database, connection: Connection, data: FixedDataset
) -> None:
    with FakeOpenAI(data, clock=lambda: NOW) as server:
        double = Fault(path="/costs", times=None, transform=_twice)
        server.faults.append(double)
        collected(database, server)
    rows = connection.execute("SELECT amount, raw FROM buckets WHERE charge = 'Vector storage'").fetchall()
    [row] = rows
    assert row["amount"] == Decimal("2.2")
    assert len(row["raw"]["rows"]) == 2


def _twice(payload: dict[str, Any]) -> object:
    data = [{**one, "results": one["results"] * 2} for one in payload["data"]]
    return {**payload, "data": data}


def test_amounts_as_text_and_as_numbers_are_the_same(
    database: Database, connection: Connection, data: FixedDataset, fake: FakeOpenAI
) -> None:
    data.cost_rows.append(bill(amount="0", line="a line that costs nothing"))
    collected(database, fake)
    before = connection.execute("SELECT amount FROM buckets WHERE amount IS NOT NULL ORDER BY id").fetchall()
    assert before[-1]["amount"].as_tuple().exponent == 0  # 0E-6176 on the wire
    with FakeOpenAI(data, clock=lambda: NOW, as_numbers=True) as numbers:
        again = collected(database, numbers)
    assert changes(again, "costs") == (0, 0, 4, 0)


def test_a_restated_day_replaces_what_was_said_and_keeps_it(
    database: Database, connection: Connection, data: FixedDataset, fake: FakeOpenAI
) -> None:
    collected(database, fake)
    data.usage_rows[0] = chat(input_tokens=2_000_000)
    data.cost_rows = [bill(amount="0.05"), bill(key="key_b", amount="1.1", line="Vector storage")]
    report = collected(database, fake)
    assert changes(report, "completions") == (0, 1, 2, 0)
    assert changes(report, "costs") == (0, 1, 1, 1)
    assert total(connection) == (
        Decimal("0.7") + Decimal("0.45") + Decimal("0.36") + Decimal("0.05") + Decimal("1.1"),
        3,
    )
    reasons = connection.execute("SELECT reason, count(*) AS n FROM bucket_versions GROUP BY 1 ORDER BY 1").fetchall()
    assert reasons == [{"reason": "removed", "n": 1}, {"reason": "restated", "n": 2}]


KEYS_SINCE = datetime(2025, 12, 6, tzinfo=UTC)


def test_days_with_and_without_keys_meet_and_every_cent_is_there_once(
    database: Database, connection: Connection, data: FixedDataset, fake: FakeOpenAI
) -> None:
    fake.clock = lambda: KEYS_SINCE + 5 * DAY + 10 * HOUR
    data.usage_rows = [chat(KEYS_SINCE)]
    days = [KEYS_SINCE + number * DAY for number in range(-4, 5)]
    data.cost_rows = [bill(day, key) for day in days for key in ("key_a", "key_b")]
    report = collected(database, fake, now=fake.clock())
    assert report.status == "succeeded"
    rows = connection.execute(
        "SELECT bucket_start, count(*) AS n, sum(amount) AS amount, count(dimensions -> 'api_key_id') AS keyed "
        "FROM buckets WHERE stream = 'costs' GROUP BY 1 ORDER BY 1"
    ).fetchall()
    assert [row["bucket_start"] for row in rows] == days
    assert {row["amount"] for row in rows} == {Decimal("0.06")}
    assert [row["keyed"] for row in rows] == [0] * 4 + [2] * 5
    again = collected(database, fake, now=fake.clock())
    assert sum(changes(again, "costs")[:2]) == changes(again, "costs")[3] == 0


def refusal(since: datetime) -> Fault:
    day = int(since.timestamp())
    text = f"group_by=api_key_id is not available for this time range. Try a start_time on or after {day}."
    return Fault(path="/costs", status=400, payload={"error": {"message": text, "param": "start_time"}})


def test_a_day_that_is_read_again_by_other_dimensions_is_replaced_whole(
    database: Database, connection: Connection, data: FixedDataset, fake: FakeOpenAI
) -> None:
    data.cost_rows = [bill(AT + number * DAY, key) for number in (-1, 0, 1) for key in ("key_a", "key_b")]
    # At first the provider cannot tell keys before yesterday.
    fake.faults.append(refusal(MIDNIGHT + DAY))
    collected(database, fake)
    first = total(connection)
    keyed = "SELECT count(*) AS n FROM buckets WHERE stream = 'costs' AND dimensions ? 'api_key_id'"
    assert connection.execute(keyed).fetchone() == {"n": 2}
    report = collected(database, fake)
    assert report.status == "succeeded"
    assert connection.execute(keyed).fetchone() == {"n": 6}
    assert connection.execute("SELECT count(*) AS n FROM buckets WHERE stream = 'costs'").fetchone() == {"n": 6}
    assert total(connection) == first
    assert changes(report, "costs") == (4, 0, 2, 4)


def test_a_run_that_ends_between_the_parts_goes_on_there(
    database: Database, connection: Connection, data: FixedDataset, fake: FakeOpenAI
) -> None:
    fake.clock = lambda: KEYS_SINCE + 5 * DAY + 10 * HOUR
    data.cost_rows = [bill(KEYS_SINCE + number * DAY) for number in range(-4, 5)]
    asked = len(fake.requests)

    def remaining() -> float:
        # Over once the first part of the costs was answered.
        return 0.0 if any(one.path.endswith("/costs") for one in fake.requests[asked:]) else float("inf")

    report = collected(database, fake, now=fake.clock(), remaining=remaining)
    assert report.status == "partial"
    held = connection.execute("SELECT next_cursor FROM collection_state WHERE stream = 'costs'").fetchone()
    assert held is not None
    assert held["next_cursor"].startswith("keyed:")
    assert total(connection)[0] is None
    assert collected(database, fake, now=fake.clock()).status == "succeeded"
    assert connection.execute("SELECT sum(amount) AS a FROM buckets WHERE stream = 'costs'").fetchone() == {
        "a": Decimal("0.27")
    }


def test_a_report_that_is_refused_does_not_keep_the_others(
    database: Database, connection: Connection, fake: FakeOpenAI
) -> None:
    fake.faults.append(Fault(path="/usage/embeddings", status=400, payload={"error": {"message": "Not today"}}))
    report = collected(database, fake)
    assert (report.status, "Not today" in str(report.error)) == ("failed", True)
    assert total(connection) == (Decimal("1.26") + Decimal("1.13"), 3)
    [account] = database.run(accounts.everyone)
    # Until all reports of usage were read, events are not explained by them.
    assert (account.state, account.covered_from) == ("failing", None)
    assert collected(database, fake).status == "succeeded"
    [account] = database.run(accounts.everyone)
    assert (account.state, account.covered_from, account.complete_until) == ("ok", MIDNIGHT, NOW - HOUR)


def test_a_report_that_the_organisation_does_not_have_is_no_failure(
    database: Database, connection: Connection, data: FixedDataset, fake: FakeOpenAI
) -> None:
    data.usage_rows.append(UsageRow(AT, "decisions", chat().counts, chat().dimensions))
    collected(database, fake)
    before = tables(connection)
    fake.faults.append(Fault(path="/usage/decisions", status=404, times=None))
    assert collected(database, fake).status == "succeeded"
    assert tables(connection)["ledger"] == before["ledger"]


def test_the_coverage_begins_with_whatever_was_used_first(
    database: Database, connection: Connection, data: FixedDataset, fake: FakeOpenAI
) -> None:
    words = {"project_id": "proj_a", "api_key_id": "key_a", "model": "text-embedding-3-small"}
    counts = {"input_tokens": 100, "num_model_requests": 1}
    data.usage_rows = [UsageRow(AT - 2 * DAY, "embeddings", counts, words), chat()]
    collected(database, fake)
    assert database.run(accounts.everyone)[0].covered_from == AT - 2 * DAY
    assert connection.execute("SELECT sum(cost) AS c FROM ledger WHERE model ~ 'embed'").fetchone() == {
        "c": Decimal("0.000002")
    }


DAYS = [NOW.replace(hour=0, minute=0) - number * DAY for number in range(4)]


def answering(order: list[list[datetime]]) -> httpx.MockTransport:
    """Serve the costs in pages of these days, and every other report without usage."""

    def bucket(start: datetime, width: timedelta, results: list[Any]) -> dict[str, Any]:
        bounds = {"start_time": int(start.timestamp()), "end_time": int((start + width).timestamp())}
        return {**bounds, "results": results}

    def handler(request: httpx.Request) -> httpx.Response:
        path, asked = request.url.path, request.url.params
        if path.endswith("/projects"):
            return httpx.Response(200, json={"data": [{"id": "proj_a", "name": "Shop"}], "has_more": False})
        if path.endswith("/api_keys"):
            return httpx.Response(200, json={"data": [], "has_more": False})
        if not path.endswith("/costs"):
            start = datetime.fromtimestamp(int(asked["start_time"]), UTC)
            empty = bucket(start, HOUR if asked["bucket_width"] == "1h" else DAY, [])
            return httpx.Response(200, json={"data": [empty], "has_more": False})
        number = int(asked.get("page", "0"))
        row = bill().wire()
        more = number + 1 < len(order)
        return httpx.Response(
            200,
            json={
                "data": [bucket(day, DAY, [row]) for day in order[number]],
                "has_more": more,
                "next_page": str(number + 1) if more else None,
            },
        )

    return httpx.MockTransport(handler)


@pytest.mark.parametrize(
    "order", [[DAYS[:2], DAYS[2:]], [DAYS[2:], DAYS[:2]], [[DAYS[1], DAYS[0]], [DAYS[3], DAYS[2]]]]
)
def test_pages_come_in_any_order(database: Database, connection: Connection, order: list[list[datetime]]) -> None:
    provider = connect(httpx.Client(transport=answering(order)), "https://api.openai.com/v1")
    [report] = run(database, provider, now=NOW, backfill=4 * DAY)
    assert report.status == "succeeded", report.error
    assert total(connection)[0] == Decimal("0.12")


def test_pages_that_repeat_days_are_refused(database: Database, connection: Connection) -> None:
    provider = connect(httpx.Client(transport=answering([DAYS[:2], DAYS[:2]])), "https://api.openai.com/v1")
    [report] = run(database, provider, now=NOW, backfill=4 * DAY)
    assert report.status == "failed"
    assert "intervals of the page before" in str(report.error)
    assert connection.execute("SELECT count(*) AS n FROM ledger").fetchone() == {"n": 0}
