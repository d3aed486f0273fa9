"""What lines cost, as one row per price: the pure half of re-pricing; the other half Postgres does, a day at once.

A `Card` says which lines it prices (same model, circumstances, span of time and size of request) and at which rates.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from shared.core.pricing import PRICES, RateCard, Rates, tier_input
from shared.core.usage import PriceContext, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

_DAY = timedelta(days=1)
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
# Below every size of request, so that the base tier holds for nothing as well.
_ANY_SIZE = -1


@dataclass(frozen=True, slots=True)
class Shape:
    """What lines have in common that decides their price: who was paid, the id as sent, circumstances."""

    provider: str
    model_raw: str
    context: PriceContext

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Shape:
        """Read the columns of a ledger line."""
        context = PriceContext(
            service_tier=row["service_tier"],
            batch=row["is_batch"],
            speed=row["speed"],
            inference_geo=row["inference_geo"],
            context_window=row["context_window"],
        )
        return cls(row["provider"], row["model_raw"], context)


@dataclass(frozen=True, slots=True)
class Card:
    """The rates of lines of one shape, used in `[start, end)`, whose deciding input is above `above`, up to `up_to`.

    `rates` is None where the model has no price; `model` is what the lines are shown under.
    """

    shape: Shape
    model: str
    start: datetime
    end: datetime
    above: int = _ANY_SIZE
    up_to: int | None = None
    rates: Rates | None = None

    def as_row(self, number: int) -> dict[str, Any]:
        """Return the card as the columns that the store matches lines with; `number` is how lines refer to it."""
        context, rates = self.shape.context, self.rates
        return {
            "number": number,
            "provider": self.shape.provider,
            "model_raw": self.shape.model_raw,
            "service_tier": context.service_tier,
            "is_batch": context.batch,
            "speed": context.speed,
            "inference_geo": context.inference_geo,
            "context_window": context.context_window,
            "starts": self.start,
            "ends": self.end,
            "above": self.above,
            "up_to": self.up_to,
            "model": self.model,
            "detail": None if rates is None else rates.to_json(),
            **{f"{name}_price": None if rates is None else getattr(rates, name) for name in PRICES},
        }


def utc_day(instant: datetime) -> tuple[datetime, datetime]:
    """Return the UTC day `[start, end)` that holds an aware instant."""
    start = instant - (instant - _EPOCH) % _DAY
    return start, start + _DAY


def cards(
    shape: Shape,
    model: str,
    instants: Iterable[datetime],
    card_at: Callable[[datetime], RateCard | None],
) -> Iterator[Card]:
    """Yield the cards of one shape.

    Args:
        shape: what the lines have in common.
        model: the id they are shown under.
        instants: the bounds of the whole span and every instant between them at which the price may change, in order.
        card_at: the price in force at an instant.
    """
    for start, end in pairwise(instants):
        found = card_at(start)
        if found is None:
            yield Card(shape, model, start, end)
        elif shape.context.context_window is not None:
            # The provider has classed these requests: the tier does not depend on the line.
            rates = found.select(tier_input(Usage(), shape.context))
            yield Card(shape, model, start, end, rates=rates)
        else:
            thresholds = [_ANY_SIZE, *(above for above, _ in found.tiers[1:])]
            for above, up_to, (_, rates) in zip(thresholds, [*thresholds[1:], None], found.tiers, strict=True):
                yield Card(shape, model, start, end, above, up_to, rates)
