"""JSON schemas of usage records and of what is sent to become one."""

from __future__ import annotations

from decimal import Decimal

from functions.api.schemas import (
    COUNT,
    FLAG,
    INSTANT,
    INTEGER,
    MONEY,
    MONEY_OR_NULL,
    TEXT,
    TEXT_OR_NULL,
    Schema,
    array,
    mapping,
    schema,
)
from shared.core.event_fields import COUNTS, WORDS

_ID_OR_NULL: Schema = {"type": ["integer", "null"]}
_OBJECT_OR_NULL: Schema = {"type": ["object", "array", "null"], "description": "The provider's own row"}
RECORD = schema(
    {
        "id": {"type": ["integer", "null"], "description": "null in a dry run"},
        "event_id": TEXT_OR_NULL,
        "recorded_at": INSTANT,
        "collected_at": INSTANT,
        "updated_at": INSTANT,
        "provider": TEXT,
        "account": TEXT,
        "model": TEXT,
        "model_raw": TEXT_OR_NULL,
        "input_tokens": INTEGER,
        "output_tokens": INTEGER,
        "cache_read_tokens": INTEGER,
        "cache_write_tokens": INTEGER,
        "cache_write_1h_tokens": INTEGER,
        "total_tokens": INTEGER,
        "requests": INTEGER,
        "cost_usd": MONEY_OR_NULL,
        "input_cost": MONEY,
        "output_cost": MONEY,
        "cache_cost": MONEY,
        "reported_cost": MONEY_OR_NULL,
        "priced_by": TEXT_OR_NULL,
        "project": TEXT,
        "agent": TEXT_OR_NULL,
        "user": TEXT_OR_NULL,
        "session_label": TEXT_OR_NULL,
        "session_type": TEXT,
        "category": TEXT_OR_NULL,
        "description": TEXT_OR_NULL,
        "request_type": TEXT_OR_NULL,
        "source": {"type": "string", "enum": ["api", "event", "manual", "import", "attribution"]},
        "tags": mapping(TEXT),
        "metadata": {"type": "object"},
        "raw_data": _OBJECT_OR_NULL,
        **dict.fromkeys(
            (
                "reasoning_tokens", "audio_input_tokens", "audio_output_tokens", "image_input_tokens",
                "image_output_tokens", "web_searches",
            ),
            INTEGER,
        ),
        "service_tier": TEXT_OR_NULL,
        "batch": FLAG,
        "speed": TEXT_OR_NULL,
        "inference_geo": TEXT_OR_NULL,
    }
)  # fmt: skip
_VOIDED = schema({"at": INSTANT, "reason": TEXT}, description="Present where the event was voided")
ONE = schema({"success": FLAG, "data": RECORD, "voided": _VOIDED}, "voided")
PAGE = schema(
    {
        "success": FLAG,
        "data": array(RECORD),
        "count": COUNT,
        "has_more": FLAG,
        "next_cursor": TEXT_OR_NULL,
        "next": TEXT_OR_NULL,
    }
)
VOIDED = schema({"success": FLAG, "status": {"type": "string", "const": "voided"}, "data": RECORD, "voided": _VOIDED})
_REJECTION = schema(
    {
        "code": {"type": "string", "enum": ["invalid_input", "conflict"]},
        "message": TEXT,
        "details": array(schema({"field": TEXT, "message": TEXT})),
    }
)
_WARNINGS: Schema = {**array(TEXT), "description": "Models without a known price, and the nearest names"}
_UNPRICED: Schema = {**mapping(COUNT), "description": "New rows without a price by model as sent"}
_STORED = schema(
    {
        "success": FLAG,
        "status": {"type": "string", "enum": ["created", "duplicate"]},
        "data": RECORD,
        "dry_run": FLAG,
        "warnings": _WARNINGS,
        "unpriced": _UNPRICED,
        "voided": _VOIDED,
    },
    "dry_run",
    "warnings",
    "unpriced",
    "voided",
)
_BATCH = schema(
    {
        "success": FLAG,
        "created": COUNT,
        "duplicates": COUNT,
        "rejected": COUNT,
        "results": array(
            schema(
                {
                    "index": COUNT,
                    "status": {"type": "string", "enum": ["created", "duplicate", "rejected"]},
                    "id": _ID_OR_NULL,
                    "error": {"anyOf": [_REJECTION, {"type": "null"}]},
                    "data": RECORD,
                },
                "data",
            )
        ),
        "dry_run": FLAG,
        "warnings": _WARNINGS,
        "unpriced": _UNPRICED,
    },
    "dry_run",
    "warnings",
    "unpriced",
)
ACCEPTED: Schema = {"anyOf": [_STORED, _BATCH]}
_EVENT = schema(
    {
        **dict.fromkeys(COUNTS, COUNT),
        **dict.fromkeys(WORDS, TEXT),
        "input_tokens": COUNT,
        "output_tokens": COUNT,
        "prompt_tokens": COUNT,
        "completion_tokens": COUNT,
        "prompt_tokens_details": {"type": "object"},
        "completion_tokens_details": {"type": "object"},
        "usage": {"type": "object", "description": "The provider's own object, Anthropic's or OpenAI's"},
        "batch": FLAG,
        "cost": MONEY,
        "description": TEXT,
        "tags": {"type": "object"},
        "metadata": {"type": "object"},
        "recorded_at": INSTANT,
        "event_id": TEXT,
    },
    *(set(COUNTS) | set(WORDS)) - {"model"},
    "input_tokens", "output_tokens", "prompt_tokens", "completion_tokens", "prompt_tokens_details",
    "completion_tokens_details", "usage", "batch", "cost", "description", "tags", "metadata", "recorded_at", "event_id",
)  # fmt: skip
SENT: Schema = {"anyOf": [_EVENT, {**array(_EVENT), "maxItems": 5000}]}
EXAMPLE = {
    "event_id": "run-42-step-7",
    "model": "claude-sonnet-4-5",
    "tokens_in": 1200,
    "tokens_out": 350,
    "cache_read_tokens": 9000,
    "agent": "researcher",
    "session_label": "peakpaws-nightly",
    "cost": Decimal("0.0121"),
    "tags": {"team": "growth"},
}
SUMMARY = schema(
    {
        "success": FLAG,
        "data": array(
            schema(
                {
                    "period": TEXT,
                    "total_cost": MONEY,
                    "total_requests": INTEGER,
                    "total_tokens_in": INTEGER,
                    "total_tokens_out": INTEGER,
                    **{
                        f"by_{name}": mapping(
                            schema({"cost": MONEY, "requests": INTEGER, "tokens_in": INTEGER, "tokens_out": INTEGER})
                        )
                        for name in ("model", "project", "agent")
                    },
                }
            )
        ),
    }
)
