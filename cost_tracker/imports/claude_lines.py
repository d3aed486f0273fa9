"""A line of a Claude Code log: what it says about a response's usage, and the events that this makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from cost_tracker.imports.decoding import loads
from cost_tracker.imports.folders import project_of
from cost_tracker.imports.times import utc
from cost_tracker.imports.units import COPY, DIRECT, NESTED, SIDE, Unit, rows_of
from shared.core.event_ids import digest, short

if TYPE_CHECKING:
    from cost_tracker.imports.units import Reading, Terms

Object: TypeAlias = dict[str, Any]

AGENT = ACCOUNT = "claude-code"
_SYNTHETIC = "<synthetic>"
_ADVISOR = "advisor_message"
_NONE: Object = {}


class Seen(NamedTuple):
    """A response as one line has it: ids are empty where it has none, `at` is ISO 8601 in UTC.

    `line` is what else the line says about itself, and `outer` the line that wraps it or itself: both without texts.
    """

    response: str
    request: str
    rank: int
    total: int
    at: str
    model: str
    usage: Object
    line: Object
    outer: Object


def see(text: bytes, reading: Reading) -> Seen | None:
    """Return what a line says; None where it is no usage, which is noted if it looked like one."""
    try:
        outer = loads(text)
    except ValueError:
        reading.skip("not JSON")
        return None
    line = outer
    message = outer.get("message") if type(outer) is dict else None
    if type(message) is not dict or "usage" not in message:
        # A progress line of the parent wraps the sub-agent's.
        data = outer.get("data") if type(outer) is dict else None
        line = data.get("message") if type(data) is dict else None
        message = line.get("message") if type(line) is dict else None
        if type(message) is not dict or "usage" not in message:
            return None
        del outer["data"]
    usage, model = message["usage"], message.get("model")
    total = _total(usage) if type(usage) is dict else None
    at = utc(line.get("timestamp") or outer.get("timestamp"))
    if model == _SYNTHETIC or total is None or at is None:
        reading.skip("synthetic" if model == _SYNTHETIC else "without counts" if total is None else "without a time")
        return None
    if line is not outer:
        rank = NESTED
    elif line.get("isSidechain") is True:
        rank = SIDE
    else:
        rank = COPY if "forkedFrom" in line else DIRECT
    del line["message"]
    return Seen(
        _text(message.get("id")), _text(line.get("requestId")), rank, total, at, _text(model) or "unknown", usage, line,
        outer,
    )  # fmt: skip


class Maker:
    """Makes events of what was seen in one file.

    Args:
        path: the file, whose place says what kind of session it is.
        root: the directory its session began in, or empty.
        terms: the caller's.
    """

    def __init__(self, path: str, root: str, terms: Terms) -> None:
        parts = path.replace("\\", "/").split("/")
        stem = parts[-1].removesuffix(".jsonl")
        folders = parts[:-1]
        is_below = "subagents" in folders
        self._kind = ""
        if is_below or stem.startswith("agent-"):
            self._kind = "workflow" if is_below and "workflows" in folders else "subagent"
        self._session = folders[folders.index("subagents") - 1] if is_below and folders.index("subagents") else stem
        self._root = root
        self._terms = terms

    def unit(self, seen: Seen, place: int) -> Unit:
        """Return the events of a response: one, and one for each time it asked an advisor, who is another model.

        `place` is the byte at which the line begins, which names it where it has no id at all.
        """
        session = self._said(seen, "sessionId") or self._session
        session = self._said(seen, "sessionId") or self._session
        if seen.response:
            name = short(f"{seen.response}:{seen.request}" if seen.request else seen.response)
            group, part = digest(seen.response), digest(seen.request, 8)
        else:
            name = f"line:{short(_text(seen.line.get('uuid')) or f'{session}:{place}')}"
            group, part = digest(name), b""
        event_id = f"claude-code:{name}"
        shared = {
            "project": self._terms.project or project_of(self._said(seen, "cwd"), self._root, self._terms.rules),
            "agent": _text(seen.line.get("agentName")) or AGENT,
            "session_label": session,
            "session_type": self._kind_of(seen),
            "recorded_at": seen.at,
        }
        row = self._row(event_id, seen.model, seen.usage, shared)
        cost = seen.line.get("costUSD")
        if isinstance(cost, (int, float)) and cost >= 0:
            row["cost"] = cost
        rows = [row]
        if "iterations" in seen.usage:
            rows += [
                self._row(f"{event_id}:advisor:{number}", _text(step.get("model")) or "unknown", step, shared)
                for number, step in enumerate(_advice(seen.usage))
            ]
        return Unit(group, part, seen.rank, seen.total, seen.at, rows_of(rows), len(rows))

    def _kind_of(self, seen: Seen) -> str:
        if self._kind:
            return self._kind
        if seen.rank <= SIDE or self._said(seen, "agentId"):
            return "subagent"
        return "headless" if self._said(seen, "entrypoint").startswith("sdk") else "main"

    @staticmethod
    def _said(seen: Seen, name: str) -> str:
        return _text(seen.line.get(name) or seen.outer.get(name))

    def _row(self, event_id: str, model: str, usage: Object, shared: Object) -> Object:
        split = usage.get("cache_creation")
        split = split if type(split) is dict else _NONE
        short_writes = _count(split.get("ephemeral_5m_input_tokens"))
        long_writes = _count(split.get("ephemeral_1h_input_tokens"))
        created = _count(usage.get("cache_creation_input_tokens"))
        row: Object = {
            "event_id": event_id,
            "model": model,
            "tokens_in": _count(usage.get("input_tokens")),
            "tokens_out": _count(usage.get("output_tokens")),
            "cache_read_tokens": _count(usage.get("cache_read_input_tokens")),
            # The flat number alone is five-minute writes, which are the API's default.
            "cache_write_tokens": max(short_writes, created - long_writes),
            "cache_write_1h_tokens": long_writes,
            **shared,
            # Other makers' models are reached through gateways: no account of Anthropic's pays for them.
            "account": self._terms.account_of(ACCOUNT if model.lower().startswith("claude") else ""),
        }
        tools = usage.get("server_tool_use")
        if type(tools) is dict and (searches := _count(tools.get("web_search_requests"))):
            row["web_searches"] = searches
        tier = usage.get("service_tier")
        if tier == "batch":
            row["batch"] = True
        elif type(tier) is str and tier != "standard":
            row["service_tier"] = tier
        if usage.get("speed") == "fast":
            row["speed"] = "fast"
        if usage.get("inference_geo") in {"us", "global"}:
            row["inference_geo"] = usage["inference_geo"]
        return row


def _advice(usage: Object) -> list[Object]:
    steps = usage.get("iterations")
    if type(steps) is not list:
        return []
    return [step for step in steps if type(step) is dict and step.get("type") == _ADVISOR and _total(step) is not None]


def _total(usage: Object) -> int | None:
    """Return all tokens of a usage, advice included; None where it has no counts."""
    get = usage.get
    inputs, outputs = get("input_tokens"), get("output_tokens")
    if type(inputs) is not int and type(outputs) is not int:
        return None
    whole = _count(inputs) + _count(outputs)
    whole += _count(get("cache_creation_input_tokens")) + _count(get("cache_read_input_tokens"))
    return whole + sum(_total(step) or 0 for step in _advice(usage)) if "iterations" in usage else whole


def _count(value: object) -> int:
    return value if type(value) is int and value > 0 else 0


def _text(value: object) -> str:
    return value if type(value) is str else ""
