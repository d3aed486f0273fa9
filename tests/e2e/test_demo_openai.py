"""Three providers and invoices in one ledger: every figure is the sum by hand over all raw rows, to the last digit."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from infra.demo.openai.fake import ADMIN_KEY, FakeOpenAI
from infra.demo.openrouter.fake import MANAGEMENT_KEY, FakeOpenRouter
from infra.local.demo import enter_invoices
from shared.core import jsontext
from shared.store.database import connect
from tests.e2e import brute_force, brute_force_openai, brute_force_openrouter
from tests.e2e.brute_force import Fact, by, total
from tests.e2e.conftest import NOW, Service

START = datetime(2026, 8, 22, tzinfo=UTC)
END = datetime(2026, 11, 20, 11, tzinfo=UTC)
FIRST, LAST = date(2026, 8, 22), date(2026, 11, 20)
ZONES = ("UTC", "Asia/Kathmandu", "America/New_York")
KEYS = {
    "by-model": lambda fact: fact.model,
    "by-session-type": lambda fact: fact.session_type,
    "by-project": lambda fact: fact.project,
    "by-provider": lambda fact: fact.provider,
    "by-account": lambda fact: f"{fact.provider}-demo",
    "by-session": lambda fact: fact.label or "unassigned",
    "by-source": lambda fact: fact.source,
}
README = (Path(__file__).parents[2] / "README.md").read_text()


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeOpenAI]:
    with FakeOpenAI(clock=lambda: NOW) as server:
        yield server


@pytest.fixture(scope="module")
def router() -> Iterator[FakeOpenRouter]:
    with FakeOpenRouter(clock=lambda: NOW) as server:
        yield server


@pytest.fixture(scope="module")
def whole(serve: Callable[..., Service], fake: FakeOpenAI, router: FakeOpenRouter) -> Service:
    """Serve what `make run` serves without keys of one's own."""
    service = serve(
        OPENAI_ADMIN_KEY=ADMIN_KEY,
        OPENAI_BASE_URL=fake.base_url,
        OPENROUTER_API_KEY=MANAGEMENT_KEY,
        OPENROUTER_BASE_URL=router.base_url,
    )
    enter(service)
    run = collect(service)
    assert run["status"] == "succeeded", run
    return service


def enter(service: Service) -> None:
    enter_invoices(service.app)
    service.app.database.close()  # this thread's connection


def collect(service: Service) -> dict[str, Any]:
    """Collect, however long the machine takes for it."""
    run = service.http.post("/admin/collect", params={"wait": "28"}).json()
    while run["status"] == "running":
        time.sleep(0.2)
        run = service.get(f"/admin/runs/{run['id']}")
    return dict(run)


@pytest.fixture(scope="module")
def openai(fake: FakeOpenAI) -> list[Fact]:
    found = brute_force_openai.facts(fake, START, END)
    assert len(found) > 5000
    assert all(-int(fact.cost.normalize().as_tuple().exponent) <= 10 for fact in found if fact.cost)
    return found


@pytest.fixture(scope="module")
def openrouter(router: FakeOpenRouter) -> list[Fact]:
    found = list(brute_force_openrouter.facts(router))
    assert len({fact.at for fact in found}) == 30
    assert all(-int(fact.cost.normalize().as_tuple().exponent) <= 10 for fact in found if fact.cost)
    return found


@pytest.fixture(scope="module")
def truth(whole: Service, openai: list[Fact], openrouter: list[Fact]) -> list[Fact]:
    by_hand = list(brute_force_openrouter.invoiced(NOW))
    assert len(by_hand) == 3
    return [*brute_force.facts(whole.fake, START, END), *openai, *openrouter, *by_hand]


def on(facts: Sequence[Fact], zone: str, first: date, last: date) -> list[Fact]:
    return [fact for fact in facts if first <= fact.at.astimezone(ZoneInfo(zone)).date() <= last]


def check(answer: dict[str, Any], expected: Sequence[Fact]) -> None:
    added = total(expected)
    assert (answer["total_cost"], answer["requests"]) == (added.cost, added.requests)
    assert {name: answer["tokens"][name] for name in added.tokens} == added.tokens
    for name, path in (("by_model", "by-model"), ("by_project", "by-project"), ("by_provider", "by-provider")):
        assert answer[name] == {key: found.cost for key, found in by(expected, KEYS[path]).items()}


@pytest.mark.parametrize("zone", ZONES)
def test_every_day_of_a_range(whole: Service, truth: list[Fact], zone: str) -> None:
    answer = whole.get("/costs/range", start=str(FIRST), end=str(LAST), tz=zone)
    inside = on(truth, zone, FIRST, LAST)
    assert answer["total_cost"] == total(inside).cost == sum(day["total_cost"] for day in answer["periods"])
    for index, period in enumerate(answer["periods"]):
        day = FIRST + timedelta(days=index)
        check(period, on(inside, zone, day, day))
    # The slowest of the providers says how far the whole is complete, which is told of no invoice.
    assert answer["coverage"]["complete_until"] == "2026-11-20T00:00:00Z"


@pytest.mark.parametrize("zone", ZONES)
def test_openai_alone(whole: Service, openai: list[Fact], zone: str) -> None:
    answer = whole.get("/costs/range", start=str(FIRST), end=str(LAST), tz=zone, provider="OpenAI", group_by="month")
    assert answer["total_cost"] == total(on(openai, zone, FIRST, LAST)).cost
    for period in answer["periods"]:
        month = [
            f for f in on(openai, zone, FIRST, LAST) if f"{f.at.astimezone(ZoneInfo(zone)):%Y-%m-01}" == period["date"]
        ]
        check(period, month)
    assert answer["coverage"]["unpriced_tokens"] == 0


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("path", KEYS)
def test_breakdowns(whole: Service, truth: list[Fact], zone: str, path: str) -> None:
    answer = whole.get(f"/costs/{path}", start=str(FIRST), end=str(LAST), tz=zone, limit="100")
    inside = on(truth, zone, FIRST, LAST)
    expected = by(inside, KEYS[path])
    assert {row["key"]: row["cost"] for row in answer["data"]} == {key: found.cost for key, found in expected.items()}
    for row in answer["data"]:
        found = expected[row["key"]]
        assert {name: row["tokens"][name] for name in found.tokens} == found.tokens
        assert (row["requests"], row["unpriced_tokens"]) == (found.requests, found.unpriced)


@pytest.mark.parametrize("zone", ZONES)
def test_token_classes(whole: Service, truth: list[Fact], zone: str) -> None:
    answer = whole.get("/costs/by-token-class", start=str(FIRST), end=str(LAST), tz=zone)
    expected: dict[str, Decimal] = {}
    for fact in on(truth, zone, FIRST, LAST):
        for name, cost in fact.costs.items():
            expected[name] = expected.get(name, Decimal(0)) + cost
    assert {row["key"]: row["cost"] for row in answer["data"]} == expected


@pytest.mark.parametrize("day", ["2026-09-15", "2026-11-12", "2026-11-19"])
def test_explain_adds_up_line_by_line(whole: Service, openai: list[Fact], day: str) -> None:
    booked = {shown or line for line, shown in brute_force_openai.BOOKED.items()}
    answer = whole.get("/costs/explain", date=day, provider="openai")
    expected = on(openai, "UTC", date.fromisoformat(day), date.fromisoformat(day))
    assert answer["total_cost"] == total(expected).cost == sum(line["cost"] for line in answer["lines"])
    for line in answer["lines"]:
        for part in line["classes"]:
            assert part["quantity"] * Decimal(part["price"]) / part["per"] == part["cost"]
        if line["price"] is None:
            is_counted = line["note"].startswith("counted only")
            assert is_counted == (line["cost"] == 0)
            assert is_counted or line["model"] in booked
    assert answer["unpriced"] == []


def test_what_the_bill_books_is_counted_once(whole: Service, fake: FakeOpenAI) -> None:
    for line in brute_force_openai.BOOKED:
        answer = whole.get("/costs/by-model", start=str(FIRST), end=str(LAST), request_type=line)
        booked = sum((row.amount for row in fake.raw_costs(START, END) if row.line_item == line), Decimal(0))
        assert answer["total_cost"] == booked > 0
    searches = sum(r.counts["num_requests"] for r in fake.raw_usage(START, END) if r.report == "web_search_calls")
    answer = whole.get("/costs/by-model", start=str(FIRST), end=str(LAST), request_type="web_search", provider="openai")
    assert (answer["total_cost"], sum(row["tokens"]["web_searches"] for row in answer["data"])) == (0, searches)


def test_estimate_and_bill_agree_but_for_long_contexts(whole: Service, fake: FakeOpenAI, openai: list[Fact]) -> None:
    answer = whole.get("/costs/reconciliation", start=str(FIRST), end=str(LAST), account="openai-demo")
    bill = brute_force_openai.billed(fake, START, END)
    estimates = by(openai, lambda fact: fact.at.date())
    long = {row.at.date() for row in fake.raw_usage(START, END) if row.is_long}
    assert len(answer["data"]) == 91
    assert 0 < len(long) < 40
    for row in answer["data"]:
        day = date.fromisoformat(row["date"])
        assert row["estimated"] == estimates[day].cost
        if day == LAST:  # its bill is written while the day goes on
            assert (row["billed"], row["drift"]) == (None, None)
            continue
        billed = bill[datetime(day.year, day.month, day.day, tzinfo=UTC)]
        assert (row["billed"], row["drift"]) == (billed, estimates[day].cost - billed)
        # Which requests had a long context is only on the bill, so it is the higher one on those days.
        assert (row["drift"] < 0) == (day in long)
        assert row["drift"] <= 0
        assert ("long context" in row["reason"]) == (day in long)


def test_openrouter_costs_what_it_charged_and_not_what_others_bill(
    whole: Service, router: FakeOpenRouter, openrouter: list[Fact]
) -> None:
    answer = whole.get("/costs/by-session", start=str(FIRST), end=str(LAST), provider="openrouter")
    charged = sum((row.usage for row in router.raw_activity()), Decimal(0))
    assert answer["total_cost"] == total(openrouter).cost == charged
    upstream = sum((row.byok for row in router.raw_activity()), Decimal(0))
    assert upstream > charged / 10
    listed = {key.name for key in router.dataset.keys}
    # What a deleted key and the chat room used is under the name of its workspace.
    assert {row["key"] for row in answer["data"]} == listed | {space.name for space in router.dataset.workspaces}
    reconciled = whole.get("/costs/reconciliation", start="2026-10-21", end="2026-11-19", account="openrouter-demo")
    assert (reconciled["billed"], reconciled["drift"], len(reconciled["data"])) == (charged, 0, 30)
    explained = whole.get("/costs/explain", date="2026-11-19", provider="openrouter")
    assert {line["note"] for line in explained["lines"]} == {
        "as charged by the provider, whose report has tokens and money"
    }


def test_invoices_are_entered_once_however_often_it_starts(whole: Service) -> None:
    before = whole.get("/costs/by-account", start=str(FIRST), end=str(LAST))
    enter(whole)
    assert whole.get("/costs/by-account", start=str(FIRST), end=str(LAST)) == before
    answer = whole.get("/api/usage", account="perplexity-demo")
    assert [record["source"] for record in answer["data"]] == ["manual"] * 3


def test_the_example_of_the_manual(whole: Service) -> None:
    [path] = re.findall(r"'http://127\.0\.0\.1:8000(/costs/[^']+)'", README)
    [example] = re.findall(r"```json\n(.*?)```", README, flags=re.DOTALL)
    shown, answered = jsontext.loads(example), whole.get(path)
    # How far the figures are complete depends on when one asks.
    assert shown["coverage"].pop("complete_until").endswith("Z")
    assert answered["coverage"].pop("complete_until").endswith("Z")
    assert shown == answered


def test_no_person_is_named_anywhere(whole: Service, fake: FakeOpenAI, router: FakeOpenRouter) -> None:
    assert any("mira@peakandpine.example" in f"{key.wire()}" for key in fake.dataset.keys)
    assert any("DemoMira" in f"{key.wire()}" for key in router.dataset.keys)
    with connect(whole.dsn) as connection:
        for table in ("buckets", "provider_names", "ledger", "accounts"):
            query = f"SELECT count(*) AS n FROM {table} WHERE {table}::text ~* 'peakandpine|Mira P|DemoMira'"  # noqa: S608 - constants of this file
            rows = connection.execute(query)
            assert rows.fetchone() == {"n": 0}, table


def test_collecting_again_changes_nothing(whole: Service) -> None:
    before = whole.get("/costs/range", start=str(FIRST), end=str(LAST))
    run = collect(whole)
    assert [account["account"] for account in run["result"]["accounts"]] == [
        "anthropic-demo",
        "openai-demo",
        "openrouter-demo",
    ]
    for account in run["result"]["accounts"]:
        assert {(s["new"], s["changed"], s["removed"]) for s in account["streams"]} == {(0, 0, 0)}
    assert whole.get("/costs/range", start=str(FIRST), end=str(LAST)) == before
    assert whole.post("/admin/verify")["result"]["drift"] == []
