"""Prices as a user meets them: names, corrections of the catalogue, and what stays unpriced."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from genai_prices.types import ClauseEquals, ClauseStartsWith, ModelInfo, ModelPrice, Provider

from shared.core.pricing import Costs, Rates
from shared.core.usage import PriceContext, Usage
from shared.prices.book import PriceBook
from shared.prices.catalogue import Catalogue
from shared.prices.names import names

if TYPE_CHECKING:
    from shared.core.naming import Entry

CATALOGUE = Catalogue()
BOOK = PriceBook((), CATALOGUE)
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
BEFORE_BATCH = datetime(2026, 10, 13, 23, 59, 59, 999_999, tzinfo=UTC)
FROM_BATCH = datetime(2026, 10, 14, tzinfo=UTC)
PLAIN = PriceContext()
MILLION = Usage(input=1_000_000, output=1_000_000)
EVERYTHING = Usage(
    input=1_000_000,
    output=1_000_000,
    cache_read=1_000_000,
    cache_write_5m=1_000_000,
    cache_write_1h=1_000_000,
    web_searches=1_000,
)


def cost(
    usage: Usage,
    model: str,
    context: PriceContext = PLAIN,
    at: datetime = NOW,
    provider: str | None = "anthropic",
    book: PriceBook = BOOK,
) -> Costs:
    priced = book.price(provider, model, at, usage, context)
    assert priced
    return priced[0]


def rates(model: str, context: PriceContext = PLAIN, at: datetime = NOW, provider: str | None = "anthropic") -> Rates:
    found = BOOK.rates(provider, model, at, MILLION, context)
    assert found
    return found


def usd(text: str) -> Decimal:
    return Decimal(text)


@pytest.mark.parametrize("entry", names().entries, ids=lambda entry: entry.id)
def test_every_name_people_type_has_a_price(entry: Entry) -> None:
    for pattern in (entry.id, *entry.names):
        name = pattern.replace("*", "some-model:7b")
        for provider in (None, entry.provider):
            costs = cost(MILLION, name, provider=provider)
            for part in ("input", "output"):
                if part in entry.reference:
                    assert getattr(costs, part) == entry.reference[part], name


@pytest.mark.parametrize(
    ("usage", "context", "expected"),
    [
        (Usage(input=200_000, requests=1), PLAIN, "0.6"),
        (Usage(input=200_001, requests=1), PLAIN, "1.200006"),
        (Usage(input=100_000, cache_read=100_001, requests=1), PLAIN, "0.6600006"),
        (Usage(input=200_001, requests=2), PLAIN, "0.600003"),
        (Usage(input=900_000), PLAIN, "2.7"),
        (Usage(input=900_000), PriceContext(context_window="0-200k"), "2.7"),
        (Usage(input=100), PriceContext(context_window="200k-1M"), "0.0006"),
        (Usage(input=100), PriceContext(context_window="200k-1M", batch=True), "0.0003"),
    ],
)
def test_long_context_is_a_cliff_of_one_request(usage: Usage, context: PriceContext, expected: str) -> None:
    assert cost(usage, "claude-sonnet-4-5", context).total == usd(expected)


@pytest.mark.parametrize("at", [datetime(2026, 9, 1, tzinfo=UTC), BEFORE_BATCH, FROM_BATCH, NOW])
@pytest.mark.parametrize("model", ["claude-opus-4-5", "claude-sonnet-4-20250514", "claude-haiku-5-5", "haiku"])
def test_anthropic_batch_has_always_been_half_price(model: str, at: datetime) -> None:
    tokens = Usage(input=50, output=1_000, cache_read=10_000, cache_write_5m=77, cache_write_1h=99)
    assert cost(tokens, model, PriceContext(batch=True), at).total * 2 == cost(tokens, model, PLAIN, at).total


def test_the_batch_correction_ends_where_the_catalogue_begins() -> None:
    before = rates("claude-opus-4-5", PriceContext(batch=True), BEFORE_BATCH)
    after = rates("claude-opus-4-5", PriceContext(batch=True), FROM_BATCH)
    assert before.input == after.input == usd("2.5")
    assert before.adjustments == ("Batch: half the standard price, as the provider publishes.",)
    assert (after.adjustments, after.since) == ((), date(2026, 10, 14))


@pytest.mark.parametrize(
    ("context", "at", "expected"),
    [
        (PriceContext(batch=True), BEFORE_BATCH, "17.5"),
        (PriceContext(batch=True), NOW, "17.5"),
        (PriceContext(service_tier="flex"), datetime(2026, 10, 11, tzinfo=UTC), "17.5"),
        (PriceContext(service_tier="flex"), NOW, "17.5"),
        (PriceContext(service_tier="priority"), NOW, "87.5"),
        (PriceContext(service_tier="default"), NOW, "35"),
    ],
)
def test_openai_tiers(context: PriceContext, at: datetime, expected: str) -> None:
    assert cost(MILLION, "gpt-5.5", context, at, "openai").total == usd(expected)


@pytest.mark.parametrize(
    ("model", "tier", "at"),
    [
        ("gpt-5.5", "priority", datetime(2026, 10, 11, tzinfo=UTC)),
        ("gpt-5.5", "scale", NOW),
        ("gpt-5.5", "a tier of tomorrow", NOW),
        ("text-embedding-3-small", "priority", NOW),
    ],
)
def test_a_tier_of_openai_without_a_price_has_none(model: str, tier: str, at: datetime) -> None:
    assert BOOK.rates("openai", model, at, MILLION, PriceContext(service_tier=tier)) is None
    assert BOOK.rates("openai", model, at, MILLION, PriceContext(service_tier="auto")) is not None


def test_another_circumstance_without_a_price_is_the_standard_price_and_says_so() -> None:
    tier = rates("claude-opus-5-5", PriceContext(service_tier="priority"))
    assert tier.adjustments == ("Service tier: no price of its own is known at that date, standard price.",)
    azure = rates("gpt-4o", PriceContext(batch=True), provider="azure")
    assert azure.adjustments == ("Batch: no price of its own is known at that date, standard price.",)


def test_us_only_inference_costs_a_tenth_more_for_tokens_and_not_for_searches() -> None:
    us = PriceContext(inference_geo="us")
    here, there = cost(EVERYTHING, "claude-opus-5-5", us), cost(EVERYTHING, "claude-opus-5-5")
    assert there.total == usd("47.2")
    assert here.total == usd("10") + usd("37.2") * usd("1.1")
    assert here.web_search == there.web_search == usd("10")
    assert rates("claude-opus-5-5", us).adjustments == ("US-only inference: 1.1 times.",)


@pytest.mark.parametrize("geo", ["global", "not_available", None])
def test_other_regions_cost_the_list_price(geo: str | None) -> None:
    assert rates("claude-opus-5-5", PriceContext(inference_geo=geo)).adjustments == ()


def test_modifiers_multiply() -> None:
    both = PriceContext(batch=True, inference_geo="us")
    assert cost(MILLION, "claude-opus-5-5", both).total == usd("13.2")
    early = rates("claude-opus-4-6", both, datetime(2026, 2, 1, tzinfo=UTC))
    assert early.input == usd("2.75")
    assert len(early.adjustments) == 2
    assert cost(MILLION, "claude-opus-5-5", PriceContext(speed="fast", inference_geo="us")).total == usd("52.8")


def test_the_us_price_is_anthropics_own() -> None:
    bedrock = rates("anthropic.claude-opus-4-6-v1", PriceContext(inference_geo="us"), provider="bedrock")
    assert bedrock.provider == "aws"
    assert bedrock.adjustments == ()


def test_fast_mode_has_its_own_price_or_none() -> None:
    fast = PriceContext(speed="fast")
    assert cost(MILLION, "claude-opus-5-5", fast).total == usd("48")
    assert BOOK.rates("anthropic", "claude-opus-4-5", NOW, MILLION, fast) is None


def test_web_searches_are_priced_by_the_thousand() -> None:
    assert cost(Usage(web_searches=3, requests=1), "claude-sonnet-4-5") == Costs(web_search=usd("0.03"))


def test_a_fee_per_request_is_paid_per_request() -> None:
    assert cost(Usage(requests=5), "sonar-pro", provider=None).request == usd("0.07")
    assert cost(MILLION, "sonar-pro", provider=None).request == 0


@pytest.mark.parametrize(
    ("provider", "model", "usage"),
    [
        (None, "unheard-of", MILLION),
        ("anthropic", "claude-opus-99", MILLION),
        ("anthropic", "gpt-4o", MILLION),
        ("anthropic", "claude-3-haiku", Usage(web_searches=1)),
        ("openai", "text-embedding-3-small", MILLION),
        ("openai", "whisper-1", Usage(requests=1)),
        ("copilot", "gpt-4o", MILLION),
    ],
)
def test_what_has_no_price_has_no_cost(provider: str | None, model: str, usage: Usage) -> None:
    assert BOOK.price(provider, model, NOW, usage, PLAIN) is None


@pytest.mark.parametrize(
    ("provider", "model"),
    [("local", "qwen3"), ("Ollama", "gpt-oss:20b"), (None, "lmstudio/gemma"), ("openai", "ollama/llama3")],
)
def test_local_models_are_free_and_not_unpriced(provider: str | None, model: str) -> None:
    priced = BOOK.price(provider, model, NOW, EVERYTHING, PLAIN)
    assert priced
    assert priced[0].total == 0
    assert priced[1].provider == "local"


def test_free_variants_are_free() -> None:
    free = rates("deepseek/deepseek-r1:free", provider="openrouter")
    assert (free.input, free.output) == (usd("0"), usd("0"))
    assert free.adjustments == ("Free by its name: a :free model costs nothing.",)


def test_an_unknown_gateway_charges_the_list_price_and_says_so() -> None:
    gateway = rates("gpt-4o", provider="my gateway")
    assert gateway.input == usd("2.5")
    assert gateway.adjustments == ("The provider my gateway is not known: the list price of openai.",)


@pytest.mark.parametrize(("provider", "model"), [("ChatGPT", "gpt4o"), (None, "openai/gpt-4o"), ("OpenAI", "GPT-4o")])
def test_people_write_names_as_they_like(provider: str | None, model: str) -> None:
    assert BOOK.canonical(provider, model).lower() == "gpt-4o"
    assert cost(MILLION, model, provider=provider).total == usd("12.5")


def test_a_dated_id_keeps_its_own_price() -> None:
    assert BOOK.canonical("openai", "gpt-4o-2024-05-13") == "gpt-4o"
    assert rates("gpt-4o-2024-05-13", provider="openai").input == usd("5")


def test_a_repointed_alias_moves_name_price_and_provider() -> None:
    book = PriceBook((), CATALOGUE, names().with_aliases({"sonnet": "claude-sonnet-5", "best": "gpt-5.5"}))
    assert book.canonical(None, "sonnet") == "claude-sonnet-5"
    assert cost(MILLION, "Sonnet", provider=None, book=book).total == usd("12")
    assert book.infer_provider("best") == "openai"
    assert cost(MILLION, "best", provider=None, book=book).total == usd("35")


def test_the_catalogue_takes_over_from_a_built_in_price() -> None:
    built_in = BOOK.rates(None, "kimi-k1.5", NOW, MILLION, PLAIN)
    assert built_in
    assert (built_in.source, built_in.model, built_in.since) == ("built-in", "kimi-k1-5", date(2025, 1, 20))
    model = ModelInfo("kimi-k1-5", ClauseEquals("kimi-k1-5"), prices=ModelPrice(input_mtok=usd("3")))
    maker = Provider("moonshotai", "Moonshot AI", "", model_match=ClauseStartsWith("kimi"), models=[model])
    taken = PriceBook((), Catalogue(lambda: ([maker], "a later edition"))).rates(None, "kimi-k1.5", NOW, MILLION, PLAIN)
    assert taken
    assert (taken.source, taken.input) == ("catalogue", usd("3"))


def test_an_instant_needs_a_time_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        BOOK.rates(None, "gpt-4o", datetime(2026, 11, 22), MILLION, PLAIN)  # noqa: DTZ001 - that is the mistake


def test_the_nearest_names_of_an_unknown_model() -> None:
    assert "claude-sonnet-4-5" in BOOK.nearest("claude-sonet-4-5")
    assert BOOK.nearest("GPT4-mini", n=1) == ["gpt4mini"]
    assert BOOK.nearest("zzzzzzzzzzzzzzzz") == []
