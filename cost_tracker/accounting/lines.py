"""The tracker's own CSV of ledger lines, read back, and what sums of them hold."""

from __future__ import annotations

import csv
import sys
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, TypeAlias

from shared.core.money import CONTEXT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from zoneinfo import ZoneInfo

Line: TypeAlias = dict[str, str]

TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens")
# What a CSV for spreadsheets writes a quote before.
_GUARDED = ("'=", "'+", "'-", "'@", "'\t", "'\r")


@dataclass(slots=True)
class Sums:
    """Exact sums of lines: USD, requests, tokens by column, and how many requests and tokens had no price."""

    cost: Decimal = Decimal(0)
    requests: int = 0
    tokens: list[int] = field(default_factory=lambda: [0] * len(TOKENS))
    unpriced_requests: int = 0
    unpriced_tokens: int = 0
    lines: int = 0

    def add(self, line: Line) -> None:
        """Count a line in."""
        requests, tokens = int(line["requests"]), [int(line[name]) for name in TOKENS]
        self.lines += 1
        self.requests += requests
        self.tokens = [known + more for known, more in zip(self.tokens, tokens, strict=True)]
        if line["cost_usd"]:
            self.cost = CONTEXT.add(self.cost, Decimal(line["cost_usd"]))
        else:
            self.unpriced_requests += requests
            self.unpriced_tokens += sum(tokens)


def read(source: Path) -> Iterator[Line]:
    """Yield the lines of a CSV export in its order, as they are written there."""
    csv.field_size_limit(sys.maxsize)  # a provider's row may be longer than the 128 kB that Python expects
    with source.open(newline="", encoding="utf-8-sig") as file:
        yield from csv.DictReader(file)


def instant(line: Line, zone: ZoneInfo) -> datetime:
    """Return when a line was recorded, in a zone."""
    return datetime.fromisoformat(line["recorded_at"]).astimezone(zone)


def unguarded(text: str) -> str:
    """Return a text of a CSV for spreadsheets as it was before a quote was written before it."""
    return text[1:] if text.startswith(_GUARDED) else text
