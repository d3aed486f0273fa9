"""The published price catalogue (`genai-prices`) as rate cards: resolved once per model, circumstances and period.

The package takes a quarter of a second to import, so it is imported by the first question, not by this module.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from shared.core.naming import provider_id, split_vendor
from shared.core.pricing import RateCard, Rates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from genai_prices.types import (
        ModelInfo,
        ModelPrice,
        Provider,
        StartDateConstraint,
        TieredPrices,
        TimeOfDateConstraint,
    )

    from shared.core.usage import PriceContext

    Constraint: TypeAlias = StartDateConstraint | TimeOfDateConstraint | None

K = TypeVar("K")
V = TypeVar("V")

# The catalogue's price keys for each of our classes, most specific first: a class without a price of its own is
# charged as its nearest priced ancestor (the library's leaf rule).
_KEYS = {
    "input": ("input_mtok",),
    "output": ("output_mtok",),
    "cache_read": ("cache_read_mtok", "input_mtok"),
    "cache_write_5m": ("cache_write_5m_mtok", "cache_write_mtok", "input_mtok"),
    "cache_write_1h": ("cache_write_1h_mtok", "cache_write_mtok", "input_mtok"),
    "reasoning": ("output_reasoning_mtok", "output_mtok"),
    "audio_input": ("input_audio_mtok", "input_mtok"),
    "audio_output": ("output_audio_mtok", "output_mtok"),
    "image_input": ("input_image_mtok", "input_mtok"),
    "image_output": ("output_image_mtok", "output_mtok"),
    "web_search": ("web_searches_kcount",),
    "request": ("requests_kcount",),
}

# Companies whose model ids say who made them. Hosts and resellers sell the same ids at other prices, so a model
# without a provider is never looked up there.
_MAKERS = ("anthropic", "openai", "google", "mistral", "x-ai", "deepseek", "moonshotai", "perplexity", "cohere")

# Service tiers that are the standard price under another word.
_STANDARD_TIERS = frozenset({"standard", "default", "auto"})

# Model ids come from callers, so what is remembered about them is bounded; refilling takes microseconds each.
_MAX_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Listing:
    """One model of the catalogue as lists show it."""

    provider: str
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class _Found:
    """A model of a provider; not `own` if the provider resells another's and only its standard price is known."""

    provider: Provider
    model: ModelInfo
    own: bool


def bundled() -> tuple[list[Provider], str]:
    """Return the providers that came with the installed package, and what to call this edition."""
    from genai_prices import __version__, data_snapshot  # noqa: PLC0415 - slow import, only paid by who prices

    return data_snapshot.get_snapshot().providers, f"genai-prices {__version__}"


def asked(context: PriceContext) -> dict[str, str]:
    """Return a line's circumstances in the catalogue's words; what is standard is left out.

    Batch processing is `{"processing": "batch"}`: as a service tier it would silently cost the full price.
    """
    wanted: dict[str, str] = {}
    tier = (context.service_tier or "").lower()
    if context.batch or tier == "batch":
        wanted["processing"] = "batch"
    elif tier:
        wanted["service_tier"] = tier
    if context.speed and context.speed.lower() != "standard":
        wanted["speed"] = context.speed.lower()
    return wanted


class Catalogue:
    """The catalogue's prices, exactly as `genai_prices.calc_price` would apply them; nothing is corrected here."""

    def __init__(self, load: Callable[[], tuple[list[Provider], str]] = bundled) -> None:
        """`load` returns (providers, edition) and is called by the first question."""
        self._load = load
        self._loaded: tuple[list[Provider], str] | None = None
        self._found: dict[tuple[str | None, str], _Found | None] = {}
        self._cards: dict[tuple[int, str, bool, tuple[tuple[str, str], ...], tuple[bool, ...]], RateCard] = {}

    @property
    def version(self) -> str:
        """The edition of the prices, such as `genai-prices 0.2.3`."""
        return self._data()[1]

    def card(
        self, provider: str | None, model_raw: str, at: datetime, context: PriceContext | None = None
    ) -> RateCard | None:
        """Return the prices of a model at an instant, or None if the catalogue does not know it.

        Args:
            provider: our provider id or any name of it; None to infer it from the model.
            model_raw: the model id as sent.
            at: when the tokens were used; time zone required, because some prices depend on the UTC hour.
            context: the circumstances of the line.

        Raises:
            ValueError: `at` has no time zone.
        """
        if at.tzinfo is None:
            raise ValueError("The instant to price at needs a time zone.")
        found = self._find(provider, model_raw)
        if found is None:
            return None
        wanted = asked(context) if context else {}
        active = tuple(c.active(at) for c in _constraints(found.model))
        # The model by identity: it lives as long as this catalogue, and ids repeat between providers.
        key = (id(found.model), found.provider.id, found.own, tuple(wanted.items()), active)
        card = self._cards.get(key)
        return card or _remember(self._cards, key, self._build(found, at, wanted))

    def canonical(self, provider: str | None, model_raw: str) -> str | None:
        """Return the catalogue's id of a model, or None if it does not know it."""
        found = self._find(provider, model_raw)
        return found.model.id if found else None

    def provider(self, name: str) -> str | None:
        """Return the catalogue's id of a provider by any of its names, or None if it does not know it."""
        found = self._provider(provider_id(name))
        return found.id if found else None

    def infer_provider(self, model_raw: str) -> str | None:
        """Return the provider whose naming rules a model id follows, else the maker that lists it, else None."""
        vendor, model = split_vendor(model_raw)
        if vendor:
            return vendor
        providers = self._data()[0]
        for provider in providers:
            if provider.model_match is not None and provider.model_match.is_match(model.lower()):
                return provider.id
        by_id = {provider.id: provider for provider in providers}
        return next((name for name in _MAKERS if name in by_id and by_id[name].find_model(model)), None)

    def standard(self, provider: str | None, model_raw: str) -> list[tuple[Constraint, RateCard]]:
        """Return every standard price of a model with what limits it in time, in the catalogue's order.

        The last one whose constraint is active holds, else the first. Empty if the catalogue does not know the model.
        """
        found = self._find(provider, model_raw)
        if found is None:
            return []
        listed = found.model.prices
        dated = [(price.constraint, price.prices) for price in listed] if isinstance(listed, list) else [(None, listed)]
        base = Rates(source="catalogue", model=found.model.id, provider=found.provider.id, version=self.version)
        return [(limit, RateCard(tuple(_tiers(replace(base, since=_start(limit)), prices)))) for limit, prices in dated]

    def constraints(self, provider: str | None, model_raw: str) -> list[Constraint]:
        """Return everything that makes a model's price depend on the instant."""
        found = self._find(provider, model_raw)
        return _constraints(found.model) if found else []

    def models(self) -> Iterator[Listing]:
        """Yield every model, provider by provider."""
        for provider in self._data()[0]:
            for model in provider.models:
                yield Listing(provider.id, model.id, model.name or model.id)

    def _data(self) -> tuple[list[Provider], str]:
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded

    def _find(self, provider: str | None, model_raw: str) -> _Found | None:
        key = (provider_id(provider) if provider else None, model_raw.strip().lower())
        try:
            return self._found[key]
        except KeyError:
            return _remember(self._found, key, self._look_up(*key))

    def _look_up(self, provider: str | None, model: str) -> _Found | None:
        seller = self._provider(provider or self.infer_provider(model))
        if seller is None:
            return None
        vendor, bare = split_vendor(model)
        # OpenRouter's ids and a few others keep the vendor's prefix, so the id as sent goes first.
        for name in (model, bare) if vendor == seller.id else (model,):
            if info := seller.find_model(name, all_providers=self._data()[0]):
                return _Found(seller, info, any(info is own for own in seller.models))
        # Some ids of the catalogue are names of its own that no request carries (`regional.anthropic...` on Bedrock),
        # and its matching rules do not find them; people who read them in a list do ask for them.
        listed = next((info for info in seller.models if info.id.lower() == model), None)
        return _Found(seller, listed, own=True) if listed else None

    def _provider(self, name: str | None) -> Provider | None:
        """Find a provider by id, else by the catalogue's own rules for its names (`google-vertex`)."""
        if name is None:
            return None
        providers = self._data()[0]
        exact = next((provider for provider in providers if provider.id == name), None)
        return exact or next((p for p in providers if p.provider_match and p.provider_match.is_match(name)), None)

    def _build(self, found: _Found, at: datetime, wanted: Mapping[str, str]) -> RateCard:
        usable = wanted if found.own else {}
        variants = [
            variant
            for variant in found.model.price_variants or ()
            if usable
            and (variant.constraint is None or variant.constraint.active(at))
            and all(usable.get(key) == value for key, value in variant.when.items())
        ]
        met = {key for variant in variants for key in variant.when}
        unmet = tuple(
            "batch" if key == "processing" else key
            for key, value in wanted.items()
            if key not in met and not (key == "service_tier" and value in _STANDARD_TIERS)
        )
        prices = found.model.get_prices(at, usable or None)
        starts = [_standard_start(found.model, at), *(_start(variant.constraint) for variant in variants)]
        base = Rates(
            source="catalogue",
            model=found.model.id,
            provider=found.provider.id,
            since=max((start for start in starts if start), default=None),
            version=self.version,
        )
        return RateCard(tuple(_tiers(base, prices)), unmet)


def _tiers(base: Rates, prices: ModelPrice) -> Iterator[tuple[int, Rates]]:
    """Yield (threshold, rates), the base tier first; prices without tiers of their own are the same in each."""
    chosen: dict[str, Decimal | TieredPrices] = {}
    for name, keys in _KEYS.items():
        stored = (getattr(prices, key) for key in keys)
        if (found := next((price for price in stored if price is not None), None)) is not None:
            chosen[name] = found
    starts = {tier.start for price in chosen.values() if not isinstance(price, Decimal) for tier in price.tiers}
    yield 0, base.priced({name: _at_start(price, None) for name, price in chosen.items()})
    for start in sorted(starts):
        prices_above = {name: _at_start(price, start) for name, price in chosen.items()}
        yield start, replace(base, above=start).priced(prices_above)


def _at_start(price: Decimal | TieredPrices, start: int | None) -> Decimal:
    """Return the price of a request just above a threshold, or of the smallest request."""
    if isinstance(price, Decimal):
        return price
    passed = [tier.price for tier in price.tiers if start is not None and tier.start <= start]
    return passed[-1] if passed else price.base


def _constraints(model: ModelInfo) -> list[Any]:
    """Return everything that makes a model's price depend on the instant; its activity is the price period."""
    dated = [*(model.prices if isinstance(model.prices, list) else ()), *(model.price_variants or ())]
    return [price.constraint for price in dated if price.constraint is not None]


def _standard_start(model: ModelInfo, at: datetime) -> date | None:
    """Return when the standard price in force began; the last active one counts, as in the library."""
    for price in reversed(model.prices if isinstance(model.prices, list) else ()):
        if price.constraint is None or price.constraint.active(at.astimezone(UTC)):
            return _start(price.constraint)
    return None


def _start(constraint: object) -> date | None:
    """Return the start date of a constraint; a time of day has none."""
    start = getattr(constraint, "start_date", None)
    return start if isinstance(start, date) else None


def _remember(memory: dict[K, V], key: K, value: V) -> V:
    if len(memory) >= _MAX_REMEMBERED:
        memory.clear()
    memory[key] = value
    return value
