"""Every figure of every report equals the sum by hand over the provider's raw rows, in any zone, to the last digit."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.e2e.brute_force import BOOKED_FROM_THE_BILL, Fact, Sum, billed, by, facts, total
from tests.e2e.conftest import NOW, Service

# 90 days back, from midnight UTC.
START = datetime(2026, 8, 22, tzinfo=UTC)
END = datetime(2026, 11, 20, 11, tzinfo=UTC)
# Kolkata and Kathmandu cut days at half and quarter hours; New York leaves summer time on 2026-11-01.
ZONES = ("UTC", "Asia/Kolkata", "Asia/Kathmandu", "America/New_York")
KEYS = {
    "by-model": lambda fact: fact.model,
    "by-session-type": lambda fact: fact.session_type,
    "by-project": lambda fact: fact.project,
    "by-provider": lambda _: "anthropic",
    "by-agent": lambda _: "unassigned",
    "by-category": lambda _: "unassigned",
    "by-account": lambda _: "anthropic-demo",
    "by-user": lambda _: "unassigned",
    "by-session": lambda fact: fact.label or "unassigned",
    "by-source": lambda _: "api",
}
MAPS = {
    "by_model": KEYS["by-model"],
    "by_session_type": KEYS["by-session-type"],
    "by_project": KEYS["by-project"],
    "by_provider": KEYS["by-provider"],
    "by_agent": KEYS["by-agent"],
    "by_category": KEYS["by-category"],
}


@pytest.fixture(scope="module")
def truth(demo: Service) -> list[Fact]:
    found = facts(demo.fake, START, END)
    assert len(found) > 5000
    # Figures of at most ten decimals are printed whole, so the comparison below is one of all digits.
    assert all(-int(fact.cost.normalize().as_tuple().exponent) <= 10 for fact in found if fact.cost)
    return found


def local(fact: Fact, zone: str) -> date:
    return fact.at.astimezone(ZoneInfo(zone)).date()


def on(truth: Sequence[Fact], zone: str, first: date, last: date) -> list[Fact]:
    return [fact for fact in truth if first <= local(fact, zone) <= last]


def check_figures(answer: dict[str, Any], expected: Sequence[Fact]) -> None:
    whole = total(expected)
    assert answer["total_cost"] == whole.cost
    assert answer["requests"] == 0  # this report of Anthropic's does not count requests
    assert {name: answer["tokens"][name] for name in whole.tokens} == whole.tokens
    for name, key in MAPS.items():
        assert answer[name] == {group: found.cost for group, found in by(expected, key).items()}, name
        assert sum(answer[name].values()) == answer["total_cost"]


def check_coverage(answer: dict[str, Any], whole: Sum) -> None:
    assert answer["coverage"] == {
        "complete_until": "2026-11-20T10:20:00Z",
        "basis": "reported",
        "unpriced_requests": 0,
        "unpriced_tokens": whole.unpriced,
        "quarantined_rows": 0,
        "quarantined_cost": 0,
        "demo": True,
    }


@pytest.mark.parametrize("zone", ZONES)
def test_every_day_of_a_range(demo: Service, truth: list[Fact], zone: str) -> None:
    answer = demo.get("/costs/range", start="2026-08-22", end="2026-11-20", tz=zone)
    first, last = date(2026, 8, 22), date(2026, 11, 20)
    inside = on(truth, zone, first, last)
    assert answer["total_cost"] == total(inside).cost == sum(day["total_cost"] for day in answer["periods"])
    assert len(answer["periods"]) == 91
    for index, period in enumerate(answer["periods"]):
        day = first + timedelta(days=index)
        assert period["date"] == day.isoformat()
        check_figures(period, [fact for fact in inside if local(fact, zone) == day])
    check_coverage(answer, total(inside))


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("day", ["2026-10-31", "2026-11-01", "2026-11-02", "2026-11-17"])
def test_one_day(demo: Service, truth: list[Fact], zone: str, day: str) -> None:
    answer = demo.get("/costs/daily", date=day, tz=zone)
    expected = on(truth, zone, date.fromisoformat(day), date.fromisoformat(day))
    assert answer["date"] == day
    check_figures(answer, expected)
    check_coverage(answer, total(expected))


@pytest.mark.parametrize("zone", ZONES)
def test_every_hour_around_the_change_of_clocks(demo: Service, truth: list[Fact], zone: str) -> None:
    answer = demo.get("/costs/range", start="2026-10-31", end="2026-11-02", tz=zone, group_by="hour")
    assert len(answer["periods"]) == (73 if zone == "America/New_York" else 72)
    for period in answer["periods"]:
        start, end = (datetime.fromisoformat(period[name]) for name in ("start", "end"))
        assert end - start == timedelta(hours=1)
        assert period["hour"] == start.astimezone(ZoneInfo(zone)).hour
        check_figures(period, [fact for fact in truth if start <= fact.at < end])
    assert answer["total_cost"] == sum(period["total_cost"] for period in answer["periods"])


@pytest.mark.parametrize("zone", ZONES)
def test_weeks_begin_on_monday_and_are_clipped(demo: Service, truth: list[Fact], zone: str) -> None:
    answer = demo.get("/costs/range", start="2026-10-07", end="2026-11-18", tz=zone, group_by="week")
    inside = on(truth, zone, date(2026, 10, 7), date(2026, 11, 18))
    weeks = by(inside, lambda fact: local(fact, zone) - timedelta(days=local(fact, zone).weekday()))
    assert [period["date"] for period in answer["periods"]] == sorted(day.isoformat() for day in weeks)
    assert {date.fromisoformat(p["date"]): p["total_cost"] for p in answer["periods"]} == {
        day: found.cost for day, found in weeks.items()
    }


@pytest.mark.parametrize("zone", ZONES)
def test_months(demo: Service, truth: list[Fact], zone: str) -> None:
    answer = demo.get("/costs/range", start="2026-08-22", end="2026-11-20", tz=zone, group_by="month")
    inside = on(truth, zone, date(2026, 8, 22), date(2026, 11, 20))
    for period in answer["periods"]:
        month = [fact for fact in inside if local(fact, zone).strftime("%Y-%m-01") == period["date"]]
        check_figures(period, month)
    assert len(answer["periods"]) == 4


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(("name", "days"), [("weekly", 7), ("monthly", 30)])
def test_summaries(demo: Service, truth: list[Fact], zone: str, name: str, days: int) -> None:
    answer = demo.get(f"/costs/summary/{name}", tz=zone)
    today = NOW.astimezone(ZoneInfo(zone)).date()
    first = today - timedelta(days=days - 1)
    expected = on(truth, zone, first, today)
    assert (answer["start"], answer["end"], answer["days"]) == (first.isoformat(), today.isoformat(), days)
    check_figures(answer, expected)
    before = total(on(truth, zone, first - timedelta(days=days), first - timedelta(days=1))).cost
    assert answer["previous"] == {
        "start": (first - timedelta(days=days)).isoformat(),
        "end": (first - timedelta(days=1)).isoformat(),
        "total_cost": before,
    }
    assert answer["change_pct"] == ((total(expected).cost - before) / before * 100).quantize(Decimal("0.01"))


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("path", KEYS)
def test_breakdowns(demo: Service, truth: list[Fact], zone: str, path: str) -> None:
    answer = demo.get(f"/costs/{path}", start="2026-08-22", end="2026-11-20", tz=zone)
    inside = on(truth, zone, date(2026, 8, 22), date(2026, 11, 20))
    whole = total(inside)
    expected = by(inside, KEYS[path])
    assert answer["total_cost"] == whole.cost == sum(row["cost"] for row in answer["data"])
    assert {row["key"]: row["cost"] for row in answer["data"]} == {key: found.cost for key, found in expected.items()}
    for row in answer["data"]:
        found = expected[row["key"]]
        assert {name: row["tokens"][name] for name in found.tokens} == found.tokens
        assert row["unpriced_tokens"] == found.unpriced
        assert row["share"] == (found.cost / whole.cost).quantize(Decimal("0.000001"))
    costs = [row["cost"] for row in answer["data"]]
    assert costs == sorted(costs, reverse=True)
    check_coverage(answer, whole)


@pytest.mark.parametrize("zone", ZONES)
def test_token_classes(demo: Service, truth: list[Fact], zone: str) -> None:
    answer = demo.get("/costs/by-token-class", start="2026-08-22", end="2026-11-20", tz=zone)
    expected: dict[str, Decimal] = {}
    for fact in on(truth, zone, date(2026, 8, 22), date(2026, 11, 20)):
        for name, cost in fact.costs.items():
            expected[name] = expected.get(name, Decimal(0)) + cost
    assert {row["key"]: row["cost"] for row in answer["data"]} == expected


def test_the_rows_past_the_limit_are_one(demo: Service, truth: list[Fact]) -> None:
    answer = demo.get("/costs/by-session", start="2026-08-22", end="2026-11-20", limit="3")
    sessions = by(on(truth, "UTC", date(2026, 8, 22), date(2026, 11, 20)), KEYS["by-session"])
    other = answer["data"][-1]
    assert (other["key"], other["is_other"], len(answer["data"])) == (None, True, 4)
    assert other["cost"] == sum(sorted((found.cost for found in sessions.values()), reverse=True)[3:])


def is_kanban_heartbeat(fact: Fact) -> bool:
    return (fact.session_type, fact.project) == ("heartbeat", "Kanban Board")


@pytest.mark.parametrize(
    ("filters", "keep"),
    [
        ({"model": "Claude-Sonnet-4-5-20250929"}, lambda f: f.model == "claude-sonnet-4-5"),
        ({"project": ["PeakPaws", "General"]}, lambda f: f.project in {"PeakPaws", "General"}),
        ({"session_type": "heartbeat", "project": "Kanban Board"}, is_kanban_heartbeat),
        ({"session_label": "peakpaws-main"}, lambda f: f.label == "peakpaws-main"),
        ({"session_label": ["unassigned", "peakpaws-main"]}, lambda f: f.label in {None, "peakpaws-main"}),
        ({"request_type": "code_execution"}, lambda f: f.request_type == "code_execution"),
        ({"provider": "Claude", "account": "anthropic-demo", "source": "api", "user": "unassigned"}, lambda _: True),
        ({"project": "Nobody's"}, lambda _: False),
        ({"tag": "team:red"}, lambda _: False),
    ],
)  # fmt: skip
def test_filters(demo: Service, truth: list[Fact], filters: dict[str, Any], keep: Callable[[Fact], bool]) -> None:
    answer = demo.get("/costs/by-model", start="2026-10-01", end="2026-11-20", tz="Asia/Kathmandu", **filters)
    inside = [f for f in on(truth, "Asia/Kathmandu", date(2026, 10, 1), date(2026, 11, 20)) if keep(f)]
    assert {row["key"]: row["cost"] for row in answer["data"]} == {
        key: found.cost for key, found in by(inside, KEYS["by-model"]).items()
    }


@pytest.mark.parametrize("zone", ZONES)
def test_explain_adds_up_line_by_line(demo: Service, truth: list[Fact], zone: str) -> None:
    answer = demo.get("/costs/explain", date="2026-11-17", tz=zone)
    expected = on(truth, zone, date(2026, 11, 17), date(2026, 11, 17))
    assert answer["total_cost"] == total(expected).cost == sum(line["cost"] for line in answer["lines"])
    for line in answer["lines"]:
        for part in line["classes"]:
            assert part["quantity"] * Decimal(part["price"]) / part["per"] == part["cost"]
        if line["classes"]:
            assert sum(part["cost"] for part in line["classes"]) == line["cost"]
            assert line["price"]["source"] == "catalogue"
        else:
            assert line["model"] in BOOKED_FROM_THE_BILL
    assert sum(row["tokens"] for row in answer["unpriced"]) == total(expected).unpriced


def test_reconciliation_compares_each_utc_day_with_the_bill(demo: Service, truth: list[Fact]) -> None:
    answer = demo.get("/costs/reconciliation", start="2026-08-22", end="2026-11-20")
    bill = billed(demo.fake, START, END)
    estimates = by(truth, lambda fact: local(fact, "UTC"))
    assert len(answer["data"]) == 91
    for row in answer["data"]:
        day = date.fromisoformat(row["date"])
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
        assert row["estimated"] == estimates[day].cost
        if midnight in bill:
            assert row["billed"] == bill[midnight]
            assert row["drift"] == estimates[day].cost - bill[midnight]
        else:
            assert (row["billed"], row["drift"]) == (None, None)
    # The unpriced model is billed; today has no bill yet; everything else agrees.
    assert [row["date"] for row in answer["data"] if row["billed"] is None] == ["2026-11-20"]
    off = [row for row in answer["data"] if row["drift"] is not None and abs(row["drift"]) > Decimal("0.01")]
    assert off
    assert all(row["unpriced_tokens"] > 0 and "claude-nimbus-preview" in row["reason"] for row in off)


def test_flat_shape_is_a_bare_array_of_scalars(demo: Service) -> None:
    for path in ("/costs/range", "/costs/by-model"):
        rows = demo.get(path, start="2026-11-16", end="2026-11-18", shape="flat")
        assert len(rows) >= 3
        assert all(not isinstance(value, dict | list) for row in rows for value in row.values())


def test_verify_finds_no_drift(demo: Service) -> None:
    run = demo.post("/admin/verify")
    assert (run["status"], run["result"]["drift"]) == ("succeeded", [])


def test_collecting_again_over_http_changes_nothing(demo: Service) -> None:
    before = demo.get("/costs/range", start="2026-08-22", end="2026-11-20")
    run = demo.post("/admin/collect", wait="28")
    [account] = run["result"]["accounts"]
    assert [(s["new"], s["changed"], s["removed"]) for s in account["streams"]] == [(0, 0, 0), (0, 0, 0)]
    assert demo.get("/costs/range", start="2026-08-22", end="2026-11-20") == before
