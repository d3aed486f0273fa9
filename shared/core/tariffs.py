"""Pricing at speed: the rates of a card as whole numbers of one scale, exactly what `pricing.price` gives.

A product of integers costs a twentieth of one of Decimals, and a batch has thousands. What is not the plain case goes
to `pricing.price` itself.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias

from shared.core.money import CONTEXT, scale
from shared.core.pricing import FEES, TOKEN_CLASSES, price
from shared.core.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from decimal import Decimal

    from shared.core.pricing import RateCard, Rates

# Amounts by the fields of `Costs`, then their total.
Amounts: TypeAlias = tuple[int, int, int, int, int, int, int, int, int, int]

_PER_MILLION, _PER_THOUSAND = 6, 3
_QUARTER = timedelta(minutes=15)
_INSTANT = timedelta(microseconds=1)


def scaled(amount: Decimal, digits: int) -> int:
    """Return an amount times 10^digits.

    Raises:
        ValueError: it has more decimals.
    """
    if scale(amount) > digits:
        raise ValueError(f"{amount} has more than {digits} decimals")
    return int(CONTEXT.scaleb(amount, digits))


class Tariff:
    """One set of rates. Amounts are whole numbers of 10^-`digits` USD.

    `rates_id` is for whoever stores the rates: the id they have there, 0 while they have none.
    """

    __slots__ = ("_fees", "_is_plain", "_reasons_as_output", "_searches", "_tokens", "digits", "rates", "rates_id")

    def __init__(self, rates: Rates) -> None:
        self.rates = rates
        self.rates_id = 0
        tokens = {name: getattr(rates, name) for name in TOKEN_CLASSES}
        fees = {name: getattr(rates, name) for name in FEES}
        self.digits = max(
            (scale(price_) + exponent)
            for prices, exponent in ((tokens, _PER_MILLION), (fees, _PER_THOUSAND))
            for price_ in (CONTEXT.create_decimal(0), *(price_ for price_ in prices.values() if price_ is not None))
        )
        plain = [tokens[name] for name in TOKEN_CLASSES[:5]]
        self._is_plain = None not in plain
        self._tokens = [0 if p is None else scaled(p, self.digits - _PER_MILLION) for p in plain]
        self._reasons_as_output = rates.reasoning == rates.output
        self._searches = None if rates.web_search is None else scaled(rates.web_search, self.digits - _PER_THOUSAND)
        self._fees = 0 if rates.request is None else scaled(rates.request, self.digits - _PER_THOUSAND)

    def charge(self, counts: Sequence[int]) -> Amounts | None:
        """Return what counts in the order of `Usage`'s fields cost; None if any of them has no price."""
        inputs, outputs, read, short, long, reasoning, audio_in, audio_out, image_in, image_out, searches, requests = (
            counts
        )
        if (
            not self._is_plain
            or (searches and self._searches is None)
            or (reasoning and not self._reasons_as_output)
            or audio_in
            or audio_out
            or image_in
            or image_out
        ):
            return self._charge_odd(counts)
        p_input, p_output, p_read, p_short, p_long = self._tokens
        input_, output = inputs * p_input, outputs * p_output
        read, short, long = read * p_read, short * p_short, long * p_long
        search = searches * self._searches if searches and self._searches else 0
        fee = requests * self._fees
        return (
            input_,
            output,
            read,
            short,
            long,
            0,
            0,
            search,
            fee,
            input_ + output + read + short + long + search + fee,
        )

    def _charge_odd(self, counts: Sequence[int]) -> Amounts | None:
        costs = price(Usage(*counts), self.rates)
        if costs is None:
            return None
        return (
            scaled(costs.input, self.digits),
            scaled(costs.output, self.digits),
            scaled(costs.cache_read, self.digits),
            scaled(costs.cache_write_5m, self.digits),
            scaled(costs.cache_write_1h, self.digits),
            scaled(costs.audio, self.digits),
            scaled(costs.image, self.digits),
            scaled(costs.web_search, self.digits),
            scaled(costs.request, self.digits),
            scaled(costs.total, self.digits),
        )


class Tariffs:
    """The tariffs of one model in one set of circumstances over time; `card` is asked once or twice per quarter hour.

    Prices change at dates, at hours of the day, and where somebody entered one. Where a quarter hour begins and ends
    under the same card, that card holds in between: no source has a price for a few minutes that then goes back.
    """

    __slots__ = ("_card", "_first", "_made", "_settled", "_varied")

    def __init__(self, card: Callable[[datetime], RateCard | None]) -> None:
        self._card = card
        self._made: dict[tuple[tuple[int, Rates], ...], tuple[tuple[int, Tariff], ...]] = {}
        self._first: dict[str, tuple[datetime, tuple[tuple[int, Tariff], ...]]] = {}
        self._settled: dict[str, tuple[tuple[int, Tariff], ...]] = {}
        self._varied: set[str] = set()

    def find(self, slot: str, at: datetime, counts: Sequence[int]) -> Tariff | None:
        """Return what prices a line at `at` (UTC), in the quarter hour that `slot` names; None without a price.

        A single request pays by its whole input, an aggregate the base tier (see `pricing.tier_input`).
        """
        tiers = self._settled.get(slot)
        if tiers is None:
            tiers = self._look(slot, at)
        if len(tiers) <= 1:
            return tiers[0][1] if tiers else None
        size = sum(counts[i] for i in (0, 2, 3, 4)) if counts[11] == 1 else 0
        return next(tariff for above, tariff in reversed(tiers) if size > above or not above)

    def _look(self, slot: str, at: datetime) -> tuple[tuple[int, Tariff], ...]:
        if slot in self._varied:
            return self._ask(at)
        first = self._first.get(slot)
        if first is None:
            found = self._ask(at)
            self._first[slot] = (at, found)
            return found
        if first[0] == at:
            return first[1]
        start = at.replace(minute=at.minute // 15 * 15, second=0, microsecond=0)
        found = self._ask(start)
        if found is not self._ask(start + _QUARTER - _INSTANT):
            self._varied.add(slot)
            return self._ask(at)
        self._settled[slot] = found
        return found

    def _ask(self, at: datetime) -> tuple[tuple[int, Tariff], ...]:
        card = self._card(at)
        if card is None:
            return ()
        made = self._made.get(card.tiers)
        if made is None:
            made = self._made[card.tiers] = tuple((above, Tariff(rates)) for above, rates in card.tiers)
        return made
