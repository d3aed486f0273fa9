"""The lines of OpenAI's bill: what their text says, and which of them tokens explain."""

from __future__ import annotations

import re
from dataclasses import dataclass

from shared.core.usage import PriceContext
from shared.providers.base import Bucket, Row
from shared.providers.payload import Payload, Text, Usd

TOKENS = "tokens"
# Tokens too, at a price that the usage reports do not tell apart.
LONG_CONTEXT = "long_context"
COST_GROUPS = ("project_id", "api_key_id", "line_item")

# `priority | gpt-5.5-2026-04-23, cached input, long context`; `gpt-audio audio, input`; `whisper-1, audio`.
_LINE = re.compile(
    r"(?:(?P<tier>[^|,]+?) \| )?(?P<model>[^|,]+?)(?: (?P<modality>audio|image|text))?, "
    r"(?P<kind>(?:[\w ]*(?:input|output|cache writes?|tokens))|audio)(?P<long>, long context)?",
    re.IGNORECASE,
)
_TOKEN_UNITS = frozenset({"tokens", "1000_tokens"})


class _Amount(Payload):
    value: Usd
    currency: Text


class CostRow(Payload):
    """One line of one day's bill."""

    amount: _Amount
    line_item: Text | None = None
    project_id: Text | None = None
    api_key_id: Text | None = None
    quantity_unit: Text | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """What the text of a line says. `model` is None where it follows no known pattern; then only the text counts.

    `is_tokens` says that the usage reports count what it charges.
    """

    is_tokens: bool
    model: str | None = None
    kind: str | None = None
    modality: str | None = None
    tier: str | None = None
    is_long: bool = False


def read_line(text: str, quantity_unit: str | None = None) -> Line:
    """Return what a line says; the unit of its quantity, where it has one, decides whether it is about tokens."""
    found = _LINE.fullmatch(text.strip())
    if quantity_unit is not None:
        is_tokens = quantity_unit in _TOKEN_UNITS
    else:
        is_tokens = found is not None and found["kind"].lower() != "audio"
    if found is None:
        return Line(is_tokens)
    tier = found["tier"]
    return Line(
        is_tokens,
        model=found["model"],
        kind=found["kind"].lower(),
        modality=found["modality"].lower() if found["modality"] else None,
        tier=tier.lower() if tier else None,
        is_long=found["long"] is not None,
    )


def charged(row: Row, cost: CostRow) -> Bucket:
    """Return the bucket of a cost row. What is not about tokens is its own charge, word for word.

    A line without text is kept for the comparison with the bill and never booked: it may hold tokens.
    """
    line = read_line(cost.line_item, cost.quantity_unit) if cost.line_item else Line(is_tokens=False)
    return Bucket(
        row.start,
        row.end,
        {name: row.raw[name] for name in COST_GROUPS if name in row.raw},
        context=PriceContext(service_tier=line.tier),
        model=line.model,
        key_id=cost.api_key_id,
        workspace_id=cost.project_id,
        amount=cost.amount.value,
        charge=_charge(line, cost),
        description=cost.line_item,
    )


def _charge(line: Line, cost: CostRow) -> str | None:
    if line.is_tokens:
        return LONG_CONTEXT if line.is_long else TOKENS
    return cost.line_item or None
