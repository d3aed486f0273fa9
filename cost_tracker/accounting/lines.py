"""The tracker's own CSV of ledger lines, read back, and what sums of them hold."""

from __future__ import annotations

import csv
import io
import sys
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, TypeAlias

from shared.core.money import CONTEXT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from zoneinfo import ZoneInfo

Line: TypeAlias = dict[str, str]

TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens")
# What a CSV for spreadsheets writes a quote before.
_GUARDED = ("'=", "'+", "'-", "'@", "'\t", "'\r")
# Lines between two reports of how far one is.
_REPORTED = 1000


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
        is_priced = line["cost_usd"] != ""
        cost = Decimal(line["cost_usd"]) if is_priced else Decimal(0)
        self._count(cost, requests, tokens, (0, 0) if is_priced else (requests, sum(tokens)), 1)

    def merge(self, other: Sums) -> None:
        """Count other sums in."""
        unpriced = other.unpriced_requests, other.unpriced_tokens
        self._count(other.cost, other.requests, other.tokens, unpriced, other.lines)

    def _count(self, cost: Decimal, requests: int, tokens: list[int], unpriced: tuple[int, int], lines: int) -> None:
        self.cost = CONTEXT.add(self.cost, cost)
        self.requests += requests
        self.tokens = [known + more for known, more in zip(self.tokens, tokens, strict=True)]
        self.unpriced_requests += unpriced[0]
        self.unpriced_tokens += unpriced[1]
        self.lines += lines


def read(source: Path, done: Callable[[int], object] | None = None) -> Iterator[Line]:
    """Yield the lines of a CSV export in its order, as they are written there.

    `done` is told now and then how many bytes were read so far.
    """
    csv.field_size_limit(sys.maxsize)  # a provider's row may be longer than the 128 kB that Python expects
    with source.open("rb") as raw, io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as file:
        for number, line in enumerate(csv.DictReader(file)):
            if done and number % _REPORTED == 0:
                done(raw.tell())
            yield line


def instant(line: Line, zone: ZoneInfo) -> datetime:
    """Return when a line was recorded, in a zone."""
    return datetime.fromisoformat(line["recorded_at"]).astimezone(zone)


def unguarded(text: str) -> str:
    """Return a text of a CSV for spreadsheets as it was before a quote was written before it."""
    return text[1:] if text.startswith(_GUARDED) else text
