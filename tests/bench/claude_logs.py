"""Claude Code's logs as a busy developer leaves them: most bytes are text, responses are written once per block."""

import json
import random
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

START = datetime(2026, 10, 1, tzinfo=UTC)
MODELS = ("claude-opus-4-5-20251101", "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001")
FOLDERS = ("peakpaws-api", "peakpaws-web", "atlas", "beacon", "comet", "delta", "echo", "trading-bot")
_WORDS = (
    "the", "function", "reads", "each", "line", "and", "returns", "what", "it", "found", "unless", "there", "is", "so",
    "that", "nothing", "lost",
)  # fmt: skip


class Logs:
    """Files under `root/projects`; the same seed gives the same bytes."""

    def __init__(self, root: Path, seed: int = 1) -> None:
        self._projects = root / "projects"
        self._random = random.Random(seed)  # noqa: S311 - logs, not secrets
        # Texts are cut out of one long one: making them word by word would take minutes.
        self._text = " ".join(self._random.choices(_WORDS, k=200_000))
        self._number = 0

    def write(self, size: int) -> int:
        """Write sessions until there are `size` bytes; return how many there are."""
        written = 0
        while written < size:
            written += self._session()
        return written

    def _session(self) -> int:
        pick = self._random
        self._number += 1
        folder, session = pick.choice(FOLDERS), self._uuid()
        cwd = f"/home/dev/{folder}"
        at = START + timedelta(minutes=7 * self._number % (60 * 24 * 50))
        common = {"sessionId": session, "cwd": cwd, "version": "2.1.60", "gitBranch": "main", "userType": "external"}
        lines = [json.dumps({"type": "file-history-snapshot", "messageId": self._uuid(), "snapshot": {}})]
        helper: list[str] = []
        for _ in range(pick.randrange(60, 240)):
            at += timedelta(seconds=pick.randrange(2, 40))
            lines += self._turn({**common, "isSidechain": False}, at)
            if pick.random() < 0.15:
                side = {**common, "isSidechain": True, "agentId": f"{self._number:08x}"}
                made = self._turn(side, at + timedelta(seconds=1))
                helper += made
                # Older versions repeat what a sub-agent does inside of the parent's progress.
                lines.append(self._progress(common, made[-1], at))
        main = self._projects / f"-home-dev-{folder}" / f"{session}.jsonl"
        written = self._save(main, lines)
        if helper:
            written += self._save(main.with_suffix("") / "subagents" / f"agent-{self._number:08x}.jsonl", helper)
        if pick.random() < 0.1:
            # A session that was resumed begins with a copy of the other one.
            written += self._save(main.with_name(f"{self._uuid()}.jsonl"), lines[: len(lines) // 2])
        return written

    def _turn(self, common: dict[str, Any], at: datetime) -> list[str]:
        pick = self._random
        content: Any = self._words(1_500, 80_000)
        result = [{"type": "tool_result", "tool_use_id": f"toolu_{pick.getrandbits(96):024x}", "content": content}]
        user = {
            "type": "user", "uuid": self._uuid(), "timestamp": _text(at), **common,
            "message": {"role": "user", "content": result}, "toolUseResult": {"stdout": content[: len(content) // 2]},
        }  # fmt: skip
        lines = [json.dumps(user, separators=(",", ":"))]
        response, request = f"msg_{pick.getrandbits(120):030x}", f"req_{pick.getrandbits(120):030x}"
        model = pick.choices(MODELS, (5, 4, 1))[0]
        read, short, long = (
            pick.randrange(10_000, 150_000),
            pick.randrange(4_000),
            pick.choice((0, pick.randrange(3_000))),
        )
        inputs, output = pick.randrange(12), pick.randrange(1, 20)
        blocks = pick.choices((1, 2, 3), (3, 5, 2))[0]
        for block in range(blocks):
            output += pick.randrange(20, 900)
            message = {
                "id": response, "type": "message", "role": "assistant", "model": model,
                "content": [{"type": ("thinking", "text", "tool_use")[block], "text": self._words(300, 12_000)}],
                "usage": {
                    "input_tokens": inputs, "cache_creation_input_tokens": short + long,
                    "cache_read_input_tokens": read,
                    "cache_creation": {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long},
                    "output_tokens": output, "service_tier": "standard",
                    "server_tool_use": {"web_search_requests": 0, "web_fetch_requests": 0},
                },
            }  # fmt: skip
            line = {
                "type": "assistant", "uuid": self._uuid(), "timestamp": _text(at + timedelta(seconds=block)), **common,
                "requestId": request, "message": message,
            }  # fmt: skip
            lines.append(json.dumps(line, separators=(",", ":")))
        return lines

    def _progress(self, common: dict[str, Any], line: str, at: datetime) -> str:
        wrapped = {"type": "agent_progress", "message": json.loads(line)}
        return json.dumps(
            {"type": "progress", "uuid": self._uuid(), "timestamp": _text(at), **common, "data": wrapped},
            separators=(",", ":"),
        )

    def _words(self, least: int, most: int) -> str:
        length = min(most, int(self._random.paretovariate(1.1) * least))
        begin = self._random.randrange(len(self._text) - length)
        return self._text[begin : begin + length].replace(" so ", '\n\t"so" ')

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    @staticmethod
    def _save(path: Path, lines: list[str]) -> int:
        path.parent.mkdir(parents=True, exist_ok=True)
        data = "\n".join([*lines, ""]).encode()
        path.write_bytes(data)
        return len(data)


def _text(at: datetime) -> str:
    return f"{at.isoformat(timespec='milliseconds')[:-6]}Z"
