"""What senders call their token counts, converted to ours: `input` never includes what a cache read or wrote."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, TypeAlias

from shared.core.usage import MAX_COUNT

Row: TypeAlias = Mapping[str, Any]

# Other names of our own fields, counted by the same convention.
ALIASES = {"input_tokens": "tokens_in", "output_tokens": "tokens_out"}
# OpenAI's fields, whose input includes what was cached, and the providers' own objects.
OPENAI = ("prompt_tokens", "completion_tokens", "prompt_tokens_details", "completion_tokens_details")
FOREIGN = frozenset({*ALIASES, *OPENAI, "usage"})

# What only one of the conventions may say: a sum of two would count tokens twice.
_INPUTS = ("tokens_in", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens", "audio_input_tokens")
_OUTPUTS = ("tokens_out", "reasoning_tokens", "audio_output_tokens")
_COUNTS = (*_INPUTS, *_OUTPUTS, "image_input_tokens", "image_output_tokens", "web_searches")
_TOTALS = ("total_tokens", "input_tokens_details", "output_tokens_details")
_GEOS = ("us", "global")


class EventError(ValueError):
    """A row that cannot be taken; the message is one sentence for its sender, `field` the name it is about."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def count(name: str, value: object) -> int:
    """Return a whole number of 0 to 10^15; None is 0, and `120.0` is 120.

    Raises:
        EventError: anything else.
    """
    if value is None:
        return 0
    if isinstance(value, Decimal) and 0 <= value <= MAX_COUNT and value == int(value):
        return int(value)
    if type(value) is int and 0 <= value <= MAX_COUNT:
        return value
    is_number = isinstance(value, (int, Decimal)) and not isinstance(value, bool)
    shown = f"not {str(value)[:40]}" if is_number else f"not {_kind(value)}"
    raise EventError(name, f"{name} must be a whole number from 0 to 10^15, {shown}.")


def unify(row: Row) -> dict[str, Any]:
    """Return the row with our names only: aliases, OpenAI's fields or the provider's `usage` object converted.

    Fields without a value are left out.

    Raises:
        EventError: two names for one thing, counts that contradict each other, or a malformed `usage`.
    """
    given = {name: value for name, value in row.items() if value is not None}
    for alias, name in ALIASES.items():
        if alias in given:
            if name in given:
                raise EventError(alias, f"{alias} and {name} are the same; send one of them.")
            given[name] = given.pop(alias)
    openai = {name: given.pop(name) for name in OPENAI if name in given}
    if "usage" in given:
        usage = given.pop("usage")
        if not isinstance(usage, dict):
            raise EventError("usage", f"usage must be the object that the provider answered with, not {_kind(usage)}.")
        _refuse_both("usage", (*openai, *(name for name in _COUNTS if name in given)))
        return {**_of_usage(usage), **given}
    if "prompt_tokens" in openai or "prompt_tokens_details" in openai:
        _refuse_both("prompt_tokens", [name for name in _INPUTS if name in given])
        if "prompt_tokens" not in openai:
            raise EventError("prompt_tokens_details", "prompt_tokens_details needs prompt_tokens beside it.")
    if "completion_tokens" in openai or "completion_tokens_details" in openai:
        _refuse_both("completion_tokens", [name for name in _OUTPUTS if name in given])
        if "completion_tokens" not in openai:
            raise EventError(
                "completion_tokens_details", "completion_tokens_details needs completion_tokens beside it."
            )
    return {**given, **_of_openai(openai, "prompt_tokens", "completion_tokens", "")}


def _refuse_both(name: str, others: object) -> None:
    found = list(others) if isinstance(others, (list, tuple)) else []
    if found:
        raise EventError(found[0], f"{name} already says what {found[0]} is; send one of them.")


def _of_usage(usage: Row) -> dict[str, Any]:
    """Read a provider's own `usage` object; what else it holds is for the provider's readers."""
    if "prompt_tokens" in usage or "completion_tokens" in usage:
        return _of_openai(usage, "prompt_tokens", "completion_tokens", "usage.")
    if "input_tokens" not in usage and "output_tokens" not in usage:
        raise EventError("usage", "usage holds neither input_tokens nor prompt_tokens; send the provider's own object.")
    # OpenAI's newer API names its fields as Anthropic does and still includes the cached part.
    if any(name in usage for name in _TOTALS):
        return _of_openai(usage, "input_tokens", "output_tokens", "usage.")
    return _of_anthropic(usage)


def _of_openai(usage: Row, inputs: str, outputs: str, prefix: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if usage.get(inputs) is not None:
        whole = count(f"{prefix}{inputs}", usage[inputs])
        details = _object(usage, f"{inputs}_details", prefix)
        cached = count(f"{prefix}{inputs}_details.cached_tokens", details.get("cached_tokens"))
        if cached > whole:
            raise EventError(
                f"{prefix}{inputs}_details",
                f"{prefix}{inputs}_details.cached_tokens is {cached}, more than the {whole} of {prefix}{inputs}, which "
                "include it.",
            )
        audio = count(f"{prefix}{inputs}_details.audio_tokens", details.get("audio_tokens"))
        found |= {"tokens_in": whole - cached, "cache_read_tokens": cached, "audio_input_tokens": audio}
    if usage.get(outputs) is not None:
        details = _object(usage, f"{outputs}_details", prefix)
        found["tokens_out"] = count(f"{prefix}{outputs}", usage[outputs])
        for name, ours in (("reasoning_tokens", "reasoning_tokens"), ("audio_tokens", "audio_output_tokens")):
            found[ours] = count(f"{prefix}{outputs}_details.{name}", details.get(name))
    elif prefix and found:
        found["tokens_out"] = 0  # embeddings
    return found


def _of_anthropic(usage: Row) -> dict[str, Any]:
    created = count("usage.cache_creation_input_tokens", usage.get("cache_creation_input_tokens"))
    split = _object(usage, "cache_creation", "usage.")
    long = count("usage.cache_creation.ephemeral_1h_input_tokens", split.get("ephemeral_1h_input_tokens"))
    short = count("usage.cache_creation.ephemeral_5m_input_tokens", split.get("ephemeral_5m_input_tokens"))
    tools = _object(usage, "server_tool_use", "usage.")
    found: dict[str, Any] = {
        "tokens_in": count("usage.input_tokens", usage.get("input_tokens")),
        "tokens_out": count("usage.output_tokens", usage.get("output_tokens")),
        "cache_read_tokens": count("usage.cache_read_input_tokens", usage.get("cache_read_input_tokens")),
        # The total alone is five-minute writes, which are the API's default.
        "cache_write_tokens": max(short, created - long),
        "cache_write_1h_tokens": long,
        "web_searches": count("usage.server_tool_use.web_search_requests", tools.get("web_search_requests")),
    }
    tier = usage.get("service_tier")
    if isinstance(tier, str):
        found |= {"batch": True} if tier == "batch" else {"service_tier": tier}
    if usage.get("inference_geo") in _GEOS:
        found["inference_geo"] = usage["inference_geo"]
    if usage.get("speed") == "fast":
        found["speed"] = "fast"
    return found


def _object(usage: Row, name: str, prefix: str) -> Row:
    value = usage.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise EventError(f"{prefix}{name}", f"{prefix}{name} must be an object, not {_kind(value)}.")
    return value


def _kind(value: object) -> str:
    """Return what a decoded JSON value is, in its sender's words."""
    names = {bool: "true or false", str: "text", list: "an array", dict: "an object"}
    return next((words for kind, words in names.items() if isinstance(value, kind)), "a number")
