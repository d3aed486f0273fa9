"""Collecting OpenRouter into a real Postgres: money is what it charged, keys that vanish lose nothing."""

import csv
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from math import inf

import pytest

from infra.demo.faults import Fault
from infra.demo.openrouter.data import FixedDataset
from infra.demo.openrouter.fake import INFERENCE_KEY, FakeOpenRouter
from shared.core.focus_columns import FOCUS_1_2
from shared.providers.openrouter import SPEC
from shared.store import accounts, bills, focus, reconciliation, silence
from shared.store.audit import Author
from shared.store.database import Connection, Database
from shared.store.reports import Filters
from shared.workflows.attribute import rebuild
from shared.workflows.ingest import Options, ingest
from shared.workflows.pricing import load_book
from shared.workflows.reassign import Order, reassign
from shared.workflows.verify import verify
from tests.integration.collecting import CATALOGUE, changes, run, tables
from tests.integration.collecting_openrouter import (
    DAY,
    HELPER,
    MAIN,
    NOW,
    SPACE,
    YESTERDAY,
    collected,
    openrouter,
    sums,
    used,
)  # fmt: skip


@pytest.fixture
def data() -> FixedDataset:
    return FixedDataset([used(), used(HELPER, "0.5", byok="7"), used(None, "0.125", requests=1)], [MAIN, HELPER])


@pytest.fixture
def fake(data: FixedDataset) -> Iterator[FakeOpenRouter]:
    with FakeOpenRouter(data, clock=lambda: NOW) as server:
        yield server


def test_rows_become_named_lines_that_cost_what_was_charged(
    database: Database, connection: Connection, fake: FakeOpenRouter
) -> None:
    report = collected(database, fake)
    assert (report.status, changes(report, "activity")) == ("succeeded", (3, 0, 0, 0))
    rows = connection.execute(
        "SELECT recorded_at, provider, model, model_raw, session_label, session_type, project, cost, reported_cost, "
        "rates_id, input_tokens, cache_read_tokens, output_tokens, reasoning_tokens, requests, description "
        "FROM ledger ORDER BY session_label"
    ).fetchall()
    rest, helper, main = (tuple(row.values()) for row in rows)
    shared = (YESTERDAY, "openrouter", "google/gemini-2.5-flash", "google/gemini-2.5-flash")
    upstream = "7 USD more billed by Google for one's own key (BYOK), not counted"
    counted = (600, 400, 100, 40)
    assert main == (*shared, "peakpaws-main", "main", "PeakPaws", Decimal("0.25"), None, None, *counted, 3, None)
    assert helper == (
        *shared, "kanban-subagent", "subagent", "Kanban Board", Decimal("0.5"), None, None, *counted, 3, upstream
    )  # fmt: skip
    assert rest == (*shared, "Default", "main", "General", Decimal("0.125"), None, None, *counted, 1, None)
    stored = connection.execute("SELECT raw FROM buckets ORDER BY (raw ->> 'usage')::numeric DESC").fetchone()
    assert stored is not None
    assert stored["raw"]["byok_usage_inference"] == 7


def test_what_is_stored_is_found_by_its_key_and_workspace(
    database: Database, connection: Connection, fake: FakeOpenRouter
) -> None:
    collected(database, fake)
    assert reassign(database, Order(Author("somebody", NOW)), lambda: inf).as_json()["moves"] == []
    [account] = accounts.everyone(connection)

    def billed(part: str) -> list[tuple[object, ...]]:
        rows = bills.billed_by(connection, part, YESTERDAY, NOW, [account.id])
        return [(row["id"], row["name"], row["amount"]) for row in rows]

    helper, main = (HELPER.hash, "kanban-subagent"), (MAIN.hash, "peakpaws-main")
    assert billed("key") == [(*helper, Decimal("0.5")), (*main, Decimal("0.25")), (None, None, Decimal("0.125"))]
    assert billed("workspace") == [(SPACE, "Default", Decimal("0.875"))]
    with connection.transaction():
        span = (YESTERDAY, YESTERDAY + DAY)
        exported = b"".join(focus.stream(connection, FOCUS_1_2, span, Filters())).decode()
    places = {(row["ResourceId"], row["SubAccountId"]) for row in csv.DictReader(exported.splitlines())}
    assert places == {(HELPER.hash, SPACE), (MAIN.hash, SPACE), ("", SPACE)}


def test_the_report_is_bill_and_usage_in_one(database: Database, connection: Connection, fake: FakeOpenRouter) -> None:
    collected(database, fake)
    [billed] = reconciliation.billed(connection, YESTERDAY, NOW, None)
    [estimated] = reconciliation.estimated(connection, YESTERDAY, NOW, None)
    assert billed["amount"] == estimated["cost"] == Decimal("0.875")
    [account] = accounts.everyone(connection)
    assert silence.active(connection, account.id, NOW - 9 * DAY) == [(YESTERDAY, YESTERDAY + DAY)]


def test_a_second_collection_changes_nothing(database: Database, connection: Connection, fake: FakeOpenRouter) -> None:
    collected(database, fake)
    before = tables(connection)
    report = collected(database, fake)
    assert changes(report, "activity") == (0, 0, 3, 0)
    assert tables(connection) == before


def test_a_key_that_vanishes_leaves_its_usage_to_nobody(
    database: Database, connection: Connection, fake: FakeOpenRouter, data: FixedDataset
) -> None:
    collected(database, fake)
    data.keys.remove(HELPER)
    report = collected(database, fake, now=NOW + timedelta(hours=6))
    assert changes(report, "activity") == (0, 1, 1, 1)
    # Its name was kept, but its rows say no more whose they are.
    assert sums(connection) == [
        ("Default", Decimal("0.625"), 4, 1200, 800),
        ("peakpaws-main", Decimal("0.25"), 3, 600, 400),
    ]
    assert connection.execute("SELECT count(*) AS n FROM bucket_versions").fetchone() == {"n": 2}


def test_a_restated_day_is_replaced(
    database: Database, connection: Connection, fake: FakeOpenRouter, data: FixedDataset
) -> None:
    collected(database, fake)
    data.rows[1:] = [used(HELPER, "0.75", requests=5)]
    report = collected(database, fake, now=NOW + timedelta(hours=6))
    assert changes(report, "activity") == (0, 1, 1, 1)
    assert sums(connection) == [
        ("kanban-subagent", Decimal("0.75"), 5, 600, 400),
        ("peakpaws-main", Decimal("0.25"), 3, 600, 400),
    ]


def test_thirty_days_are_asked_for_and_older_ones_stay(
    database: Database, connection: Connection, fake: FakeOpenRouter, data: FixedDataset
) -> None:
    today = NOW.replace(hour=0, minute=0)
    data.rows[:] = [used(at=today - days * DAY) for days in (0, 1, 30, 31)]
    [stream] = collected(database, fake).streams
    assert (stream.window_start, stream.window_end) == (today - 30 * DAY, today)
    kept = "SELECT bucket_start FROM buckets ORDER BY 1"
    first = [row["bucket_start"] for row in connection.execute(kept)]
    assert first == [today - 30 * DAY, today - DAY]
    fake.clock = lambda: NOW + DAY
    again = collected(database, fake, now=NOW + DAY, start=today - 40 * DAY)
    assert again.status == "succeeded"
    assert [row["bucket_start"] for row in connection.execute(kept)] == [*first, today]


@pytest.mark.parametrize("is_cut", [False, True], ids=["between the answers", "before a window is continued"])
def test_a_midnight_while_a_window_is_read_forgets_nothing(
    database: Database, connection: Connection, fake: FakeOpenRouter, data: FixedDataset, *, is_cut: bool
) -> None:
    today = NOW.replace(hour=0, minute=0)
    evening, night = today + timedelta(hours=23, minutes=30), today + timedelta(hours=24, minutes=30)
    data.rows[:] = [used(at=today - 30 * DAY, usage="5"), used(at=today - 10 * DAY, usage="1")]
    fake.clock = lambda: evening - 8 * DAY
    collected(database, fake, now=evening - 8 * DAY)
    before, asked = sums(connection), sum("activity" in path for path in fake.paths())
    if is_cut:
        fake.clock = lambda: evening
        fake.faults.append(Fault(path="/activity", times=None, status=500))
        assert collected(database, fake, now=evening).status == "failed"
        fake.faults.clear()
        fake.clock = lambda: night
    else:
        fake.clock = lambda: night if sum("activity" in path for path in fake.paths()) > asked + 1 else evening
    report = collected(database, fake, now=night if is_cut else evening)
    assert (report.status, report.streams[0].window_start) == ("succeeded", today - 30 * DAY)
    assert sums(connection) == before


def test_sums_of_binary_fractions_are_the_account_s(
    database: Database, connection: Connection, fake: FakeOpenRouter, data: FixedDataset
) -> None:
    fake.is_binary = True
    data.rows[:] = [used(usage="0.1"), used(HELPER, "0.2")]
    collected(database, fake)
    assert [(label, cost) for label, cost, *_ in sums(connection)] == [
        ("kanban-subagent", Decimal("0.20000000000000004")),
        ("peakpaws-main", Decimal("0.1")),
    ]


def test_a_failure_half_way_leaves_everything_as_it_was(
    database: Database, connection: Connection, fake: FakeOpenRouter
) -> None:
    fake.faults.append(Fault(path="/activity", skip=1, times=None, status=500))
    report = collected(database, fake)
    assert (report.status, sums(connection)) == ("failed", [])
    fake.faults.clear()
    assert collected(database, fake).status == "succeeded"
    assert sum(row[1] for row in sums(connection)) == Decimal("0.875")


def test_events_explain_the_report_and_add_nothing(
    database: Database, connection: Connection, fake: FakeOpenRouter
) -> None:
    collected(database, fake)
    event = {
        "account": "anthropic", "provider": "openrouter", "model": "google/gemini-2.5-flash",
        "cost": "0.05", "recorded_at": (YESTERDAY + timedelta(hours=5)).isoformat(),
    }  # fmt: skip
    ingest(database, lambda c: load_book(c, CATALOGUE), [event], NOW, options=Options(touched=rebuild))
    assert sum(row[1] for row in sums(connection)) == Decimal("0.875")
    taken = "SELECT count(DISTINCT session_label) AS n FROM ledger WHERE source = 'attribution'"
    assert connection.execute(taken).fetchone() == {"n": 3}
    assert verify(database, repair=False)["drift"] == []


def test_what_was_forgotten_before_it_was_read_is_told_by_events_alone(
    database: Database, connection: Connection, fake: FakeOpenRouter, data: FixedDataset
) -> None:
    collected(database, fake)
    late = NOW + 45 * DAY
    fake.clock = lambda: late
    midnight = late.replace(hour=0, minute=0)
    data.rows.append(used(at=midnight - 2 * DAY))
    assert collected(database, fake, now=late).status == "succeeded"
    [account] = accounts.everyone(connection)
    assert account.complete_until == midnight
    event = {"account": "anthropic", "provider": "openrouter", "model": "google/gemini-2.5-flash", "cost": "0.05"}
    moments = [midnight - 20 * DAY, midnight - 40 * DAY]
    logged = [{**event, "recorded_at": (moment + timedelta(hours=5)).isoformat()} for moment in moments]
    ingest(database, lambda c: load_book(c, CATALOGUE), logged, late, options=Options(touched=rebuild))
    # The report of twenty days ago says that there was nothing; nobody said anything of forty days ago.
    assert sum(row[1] for row in sums(connection)) == Decimal("0.875") + Decimal("0.25") + Decimal("0.05")
    assert verify(database, repair=False)["drift"] == []


def test_a_key_for_inference_is_refused_before_anything_else_is_asked(database: Database, fake: FakeOpenRouter) -> None:
    [report] = run(database, openrouter(fake, INFERENCE_KEY), now=NOW)
    assert (report.status, report.error) == (
        "failed",
        f"This is a key for inference, which cannot read OpenRouter's reports. {SPEC.key_needed}",
    )
    assert fake.paths() == ["/api/v1/key"]
