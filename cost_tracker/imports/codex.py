"""Codex' session logs: `~/.codex/sessions/**/*.jsonl`, whose token counts only ever grow."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cost_tracker.imports.folders import project_of
from cost_tracker.imports.heads import objects
from cost_tracker.imports.jsonlines import objects_of
from cost_tracker.imports.times import utc
from cost_tracker.imports.units import STREAMED, Reading, single

if TYPE_CHECKING:
    from cost_tracker.imports.units import Terms

NAME = "codex"
UNPOLLED = ("codex", "openai")
_KINDS = frozenset({"session_meta", "turn_context", "event_msg", "response_item", "compacted"})
_COUNTS = ("input_tokens", "cached_input_tokens", "output_tokens", "reasoning_output_tokens")


def find() -> list[Path]:
    """Return the folders that hold Codex' logs on this machine."""
    root = Path(os.environ.get("CODEX_HOME") or Path.home() / ".codex").expanduser()
    return [folder for name in ("sessions", "archived_sessions") if (folder := root / name).is_dir()]


def is_named(path: str) -> bool:
    """Return whether a file may be a session log by its name."""
    return path.endswith(".jsonl")


def is_ours(path: str, head: bytes) -> bool:
    """Return whether a file that begins like this is a session log of Codex."""
    return is_named(path) and any("payload" in line and line.get("type") in _KINDS for line in objects(head))


def read(path: str, offset: int, terms: Terms) -> Reading:
    """Return what the file says; it is read from its beginning, because each count includes those before it.

    Raises:
        OSError: the file cannot be read.
    """
    del offset
    reading = Reading()
    session, model, cwd, kind = Path(path).stem, "", "", "main"
    before: tuple[int, ...] = (0,) * len(_COUNTS)
    with Path(path).open("rb") as file:
        for line in objects_of(file, reading):
            payload = line.get("payload")
            if type(payload) is not dict:
                continue
            if line.get("type") == "session_meta":
                session, cwd = _text(payload.get("id")) or session, _text(payload.get("cwd"))
                kind = "headless" if payload.get("originator") == "codex_exec" else "main"
            if line.get("type") == "turn_context":
                model, cwd = _text(payload.get("model")) or model, _text(payload.get("cwd")) or cwd
            info = payload.get("info") if payload.get("type") == "token_count" else None
            if type(info) is not dict:
                continue
            now = _counts(info.get("total_token_usage"))
            at = utc(line.get("timestamp") or payload.get("timestamp"))
            if now is None or at is None:
                reading.skip("without counts" if now is None else "without a time")
                continue
            # A smaller sum is a new beginning.
            new = now if any(a < b for a, b in zip(now, before, strict=True)) else _difference(now, before)
            before = now
            if not any(new):
                reading.drop(STREAMED)
                continue
            if at < terms.since:
                reading.skip("older than asked for")
                continue
            inputs, cached, outputs, reasoning = new
            row = {
                "model": _text(info.get("model")) or model or "unknown",
                "provider": "openai",
                "tokens_in": max(0, inputs - cached),
                "tokens_out": outputs,
                "cache_read_tokens": cached,
                "reasoning_tokens": min(reasoning, outputs),
                "account": terms.account_of(UNPOLLED[0]),
                "project": terms.project or project_of(cwd, "", terms.rules),
                "agent": NAME,
                "session_label": session,
                "session_type": kind,
            }
            # A forked session copies lines under a name of its own: what they say is the same.
            event_id = f"codex:{at}:{'-'.join(map(str, now))}"
            reading.units.append(single(event_id, row, at, inputs + outputs))
    return reading


def _counts(usage: Any) -> tuple[int, ...] | None:  # noqa: ANN401 - JSON of any shape
    if type(usage) is not dict or type(usage.get("input_tokens")) is not int:
        return None
    return tuple(value if type(value := usage.get(name)) is int and value >= 0 else 0 for name in _COUNTS)


def _difference(now: tuple[int, ...], before: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(a - b for a, b in zip(now, before, strict=True))


def _text(value: object) -> str:
    return value if type(value) is str else ""
