"""Which price holds for a line: the user's override, else the catalogue with corrections, else a built-in price."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from shared.core.naming import Entry, Names, provider_id
from shared.core.pricing import Costs, RateCard, Rates, inherit, price, tier_input
from shared.core.usage import PriceContext, Usage
from shared.prices.catalogue import Catalogue
from shared.prices.corrections import correct, noted
from shared.prices.names import names as shipped_names
from shared.prices.overrides import Override, in_force, in_proportion, override_rates
from shared.prices.periods import Period, edges

if TYPE_CHECKING:
    from collections.abc import Sequence

_MAX_REMEMBERED = 4096
# Built-in prices have one period, so that any instant finds it.
_EVER = datetime(2000, 1, 1, tzinfo=UTC)
_LOCAL = "local"


@dataclass(frozen=True, slots=True)
class _Resolved:
    """What a (provider, model) as sent means.

    `provider` is who was paid, `seller` whose list prices are looked up, `lookups` the ids to try there, best first,
    `entry` the names table's row. `seller` differs from `provider` only where nobody knows that provider.
    """

    provider: str | None
    seller: str | None
    canonical: str
    lookups: tuple[str, ...]
    entry: Entry | None
    overrides: tuple[Override, ...]


class PriceBook:
    """Every price we know. Immutable: a change of overrides or aliases is a new book over the same catalogue."""

    def __init__(
        self, overrides: Sequence[Override] = (), catalogue: Catalogue | None = None, names: Names | None = None
    ) -> None:
        """Take the user's overrides, the catalogue, and the names table with the user's aliases."""
        self.catalogue = catalogue or Catalogue()
        self.names = names or shipped_names()
        self.overrides = tuple(overrides)
        self._overrides: dict[str, list[Override]] = {}
        for override in overrides:
            self._overrides.setdefault(override.model.lower(), []).append(override)
        self._resolved: dict[tuple[str | None, str], _Resolved] = {}

    def canonical(self, provider: str | None, model_raw: str) -> str:
        """Return the one id a model is shown under; an unknown model keeps its id as sent."""
        return self._resolve(provider, model_raw).canonical

    def infer_provider(self, model_raw: str) -> str | None:
        """Return the provider of a model by the names table, its vendor prefix, else the catalogue."""
        model = self.names.target(model_raw)
        return self.names.infer_provider(model) or self.catalogue.infer_provider(model)

    def card(
        self, provider: str | None, model_raw: str, at: datetime, context: PriceContext | None = None
    ) -> RateCard | None:
        """Return every tier of the price in force, or None if nothing we count has a price.

        Raises:
            ValueError: `at` has no time zone.
        """
        if at.tzinfo is None:
            raise ValueError("The instant to price at needs a time zone.")
        model = self._resolve(provider, model_raw)
        override = in_force(model.overrides, model.provider, at) if model.overrides else None
        if override is not None:
            return self._overridden(model, override, at, context or PriceContext())
        return self._published(model, at, context or PriceContext())

    def _overridden(self, model: _Resolved, override: Override, at: datetime, context: PriceContext) -> RateCard | None:
        """Return the override's price, spread over tiers and circumstances as the catalogue spreads its own.

        None where the catalogue knows the model, but no price in these circumstances.
        """
        standard, asked = self._published(model, at, PriceContext()), self._published(model, at, context)
        own = override_rates(override, model.provider, standard.base if standard else None)
        if standard is None:
            return RateCard(((0, own),))
        if asked is None:
            return None
        tiers = tuple((above, in_proportion(own, standard.base, rates)) for above, rates in asked.tiers)
        return RateCard(tiers, asked.unmet)

    def rates(
        self, provider: str | None, model_raw: str, at: datetime, usage: Usage, context: PriceContext
    ) -> Rates | None:
        """Return the rates that price one line, or None if the model has no price we know.

        Args:
            provider: who was paid, under any of its names; None to infer it from the model.
            model_raw: the model id as sent.
            at: when the tokens were used, with a time zone.
            usage: the counts, which decide the tier.
            context: batch, service tier, speed, region and context window.

        Raises:
            ValueError: `at` has no time zone.
        """
        card = self.card(provider, model_raw, at, context)
        return card.select(tier_input(usage, context)) if card else None

    def price(
        self, provider: str | None, model_raw: str, at: datetime, usage: Usage, context: PriceContext
    ) -> tuple[Costs, Rates] | None:
        """Return the exact cost of one line and the rates behind it; None if any of its counts has no price."""
        rates = self.rates(provider, model_raw, at, usage, context)
        costs = price(usage, rates) if rates else None
        return (costs, rates) if costs and rates else None

    def changes(self, provider: str | None, model_raw: str, start: datetime, end: datetime) -> list[datetime]:
        """Return the instants inside `(start, end)` at which a model's price may change, in order.

        Between two of them the price in any circumstances is one and the same.
        """
        model = self._resolve(provider, model_raw)
        found = {override.start for override in model.overrides}
        for name in model.lookups:
            found.update(edges(self.catalogue.constraints(model.seller, name), start, end))
        return sorted(at for at in found if start < at < end)

    def history(self, provider: str | None, model_raw: str) -> list[Period]:
        """Return every price a model has or had, latest first: overrides, the catalogue's, the built-in one."""
        model = self._resolve(provider, model_raw)
        listed: list[Period] = []
        for name in model.lookups:
            listed = [Period.published(limit, card) for limit, card in self.catalogue.standard(model.seller, name)]
            listed = [period for period in listed if not period.card.base.is_empty]
            if listed:
                break
        if not listed and (built_in := self._published(model, _EVER, PriceContext())):
            listed = [Period(built_in.base.since, None, built_in)]
        for override in model.overrides:
            standard = self._published(model, override.start, PriceContext())
            rates = override_rates(override, model.provider, standard.base if standard else None)
            listed.append(Period(override.start, None, RateCard(((0, rates),)), override))
        return sorted(listed, key=Period.order, reverse=True)

    def is_known(self, provider: str | None, model_raw: str) -> bool:
        """Return whether the names table, the catalogue or an override knows a model."""
        model = self._resolve(provider, model_raw)
        seen = any(self.catalogue.canonical(model.seller, name) for name in model.lookups)
        return model.entry is not None or seen or bool(model.overrides)

    def is_id(self, name: str) -> bool:
        """Return whether a name is the very id of a model, and not one of its other names."""
        wanted = name.strip().lower()
        listed = self.catalogue.canonical(None, wanted)
        return any(entry.id.lower() == wanted for entry in self.names.entries) or (listed or "").lower() == wanted

    def nearest(self, name: str, n: int = 3) -> list[str]:
        """Return up to `n` known ids or names that look like `name`, best first."""
        known = {spelling for entry in self.names.entries for spelling in (entry.id, *entry.names)}
        known.update(self.names.aliases)
        known.update(listing.id for listing in self.catalogue.models())
        by_lower = {spelling.lower(): spelling for spelling in sorted(known) if not spelling.endswith("/*")}
        close = difflib.get_close_matches(name.strip().lower(), list(by_lower), n=n, cutoff=0.5)
        return [by_lower[spelling] for spelling in close]

    def _resolve(self, provider: str | None, model_raw: str) -> _Resolved:
        key = (provider, model_raw)
        known = self._resolved.get(key)
        if known is None:
            known = self._look_up(provider, model_raw)
            if len(self._resolved) >= _MAX_REMEMBERED:
                self._resolved.clear()
            self._resolved[key] = known
        return known

    def _look_up(self, provider: str | None, model_raw: str) -> _Resolved:
        target = self.names.target(model_raw)
        paid = provider_id(provider) if provider else None
        known = paid if paid and (paid == _LOCAL or self.catalogue.provider(paid)) else None
        seller = known or self.infer_provider(model_raw)
        canonical = self.names.canonical(model_raw, lambda model: self.catalogue.canonical(seller, model))
        entry = self.names.find(model_raw) or self.names.find(canonical)
        # The id as sent first: it is the most precise, and a dated id may have a price of its own.
        lookups = tuple(dict.fromkeys((target, entry.id if entry else canonical)))
        overrides = [o for key in {canonical.lower(), target.lower()} for o in self._overrides.get(key, ())]
        return _Resolved(paid or seller, seller, canonical, lookups, entry, tuple(overrides))

    def _published(self, model: _Resolved, at: datetime, context: PriceContext) -> RateCard | None:
        """Return the catalogue's price with corrections, else the built-in one until the catalogue has it."""
        if model.seller == _LOCAL or (model.entry and model.entry.provider == _LOCAL):
            return self._free(model)
        for name in model.lookups:
            card = self.catalogue.card(model.seller, name, at, context)
            if card is not None:
                card = correct(card, context)
                # Fast mode costs a multiple that differs between models, and so do OpenAI's tiers: the standard price
                # would be plainly wrong. Anthropic's tiers are the standard price under a commitment.
                is_unknown = card.base.is_empty or "speed" in card.unmet
                is_unknown = is_unknown or (model.seller == "openai" and "service_tier" in card.unmet)
                return None if is_unknown else self._attributed(model, card)
        return _built_in(model.entry, model.seller)

    def _attributed(self, model: _Resolved, card: RateCard) -> RateCard:
        """Say so where the price is the maker's because the provider is a gateway that no list knows."""
        if model.provider == model.seller:
            return card
        return noted(card, f"The provider {model.provider} is not known: the list price of {model.seller}.")

    def _free(self, model: _Resolved) -> RateCard | None:
        """Return the price of a local model: nothing, which is not the same as unknown."""
        free = next((entry for entry in self.names.entries if entry.provider == _LOCAL), None)
        return _built_in(free, _LOCAL, model.canonical)


def _built_in(entry: Entry | None, provider: str | None, model: str | None = None) -> RateCard | None:
    """Return an entry's own price, if it has one and is sold by `provider`."""
    if entry is None or entry.built_in is None or entry.provider != provider:
        return None
    rates = Rates(
        source="built-in",
        model=model or entry.id,
        provider=entry.provider,
        since=entry.built_in.since,
    )
    return RateCard(((0, rates.priced(inherit(entry.built_in.prices))),))
