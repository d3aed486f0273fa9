"""Quarantine over HTTP: what reports, accounts and reconciliation say of held rows, and deciding about them."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from functions import jobs, metrics
from infra.demo.anthropic import FakeAnthropic
from infra.demo.dataset import ApiKey, CostRow, FixedDataset, UsageRow
from shared.store import runs
from tests.integration.account_world import World
from tests.integration.collecting import NOW

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SONNET = "claude-sonnet-4-5"
AT = NOW.replace(minute=0) - HOUR
DATE = AT.date().isoformat()
USUAL = [
    UsageRow(AT - day * DAY, SONNET, uncached_input_tokens=1_000_000, api_key_id="apikey_a") for day in range(1, 9)
]
ABSURD = [
    replace(USUAL[0], at=AT, uncached_input_tokens=2_000_000_000),
    replace(USUAL[0], at=AT, uncached_input_tokens=2_000_000_000_000, model="claude-nobody-knows"),
]


@pytest.fixture
def world(opened: Callable[..., World]) -> Iterator[World]:
    """A polled account with two rows in quarantine, one of them without a price."""
    data = FixedDataset(
        list(USUAL),
        [CostRow(AT - DAY, Decimal(300), "Sonnet usage", model=SONNET)],
        [ApiKey("apikey_a", "peakpaws-main")],
    )
    with FakeAnthropic(data, clock=lambda: NOW + DAY) as fake:
        found = opened(env=fake, clock=lambda: NOW - HOUR)
        found.ok("POST", "/admin/collect", wait="20")
        data.usage_rows.extend(ABSURD)
        yield opened(env=fake)


def held(world: World, path: str, **params: str) -> tuple[int, Decimal]:
    coverage = world.ok("GET", path, **params)["coverage"]
    return coverage["quarantined_rows"], Decimal(coverage["quarantined_cost"])


def test_rows_that_are_held_are_told_everywhere_and_decided_about(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    run = world.ok("POST", "/admin/collect", wait="20")
    assert run["status"] == "succeeded"
    [stream, _] = run["result"]["accounts"][0]["streams"]
    assert (stream["stream"], stream["why"], stream["held"]) == ("usage", "trailing", 2)
    # Every report that they would touch says so, and no other.
    for path in ("/costs/daily", "/costs/explain"):
        assert held(world, path, date=DATE) == (2, Decimal(6000))
        assert held(world, path, date="2026-11-19") == (0, Decimal(0))
    for path in ("/costs/range", "/costs/by-model", "/costs/reconciliation"):
        assert held(world, path, start="2026-11-01", end=DATE) == (2, Decimal(6000))
        assert held(world, path, start="2026-11-01", end="2026-11-19") == (0, Decimal(0))
    assert held(world, "/costs/daily", date=DATE, model="claude-nobody-knows") == (1, Decimal(0))
    for none in ({"project": "General"}, {"account": "none"}, {"agent": "coder"}, {"tag": "a:b"}, {"source": "event"}):
        assert held(world, "/costs/daily", date=DATE, **none) == (0, Decimal(0))
    for both in (
        {"project": "PeakPaws"},
        {"account": "anthropic"},
        {"agent": "unassigned"},
        {"session_label": "peakpaws-main"},
    ):
        assert held(world, "/costs/daily", date=DATE, **both)[0] == 2
    assert world.ok("GET", "/costs/daily", date=DATE)["total_cost"] == 0
    assert [one["quarantined_rows"] for one in world.ok("GET", "/api/accounts")["data"]] == [2]
    [day, before] = world.ok("GET", "/costs/reconciliation", start="2026-11-19", end=DATE)["data"]
    assert (day["date"], day["estimated"]) == (DATE, 0)
    assert day["reason"] == "2 rows are in quarantine and in no figure; release or drop them, GET /admin/quarantine."
    assert before["reason"] == "The estimate and the bill agree."

    page = world.ok("GET", "/admin/quarantine", limit="1")
    rest = world.ok("GET", "/admin/quarantine", limit="1", cursor=page["next_cursor"])
    assert (page["has_more"], rest["has_more"], rest["next_cursor"]) == (True, False, None)
    rows = {row["model"]: row for row in (*page["data"], *rest["data"])}
    priced, unpriced = rows[SONNET], rows["claude-nobody-knows"]
    assert (priced["cost"], priced["usual_cost"], priced["project"]) == (6000, 3, "PeakPaws")
    assert (unpriced["cost"], unpriced["tokens"], unpriced["usual_tokens"]) == (None, 2 * 10**12, 10**6)
    assert priced["raw_data"]["uncached_input_tokens"] == 2 * 10**9
    [flat, _] = world.ok("GET", "/admin/quarantine", shape="flat")
    assert "raw_data" not in flat

    capsys.readouterr()
    run_id = world.app.database.run(lambda c: runs.start(c, "collect", {}, NOW))
    metrics.of_run(world.app, jobs.work(world.app, run_id, lambda: float("inf")))
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "RowsQuarantined" in line]
    assert [line["RowsQuarantined"] for line in said] == [[2.0]]

    path = f"/admin/quarantine/{priced['id']}"
    done = world.ok("POST", path, {"action": "release", "reason": "the migration"})["data"]
    assert (done["state"], done["reason"], done["decided_by"]) == ("released", "the migration", "API_KEY")
    assert world.ok("POST", path, {"action": "release"})["data"] == done
    assert world.ok("GET", "/costs/daily", date=DATE)["total_cost"] == 6000
    assert held(world, "/costs/daily", date=DATE) == (1, Decimal(0))
    world.ok("POST", f"/admin/quarantine/{unpriced['id']}", {"action": "drop"})
    assert held(world, "/costs/daily", date=DATE) == (0, Decimal(0))
    states = {
        state: len(world.ok("GET", "/admin/quarantine", state=state)["data"])
        for state in ("held", "released", "dropped", "all")
    }
    assert states == {"held": 0, "released": 1, "dropped": 1, "all": 2}


@pytest.mark.parametrize(
    ("status", "path", "body", "said"),
    [
        (404, "/admin/quarantine/999", {"action": "drop"}, "There is no row 999 in quarantine"),
        (404, "/admin/quarantine/x", {"action": "drop"}, "ids are whole numbers"),
        (400, "/admin/quarantine/1", {"action": "released"}, "did you mean release?"),
        (400, "/admin/quarantine/1", {}, "The action is release or drop."),
        (400, "/admin/quarantine/1", {"action": "drop", "reason": 5}, "reason"),
        (400, "/admin/quarantine/1", {"action": "drop", "why": "x"}, "why"),
    ],
)
def test_what_cannot_be_decided(opened: Callable[..., World], status: int, path: str, body: object, said: str) -> None:
    assert said in opened().refused(status, "POST", path, body)


def test_a_cursor_of_another_list(opened: Callable[..., World]) -> None:
    assert "not one of ours" in opened().refused(400, "GET", "/admin/quarantine", cursor="abc")
