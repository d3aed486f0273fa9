"""What providers publish about prices and the catalogue does not record, applied on top of it and never silently."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING

from shared.core.pricing import TOKEN_CLASSES, RateCard, Rates

if TYPE_CHECKING:
    from shared.core.usage import PriceContext

# Anthropic: `inference_geo: "us"` costs 1.1 times in every token category, on top of batch and fast mode; searches
# keep their price. https://platform.claude.com/docs/en/about-claude/pricing#data-residency-pricing
_US_ONLY = Decimal("1.1")

# Half of the standard price for every token. The catalogue's own half prices begin on the day it started to record
# them (2026-10-12 and 14), long after the providers did, and older models have none.
# Anthropic batch (since 2024-10): https://platform.claude.com/docs/en/build-with-claude/batch-processing#pricing
# OpenAI batch (since 2024-04): https://platform.openai.com/docs/guides/batch
# OpenAI flex, "at Batch API rates" (since 2025-04): https://platform.openai.com/docs/guides/flex-processing
_HALF = Decimal("0.5")
_HALF_PRICE = frozenset({("anthropic", "batch", ""), ("openai", "batch", ""), ("openai", "service_tier", "flex")})

_FREE = dict.fromkeys(TOKEN_CLASSES, Decimal(0))


def correct(card: RateCard, context: PriceContext) -> RateCard:
    """Return the catalogue's card with what it lacks for these circumstances.

    Every change, and every circumstance that remains without a price of its own, is a sentence in `adjustments`.
    """
    us_only = card.base.provider == "anthropic" and (context.inference_geo or "").lower() == "us"
    # A `:free` model is free by name, the catalogue lists it without prices: https://openrouter.ai/docs/faq
    free = card.base.model.endswith(":free") and card.base.is_empty
    if not (us_only or free or card.unmet):
        return card
    return _corrected(card, us_only, free, (context.service_tier or "").lower())


@lru_cache(maxsize=1024)
def noted(card: RateCard, note: str) -> RateCard:
    """Return the card with a sentence added to the adjustments of every tier."""
    return RateCard(tuple((above, rates.priced({}, note)) for above, rates in card.tiers), card.unmet)


@lru_cache(maxsize=1024)
def _corrected(card: RateCard, us_only: bool, free: bool, service_tier: str) -> RateCard:  # noqa: FBT001 - a cache key
    provider = card.base.provider
    halved = tuple(
        name for name in card.unmet if (provider, name, service_tier if name == "service_tier" else "") in _HALF_PRICE
    )
    unmet = tuple(name for name in card.unmet if name not in halved)

    def change(rates: Rates) -> Rates:
        if free:
            return rates.priced(_FREE, "Free by its name: a :free model costs nothing.")
        for name in halved:
            rates = rates.scaled(_HALF, f"{_WORDS[name]}: half the standard price, as the provider publishes.")
        if us_only:
            rates = rates.scaled(_US_ONLY, "US-only inference: 1.1 times.")
        notes = (f"{_WORDS[name]}: no price of its own is known at that date, standard price." for name in unmet)
        return rates.priced({}, *notes)

    return RateCard(tuple((above, change(rates)) for above, rates in card.tiers), unmet)


_WORDS = {"batch": "Batch", "service_tier": "Service tier", "speed": "Fast mode"}
