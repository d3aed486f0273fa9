"""A row of LiteLLM's spend logs as a usage event: the same whether it was polled or comes out of an exported file.

Input tokens include what a cache read or wrote; the spend is LiteLLM's own estimate, kept as reported cost. Requests
and responses, which rows may hold, are never looked at.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from shared.core.amounts import amount, whole
from shared.core.event_ids import short
from shared.core.money import normalise

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

# Everything of a row that becomes part of an event.
FIELDS = (
    "request_id", "status", "metadata", "spend", "model", "model_group", "custom_llm_provider", "prompt_tokens",
    "completion_tokens", "cache_hit", "agent_id", "user", "end_user", "session_id", "call_type", "request_tags",
    "team_id",
)  # fmt: skip
_META_FIELDS = ("status", "user_api_key_alias", "user_api_key_team_id", "usage_object")


def kept(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with nothing but what an event is made of; texts of people, addresses and keys stay behind."""
    meta = _object(row.get("metadata"))
    found = {name: row[name] for name in FIELDS if name in row}
    return {**found, "metadata": {name: meta[name] for name in _META_FIELDS if name in meta}}


def event(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what `POST /api/usage` takes, without a time; None for a request that failed and cost nothing.

    Costs are USD as LiteLLM estimates them. Fields without a value are None or empty.

    Raises:
        ValueError: it cannot be understood; the message says why, without a full stop.
    """
    name = text(row.get("request_id"))
    if not name:
        raise ValueError("it has no request id")
    meta = _object(row.get("metadata"))
    spend = _spend(row.get("spend"))
    if "failure" in {row.get("status"), meta.get("status")} and not spend:
        return None
    return {
        "event_id": f"litellm:{short(name)}",
        "model": text(row.get("model")) or text(row.get("model_group")) or "unknown",
        "provider": text(row.get("custom_llm_provider")),
        **_counts(row, meta),
        "cost": spend,
        "agent": text(row.get("agent_id")) or text(meta.get("user_api_key_alias")),
        "user": _nameless(row.get("user")) or _nameless(row.get("end_user")),
        "session_label": text(row.get("session_id")),
        "session_type": "main",
        "request_type": text(row.get("call_type")),
        "tags": _tags(row, meta),
    }


def text(value: object) -> str:
    """Return a text without blanks around it; empty for anything else."""
    return value.strip() if type(value) is str else ""


def _spend(value: object) -> Decimal | None:
    found = amount(value)
    # A binary float there. Programs write one in different digits, and the same request must say the same.
    same = None if found is None else amount(float(found))
    return None if same is None else normalise(same)


def _counts(row: Mapping[str, Any], meta: Mapping[str, Any]) -> dict[str, int]:
    """Return our token counts; an answer out of LiteLLM's own cache used none."""
    if str(row.get("cache_hit")).lower() == "true":
        return {"tokens_in": 0, "tokens_out": 0}
    usage = _object(meta.get("usage_object"))
    inputs, outputs = whole(row.get("prompt_tokens")), whole(row.get("completion_tokens"))
    details = _object(usage.get("prompt_tokens_details"))
    read = whole(usage.get("cache_read_input_tokens")) or whole(details.get("cached_tokens"))
    written = whole(usage.get("cache_creation_input_tokens")) or whole(details.get("cache_creation_tokens"))
    long = min(written, whole(_object(details.get("cache_creation_token_details")).get("ephemeral_1h_input_tokens")))
    read = min(read, inputs)
    written = min(written, inputs - read)
    return {
        "tokens_in": inputs - read - written,
        "tokens_out": outputs,
        "cache_read_tokens": read,
        "cache_write_tokens": written - min(long, written),
        "cache_write_1h_tokens": min(long, written),
    }


def _tags(row: Mapping[str, Any], meta: Mapping[str, Any]) -> dict[str, str] | None:
    found = row.get("request_tags")
    if type(found) is str:
        found = _decoded(found)
    tags = {tag: "true" for tag in found if type(tag) is str and tag} if type(found) is list else {}
    team = text(row.get("team_id")) or text(meta.get("user_api_key_team_id"))
    return tags | ({"team": team} if team else {}) or None


def _nameless(value: object) -> str:
    """Return an id of whoever asked; empty where it is an e-mail address."""
    found = text(value)
    return "" if "@" in found else found


def _object(value: object) -> dict[str, Any]:
    found = _decoded(value) if type(value) is str else value
    return found if type(found) is dict else {}


def _decoded(written: str) -> object:
    try:
        return json.loads(written)
    except (ValueError, RecursionError):
        return None
