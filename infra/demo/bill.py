"""What the provider charges for usage: the demo's own price list, independent of every catalogue, exact in cents."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from infra.demo.cast import HAIKU, OPUS, OPUS_NEW, PREVIEW, SONNET
from infra.demo.dataset import COUNTS, CostRow, UsageRow

# In the order of `COUNTS`, without web searches: how the cost report spells each class, in token_type and in words.
TOKEN_TYPES = (
    ("uncached_input_tokens", "Input Tokens"),
    ("cache_read_input_tokens", "Input Tokens, Cache Read"),
    ("cache_creation.ephemeral_5m_input_tokens", "Input Tokens, Cache Write"),
    ("cache_creation.ephemeral_1h_input_tokens", "Input Tokens, Cache Write 1h"),
    ("output_tokens", "Output Tokens"),
)
SEARCH_CENTS = Decimal(1)
BATCH_FACTOR = Decimal("0.5")
US_FACTOR = Decimal("1.1")
LONG_CONTEXT = "200k-1M"


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens, in the order of `TOKEN_TYPES`; `long` applies to `200k-1M` where it differs."""

    title: str
    base: tuple[Decimal, ...]
    long: tuple[Decimal, ...] = ()

    def of(self, context_window: str) -> tuple[Decimal, ...]:
        """Return the prices of a context class."""
        return self.long if self.long and context_window == LONG_CONTEXT else self.base


def _usd(*figures: str) -> tuple[Decimal, ...]:
    return tuple(map(Decimal, figures))


PRICES = {
    OPUS: Price("Claude Opus 4.6", _usd("5", "0.5", "6.25", "10", "25")),
    OPUS_NEW: Price("Claude Opus 5.5", _usd("4", "0.20", "5", "8", "20")),
    SONNET: Price(
        "Claude Sonnet 4.5",
        _usd("3", "0.3", "3.75", "6", "15"),
        _usd("6", "0.6", "7.5", "12", "22.5"),
    ),
    HAIKU: Price("Claude Haiku 4.5", _usd("1", "0.1", "1.25", "2", "5")),
    PREVIEW: Price("Claude Nimbus Preview", _usd("2.5", "0.25", "3.125", "5", "12.5")),
}


class Slot(NamedTuple):
    """What the cost report tells apart and the price depends on."""

    workspace_id: str | None
    model: str
    service_tier: str
    context_window: str
    inference_geo: str


def charge(day: datetime, usage: Iterable[UsageRow]) -> Iterator[CostRow]:
    """Yield the bill of one day's usage: a row per slot and token class, then the web searches per workspace.

    Costs are linear in tokens, so summing the day first gives the same cents as charging every row.
    """
    slots: dict[Slot, list[int]] = {}
    searches: dict[str | None, int] = {}
    for row in usage:
        slot = Slot(row.workspace_id, row.model, row.service_tier, row.context_window, row.inference_geo)
        totals = slots.setdefault(slot, [0] * len(COUNTS))
        for index, count in enumerate(row.counts):
            totals[index] += count
        searches[row.workspace_id] = searches.get(row.workspace_id, 0) + row.web_search_requests
    for slot, totals in sorted(slots.items(), key=lambda item: tuple(part or "" for part in item[0])):
        yield from _tokens(day, slot, totals)
    for workspace_id, count in sorted(searches.items(), key=lambda item: item[0] or ""):
        if count:
            yield CostRow(day, count * SEARCH_CENTS, "Web Search Usage", "web_search", workspace_id=workspace_id)


def charge_by_key(day: datetime, usage: Iterable[UsageRow]) -> Iterator[CostRow]:
    """Yield the same bill, each row told apart by key, product and speed."""
    parts: dict[tuple[str | None, str, str], list[UsageRow]] = {}
    for row in usage:
        parts.setdefault((row.api_key_id, row.product, row.speed), []).append(row)
    for (key, product, speed), rows in sorted(parts.items(), key=lambda item: tuple(part or "" for part in item[0])):
        for line in charge(day, rows):
            yield replace(line, api_key_id=key, product=product, speed=speed if line.model else None)


def _tokens(day: datetime, slot: Slot, totals: list[int]) -> Iterator[CostRow]:
    price = PRICES[slot.model]
    factor = Decimal(1)
    circumstances = ""
    if slot.context_window == LONG_CONTEXT:
        circumstances += ", Long Context"
    if slot.service_tier == "batch":
        factor *= BATCH_FACTOR
        circumstances += ", Batch"
    if slot.inference_geo == "us":
        factor *= US_FACTOR
        circumstances += ", US Inference"
    for (token_type, words), per_million, tokens in zip(
        TOKEN_TYPES, price.of(slot.context_window), totals, strict=False
    ):
        if tokens:
            yield CostRow(
                at=day,
                amount=(tokens * per_million * factor).scaleb(-4),  # dollars per million are 10^-4 cents per token
                description=f"{price.title} Usage - {words}{circumstances}",
                model=slot.model,
                service_tier=slot.service_tier,
                token_type=token_type,
                context_window=slot.context_window,
                inference_geo=slot.inference_geo,
                workspace_id=slot.workspace_id,
            )
