"""OpenClaw's transcripts of up to 2026.7.1: `~/.openclaw/agents/<agent>/sessions/<session>.jsonl` and its archives."""

from __future__ import annotations

import io
import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from cost_tracker.imports.heads import objects
from cost_tracker.imports.jsonlines import objects_of
from cost_tracker.imports.times import utc
from cost_tracker.imports.units import STREAMED, Reading, single
from shared.core.sessions import openclaw_type

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from cost_tracker.imports.units import Terms

NAME = "openclaw"
_ROOTS = (".openclaw", ".clawdbot", ".moltbot", ".moldbot")
_LOG = re.compile(r"\.jsonl(\.(reset|deleted)\.[^/\\]*)?$")
_NOT = (".trajectory.jsonl", ".bak", ".migrated")
_CHECKPOINT = re.compile(r"\.checkpoint\.[0-9a-f-]+\.jsonl$", re.IGNORECASE)
_KINDS = frozenset({"session", "model_change", "message", "compaction", "branch_summary", "custom", "custom_message"})
_CLASSES = ("input", "output", "cacheRead", "cacheWrite")


def find() -> list[Path]:
    """Return the folders that hold transcripts on this machine."""
    named = os.environ.get("OPENCLAW_DIR", "").strip()
    roots = [Path(named).expanduser()] if named else [Path.home() / name for name in _ROOTS]
    return [folder for root in roots if (folder := root / "agents").is_dir()]


def is_named(path: str) -> bool:
    """Return whether a file may be a transcript by its name; checkpoints and copies repeat others."""
    return bool(_LOG.search(path)) and not path.endswith(_NOT) and not _CHECKPOINT.search(path)


def is_ours(path: str, head: bytes) -> bool:
    """Return whether a file that begins like this is a transcript of OpenClaw."""
    if not is_named(path):
        return False
    if path.endswith(".zst"):
        return True
    return any(
        line.get("type") in _KINDS
        and ("id" in line or "customType" in line)
        and not {"sessionId", "payload"} & set(line)
        for line in objects(head)
    )


def read(path: str, offset: int, terms: Terms) -> Reading:
    """Return what the file says; it is read from its beginning, because lines before say which model is meant.

    Raises:
        OSError: the file cannot be read, or is compressed in a way that is not understood here.
    """
    del offset
    reading = Reading()
    agent, key = _owner(path)
    session = Path(path).name.partition(".jsonl")[0]
    provider = model = ""
    seen: set[str] = set()
    with _opened(path) as file:
        for line in objects_of(file, reading):
            kind = line.get("type")
            if kind == "model_change":
                provider, model = _text(line.get("provider")) or provider, _text(line.get("modelId")) or model
            elif kind == "custom" and line.get("customType") == "model-snapshot" and type(line.get("data")) is dict:
                data = line["data"]
                provider, model = _text(data.get("provider")) or provider, _text(data.get("modelId")) or model
            message = _object(line.get("message")) if kind == "message" else {}
            usage = _object(message.get("usage"))
            if not usage:
                continue
            name = _text(line.get("id"))
            if name and name in seen:
                reading.drop(STREAMED)
                continue
            seen.add(name)
            at = utc(message.get("timestamp")) or utc(line.get("timestamp"))
            counts = [_count(usage.get(part)) for part in _CLASSES]
            if at is None or not any(part in usage for part in _CLASSES):
                reading.skip("without a time" if at is None else "without counts")
                continue
            if at < terms.since:
                reading.skip("older than asked for")
                continue
            inputs, outputs, read_, written = counts
            long = min(_count(usage.get("cacheWrite1h")), written)
            row = {
                "model": _text(message.get("model")) or model or "unknown",
                "provider": _text(message.get("provider")) or provider,
                "tokens_in": inputs,
                "tokens_out": outputs,
                "cache_read_tokens": read_,
                "cache_write_tokens": written - long,
                "cache_write_1h_tokens": long,
                "reasoning_tokens": min(_count(usage.get("reasoningTokens")), outputs),
                "cost": _cost(usage.get("cost"), sum(counts)),
                "account": terms.account_of(""),
                "project": terms.project,
                "agent": agent,
                "session_label": key or session,
                "session_type": _type(key),
            }
            reading.want(terms.account, row["provider"])
            # Forked sessions copy lines with id and time.
            event_id = f"openclaw:{name or session}:{at}:{'-'.join(map(str, counts))}"
            reading.units.append(single(event_id, row, at, sum(counts)))
    return reading


def _type(key: str) -> str:
    """Return the type of a session by its key; archives of sessions that were reset have lost theirs."""
    return openclaw_type(key.lower()) or "main" if key else "main"


def _owner(path: str) -> tuple[str, str]:
    """Return the agent that a transcript belongs to and the key of its session, empty where they are not known."""
    folder = Path(path).parent
    agent = folder.parent.name if folder.name == "sessions" else ""
    session = Path(path).name.partition(".jsonl")[0]
    try:
        listed = orjson.loads((folder / "sessions.json").read_bytes())
    except (OSError, ValueError):
        return agent, ""
    entries = listed.items() if type(listed) is dict else ()
    key = next((key for key, entry in entries if type(entry) is dict and entry.get("sessionId") == session), "")
    parts = key.split(":")
    return agent or (parts[1] if parts[0] == "agent" and len(parts) > 1 else ""), key


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    if not path.endswith(".zst"):
        with Path(path).open("rb") as file:
            yield file
        return
    try:
        import pyarrow as pa  # noqa: PLC0415 - large, and for archives only
    except ImportError as error:
        raise OSError("zstd archives need pyarrow; install it, or unpack the file") from error
    with pa.OSFile(path) as packed, pa.CompressedInputStream(packed, "zstd") as unpacked:
        yield io.BytesIO(unpacked.read())


def _cost(cost: Any, tokens: int) -> float | int | None:  # noqa: ANN401 - JSON of any shape
    """Return what a transcript says a call cost, in USD: a zero without evidence means that nobody knew the price."""
    if type(cost) is not dict:
        return None
    total = cost.get("total")
    if not isinstance(total, (int, float)) or total < 0:
        return None
    return None if total == 0 and tokens and "totalOrigin" not in cost else total


def _object(value: object) -> dict[str, Any]:
    return value if type(value) is dict else {}


def _count(value: object) -> int:
    return value if type(value) is int and value > 0 else 0


def _text(value: object) -> str:
    return value if type(value) is str else ""
