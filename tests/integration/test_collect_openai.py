"""Collecting OpenAI into a real Postgres: parts of buckets add up, no day counts twice, and the bill is booked once."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from infra.demo.faults import Fault
from infra.demo.openai.data import FixedDataset, UsageRow
from infra.demo.openai.fake import FakeOpenAI
from shared.store import accounts, ledger
from shared.store.database import Connection, Database
from shared.workflows.verify import verify
from tests.integration.collecting import changes, tables
from tests.integration.collecting_openai import (
    AT,
    DAY,
    HOUR,
    KEYS,
    MIDNIGHT,
    MINI,
    NOW,
    PROJECTS,
    bill,
    chat,
    collected,
    search,
    total,
)  # fmt: skip


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


def test_a_restated_bucket_has_the_line_that_a_fresh_one_would_have(
    database: Database, connection: Connection, data: FixedDataset, fake: FakeOpenAI
) -> None:
    def restated(number: int) -> list[dict[str, Any]]:
        data.usage_rows = [search(number=number)]
        report = collected(database, fake)
        assert sum(changes(report, "web_search_calls")[:2]) == 1
        assert verify(database, repair=False)["drift"] == []
        return connection.execute(
            "SELECT recorded_at, model, session_label, project, cost, web_searches, request_type FROM ledger "
            "WHERE request_type = 'web_search'"
        ).fetchall()

    assert restated(0) == []  # money on the bill, and nothing counted
    [line] = restated(3)
    assert (line["web_searches"], line["project"]) == (3, "PeakPaws")
    assert restated(4) == [{**line, "web_searches": 4}]
    assert restated(0) == []


def test_what_a_provider_says_anew_of_a_line_moves_its_sums_along(
    database: Database, connection: Connection, data: FixedDataset, fake: FakeOpenAI
) -> None:
    data.usage_rows, data.cost_rows = [chat()], []
    collected(database, fake)
    [line] = connection.execute("SELECT * FROM ledger").fetchall()
    said = {"model": "gpt-5", "model_raw": "gpt-5", "service_tier": "flex", "description": "x", "request_type": "y"}
    database.run(lambda c: ledger.replace(c, [{**line, **said, "project": "Elsewhere"}]))
    assert connection.execute("SELECT * FROM ledger").fetchall() == [{**line, **said}]
    assert verify(database, repair=False)["drift"] == []


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
