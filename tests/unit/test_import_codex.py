"""Codex' logs: counts that include those before them."""

import json
from pathlib import Path
from typing import Any

from cost_tracker.imports.units import Terms
from tests.fixtures.imported import read, rows


def counted(second: int, total: tuple[int, int, int, int], **info: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    names = ("input_tokens", "cached_input_tokens", "output_tokens", "reasoning_output_tokens")
    usage = dict(zip(names, total, strict=True))
    return {
        "timestamp": f"2026-11-19T10:00:{second:02}.000Z", "type": "event_msg",
        "payload": {"type": "token_count", "info": {"total_token_usage": usage, **info}},
    }  # fmt: skip


META = {"type": "session_meta", "timestamp": "2026-11-19T10:00:00.000Z", "payload": {"id": "c-1", "cwd": "/w/atlas"}}
TURN = {"type": "turn_context", "timestamp": "2026-11-19T10:00:00.000Z", "payload": {"model": "gpt-5"}}


def write(path: Path, *lines: dict[str, Any]) -> Path:
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def test_sums_become_differences_and_cached_input_is_apart(tmp_path: Path) -> None:
    log = write(
        tmp_path / "rollout.jsonl",
        META,
        TURN,
        counted(1, (100, 10, 50, 20)),
        counted(2, (100, 10, 50, 20)),
        counted(3, (300, 150, 60, 20), model="gpt-5-mini"),
        {
            "timestamp": "2026-11-19T10:00:04.000Z",
            "type": "event_msg",
            "payload": {"type": "token_count", "info": None},
        },
        # The session was compacted: sums begin anew.
        counted(5, (40, 0, 5, 0)),
    )
    reading = read(log, "codex")
    first, second, third = rows(reading.units)
    assert first == {
        "event_id": "codex:2026-11-19T10:00:01.000Z:100-10-50-20", "model": "gpt-5", "provider": "openai",
        "tokens_in": 90, "tokens_out": 50, "cache_read_tokens": 10, "reasoning_tokens": 20, "account": "codex",
        "project": "atlas", "agent": "codex", "session_label": "c-1", "session_type": "main",
        "recorded_at": "2026-11-19T10:00:01.000Z",
    }  # fmt: skip
    assert (second["model"], second["tokens_in"], second["cache_read_tokens"]) == ("gpt-5-mini", 60, 140)
    assert (third["model"], third["tokens_in"], third["tokens_out"]) == ("gpt-5", 40, 5)
    assert reading.dropped == {"streamed": 1}


def test_a_forked_session_repeats_the_same_events(tmp_path: Path) -> None:
    one = write(tmp_path / "a.jsonl", META, TURN, counted(1, (100, 10, 50, 20)))
    other = {**META, "payload": {"id": "c-2"}}
    two = write(tmp_path / "b.jsonl", other, TURN, counted(1, (100, 10, 50, 20)), counted(2, (200, 10, 50, 20)))
    assert {unit.group for unit in read(one, "codex").units} < {unit.group for unit in read(two, "codex").units}


def test_headless_runs_and_given_names(tmp_path: Path) -> None:
    meta = {**META, "payload": {"id": "c-1", "originator": "codex_exec"}}
    log = write(tmp_path / "a.jsonl", meta, TURN, counted(1, (1, 0, 1, 0)))
    [row] = rows(read(log, "codex", Terms(account="Team", project="X")).units)
    assert (row["session_type"], row["account"], row["project"]) == ("headless", "Team", "X")
