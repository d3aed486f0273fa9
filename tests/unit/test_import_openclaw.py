"""OpenClaw's transcripts, and the answers of its own command."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cost_tracker.imports import openclaw, openclaw_cli
from cost_tracker.imports.openclaw_cli import OpenClawError
from cost_tracker.imports.units import Terms
from tests.fixtures.imported import read, rows

SECRET = "nobody should read this"
KEY = "agent:scout:subagent:6f1c0a52-0d43-4a7c-9c8e-1a2b3c4d5e6f"


def message(name: str, counts: tuple[int, int, int, int], cost: dict[str, Any] | None, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    usage = dict(zip(("input", "output", "cacheRead", "cacheWrite"), counts, strict=True))
    return {
        "type": "message", "id": name, "timestamp": "2026-01-30T06:18:55.279Z",
        "message": {
            "role": "assistant", "content": SECRET, "timestamp": 1769753935279,
            "usage": {**usage, "totalTokens": sum(counts), **({"cost": cost} if cost else {}), **more.pop("usage", {})},
            **more,
        },
    }  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "agents" / "scout" / "sessions"
    found.mkdir(parents=True)
    (found / "sessions.json").write_text(json.dumps({KEY: {"sessionId": "s-1", "inputTokens": 9_999_999}}))
    return found


def write(path: Path, *lines: dict[str, Any]) -> Path:
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


HEAD = (
    {"type": "session", "id": "s-1", "cwd": "/w", "timestamp": "2026-01-30T06:18:00.000Z"},
    {"type": "model_change", "id": "m0", "provider": "openai-codex", "modelId": "gpt-5.2"},
)


def test_a_transcript(folder: Path) -> None:
    log = write(
        folder / "s-1.jsonl",
        *HEAD,
        {"type": "message", "id": "u1", "message": {"role": "user", "content": SECRET}},
        message("a1", (1660, 55, 108_928, 0), {"total": 0.02}),
        message("a1", (1660, 55, 108_928, 0), {"total": 0.02}),
        message(
            "a2", (10, 5, 0, 300), None, model="claude-opus-4-5", provider="anthropic", usage={"cacheWrite1h": 100}
        ),
        {"type": "custom", "customType": "model-snapshot", "data": {"provider": "local", "modelId": "tiny"}},
        message("a3", (10, 5, 0, 0), {"total": 0}),
        message("a4", (10, 5, 0, 0), {"total": 0, "totalOrigin": "provider-billed"}),
    )
    reading = read(log, "openclaw")
    first, second, third, fourth = rows(reading.units)
    assert first == {
        "event_id": "openclaw:a1:2026-01-30T06:18:55.279Z:1660-55-108928-0", "model": "gpt-5.2",
        "provider": "openai-codex", "tokens_in": 1660, "tokens_out": 55, "cache_read_tokens": 108_928,
        "cache_write_tokens": 0, "cache_write_1h_tokens": 0, "reasoning_tokens": 0, "cost": first["cost"],
        "agent": "scout", "session_label": KEY, "session_type": "subagent", "recorded_at": "2026-01-30T06:18:55.279Z",
    }  # fmt: skip
    assert str(first["cost"]) == "0.02"
    assert (second["model"], second["cache_write_tokens"], second["cache_write_1h_tokens"]) == (
        "claude-opus-4-5",
        200,
        100,
    )
    # Nothing by nobody's word is an unknown price; nothing by the provider's is nothing.
    assert (third["model"], "cost" in third, fourth["cost"]) == ("tiny", False, 0)
    assert reading.dropped == {"streamed": 1}
    assert SECRET not in repr(reading)


def test_a_forked_session_copies_what_has_the_same_id(folder: Path) -> None:
    lines = (*HEAD, message("a1", (1, 1, 0, 0), None))
    one, two = write(folder / "s-1.jsonl", *lines), write(folder / "s-2.jsonl", *lines)
    [first], [second] = read(one, "openclaw").units, read(two, "openclaw").units
    assert (first.group, first.part) == (second.group, second.part)


@pytest.mark.parametrize(
    ("name", "is_read"),
    [
        ("a.jsonl", True),
        ("a.jsonl.reset.2026-01-01T00-00-00", True),
        ("a.jsonl.deleted.1769753935279.zst", True),
        ("a.trajectory.jsonl", False),
        ("a.checkpoint.6f1c0a52-0d43-4a7c-9c8e-1a2b3c4d5e6f.jsonl", False),
        ("a.jsonl.bak", False),
        ("a.jsonl.migrated", False),
        ("sessions.json", False),
    ],
)
def test_which_files_are_transcripts(name: str, is_read: bool) -> None:  # noqa: FBT001 - a parameter of a test
    assert openclaw.is_named(f"/x/{name}") is is_read


def test_an_archive_is_unpacked(folder: Path) -> None:
    lines = "".join(f"{json.dumps(line)}\n" for line in (*HEAD, message("a1", (1, 2, 0, 0), None)))
    path = folder / "s-1.jsonl.deleted.1769753935279.zst"
    with pa.OSFile(str(path), "wb") as file, pa.CompressedOutputStream(file, "zstd") as packed:
        packed.write(lines.encode())
    [row] = rows(read(path, "openclaw").units)
    assert (row["tokens_out"], row["session_label"]) == (2, KEY)


NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)


class Gateway:
    """OpenClaw's command, as it would answer; `days` is day -> sessions."""

    def __init__(self, days: dict[str, list[dict[str, Any]]], stale: int = 0) -> None:
        self.asked: list[dict[str, Any]] = []
        self._days = days
        self._stale = stale

    def __call__(self, arguments: list[str]) -> str:
        assert arguments[:4] == ["openclaw", "gateway", "call", "sessions.usage"]
        asked = json.loads(arguments[arguments.index("--params") + 1])
        self.asked.append(asked)
        sessions = self._days.get(asked.get("startDate", ""), [])
        if asked.get("range") == "all":
            sessions = [session for found in self._days.values() for session in found]
        self._stale -= 1
        status = "fresh" if self._stale < 0 else "refreshing"
        return "a notice\n" + json.dumps({"sessions": sessions, "cacheStatus": {"status": status}})


def session(day: str, tokens: int, cost: float, classes: tuple[int, ...]) -> dict[str, Any]:
    totals = dict(zip(("input", "output", "cacheRead", "cacheWrite"), classes, strict=True))
    return {
        "key": "agent:main:cron:daily", "sessionId": "s", "agentId": "main",
        "usage": {
            "modelUsage": [{"provider": "anthropic", "model": "claude-opus-4-5", "count": 3, "totals": totals}],
            "dailyModelUsage": [
                {
                    "date": day, "provider": "anthropic", "model": "claude-opus-4-5", "tokens": tokens, "cost": cost,
                    "count": 3,
                }
            ],
        },
    }  # fmt: skip


def test_whole_days_are_asked_for_one_by_one() -> None:
    gateway = Gateway(
        {day: [session(day, 10, 0.5, (1, 2, 3, 4))] for day in ("2026-11-20", "2026-11-21", "2026-11-22")}, stale=1
    )
    pauses: list[float] = []
    reading, until = openclaw_cli.read(Terms(), "", NOW, gateway, pauses.append)
    assert [asked.get("startDate") for asked in gateway.asked] == [None, None, "2026-11-20", "2026-11-21"]
    assert (pauses, until) == ([5.0], "2026-11-21")
    first, _ = rows(reading.units)
    assert {name: first[name] for name in ("tokens_in", "tokens_out", "cache_read_tokens", "cache_write_tokens")} == {
        "tokens_in": 1, "tokens_out": 2, "cache_read_tokens": 3, "cache_write_tokens": 4,
    }  # fmt: skip
    assert (first["requests"], first["session_type"], first["agent"]) == (3, "cron", "main")
    assert (str(first["cost"]), first["recorded_at"]) == ("0.5", "2026-11-20T12:00:00.000Z")
    again, _ = openclaw_cli.read(Terms(), until, NOW, gateway, pauses.append)
    assert {unit.rows for unit in again.units} == {unit.rows for unit in reading.units}


def test_classes_that_are_not_the_days_own_are_not_believed() -> None:
    gateway = Gateway({"2026-11-20": [session("2026-11-20", 10, 0.5, (100, 2, 3, 4))]})
    reading, _ = openclaw_cli.read(Terms(), "", NOW, gateway)
    [row] = rows(reading.units)
    assert "tokens_in" not in row
    assert str(row["cost"]) == "0.5"
    unknown = Gateway({"2026-11-20": [session("2026-11-20", 10, 0, (100, 2, 3, 4))]})
    reading, _ = openclaw_cli.read(Terms(), "", NOW, unknown)
    assert (reading.units, sum(reading.refused.values())) == ([], 1)


def test_a_day_that_is_still_counted_is_asked_for_again() -> None:
    gateway = Gateway({"2026-11-20": [session("2026-11-20", 10, 0.5, (1, 2, 3, 4))]}, stale=100)
    reading, until = openclaw_cli.read(Terms(), "", NOW, gateway, lambda _: None)
    assert (until, reading.skipped) == ("", {"days that OpenClaw still counts": 1})


def test_what_is_no_answer_is_said_so() -> None:
    with pytest.raises(OpenClawError, match="did not answer with JSON"):
        openclaw_cli.read(Terms(), "", NOW, lambda _: "command not found")
