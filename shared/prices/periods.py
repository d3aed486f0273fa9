"""When prices change: the edges of their periods, and the periods themselves as people read them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from shared.core.pricing import RateCard
    from shared.prices.catalogue import Constraint
    from shared.prices.overrides import Override

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Period:
    """One price of a model: since when (None: since ever), at which hours of the day (UTC), and what it is.

    `override` is set where a person entered it.
    """

    since: datetime | date | None
    hours: str | None
    card: RateCard
    override: Override | None = None

    @classmethod
    def published(cls, limit: Constraint, card: RateCard) -> Period:
        """Return a period of the catalogue."""
        hours = None
        if limit is not None and not hasattr(limit, "start_date"):
            hours = f"{_utc(limit.start_time):%H:%M}-{_utc(limit.end_time):%H:%M}"
        return cls(card.base.since, hours, card)

    def order(self) -> tuple[Any, ...]:
        """Return what periods are sorted by: their start, then what outranks what."""
        since = self.since
        if since is None:
            start = datetime.min.replace(tzinfo=UTC)
        elif isinstance(since, datetime):
            start = since
        else:
            start = datetime.combine(since, time(), UTC)
        override = self.override
        return start, override is not None, override.created_at if override else start, self.hours is not None


def edges(limits: Iterable[Constraint], start: datetime, end: datetime) -> Iterator[datetime]:
    """Yield the instants at which a constraint begins or ends to hold, between `start` and `end` and near them."""
    for limit in limits:
        if limit is None:
            continue
        if hasattr(limit, "start_date"):
            yield datetime.combine(limit.start_date, time(), UTC)
            continue
        day = start.astimezone(UTC).date() - _DAY
        while day <= end.astimezone(UTC).date() + _DAY:
            for edge in (limit.start_time, limit.end_time):
                yield datetime.combine(day, edge if edge.tzinfo else edge.replace(tzinfo=UTC)).astimezone(UTC)
            day += _DAY


def _utc(edge: time) -> time:
    """Return a time of day in UTC; without a zone it is UTC already, as in the library."""
    return edge if edge.tzinfo is None else datetime.combine(date(2000, 1, 2), edge).astimezone(UTC).time()
