from __future__ import annotations

from datetime import UTC, datetime

import pytest

from shared.core.naming import Names, provider_id, split_vendor, undated
from shared.prices.catalogue import Catalogue
from shared.prices.names import names

CATALOGUE = Catalogue()
LISTED = list(CATALOGUE.models())


def canonical(model: str, provider: str | None = None) -> str:
    return names().canonical(model, lambda sent: CATALOGUE.canonical(provider, sent))


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("claude-sonnet-4-20250514", "claude-sonnet-4"),
        ("claude-sonnet-4-0", "claude-sonnet-4"),
        ("claude-opus-4-1-20250805", "claude-opus-4-1"),
        ("claude-3-7-sonnet-latest", "claude-3-7-sonnet"),
        ("claude-3-7-sonnet-20250219", "claude-3-7-sonnet"),
        ("Claude-Sonnet-4.5", "claude-sonnet-4-5"),
        ("sonnet", "claude-3-5-sonnet"),
        ("HAIKU", "claude-3-haiku"),
        (" gpt4o ", "gpt-4o"),
        ("gpt-5-2025-08-07", "gpt-5"),
        ("anthropic/claude-haiku-4-5", "claude-haiku-4-5"),
        ("ollama/Llama3:8b", "ollama/Llama3:8b"),
        ("my-own-model-20250101", "my-own-model-20250101"),
    ],
)
def test_models_are_shown_under_one_id(sent: str, shown: str) -> None:
    assert canonical(sent) == shown


def test_the_table_needs_no_catalogue() -> None:
    def unreachable(model: str) -> str | None:
        raise AssertionError(model)

    assert names().canonical("claude-opus-4-20250514", unreachable) == "claude-opus-4"
    assert names().canonical("lmstudio/qwen3", unreachable) == "lmstudio/qwen3"


def test_folding_the_shown_id_changes_nothing_for_any_model_of_the_catalogue() -> None:
    for listing in LISTED:
        shown = canonical(listing.id, listing.provider)
        assert names().fold(shown) == shown.lower()


@pytest.mark.parametrize(
    ("typed", "ids"),
    [
        ("claude-sonnet-4-5-20250929", ("claude-sonnet-4-5", "claude-sonnet-4-5-20250929")),
        ("Claude-Opus-4.6", ("claude-opus-4-6", "claude-opus-4.6")),
        ("gpt4mini", ("gpt-4o-mini", "gpt4mini")),
        ("gpt-4o-2024-11-20", ("gpt-4o", "gpt-4o-2024-11-20")),
        ("My-Model", ("my-model",)),
        ("claude-3-5-haiku@20241022", ("claude-3-5-haiku", "claude-3-5-haiku@20241022")),
    ],
)
def test_filters_understand_aliases_and_dated_ids(typed: str, ids: tuple[str, ...]) -> None:
    assert names().fold(typed) == ids[0]
    assert names().filter_ids(typed) == ids


@pytest.mark.parametrize(
    "kept", ["gpt-4-1106-preview", "mistral-small-2501", "grok-4-0709", "o1-20251399", "x-2025-0101"]
)
def test_what_is_no_date_stays(kept: str) -> None:
    assert undated(kept) == kept


def test_users_repoint_aliases() -> None:
    own = names().with_aliases({"Sonnet": "claude-sonnet-5", "mini": "gpt4mini", "house": "in-house-7b"})
    assert own.fold("sonnet") == "claude-sonnet-5"
    assert own.fold("MINI") == "gpt-4o-mini"
    assert own.canonical("house", lambda _: None) == "in-house-7b"
    assert own.fold("haiku") == "claude-3-haiku"
    assert names().fold("sonnet") == "claude-3-5-sonnet"


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("ChatGPT", "openai"),
        ("Claude", "anthropic"),
        ("xAI", "x-ai"),
        ("Moonshot", "moonshotai"),
        ("kimi", "moonshotai"),
        ("bedrock", "aws"),
        ("vertex_ai", "google"),
        ("Azure OpenAI", "azure"),
        ("LM Studio", "local"),
        # As LiteLLM calls interfaces of the same provider.
        ("bedrock_converse", "aws"),
        ("bedrock_mantle", "aws"),
        ("text-completion-openai", "openai"),
        ("anthropic_text", "anthropic"),
        ("azure_text", "azure"),
        ("vertex_ai_beta", "google"),
        ("text-completion-codestral", "mistral"),
        ("ollama_chat", "local"),
        # Another report than Bedrock's, and anybody's server.
        ("sagemaker", "sagemaker"),
        ("custom_openai", "custom_openai"),
        (" Groq ", "groq"),
        ("Somebody_Else", "somebody_else"),
    ],
)
def test_providers_have_one_id(sent: str, expected: str) -> None:
    assert provider_id(sent) == expected


def test_every_provider_of_the_catalogue_keeps_its_id() -> None:
    assert {provider_id(listing.provider) for listing in LISTED} == {listing.provider for listing in LISTED}


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("sonnet", "anthropic"),
        ("gpt-4o-mini-2024-07-18", "openai"),
        ("kimi-k1.5", "moonshotai"),
        ("sonar-pro", "perplexity"),
        ("llama-3.3-70b-versatile", "groq"),
        ("ollama/llama3", "local"),
        ("mistralai/mistral-large", "mistral"),
        ("eu.anthropic.claude-sonnet-4-5-20250929-v1:0", "aws"),
        ("amazon.nova-pro-v1:0", "aws"),
        ("global.moonshotai.kimi-k3", "aws"),
        ("xai.grok-4.3", "aws"),
        ("unheard-of", None),
    ],
)
def test_the_provider_is_inferred_without_the_catalogue(model: str, expected: str | None) -> None:
    assert names().infer_provider(model) == expected


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("claude-of-the-future", "anthropic"),
        ("chatgpt-4o-latest", "openai"),
        ("text-embedding-3-small", "openai"),
        ("gemini-2.5-pro", "google"),
        ("grok-4", "x-ai"),
        ("groq/llama-3.3-70b-versatile", "groq"),
        ("unheard-of", None),
    ],
)
def test_the_catalogue_infers_the_rest(model: str, expected: str | None) -> None:
    assert CATALOGUE.infer_provider(model) == expected


def test_a_prefix_that_is_no_provider_belongs_to_the_model() -> None:
    assert split_vendor("meta-llama/llama-3") == (None, "meta-llama/llama-3")
    assert split_vendor("openai/gpt-4o") == ("openai", "gpt-4o")
    assert split_vendor("openai/") == (None, "openai/")


def test_the_catalogue_prices_every_row_of_the_table_as_the_table_says() -> None:
    """Fails when the catalogue disagrees with a figure users know: then one of the two is wrong."""
    at = datetime(2026, 11, 22, 12, tzinfo=UTC)
    compared = 0
    for entry in names().entries:
        if entry.built_in:
            continue
        card = CATALOGUE.card(entry.provider, entry.id, at)
        assert card, entry.id
        for name, figure in entry.reference.items():
            assert getattr(card.base, name) == figure, (entry.id, name)
            compared += 1
    assert compared > 30


def test_names_are_unique() -> None:
    spelled = [name.lower() for entry in names().entries for name in (entry.id, *entry.names)]
    assert len(spelled) == len(set(spelled))
    assert Names([]).find("sonnet") is None
