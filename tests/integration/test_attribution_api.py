"""What people see of attribution: reconciliation, the basis of a total, explain, and void over HTTP."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from infra.demo.anthropic import FakeAnthropic
from infra.demo.dataset import ApiKey, FixedDataset, UsageRow
from shared.core import jsontext
from tests.integration.collecting import NOW
from tests.integration.conftest import Api, by_way

AT = datetime(2026, 11, 19, 14, tzinfo=UTC)
# 0.0036 USD.
EVENT = {"model": "claude-sonnet-4-5", "tokens_in": 700, "tokens_out": 100, "project": "Mine", "account": "anthropic"}


@pytest.fixture
def fake() -> Iterator[FakeAnthropic]:
    rows = [
        UsageRow(AT, "claude-sonnet-4-5", uncached_input_tokens=1000, output_tokens=500, api_key_id="a"),
        UsageRow(AT, "mystery-1", uncached_input_tokens=90, output_tokens=10, api_key_id="a"),
    ]
    with FakeAnthropic(FixedDataset(rows, keys=[ApiKey("a", "peakpaws-main")]), clock=lambda: NOW) as server:
        yield server


@pytest.fixture
def api(serve: Callable[..., Api], dsn: str, request: pytest.FixtureRequest, fake: FakeAnthropic) -> Api:
    found = serve(by_way("direct", dsn, request), fake)
    assert found.http.post("/admin/collect", params={"wait": 25}).json()["status"] == "succeeded"
    return found


def get(api: Api, path: str, **params: str) -> Any:  # noqa: ANN401 - JSON
    answer = api.http.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return jsontext.loads(answer.content)


def log(api: Api, at: datetime, **changed: object) -> int:
    answer = api.http.post("/api/usage", json={**EVENT, "recorded_at": at.isoformat(), **changed})
    assert answer.status_code == 201, answer.text
    return int(answer.json()["data"]["id"])


def day(api: Api, date: str) -> tuple[Any, ...]:
    rows = get(api, "/costs/reconciliation", start=date, end=date)["data"]
    return tuple(tuple(row[name] for name in ("estimated", "logged", "unattributed")) for row in rows)


def test_reconciliation_says_what_events_explain(api: Api) -> None:
    first = log(api, AT + timedelta(minutes=50))
    log(api, AT + timedelta(hours=2))
    # Before the coverage, so it explains nothing.
    log(api, AT - timedelta(days=1))
    assert day(api, "2026-11-19") == ((Decimal("0.0105"), Decimal("0.0072"), Decimal("0.0033")),)
    assert day(api, "2026-11-18") == ((0, Decimal("0.0036"), 0),)
    assert api.http.post(f"/api/usage/{first}/void", json={"reason": "wrong"}).status_code == 200
    assert day(api, "2026-11-19") == ((Decimal("0.0105"), Decimal("0.0036"), Decimal("0.0069")),)
    for _ in range(3):
        log(api, AT)
    assert day(api, "2026-11-19") == ((Decimal("0.0105"), Decimal("0.0144"), Decimal("-0.0039")),)


def test_what_is_balanced_counts_as_reported(api: Api) -> None:
    def report(date: str, **filters: str) -> tuple[Any, str]:
        found = get(api, "/costs/daily", date=date, **filters)
        return found["total_cost"], found["coverage"]["basis"]

    log(api, AT + timedelta(minutes=50))
    assert report("2026-11-19") == (Decimal("0.0105"), "reported")
    # Of one project alone the balance is not seen: what it shows rests on the event.
    assert report("2026-11-19", project="Mine") == (Decimal("0.0036"), "estimated")
    assert report("2026-11-19", project="PeakPaws") == (Decimal("0.0069"), "reported")
    log(api, AT - timedelta(days=1))
    assert report("2026-11-18") == (Decimal("0.0036"), "estimated")
    whole = get(api, "/costs/range", start="2026-11-18", end="2026-11-19")
    assert (whole["total_cost"], whole["coverage"]["basis"]) == (Decimal("0.0141"), "mixed")
    # Nobody but the sender knows what a model without a price cost.
    log(api, AT, model="mystery-1", cost=0.5)
    assert report("2026-11-19") == (Decimal("0.5105"), "mixed")


def test_explain_shows_what_was_balanced(api: Api) -> None:
    log(api, AT)
    log(api, AT, model="mystery-1")
    found = get(api, "/costs/explain", date="2026-11-19")
    assert found["total_cost"] == Decimal("0.0105")
    assert {(row["model"], row["cost"]) for row in found["balanced"]} == {
        ("claude-sonnet-4-5", Decimal("-0.0036")), ("mystery-1", None),
    }  # fmt: skip
    assert sum(line["cost"] for line in found["lines"]) == Decimal("0.0141")


def test_a_dry_run_balances_nothing(api: Api) -> None:
    answer = api.http.post("/api/usage", params={"dry_run": "true"}, json={**EVENT, "recorded_at": AT.isoformat()})
    assert answer.status_code == 200, answer.text
    assert get(api, "/api/usage", source="attribution")["count"] == 0
    log(api, AT)
    [line] = get(api, "/api/usage", source="attribution")["data"]
    assert (line["recorded_at"], line["cost_usd"], line["project"]) == (
        "2026-11-19T14:00:00Z", Decimal("-0.0036"), "PeakPaws",
    )  # fmt: skip
