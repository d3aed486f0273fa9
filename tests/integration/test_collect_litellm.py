"""A LiteLLM proxy beside the providers it calls: its requests say who and what, and never cost anything on top."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.demo.openai.data import FixedDataset
from infra.demo.openai.fake import FakeOpenAI
from shared.core import crash
from shared.core.windows import Plan
from shared.providers.http import Budget
from shared.providers.registry import REGISTRY
from shared.store.database import Connection, Database
from shared.workflows.attribute import rebuild
from shared.workflows.collect import AccountReport, Source, collect
from shared.workflows.ingest import Options, ingest
from shared.workflows.outcomes import Report
from shared.workflows.pricing import load_book
from shared.workflows.verify import verify
from tests.fixtures.imported import read, rows
from tests.fixtures.providers.litellm_proxy import ADDRESS, MASTER_KEY, PROMPT, FakeProxy, request
from tests.integration.account_world import World
from tests.integration.collecting import CATALOGUE, NOW, tables
from tests.integration.collecting_openai import AT, DAY, HOUR, KEYS, PROJECTS, chat, collected

SECOND = timedelta(seconds=1)
REQUESTS = [
    *(request(f"r{number}", AT + SECOND * (number // 2)) for number in range(230)),
    request("failed", AT + HOUR, status="failure", spend=0, custom_llm_provider=""),
    request("cached", AT + HOUR, cache_hit="True", spend=0),
    request("claude", AT + HOUR, model="claude-sonnet-4-5", custom_llm_provider="anthropic"),
    request("odd", AT + HOUR, prompt_tokens=-4),
    request("long", AT + HOUR, session_id="s" * 2000),
]
TAKEN = len(REQUESTS) - 3


@pytest.fixture
def proxy() -> Iterator[FakeProxy]:
    # An old one, so that there are pages.
    with FakeProxy(REQUESTS, most=100) as server:
        yield server


def polled(
    database: Database,
    proxy: FakeProxy,
    now: datetime = NOW,
    remaining: Callable[[], float] = lambda: float("inf"),
) -> AccountReport:
    patient = Budget(deadline=float("inf"), clock=lambda: 0.0, sleep=lambda _: None)
    provider = REGISTRY["litellm"].connect(MASTER_KEY, httpx.Client(trust_env=False), patient, proxy.url)
    plan = Plan(now=now, lookback=3 * DAY, backfill=10 * DAY)
    source = Source("litellm", "environment", provider)
    [report] = collect(database, [source], lambda c: load_book(c, CATALOGUE), plan, remaining)
    return report


def fed(report: AccountReport) -> dict[str, int]:
    assert report.status == "succeeded", report
    [stream] = report.as_json()["streams"]
    counts: dict[str, Any] = {**stream["feed"], "pages": stream["pages"]}
    assert (stream["new"], stream["unchanged"]) == (counts["created"], counts["duplicates"])
    return {name: count for name, count in counts.items() if name not in {"reasons", "pages"} and count}


def lines(connection: Connection, *sources: str) -> list[dict[str, Any]]:
    return connection.execute(
        "SELECT * FROM ledger WHERE source = ANY(%s) ORDER BY event_id", [list(sources)]
    ).fetchall()


def sums(connection: Connection, *sources: str) -> dict[str, Any] | None:
    return connection.execute(
        "SELECT sum(cost) AS cost, sum(input_tokens) AS input, sum(output_tokens) AS output, sum(requests) AS requests "
        "FROM rollup_quarter WHERE source = ANY(%s)",
        [list(sources)],
    ).fetchone()


def test_requests_are_read_once_and_what_is_missing_is_told(
    database: Database, connection: Connection, proxy: FakeProxy
) -> None:
    first = polled(database, proxy)
    assert fed(first) == {"created": TAKEN, "skipped": 1, "rejected": 2}
    [stream] = first.as_json()["streams"]
    assert stream["pages"] == 3
    assert sorted((one["count"], one["first_at"]) for one in stream["feed"]["reasons"]) == [(1, AT + HOUR)] * 2
    assert any("-4 is no count" in one["reason"] for one in stream["feed"]["reasons"])
    assert any("session_label has 2000 bytes" in one["reason"] for one in stream["feed"]["reasons"])
    [line] = [one for one in lines(connection, "event") if one["event_id"] == "litellm:r0"]
    assert (line["provider"], line["model"], line["account_id"]) == ("openai", "gpt-5-mini", None)
    assert (line["agent"], line["session_label"], line["tags"]) == (
        "ci",
        "peakpaws-main",
        {"nightly": "true", "team": "team-1"},
    )
    # Ours by price, its own beside it: neither is added to the other.
    assert (line["cost"], line["reported_cost"]) == (Decimal("0.00045"), Decimal("0.0123"))
    everything = repr(tables(connection)) + repr(first.as_json())
    assert PROMPT not in everything
    assert ADDRESS not in everything
    # Again: nothing new. Then one that was answered late, one that says something else now, and one after all.
    assert fed(polled(database, proxy)) == {"duplicates": TAKEN, "skipped": 1, "rejected": 2}
    before = sums(connection, "event")
    proxy.rows = [{**row, "spend": 0.5} if row["request_id"] == "r7" else row for row in REQUESTS]
    proxy.rows += [request("late", AT + SECOND * 3), request("new", NOW + HOUR)]
    again = polled(database, proxy, now=NOW + 6 * HOUR)
    assert fed(again) == {"created": 2, "duplicates": TAKEN - 1, "conflicts": 1, "skipped": 1, "rejected": 2}
    after = sums(connection, "event")
    assert before is not None
    assert after is not None
    assert after["cost"] - before["cost"] == 2 * line["cost"]
    assert verify(database, repair=False)["drift"] == []


def test_an_imported_export_is_not_counted_again(
    database: Database, connection: Connection, proxy: FakeProxy, tmp_path: Path
) -> None:
    file = tmp_path / "spend.json"
    file.write_text(json.dumps({"data": REQUESTS}))
    sent = rows(read(file, "litellm").units)
    report = _sent(database, sent)
    assert [outcome.status for outcome in report.outcomes].count("created") == TAKEN
    before = sums(connection, "event", "import")
    assert fed(polled(database, proxy)) == {"duplicates": TAKEN, "skipped": 1, "rejected": 2}
    assert sums(connection, "event", "import") == before
    assert {line["source"] for line in lines(connection, "event", "import")} == {"import"}


def _sent(database: Database, sent: list[dict[str, Any]]) -> Report:
    options = Options(source="import", touched=rebuild)
    return ingest(database, lambda c: load_book(c, CATALOGUE), sent, NOW, options)


@pytest.mark.parametrize("first", ["the proxy", "the report", "the proxy, without an account"])
def test_where_the_upstream_is_polled_requests_explain_its_report(
    database: Database, connection: Connection, proxy: FakeProxy, first: str
) -> None:
    data = FixedDataset(usage_rows=[chat()], projects=PROJECTS, keys=KEYS)
    with FakeOpenAI(data, clock=lambda: NOW) as upstream:
        if first == "the proxy, without an account":
            polled(database, proxy)
            assert [line["account_id"] for line in lines(connection, "event")] == [None] * TAKEN
            collected(database, upstream)
            assert fed(polled(database, proxy)) == {"duplicates": TAKEN, "skipped": 1, "rejected": 2}
        elif first == "the proxy":
            # Its account is there, and has no figures yet.
            upstream.dataset = FixedDataset(projects=PROJECTS)
            collected(database, upstream, now=NOW - 9 * DAY)
            upstream.dataset = data
            polled(database, proxy)
            collected(database, upstream)
        else:
            collected(database, upstream)
            polled(database, proxy)
    report = sums(connection, "api")
    [claude] = [line for line in lines(connection, "event") if line["provider"] == "anthropic"]
    assert claude["account_id"] is None
    told = sums(connection, "api", "event", "attribution")
    assert report is not None
    assert told is not None
    # What is left beside the report is what its provider did not sell.
    assert told["cost"] - report["cost"] == claude["cost"]
    assert told["input"] - report["input"] == claude["input_tokens"]
    by_agent = connection.execute("SELECT sum(requests) AS n FROM rollup_quarter WHERE agent = 'ci'").fetchone()
    assert by_agent == {"n": TAKEN}
    assert verify(database, repair=False)["drift"] == []


class _KilledError(BaseException):
    """The process dies here."""


def test_a_kill_between_pages_or_no_time_leaves_what_an_undisturbed_run_leaves(
    database: Database, connection: Connection, proxy: FakeProxy
) -> None:
    polled(database, proxy)
    undisturbed = _said(connection)
    for last in range(3):
        connection.execute("TRUNCATE accounts, ledger, rates, rollup_quarter, rollup_day, model_names CASCADE")
        passed: list[str] = []

        def kill(point: str, passed: list[str] = passed, last: int = last) -> None:
            passed.append(point)
            if passed.count("ingest:answered") > last:
                raise _KilledError

        with crash.watched(kill), pytest.raises(_KilledError):
            polled(database, proxy)
        before = len(proxy.requests)
        [stream] = polled(database, proxy).streams
        # Stored, but the place was not noted: that page is read again and no other, after who it is and its size.
        assert (stream.pages, len(proxy.requests) - before) == (3 - last, 1 + (last == 0) + 3 - last)
        assert _said(connection) == undisturbed
    connection.execute("TRUNCATE accounts, ledger, rates, rollup_quarter, rollup_day, model_names CASCADE")
    left = iter([100.0, 100.0, 0.0])
    cut = polled(database, proxy, remaining=lambda: next(left, 0.0))
    assert (cut.status, cut.streams[0].pages) == ("partial", 1)
    # Days later, too: the place is a time, and what came since has a window of its own.
    proxy.rows.append(request("new", NOW + DAY))
    rest, news = polled(database, proxy, now=NOW + 2 * DAY).streams
    assert (rest.why, rest.window_end, rest.pages, news.why) == ("continued", NOW, 2, "trailing")
    assert [one for one in _said(connection) if one[0] != "litellm:new"] == undisturbed
    assert len(_said(connection)) == TAKEN + 1


def _said(connection: Connection) -> list[tuple[Any, ...]]:
    return [
        (line["event_id"], line["recorded_at"], line["cost"], line["reported_cost"], line["session_label"])
        for line in lines(connection, "event")
    ]


def test_its_account_is_well_without_being_waited_for(world: World, proxy: FakeProxy) -> None:
    body = {"name": "gateway", "provider": "litellm", "credential": MASTER_KEY, "options": {"base_url": proxy.url}}
    made = world.ok("POST", "/api/accounts", body)["data"]
    assert world.ok("POST", f"/api/accounts/{made['id']}/test")["message"].startswith("The key works for the LiteLLM")
    world.add()
    run = world.ok("POST", "/admin/collect", {}, wait="28")
    assert run["status"] == "succeeded", run
    assert run["result"]["accounts"][0]["streams"][0]["feed"]["created"] == TAKEN
    account = world.ok("GET", f"/api/accounts/{made['id']}")["data"]
    assert (account["state"], account["error"], account["collected_at"]) == ("ok", None, "2026-11-20T10:30:00Z")
    # It holds no figures of its own, so nothing of it is complete, late or reconciled, and nobody waits for it.
    assert (account["covered_from"], account["complete_until"], account["lag_seconds"]) == (None, None, None)
    assert world.ok("GET", "/costs/daily")["coverage"]["complete_until"] == "2026-11-20T10:20:00Z"
    assert "gateway" not in {row["account"] for row in world.ok("GET", "/costs/reconciliation")["data"]}
    [service] = [one for one in world.ok("GET", "/api/services")["data"] if one["id"] == "litellm"]
    assert (service["tracked"], service["has_account"]) == ("api", True)
    # Taking it away takes none of the requests away: they belong to whom they were made to.
    world.ok("DELETE", f"/api/accounts/{made['id']}", wait="28")
    assert {row["key"]: row["requests"] for row in world.ok("GET", "/costs/by-agent")["data"]}["ci"] == TAKEN
