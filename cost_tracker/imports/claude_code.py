"""Claude Code's session logs: `projects/<folder>/<session>.jsonl` and those of its sub-agents.

A response is written once per content block, each time with all of its usage so far, and again wherever a session is
resumed, forked or replayed. Most bytes are text that nobody needs: only lines that name a usage are decoded.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cost_tracker.imports.claude_lines import ACCOUNT, Maker, Seen, see
from cost_tracker.imports.decoding import loads
from cost_tracker.imports.heads import SIZE, first_text, objects
from cost_tracker.imports.units import NESTED, STREAMED, WRAPPED, Reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cost_tracker.imports.units import Terms

NAME = "claude-code"
UNPOLLED = (ACCOUNT, "anthropic")

_BLOCK = 1 << 20
# Every usage has it, and the longer the name is, the faster it is found. In a text its quotes would be escaped.
_USAGE = b'"output_tokens"'
_LINE = b"\n"


def find() -> list[Path]:
    """Return the folders that hold Claude Code's logs on this machine."""
    named = [part.strip() for part in os.environ.get("CLAUDE_CONFIG_DIR", "").split(",") if part.strip()]
    roots = [Path(name).expanduser() for name in named] or [Path.home() / ".config" / "claude", Path.home() / ".claude"]
    return [folder for root in roots if (folder := root / "projects").is_dir()]


def is_named(path: str) -> bool:
    """Return whether a file may be a session log by its name."""
    return path.endswith(".jsonl")


def is_ours(path: str, head: bytes) -> bool:
    """Return whether a file that begins like this is a session log of Claude Code."""
    if not is_named(path):
        return False
    if any("leafUuid" in line or ("sessionId" in line and "type" in line) for line in objects(head)):
        return True
    # A prompt may be longer than what was read of it.
    return bool(first_text(head[head.rfind(_LINE) + 1 :], "sessionId"))


def read(path: str, offset: int, terms: Terms) -> Reading:
    """Return what the complete lines from the byte `offset` on say.

    Raises:
        OSError: the file cannot be read.
    """
    reading = Reading(end=offset)
    kept: dict[tuple[str, str], tuple[Seen, int]] = {}
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a path as text crosses processes at half the cost
        root = first_text(file.read(SIZE), "cwd")
        file.seek(offset)
        for place, text in _candidates(file, reading):
            seen = see(text, reading)
            if seen is None:
                continue
            if terms.settled and seen.at > terms.settled:
                reading.end, reading.is_held = place, True
                break
            if seen.at < terms.since:
                reading.skip("older than asked for")
                continue
            # A line without ids is like no other one.
            key = (seen.response, seen.request) if seen.response else ("", str(place))
            other = kept.get(key)
            if other is not None:
                reading.drop(WRAPPED if NESTED in {seen.rank, other[0].rank} else STREAMED)
                if (seen.total, seen.rank) <= (other[0].total, other[0].rank):
                    continue
            kept[key] = (seen, place)
    maker = Maker(path, root, terms)
    reading.units += [maker.unit(seen, place) for seen, place in kept.values()]
    return reading


def _candidates(file: Any, reading: Reading) -> Iterator[tuple[int, bytes]]:  # noqa: ANN401 - an unbuffered file
    """Yield (byte it begins at, line) of every complete line that may hold a usage."""
    rest = b""
    while block := file.read(_BLOCK):
        data = rest + block if rest else block
        cut = data.rfind(_LINE) + 1
        if not cut:
            rest = data
            continue
        base = reading.end
        reading.lines += data.count(_LINE, 0, cut)
        reading.end = base + cut
        begin, find = 0, data.find
        while (hit := find(_USAGE, begin, cut)) >= 0:
            first = data.rfind(_LINE, begin, hit) + 1 or begin
            last = find(_LINE, hit)
            yield base + first, data[first:last]
            begin = last + 1
        rest = data[cut:]
    if _USAGE in rest and _is_whole(rest):
        # Programs that write whole files leave the last end out.
        begin, reading.end, reading.lines = reading.end, reading.end + len(rest), reading.lines + 1
        yield begin, rest


def _is_whole(line: bytes) -> bool:
    try:
        loads(line)
    except ValueError:
        return False
    return True
