"""Our arithmetic against the library's: the same total, to the last digit, for every model it knows."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, NamedTuple

import genai_prices
import pytest
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, PriceCalculation, StartDateConstraint, TieredPrices, TimeOfDateConstraint
from genai_prices.units import UnitRegistry, _get_registry
from hypothesis import given
from hypothesis import strategies as st

from shared.core.pricing import price, tier_input
from shared.core.usage import PriceContext, Usage
from shared.prices.catalogue import Catalogue, bundled

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
PLAIN = PriceContext()
CATALOGUE = Catalogue()
UNITS: UnitRegistry = _get_registry()
NOTHING = {key: 0 for key in UNITS.units if key != "requests"}

# Our classes in the library's words.
CLASSES = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache_read": "cache_read_tokens",
    "cache_write_5m": "cache_write_5m_tokens",
    "cache_write_1h": "cache_write_1h_tokens",
    "reasoning": "output_reasoning_tokens",
    "audio_input": "input_audio_tokens",
    "audio_output": "output_audio_tokens",
    "image_input": "input_image_tokens",
    "image_output": "output_image_tokens",
    "web_searches": "web_searches",
}


class Case(NamedTuple):
    provider: str
    model: str
    info: ModelInfo
    context: PriceContext
    at: datetime

    @property
    def words(self) -> dict[str, str]:
        words = {"service_tier": self.context.service_tier, "speed": self.context.speed}
        words["processing"] = "batch" if self.context.batch else None
        return {key: word for key, word in words.items() if word}


def contexts(info: ModelInfo) -> list[PriceContext]:
    found = [PLAIN]
    for variant in info.price_variants or ():
        when = dict(variant.when)
        batch = when.pop("processing", None) == "batch"
        context = PriceContext(batch=batch, service_tier=when.pop("service_tier", None), speed=when.pop("speed", None))
        # Routes and search types decide a price too, but no usage report or event carries them.
        if not when and context not in found:
            found.append(context)
    return found


def instants(info: ModelInfo) -> list[datetime]:
    found = {NOW}
    dated = [*(info.prices if isinstance(info.prices, list) else ()), *(info.price_variants or ())]
    for constraint in (price_.constraint for price_ in dated):
        if isinstance(constraint, StartDateConstraint):
            start = datetime.combine(constraint.start_date, time(), UTC)
            found |= {start, start - timedelta(microseconds=1)}
        elif isinstance(constraint, TimeOfDateConstraint):
            for edge in (constraint.start_time, constraint.end_time):
                start = datetime.combine(NOW.date(), edge)
                found |= {start, start - timedelta(microseconds=1)}
    return sorted(found)


def all_cases() -> Iterator[Case]:
    for provider in get_snapshot().providers:
        for info in provider.models:
            for context in contexts(info):
                for at in instants(info):
                    yield Case(provider.id, info.id, info, context, at)


CASES = list(all_cases())


def thresholds(info: ModelInfo) -> set[int]:
    sets = [price_.prices for price_ in info.prices] if isinstance(info.prices, list) else [info.prices]
    sets += [variant.prices for variant in info.price_variants or ()]
    tiered = [value for prices in sets for value in prices.__dict__.values() if isinstance(value, TieredPrices)]
    return {tier.start for value in tiered for tier in value.tiers}


def usages(info: ModelInfo) -> Iterator[Usage]:
    yield Usage(input=1_237, output=411, cache_read=7_919, cache_write_5m=13, cache_write_1h=17, requests=1)
    yield Usage(
        input=90,
        output=77,
        reasoning=11,
        audio_input=23,
        audio_output=29,
        image_input=31,
        image_output=37,
        requests=1,
    )
    yield Usage(input=3, web_searches=2, requests=1)
    for start in thresholds(info):
        for total in (start, start + 1):
            yield Usage(input=total - 2_000, cache_read=1_000, cache_write_1h=1_000, output=9, requests=1)


def as_library_usage(usage: Usage) -> genai_prices.Usage:
    counts = NOTHING | {theirs: getattr(usage, ours) for ours, theirs in CLASSES.items()}
    counts["input_tokens"] = usage.total_input
    counts["cache_write_tokens"] = usage.cache_write_5m + usage.cache_write_1h
    return genai_prices.Usage(**counts)


def library_price(case: Case, usage: genai_prices.Usage) -> PriceCalculation:
    """Ask the library by name; its own ids that its matching rules do not find are asked at the model itself."""
    try:
        return genai_prices.calc_price(
            usage,
            case.model,
            provider_id=case.provider,
            genai_request_timestamp=case.at,
            price_context=case.words,
        )
    except LookupError:
        provider = next(provider for provider in get_snapshot().providers if provider.id == case.provider)
        return case.info.calc_price(usage, provider, genai_request_timestamp=case.at, price_context=case.words)


def check(case: Case, usage: Usage) -> bool:
    """Compare one line; True if it had a price."""
    card = CATALOGUE.card(case.provider, case.model, case.at, case.context)
    assert card is not None
    costs = price(usage, card.select(tier_input(usage, case.context)))
    with localcontext(prec=60):
        theirs = library_price(case, as_library_usage(usage))
    if costs is not None:
        assert costs.total == theirs.total_price
        return True
    prices = theirs.model_price
    priced = {key for key, unit in UNITS.units.items() if getattr(prices, unit.price_key) is not None}
    for ours, key in CLASSES.items():
        charged_as = {key} | UNITS.ancestor_usage_keys(key)
        if getattr(usage, ours) and not charged_as & priced:
            return False
    raise AssertionError("every class has a price in the catalogue, and we found none")


def test_every_model_in_every_circumstance_costs_what_the_library_says() -> None:
    outcomes = [check(case, usage) for case in CASES for usage in usages(case.info)]
    assert len(CASES) > 3_000
    assert sum(outcomes) > len(outcomes) / 2


PARTS = {"input": ("audio_input", "image_input"), "output": ("audio_output", "image_output", "reasoning")}
counts = st.integers(0, 400_000) | st.integers(0, 10**12)


@given(st.sampled_from(CASES), st.data())
def test_any_request_costs_what_the_library_says(case: Case, data: st.DataObject) -> None:
    names = ["input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "web_searches"]
    drawn = {name: data.draw(counts, name) for name in names}
    for whole, parts in PARTS.items():
        left = drawn[whole]
        for part in parts:
            drawn[part] = data.draw(st.integers(0, left), part)
            left -= drawn[part]
    check(case, Usage(**drawn, requests=1))


@pytest.mark.parametrize(
    ("provider", "model", "context"),
    [
        ("azure", "gpt-4o", PriceContext(batch=True)),
        ("google", "claude-sonnet-4-5@20250929", PriceContext(batch=True)),
        ("aws", "eu.anthropic.claude-sonnet-4-5-20250929-v1:0", PLAIN),
        ("openai", "gpt-5.2-20251211", PLAIN),
        ("openrouter", "anthropic/claude-sonnet-4.5", PriceContext(speed="fast")),
    ],
)
def test_resellers_and_dated_ids_resolve_as_in_the_library(provider: str, model: str, context: PriceContext) -> None:
    _, info = get_snapshot().find_provider_model(model, None, provider, None)
    case = Case(provider, model, info, context, NOW)
    assert all(check(case, usage) for usage in usages(info) if not usage.web_searches)
    assert CATALOGUE.canonical(provider, model) == info.id


@pytest.mark.parametrize(
    ("model", "context", "at", "since"),
    [
        ("claude-opus-4-6", PLAIN, datetime(2026, 3, 12, 23, 59, 59, tzinfo=UTC), None),
        ("claude-opus-4-6", PLAIN, datetime(2026, 3, 13, tzinfo=UTC), date(2026, 3, 13)),
        ("claude-opus-4-6", PriceContext(batch=True), NOW, date(2026, 10, 14)),
        ("claude-opus-5-5", PLAIN, NOW, None),
    ],
)
def test_rates_know_since_when(model: str, context: PriceContext, at: datetime, since: date | None) -> None:
    card = CATALOGUE.card("anthropic", model, at, context)
    assert card
    assert card.base.since == since
    assert card.base.source == "catalogue"
    assert card.base.version == f"genai-prices {genai_prices.__version__}"


def test_a_price_may_depend_on_the_utc_hour() -> None:
    offset = datetime.fromisoformat("2026-11-22T02:30:00+02:00")
    at = {hour: CATALOGUE.card("deepseek", "deepseek-chat", hour) for hour in (offset, NOW)}
    assert [card and card.base.input for card in at.values()] == [Decimal("0.27"), Decimal("0.27")]
    night = CATALOGUE.card("deepseek", "deepseek-chat", datetime(2026, 11, 22, 0, 29, 59, 999_999, tzinfo=UTC))
    assert night
    assert night.base.input == Decimal("0.135")


def test_long_context_prices_are_tiers_of_the_card() -> None:
    card = CATALOGUE.card("anthropic", "claude-sonnet-4-5", NOW)
    assert card
    assert [(above, rates.above, rates.input, rates.web_search) for above, rates in card.tiers] == [
        (0, 0, Decimal(3), Decimal(10)),
        (200_000, 200_000, Decimal(6), Decimal(10)),
    ]


@pytest.mark.parametrize(
    ("model", "context", "unmet"),
    [
        ("claude-opus-5-5", PriceContext(speed="fast", service_tier="standard"), ()),
        ("claude-opus-4-5", PriceContext(speed="fast"), ("speed",)),
        ("claude-opus-4-5", PriceContext(speed="standard"), ()),
        ("claude-opus-4-5", PriceContext(service_tier="Priority"), ("service_tier",)),
        ("claude-sonnet-4", PriceContext(batch=True), ("batch",)),
        ("claude-opus-4-5", PriceContext(service_tier="batch"), ()),
    ],
)
def test_circumstances_without_a_price_are_named(model: str, context: PriceContext, unmet: tuple[str, ...]) -> None:
    card = CATALOGUE.card("anthropic", model, NOW, context)
    assert card
    assert card.unmet == unmet


def test_a_card_is_resolved_once_per_price_period() -> None:
    day = CATALOGUE.card("anthropic", "claude-opus-4-6", datetime(2026, 10, 1, tzinfo=UTC))
    assert CATALOGUE.card("Claude", "claude-opus-4.6", datetime(2026, 10, 2, tzinfo=UTC)) is day
    assert CATALOGUE.card("anthropic", "claude-opus-4-6", datetime(2026, 1, 2, tzinfo=UTC)) is not day


def test_memory_is_bounded() -> None:
    catalogue = Catalogue(lambda: ([p for p in get_snapshot().providers if p.id == "anthropic"], "some"))
    for number in range(5_000):
        assert catalogue.canonical("anthropic", f"model-{number}") is None
    assert catalogue.canonical("anthropic", "claude-opus-4-6") == "claude-opus-4-6"
    assert catalogue.version == "some"
    assert len(catalogue._found) <= 4_096  # noqa: SLF001 - the bound is the point


@pytest.mark.parametrize(("provider", "model"), [("anthropic", "gpt-4o"), ("nobody", "gpt-4o"), (None, "unheard-of")])
def test_what_the_catalogue_does_not_know_has_no_card(provider: str | None, model: str) -> None:
    assert CATALOGUE.card(provider, model, NOW) is None
    assert CATALOGUE.canonical(provider, model) is None


def test_an_instant_needs_a_time_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        CATALOGUE.card("openai", "gpt-4o", datetime(2026, 11, 22))  # noqa: DTZ001 - that is the mistake


def test_the_bundled_edition_has_a_name() -> None:
    providers, edition = bundled()
    assert edition == CATALOGUE.version
    assert len(list(CATALOGUE.models())) == sum(len(provider.models) for provider in providers)
