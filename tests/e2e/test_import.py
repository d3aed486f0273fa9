"""Logs of Claude Code into a real ledger: the report is the sum by hand over de-duplicated lines."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql

from tests.e2e.commands import Cli, local, served
from tests.fixtures.claude_lines import SECRET, SESSION, answer, append, progress, prompt, usage, write

if TYPE_CHECKING:
    from pathlib import Path

MONTH = ("--start-date", "2026-11-01", "--end-date", "2026-11-22")
# USD per million of claude-sonnet-4-5, and of claude-haiku-4-5: input, output, read, 5-minute and 1-hour writes.
SONNET = tuple(Decimal(price) for price in ("3", "15", "0.30", "3.75", "6"))
HAIKU = tuple(Decimal(price) for price in ("1", "5", "0.10", "1.25", "2"))


def by_hand(prices: tuple[Decimal, ...], *counts: int) -> Decimal:
    return sum((price * count for price, count in zip(prices, counts, strict=True)), Decimal()) / 1_000_000


@pytest.fixture
def environ(postgres_dsn: str, tmp_path: Path) -> dict[str, str]:
    return local(postgres_dsn, tmp_path / "home")


@pytest.fixture
def cli(environ: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    return Cli(capsys, monkeypatch, environ)


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of Claude Code with every trap there is."""
    folder = tmp_path / "claude" / "projects" / "-home-me-atlas"
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path / "claude"))
    helper = answer(
        "msg_H", "req_H", usage(20, 5, 300), model="claude-haiku-4-5-20251001", at="2026-11-19T10:00:30.000Z",
        isSidechain=True, agentId="a1",
    )  # fmt: skip
    write(
        folder / f"{SESSION}.jsonl",
        {"type": "summary", "summary": SECRET, "leafUuid": "x"},
        prompt(),
        # Streamed: three blocks, the last one is the whole.
        answer("msg_A", "req_A", usage(10, 1, 12_000, 1_000, 2_000)),
        answer("msg_A", "req_A", usage(10, 40, 12_000, 1_000, 2_000), at="2026-11-19T10:00:01.000Z"),
        answer("msg_A", "req_A", usage(10, 240, 12_000, 1_000, 2_000), at="2026-11-19T10:00:02.000Z"),
        answer("x", None, usage(0, 0), model="<synthetic>", at="2026-11-19T10:00:03.000Z", isApiErrorMessage=True),
        progress(helper),
        # Below the session's folder, and a search.
        answer(
            "msg_C", "req_C", usage(100, 50, server_tool_use={"web_search_requests": 2}),
            at="2026-11-20T00:30:00.000Z", cwd="/home/me/atlas/web",
        ),
    )  # fmt: skip
    write(
        folder / SESSION / "subagents" / "agent-a1.jsonl",
        helper,
        # A side chain that replays its parent under another request.
        answer("msg_A", "req_R", usage(10, 240, 12_000, 1_000, 2_000), isSidechain=True, agentId="a1"),
    )
    # A fork copies history.
    write(
        folder / "5d0c9d2e-0000-4000-8000-000000000002.jsonl",
        answer("msg_A", "req_A", usage(10, 240, 12_000, 1_000, 2_000), forkedFrom={"sessionId": SESSION}),
        answer("msg_D", "req_D", usage(1, 1), at="2026-11-20T09:00:00.000Z", cwd="/home/me/peakpaws-api"),
        end="",
    )
    return folder


WHOLE = (
    by_hand(SONNET, 10, 240, 12_000, 1_000, 2_000)
    + by_hand(HAIKU, 20, 5, 300, 0, 0)
    + by_hand(SONNET, 100, 50, 0, 0, 0)
    + 2 * Decimal("0.01")
    + by_hand(SONNET, 1, 1, 0, 0, 0)
)


def test_the_report_is_the_sum_by_hand(cli: Cli, logs: Path) -> None:
    dry = cli.json("import", "claude-code", "--dry-run")
    assert (dry["kept"], dry["created"], dry["cost"]) == (4, 4, WHOLE)
    found = cli.json("import", "claude-code")
    assert logs.is_dir()
    assert (found["files"], found["lines"], found["kept"], found["created"]) == (3, 12, 4, 4)
    assert found["dropped"] == {"streamed": 2, "nested": 1, "replayed": 1, "copied": 1}
    assert found["skipped"] == {"synthetic": 1}
    assert (found["accounts_made"], found["rejected"], found["unpriced"]) == (["claude-code"], 0, {})
    report = cli.json("report", *MONTH)
    assert (report["total_cost"], report["requests"]) == (WHOLE, 4)
    assert {row["key"]: row["cost"] for row in report["by_project"]} == {
        "atlas": WHOLE - by_hand(SONNET, 1, 1, 0, 0, 0), "PeakPaws": by_hand(SONNET, 1, 1, 0, 0, 0),
    }  # fmt: skip
    assert {row["key"]: row["cost"] for row in report["by_session_type"]} == {
        "main": WHOLE - by_hand(HAIKU, 20, 5, 300, 0, 0), "subagent": by_hand(HAIKU, 20, 5, 300, 0, 0),
    }  # fmt: skip
    assert report["tokens"]["cache_write_1h"] == 2_000
    assert [row["key"] for row in cli.json("report", "--by", "source", *MONTH)["by_source"]] == ["import"]


def test_again_stores_nothing_and_ends_with_3(cli: Cli, logs: Path) -> None:
    cli.json("import", "claude-code")
    again = cli("import", "claude-code")
    assert (again.code, again.out, again.err) == (3, "", "Nothing new: 3 files have been imported before.\n")
    found = cli.json("import", str(logs), "--rescan")
    assert (found["created"], found["already_there"], found["rejected"]) == (0, 4, 0)
    assert cli.json("report", *MONTH)["total_cost"] == WHOLE


def test_what_is_added_is_read_and_nothing_else(cli: Cli, logs: Path) -> None:
    cli.json("import", "claude-code")
    log = logs / f"{SESSION}.jsonl"
    line = json.dumps(answer("msg_E", "req_E", usage(1000, 0), at="2026-11-20T11:00:00.000Z"))
    append(log, line[:70])
    assert cli("import", "claude-code").code == 3
    append(log, f"{line[70:]}\n")
    found = cli.json("import", "claude-code")
    assert (found["files"], found["unchanged_files"], found["lines"], found["created"]) == (1, 2, 1, 1)
    assert found["bytes"] == len(line) + 1
    assert cli.json("report", *MONTH)["total_cost"] == WHOLE + Decimal("0.003")


def test_a_response_that_grew_between_two_imports_counts_once_and_whole(cli: Cli, logs: Path) -> None:
    log = write(logs / "grows.jsonl", answer("msg_G", "req_G", usage(1000, 10)))
    cli.json("import", str(log))
    assert cli.json("report", *MONTH)["total_cost"] == Decimal("0.00315")
    append(log, json.dumps(answer("msg_G", "req_G", usage(1000, 1000), at="2026-11-19T10:00:09.000Z")) + "\n")
    found = cli.json("import", str(log))
    assert (found["revised"], found["created"], found["rejected"]) == (1, 0, 0)
    report = cli.json("report", *MONTH)
    assert (report["total_cost"], report["requests"]) == (Decimal("0.018"), 1)
    # Without any memory of it, and once more.
    for _ in range(2):
        assert cli.json("import", str(log), "--rescan")["already_there"] == 1
        assert cli.json("report", *MONTH)["total_cost"] == Decimal("0.018")


def test_a_parent_that_comes_after_its_side_chain_takes_its_place(cli: Cli, logs: Path) -> None:
    write(logs / "s" / "subagents" / "agent-z.jsonl", answer("msg_P", "req_S", usage(10, 10), isSidechain=True))
    cli.json("import", str(logs / "s"))
    write(logs / "parent.jsonl", answer("msg_P", "req_P", usage(10, 10)))
    found = cli.json("import", str(logs / "parent.jsonl"))
    assert found["created"] == 1
    report = cli.json("report", *MONTH)
    assert (report["requests"], [row["key"] for row in report["by_session_type"]]) == (1, ["main"])


def test_it_is_the_same_over_http(cli: Cli, logs: Path, environ: dict[str, str]) -> None:
    with served(environ) as service:
        found = cli.json("import", str(logs), "--url", service.url, "--key", service.tracker.key)
        assert (found["created"], found["accounts_made"]) == (4, ["claude-code"])
        report = cli.json("report", *MONTH, "--url", service.url, "--key", service.tracker.key)
    assert report["total_cost"] == WHOLE


def test_nothing_but_counts_and_ids_is_kept(cli: Cli, logs: Path, environ: dict[str, str], tmp_path: Path) -> None:
    cli.json("import", "claude-code")
    done = cli("import", str(logs), "--rescan")
    assert SECRET not in done.out + done.err
    with psycopg.connect(environ["DATABASE_URL"]) as database:
        tables = database.execute("SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r'").fetchall()
        assert ("ledger",) in tables
        for (name,) in tables:
            rows = database.execute(sql.SQL("SELECT t::text FROM {} AS t").format(sql.SQL(name))).fetchall()
            assert "business" not in str(rows), name
    states = list((tmp_path / "home" / "imports").iterdir())
    assert states
    assert not any(b"business" in path.read_bytes() for path in states)


def test_a_ledger_that_is_another_one_is_filled_anew(cli: Cli, logs: Path, environ: dict[str, str]) -> None:
    cli.json("import", "claude-code")
    with psycopg.connect(environ["DATABASE_URL"], autocommit=True) as database:
        database.execute("TRUNCATE ledger, rollup_quarter")
    assert logs.is_dir()
    assert cli.json("import", "claude-code")["created"] == 4


def test_one_account_and_project_for_all(cli: Cli, logs: Path) -> None:
    cli.json("import", str(logs), "--account", "Max plan", "--project", "Everything", "--since", "2026-11-20")
    report = cli.json("report", "--by", "account", "--by", "project", *MONTH)
    assert [row["key"] for row in report["by_account"]] == ["Max plan"]
    assert [row["key"] for row in report["by_project"]] == ["Everything"]
    assert report["requests"] == 2
    # What was left out then is there to be asked for.
    cli.json("import", str(logs), "--account", "Max plan", "--project", "Everything")
    assert cli.json("report", *MONTH)["total_cost"] == WHOLE


def test_what_went_to_the_wrong_account_is_moved(cli: Cli, logs: Path) -> None:
    cli.json("import", "claude-code")
    found = cli.json("import", str(logs), "--rescan", "--account", "Team")
    assert (found["accounts_made"], found["created"], found["revised"]) == (["Team"], 0, 4)
    for _ in range(2):
        report = cli.json("report", "--by", "account", *MONTH)
        assert [(row["key"], row["cost"]) for row in report["by_account"]] == [("Team", WHOLE)]
        assert cli.json("import", str(logs), "--rescan", "--account", "Team")["already_there"] == 4


def test_what_is_not_there_or_not_known(cli: Cli, tmp_path: Path) -> None:
    assert cli("import", str(tmp_path / "nothing")).code == 2
    (tmp_path / "notes.jsonl").write_text('{"a": 1}\n')
    done = cli("import", str(tmp_path / "notes.jsonl"))
    assert (done.code, "--format names it" in done.err) == (3, True)
    assert cli("import", str(tmp_path / "notes.jsonl"), "--format", "morse").code == 2
