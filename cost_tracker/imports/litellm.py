"""Spend logs of a LiteLLM proxy: answers of `/spend/logs/v2` or rows of its table, as JSON, JSON lines or CSV.

Its input tokens include what a cache read or wrote; its spend is its own estimate and kept as reported cost. Requests
and responses, which these rows may hold, are never looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from cost_tracker.imports.amounts import amount, whole
from cost_tracker.imports.tables import is_table, names_in, rows_in
from cost_tracker.imports.times import utc
from cost_tracker.imports.units import Reading, short, single

if TYPE_CHECKING:
    from cost_tracker.imports.units import Terms, Unit

NAME = "litellm"
_TELLING = frozenset({"request_id", "spend", "startTime"})


def is_named(path: str) -> bool:
    """Return whether a file may be an export by its name."""
    return is_table(path)


def is_ours(path: str, head: bytes) -> bool:
    """Return whether a file that begins like this holds spend logs."""
    return is_named(path) and set(names_in(head)) >= _TELLING


def read(path: str, offset: int, terms: Terms) -> Reading:
    """Return what the file says; it is read whole.

    Raises:
        OSError: the file cannot be read.
    """
    del offset
    reading = Reading()
    for row in rows_in(path, reading):
        try:
            unit = _unit(row, terms, reading)
        except ValueError as error:
            reading.refuse(f"A row cannot be read: {error}.")
            continue
        if unit is not None:
            reading.units.append(unit)
    return reading


def _unit(row: dict[str, Any], terms: Terms, reading: Reading) -> Unit | None:
    name, at = _text(row.get("request_id")), utc(row.get("startTime") or row.get("endTime"))
    if not name or at is None:
        reading.skip("without a request id" if not name else "without a time")
        return None
    if at < terms.since:
        reading.skip("older than asked for")
        return None
    meta = _object(row.get("metadata"))
    spend = amount(row.get("spend"))
    if "failure" in {row.get("status"), meta.get("status")} and not spend:
        reading.skip("failed")
        return None
    counts = _counts(row, meta)
    event = {
        "model": _text(row.get("model")) or _text(row.get("model_group")) or "unknown",
        "provider": _text(row.get("custom_llm_provider")),
        **counts,
        "cost": spend,
        "account": terms.account_of(""),
        "project": terms.project,
        "agent": _text(row.get("agent_id")) or _text(meta.get("user_api_key_alias")),
        "user": _text(row.get("user")) or _text(row.get("end_user")),
        "session_label": _text(row.get("session_id")),
        "session_type": "main",
        "request_type": _text(row.get("call_type")),
        "tags": _tags(row, meta),
    }
    reading.want(terms.account, event["provider"])
    return single(f"litellm:{short(name)}", event, at, sum(counts.values()))


def _counts(row: dict[str, Any], meta: dict[str, Any]) -> dict[str, int]:
    """Return our token counts; an answer out of LiteLLM's own cache used none."""
    if str(row.get("cache_hit")).lower() == "true":
        return {"tokens_in": 0, "tokens_out": 0}
    usage = _object(meta.get("usage_object"))
    inputs, outputs = whole(row.get("prompt_tokens")), whole(row.get("completion_tokens"))
    details = _object(usage.get("prompt_tokens_details"))
    read_ = whole(usage.get("cache_read_input_tokens")) or whole(details.get("cached_tokens"))
    written = whole(usage.get("cache_creation_input_tokens")) or whole(details.get("cache_creation_tokens"))
    long = min(written, whole(_object(details.get("cache_creation_token_details")).get("ephemeral_1h_input_tokens")))
    read_ = min(read_, inputs)
    written = min(written, inputs - read_)
    return {
        "tokens_in": inputs - read_ - written,
        "tokens_out": outputs,
        "cache_read_tokens": read_,
        "cache_write_tokens": written - min(long, written),
        "cache_write_1h_tokens": min(long, written),
    }


def _tags(row: dict[str, Any], meta: dict[str, Any]) -> dict[str, str] | None:
    found = row.get("request_tags")
    if type(found) is str:
        found = _decoded(found)
    tags = {tag: "true" for tag in found if type(tag) is str and tag} if type(found) is list else {}
    team = _text(row.get("team_id")) or _text(meta.get("user_api_key_team_id"))
    return tags | ({"team": team} if team else {}) or None


def _object(value: object) -> dict[str, Any]:
    found = _decoded(value) if type(value) is str else value
    return found if type(found) is dict else {}


def _decoded(text: str) -> object:
    try:
        return orjson.loads(text)
    except ValueError:
        return None


def _text(value: object) -> str:
    return value.strip() if type(value) is str else ""
