"""JSON schemas of responses and bodies, in few words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]

TEXT: Schema = {"type": "string"}
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
FLAG: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
INTEGER: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
NUMBER_OR_NULL: Schema = {"type": ["number", "null"]}
MONEY: Schema = {"type": "number", "description": "USD, at most 10 decimals"}
MONEY_OR_NULL: Schema = {"type": ["number", "null"], "description": "USD, at most 10 decimals; null where unpriced"}
DATE: Schema = {"type": "string", "format": "date"}
INSTANT: Schema = {"type": "string", "format": "date-time"}
INSTANT_OR_NULL: Schema = {"type": ["string", "null"], "format": "date-time"}
ANYTHING: Schema = {}

_DETAIL: Schema = {"type": "object", "properties": {"field": TEXT, "message": TEXT}}
ERROR: Schema = {
    "type": "object",
    "required": ["success", "error"],
    "properties": {
        "success": {"type": "boolean", "const": False},
        "error": {
            "type": "object",
            "required": ["code", "message", "details"],
            "properties": {"code": TEXT, "message": TEXT, "details": {"type": "array", "items": _DETAIL}},
        },
    },
}


def schema(properties: Mapping[str, Schema], *optional: str, description: str = "") -> Schema:
    """Return an object's schema; every property but the optional ones is always there."""
    required = [name for name in properties if name not in optional]
    return {
        "type": "object",
        "properties": dict(properties),
        **({"required": required} if required else {}),
        **({"description": description} if description else {}),
    }


def array(items: Schema) -> Schema:
    """Return the schema of an array."""
    return {"type": "array", "items": items}


def mapping(values: Schema) -> Schema:
    """Return the schema of an object whose keys are data: `{"model": usd}`."""
    return {"type": "object", "additionalProperties": values}
