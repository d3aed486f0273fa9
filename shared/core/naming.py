"""One name per model and provider, whatever the sender calls it; pure tables and rules, no price catalogue."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import date
    from decimal import Decimal

# What people and gateways call providers, by our name. Compared in lower case with `_` and blanks as `-`. LiteLLM tells
# a provider's interfaces apart (`custom_llm_provider`). Its SageMaker is not here: that is not Bedrock's report.
_PROVIDER_NAMES = {
    "anthropic": ("claude", "claude-code", "claude-api", "anthropic-api", "anthropic-text"),
    "openai": ("chatgpt", "open-ai", "gpt", "openai-api", "codex", "text-completion-openai"),
    "openrouter": ("open-router",),
    "perplexity": ("pplx", "perplexityai", "perplexity-ai"),
    "mistral": ("mistralai", "mistral-ai", "codestral", "text-completion-codestral"),
    "x-ai": ("xai", "grok"),
    "moonshotai": ("moonshot", "moonshot-ai", "kimi"),
    "deepseek": ("deep-seek",),
    "aws": ("bedrock", "aws-bedrock", "amazon-bedrock", "amazon", "bedrock-converse", "bedrock-mantle"),
    "google": (
        "gemini", "vertex", "vertex-ai", "vertex-ai-beta", "google-vertex", "google-ai", "googleai", "google-gla",
    ),
    "azure": ("azure-openai", "azure-ai", "azure-text", "microsoft", "microsoft-azure"),
    "github-copilot": ("copilot",),
    "local": ("ollama", "ollama-chat", "lmstudio", "lm-studio", "llama.cpp", "llamacpp", "localhost"),
    "groq": (),
}  # fmt: skip
_PROVIDERS = {name: provider for provider, names in _PROVIDER_NAMES.items() for name in (provider, *names)}

# `-20250929`, `-2024-11-20`, `@20250929`: the day a model was published, at the end of its id.
_DATE = re.compile(r"[-@]20\d{2}(-?)(0[1-9]|1[0-2])\1(0[1-9]|[12]\d|3[01])$", re.ASCII)

# `us.anthropic.claude-sonnet-4-5-20250929-v1:0`: region, maker and model with dots between, as only Bedrock writes it.
_BEDROCK = re.compile(
    r"(?:[a-z-]{2,8}\.)?(?:ai21|amazon|anthropic|cohere|deepseek|google|meta|minimax|mistral|moonshot(?:ai)?|nvidia|openai"
    r"|qwen|stability|twelvelabs|writer|xai|zai)\.[a-z]",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """Prices we ship for a model that the catalogue does not know: USD per million tokens by class, since a UTC date.

    The first built-in price also holds before its date, as the first price of a catalogue entry does.
    """

    since: date
    prices: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the names table. An id or name that ends in `/*` stands for every model with that prefix.

    `reference` holds the standard prices the row was written with (USD per million tokens), for comparison only.
    """

    id: str
    provider: str
    names: tuple[str, ...] = ()
    built_in: BuiltIn | None = None
    reference: Mapping[str, Decimal] = field(default_factory=dict)


def provider_id(name: str) -> str:
    """Return our id of a provider: `ChatGPT` is `openai`, `Claude` is `anthropic`; an unknown one in lower case."""
    sent = name.strip().lower()
    return _PROVIDERS.get(re.sub(r"[\s_]+", "-", sent), sent)


def split_vendor(model: str) -> tuple[str | None, str]:
    """Split `openai/gpt-4o` into provider id and model; a prefix that is no provider we know stays in the model."""
    prefix, slash, rest = model.strip().partition("/")
    vendor = _PROVIDERS.get(re.sub(r"[\s_]+", "-", prefix.lower()))
    return (vendor, rest) if slash and rest and vendor else (None, model.strip())


def undated(model: str) -> str:
    """Drop the publication date at the end of an id.

    Of Claude's ids also `-latest`, which names no version, and the dots that gateways write versions with.
    """
    name = _DATE.sub("", model.strip())
    if name.lower().startswith("claude-"):
        name = re.sub(r"-latest$", "", name, flags=re.IGNORECASE).replace(".", "-")
    return name


class Names:
    """The names table with the user's own aliases on top. Names are compared in lower case."""

    def __init__(self, entries: Iterable[Entry], aliases: Mapping[str, str] | None = None) -> None:
        """Index `entries`; `aliases` maps further names to canonical ids and wins over the table."""
        self.entries = tuple(entries)
        self.aliases = {alias.strip().lower(): target.strip() for alias, target in (aliases or {}).items()}
        self._by_name: dict[str, Entry] = {}
        self._prefixes: list[tuple[str, Entry]] = []
        for entry in self.entries:
            for name in (entry.id, *entry.names):
                if name.endswith("/*"):
                    self._prefixes.append((name[:-1].lower(), entry))
                else:
                    self._by_name[name.lower()] = entry

    def with_aliases(self, aliases: Mapping[str, str]) -> Names:
        """Return the same table under other user aliases."""
        return Names(self.entries, aliases)

    def target(self, model: str) -> str:
        """Return what the user's aliases point `model` at, else the name itself."""
        return self.aliases.get(model.strip().lower(), model.strip())

    def find(self, model: str) -> Entry | None:
        """Return the row that names `model`, by alias, id, name or wildcard."""
        key = self.target(model).lower()
        if entry := self._by_name.get(key):
            return entry
        return next((entry for prefix, entry in self._prefixes if key.startswith(prefix)), None)

    def canonical(self, model_raw: str, catalogue_id: Callable[[str], str | None]) -> str:
        """Return the one id a model is shown under.

        The names table first (dated ids fold), then what `catalogue_id` calls it, else the id as sent. A wildcard
        keeps the id as sent.
        """
        sent = model_raw.strip()
        if known := self._listed(sent) or self._listed(undated(sent)):
            return known
        if self.find(sent):
            return sent
        listed = catalogue_id(sent)
        if listed is None:
            return sent
        return self._listed(listed) or self._listed(undated(listed)) or undated(listed)

    def fold(self, name: str) -> str:
        """Return, in lower case, the id that a read filter means by `name`; needs no catalogue."""
        sent = name.strip()
        return (self._listed(sent) or self._listed(undated(sent)) or undated(sent)).lower()

    def filter_ids(self, name: str) -> tuple[str, ...]:
        """Return the lower-case ids that a filter on `name` should match: the folded one and the name itself.

        Models that neither table nor catalogue knows are kept as sent, dates included, which `fold` alone would miss.
        """
        return tuple(dict.fromkeys((self.fold(name), name.strip().lower())))

    def infer_provider(self, model_raw: str) -> str | None:
        """Return the provider that the table, Bedrock's form of ids or a vendor prefix (`openai/gpt-4o`) names."""
        entry = self.find(model_raw) or self.find(undated(model_raw))
        if entry:
            return entry.provider
        if _BEDROCK.match(model_raw.strip()):
            return "aws"
        return split_vendor(model_raw)[0]

    def _listed(self, name: str) -> str | None:
        """Return the canonical id of an exact name; an alias may point outside the table."""
        entry = self._by_name.get(self.target(name).lower())
        return entry.id if entry else self.aliases.get(name.lower())
