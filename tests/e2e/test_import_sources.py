"""The other sources through the command: OpenClaw's own one, tables with other names, and what has no price."""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from tests.e2e.commands import Cli, local
from tests.fixtures.claude_lines import answer, usage, write

if TYPE_CHECKING:
    from pathlib import Path

MONTH = ("--start-date", "2026-11-01", "--end-date", "2026-11-22")
SESSION = {
    "key": "agent:scout:cron:daily", "agentId": "scout",
    "usage": {
        "modelUsage": [
            {
                "provider": "anthropic", "model": "claude-haiku-4-5",
                "totals": {"input": 1000, "output": 100, "cacheRead": 0, "cacheWrite": 0},
            }
        ],
        "dailyModelUsage": [
            {
                "date": "2026-11-19", "provider": "anthropic", "model": "claude-haiku-4-5", "tokens": 1100, "cost": 0.5,
                "count": 4,
            }
        ],
    },
}  # fmt: skip


@pytest.fixture
def cli(postgres_dsn: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    return Cli(capsys, monkeypatch, local(postgres_dsn, tmp_path / "home"))


def test_openclaw_answers_for_itself(cli: Cli, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "openclaw"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nprint({json.dumps(json.dumps({'sessions': [SESSION]}))})\n")
    program.chmod(0o755)
    cli.set(PATH=str(program.parent))
    assert cli.json("import", "openclaw")["created"] == 1
    report = cli.json("report", *MONTH)
    # 1,000 in and 100 out at 1 and 5 USD per million; what OpenClaw says it cost is kept beside.
    assert (report["total_cost"], report["requests"]) == (Decimal("0.0015"), 4)
    assert [row["key"] for row in report["by_session_type"]] == ["cron"]
    assert cli("import", "openclaw").code == 3
    assert cli("import", "openclaw", "--watch").code == 2
    program.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('gateway is not running')\n")
    done = cli("import", "openclaw")
    assert (done.code, "gateway is not running" in done.err) == (1, True)


def test_a_table_with_names_of_its_own(cli: Cli, tmp_path: Path) -> None:
    table = tmp_path / "own.csv"
    table.write_text("when,engine,prompt,answer\n2026-11-19 23:30:00,gpt-4o,100,10\nnever,gpt-4o,1,1\n")
    names = (
        "--map",
        "recorded_at=when",
        "--map",
        "model=engine",
        "--map",
        "tokens_in=prompt",
        "--map",
        "tokens_out=answer",
    )
    done = cli("import", str(table), *names, "--tz", "Europe/Berlin")
    assert (done.code, "Rejected 1: A row cannot be read: it has no time" in done.err) == (1, True)
    [record] = json.loads(cli("export", "--format", "json").out)
    assert (record["recorded_at"], record["input_tokens"], record["source"]) == ("2026-11-19T22:30:00Z", 100, "import")
    assert cli("import", str(table), "--map", "tokens_in").code == 2


def test_fast_mode_without_a_price_is_not_the_standard_price(cli: Cli, tmp_path: Path) -> None:
    log = write(
        tmp_path / "log.jsonl",
        answer("a", "r", usage(1000, 0, speed="fast")),
        answer("b", "r", usage(1000, 0, speed="fast"), model="claude-opus-5-5"),
    )
    done = cli("import", str(log))
    assert "No price is known for claude-sonnet-4-5-20250929 in fast mode (1 event)" in done.err
    report = cli.json("report", *MONTH)
    assert (report["total_cost"], report["coverage"]["unpriced_requests"]) == (Decimal("0.008"), 1)
