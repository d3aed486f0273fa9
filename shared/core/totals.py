"""Sums of ledger lines as reports show them: tokens by class, money by class, and what had no price."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from shared.core.money import CONTEXT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Token class in answers -> column of sums. Those of the first row are always shown, the others when not zero.
TOKEN_CLASSES = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache_read": "cache_read_tokens",
    "cache_write_5m": "cache_write_5m_tokens",
    "cache_write_1h": "cache_write_1h_tokens",
    "reasoning": "reasoning_tokens",
    "audio": "audio_tokens",
    "image": "image_tokens",
    "web_searches": "web_searches",
}
_ALWAYS_SHOWN = 5
# Class of money -> column of sums; what is left of a total after them is `unclassified`.
COST_CLASSES = {
    "input": "input_cost",
    "output": "output_cost",
    "cache_read": "cache_read_cost",
    "cache_write_5m": "cache_write_5m_cost",
    "cache_write_1h": "cache_write_1h_cost",
    "audio": "audio_cost",
    "image": "image_cost",
    "web_searches": "web_search_cost",
    "requests": "request_cost",
}
UNCLASSIFIED = "unclassified"
# Shared by all sums without them: a report makes thousands of those.
_NO_TOKENS: Mapping[str, int] = MappingProxyType(dict.fromkeys(TOKEN_CLASSES, 0))
_NO_COSTS: Mapping[str, Decimal] = MappingProxyType(dict.fromkeys(COST_CLASSES, Decimal(0)))


@dataclass(slots=True)
class Totals:
    """Exact sums: `cost` in USD, `costs` by class (without what is unclassified), counters as integers."""

    cost: Decimal = Decimal(0)
    requests: int = 0
    tokens: Mapping[str, int] = field(default_factory=lambda: _NO_TOKENS)
    costs: Mapping[str, Decimal] = field(default_factory=lambda: _NO_COSTS)
    unpriced_requests: int = 0
    unpriced_tokens: int = 0

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Totals:
        """Read one row of sums, by the column names of the roll-up."""
        return cls(
            cost=row["cost"],
            requests=int(row["requests"]),
            tokens={name: int(row[column]) for name, column in TOKEN_CLASSES.items()},
            costs={name: row[column] for name, column in COST_CLASSES.items()},
            unpriced_requests=int(row["unpriced_requests"]),
            unpriced_tokens=int(row["unpriced_tokens"]),
        )

    def add(self, other: Totals) -> None:
        """Add the other sums to these, exactly."""
        self.cost = CONTEXT.add(self.cost, other.cost)
        self.requests += other.requests
        self.unpriced_requests += other.unpriced_requests
        self.unpriced_tokens += other.unpriced_tokens
        if other.tokens is not _NO_TOKENS:
            self.tokens = {name: count + self.tokens[name] for name, count in other.tokens.items()}
        if other.costs is not _NO_COSTS:
            self.costs = {name: CONTEXT.add(cost, self.costs[name]) for name, cost in other.costs.items()}

    def token_map(self) -> dict[str, int]:
        """Return tokens by class: the five disjoint ones always, the others when not zero."""
        shown = list(self.tokens.items())
        return dict(shown[:_ALWAYS_SHOWN] + [(name, count) for name, count in shown[_ALWAYS_SHOWN:] if count])

    def by_token_class(self) -> dict[str, Totals]:
        """Split into one sum per class of money; they add up to `cost`."""
        parts = {name: cost for name, cost in self.costs.items() if cost or self.tokens.get(name)}
        rest = self.cost
        for cost in self.costs.values():
            rest = CONTEXT.subtract(rest, cost)
        if rest:
            parts[UNCLASSIFIED] = rest
        return {
            name: Totals(cost=cost, tokens={**dict.fromkeys(TOKEN_CLASSES, 0), **self._only(name)})
            for name, cost in parts.items()
        }

    def _only(self, name: str) -> dict[str, int]:
        return {name: self.tokens[name]} if name in self.tokens else {}


def total(parts: Iterable[Totals]) -> Totals:
    """Return the exact sum of all parts."""
    result = Totals()
    for part in parts:
        result.add(part)
    return result
