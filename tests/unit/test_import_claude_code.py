"""What a log of Claude Code says, line by line."""

import json
from pathlib import Path
from typing import Any

import pytest

from cost_tracker.imports.units import Terms
from shared.core.projects import Rule
from tests.fixtures.claude_lines import SECRET, SESSION, answer, append, progress, prompt, usage, write
from tests.fixtures.imported import read, rows

COUNTS = usage(10, 240, 12_000, 1_000, 2_000)


def one(tmp_path: Path, line: dict[str, Any], name: str = "log.jsonl", terms: Terms | None = None) -> dict[str, Any]:
    [found] = rows(read(write(tmp_path / name, line), "claude-code", terms).units)
    return found


def test_every_class_of_tokens_and_where_it_belongs(tmp_path: Path) -> None:
    assert one(tmp_path, answer("msg_A", "req_A", COUNTS)) == {
        "event_id": "claude-code:msg_A:req_A", "model": "claude-sonnet-4-5-20250929", "tokens_in": 10,
        "tokens_out": 240, "cache_read_tokens": 12_000, "cache_write_tokens": 1_000, "cache_write_1h_tokens": 2_000,
        "recorded_at": "2026-11-19T10:00:00.000Z", "account": "claude-code", "project": "atlas",
        "agent": "claude-code", "session_label": SESSION, "session_type": "main",
    }  # fmt: skip


def test_a_flat_number_of_cache_writes_is_of_five_minutes(tmp_path: Path) -> None:
    flat = {"input_tokens": 1, "output_tokens": 1, "cache_creation_input_tokens": 700}
    assert one(tmp_path, answer("m", "r", flat))["cache_write_tokens"] == 700
    split = {**flat, "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 500}}
    found = one(tmp_path, answer("m", "r", split))
    assert (found["cache_write_tokens"], found["cache_write_1h_tokens"]) == (200, 500)


def test_the_fullest_block_counts_at_its_own_time(tmp_path: Path) -> None:
    log = write(
        tmp_path / "log.jsonl",
        answer("m", "r", usage(10, 1)),
        answer("m", "r", usage(10, 90), at="2026-11-19T10:00:05.000Z"),
        answer("m", "r", usage(10, 90), at="2026-11-19T10:00:06.000Z"),
        answer("m", "r", usage(10, 3), at="2026-11-19T10:00:07.000Z"),
    )
    reading = read(log, "claude-code")
    [row] = rows(reading.units)
    assert (row["tokens_out"], row["recorded_at"]) == (90, "2026-11-19T10:00:05.000Z")
    assert reading.dropped == {"streamed": 3}


def test_without_a_request_id_the_response_is_known_and_without_both_the_line(tmp_path: Path) -> None:
    log = write(
        tmp_path / "log.jsonl",
        answer("m", None, usage(10, 1)),
        answer("m", None, usage(10, 5)),
        answer(None, None, usage(1, 1), uuid="u1"),
        answer(None, None, usage(1, 1), uuid="u2"),
    )
    assert [row["event_id"] for row in rows(read(log, "claude-code").units)] == [
        "claude-code:line:u1", "claude-code:line:u2", "claude-code:m",
    ]  # fmt: skip


def test_what_is_no_usage_is_left_out(tmp_path: Path) -> None:
    log = write(
        tmp_path / "log.jsonl",
        prompt(),
        answer("s", None, usage(1, 1), model="<synthetic>"),
        answer("n", "r", {"input_tokens": None, "output_tokens": "many"}),
        answer("t", "r", usage(1, 1), at="yesterday"),
        {"type": "cost-state", "sessionId": SESSION, "totalCostUSD": 9, "modelUsage": {"x": {"usage": usage(9, 9)}}},
        {"type": "queue-operation", "sessionId": SESSION},
        answer("ok", "r", usage(1, 1)),
    )
    append(log, '{"broken": "output_tokens"\n[1, "output_tokens"]\n')
    reading = read(log, "claude-code")
    assert [row["event_id"] for row in rows(reading.units)] == ["claude-code:ok:r"]
    assert reading.skipped == {"synthetic": 1, "without counts": 1, "without a time": 1, "not JSON": 1}
    assert reading.lines == 9


def test_advice_is_of_another_model_and_its_own(tmp_path: Path) -> None:
    steps = [
        {"type": "message", "input_tokens": 10, "output_tokens": 20},
        {"type": "advisor_message", "model": "claude-opus-4-5", **usage(500, 60, 7)},
        {"type": "advisor_message", "model": "claude-opus-4-5", **usage(1, 2)},
    ]
    log = write(tmp_path / "log.jsonl", answer("m", "r", usage(10, 20, iterations=steps)))
    [unit] = read(log, "claude-code").units
    assert (unit.size, unit.total) == (3, 30 + 567 + 3)
    main, first, second = rows([unit])
    assert (main["event_id"], main["tokens_in"], main["tokens_out"]) == ("claude-code:m:r", 10, 20)
    assert (first["event_id"], first["model"], first["tokens_in"]) == (
        "claude-code:m:r:advisor:0", "claude-opus-4-5", 500,
    )  # fmt: skip
    assert (second["event_id"], second["session_label"]) == ("claude-code:m:r:advisor:1", SESSION)


def test_terms_that_change_the_price(tmp_path: Path) -> None:
    counts = usage(1, 1, speed="fast", service_tier="priority", inference_geo="us")
    counts["server_tool_use"] = {"web_search_requests": 3}
    found = one(tmp_path, answer("m", "r", counts, costUSD=0.125))
    assert {name: found[name] for name in ("speed", "service_tier", "inference_geo", "web_searches")} == {
        "speed": "fast", "service_tier": "priority", "inference_geo": "us", "web_searches": 3,
    }  # fmt: skip
    assert str(found["cost"]) == "0.125"
    usual = one(tmp_path, answer("m", "r", usage(1, 1, speed="standard", service_tier="standard", inference_geo="x")))
    assert not {"speed", "service_tier", "inference_geo", "batch", "cost"} & usual.keys()
    assert one(tmp_path, answer("m", "r", usage(1, 1, service_tier="batch")))["batch"] is True


@pytest.mark.parametrize(
    ("name", "more", "kind"),
    [
        ("log.jsonl", {}, "main"),
        ("log.jsonl", {"isSidechain": True}, "subagent"),
        ("log.jsonl", {"agentId": "a1"}, "subagent"),
        ("log.jsonl", {"entrypoint": "sdk-cli"}, "headless"),
        ("log.jsonl", {"entrypoint": "cli"}, "main"),
        ("agent-a1.jsonl", {}, "subagent"),
        ("s1/subagents/agent-a1.jsonl", {"entrypoint": "sdk-cli"}, "subagent"),
        ("s1/subagents/workflows/w1/agent-a1.jsonl", {}, "workflow"),
    ],
)
def test_types_of_sessions(tmp_path: Path, name: str, more: dict[str, Any], kind: str) -> None:
    assert one(tmp_path, answer("m", "r", usage(1, 1), **more), name)["session_type"] == kind


def test_the_session_is_named_by_the_line_else_by_the_file(tmp_path: Path) -> None:
    line = answer("m", "r", usage(1, 1))
    assert one(tmp_path, line)["session_label"] == SESSION
    del line["sessionId"]
    bare = write(tmp_path / "s9" / "subagents" / "agent-a1.jsonl", {"type": "x", "sessionId": "other"}, line)
    [row] = rows(read(bare, "claude-code").units)
    assert row["session_label"] == "s9"


def test_a_wrapped_line_is_its_sub_agents(tmp_path: Path) -> None:
    found = one(tmp_path, progress(answer("m", "r", usage(3, 4), cwd=None)))
    assert (found["session_type"], found["project"], found["tokens_out"]) == ("subagent", "atlas", 4)


def test_projects(tmp_path: Path) -> None:
    rules = (Rule("atl*", "Atlas", 10, 1), Rule("*", "General", 0, 2))
    log = write(
        tmp_path / "log.jsonl",
        answer("a", "r", usage(1, 1), cwd="/home/me/atlas"),
        answer("b", "r", usage(1, 1), cwd="/home/me/atlas/src/deep"),
        answer("c", "r", usage(1, 1), cwd="/srv/other"),
        answer("d", "r", usage(1, 1), cwd=None),
    )
    assert [row["project"] for row in rows(read(log, "claude-code").units)] == ["atlas", "atlas", "other", "atlas"]
    found = rows(read(log, "claude-code", Terms(rules=rules)).units)
    assert [row["project"] for row in found] == ["Atlas", "Atlas", "other", "Atlas"]
    assert {row["project"] for row in rows(read(log, "claude-code", Terms(project="X")).units)} == {"X"}


def test_other_makers_models_are_nobodys_account(tmp_path: Path) -> None:
    assert "account" not in one(tmp_path, answer("m", "r", usage(1, 1), model="glm-4.6"))
    assert one(tmp_path, answer("m", "r", usage(1, 1), model="glm-4.6"), terms=Terms(account="A"))["account"] == "A"
    assert "account" not in one(tmp_path, answer("m", "r", usage(1, 1)), terms=Terms(account=""))


def test_only_whole_lines_are_read(tmp_path: Path) -> None:
    log = write(tmp_path / "log.jsonl", answer("a", "r", usage(1, 1)))
    size, line = log.stat().st_size, json.dumps(answer("b", "r", usage(1, 1)))
    append(log, line[:-5])
    first = read(log, "claude-code")
    assert (first.end, len(first.units)) == (size, 1)
    append(log, line[-5:])
    # Whole, although its end is missing: some programs leave the last one out.
    second = read(log, "claude-code", offset=first.end)
    assert (second.end, [row["event_id"] for row in rows(second.units)]) == (size + len(line), ["claude-code:b:r"])
    append(log, "\n")
    assert read(log, "claude-code", offset=second.end).units == []


def test_younger_lines_wait(tmp_path: Path) -> None:
    log = write(
        tmp_path / "log.jsonl",
        answer("a", "r", usage(1, 1)),
        answer("b", "r", usage(1, 1), at="2026-11-19T10:00:30.000Z"),
        answer("a", "r", usage(1, 9), at="2026-11-19T10:00:31.000Z"),
    )
    early = read(log, "claude-code", Terms(settled="2026-11-19T10:00:20.000Z"))
    assert (early.is_held, early.end) == (True, len(log.read_bytes().split(b"\n")[0]) + 1)
    later = read(log, "claude-code", offset=early.end)
    assert sorted(unit.total for unit in [*early.units, *later.units]) == [2, 2, 10]


def test_long_lines_and_odd_characters(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    first = json.dumps({"type": "user", "sessionId": SESSION, "cwd": "/w/big", "message": "x" * 3_000_000})
    cut = json.dumps(answer("c", "r", usage(1, 1), cwd="/w/\x00odd")).replace(SECRET, "half a pair \\ud83d")
    log.write_text(f"{first}\n{cut}\n")
    [row] = rows(read(log, "claude-code").units)
    assert row["project"] == "\N{REPLACEMENT CHARACTER}odd"


def test_what_is_older_than_asked_for(tmp_path: Path) -> None:
    log = write(
        tmp_path / "log.jsonl",
        answer("a", "r", usage(1, 1)),
        answer("b", "r", usage(1, 1), at="2026-11-20T00:00:00.000Z"),
    )
    reading = read(log, "claude-code", Terms(since="2026-11-20T00:00:00.000Z"))
    assert [row["event_id"] for row in rows(reading.units)] == ["claude-code:b:r"]
    assert reading.skipped == {"older than asked for": 1}


def test_no_text_is_in_what_was_found(tmp_path: Path) -> None:
    log = write(tmp_path / "log.jsonl", prompt(), answer("a", "r", COUNTS), progress(answer("b", "r", COUNTS)))
    assert SECRET not in repr(read(log, "claude-code"))
