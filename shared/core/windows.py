"""Which span of time a fetch asks for, how far a finished one moves the watermark, and what is covered then."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_DAY = timedelta(days=1)
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Plan:
    """How far back a collection looks, in UTC.

    Without `start`, from the watermark minus `lookback` (first time: `now` minus `backfill`); without `end`, to `now`.
    """

    now: datetime
    lookback: timedelta
    backfill: timedelta
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class Coverage:
    """The half-open span in which a polled report is the total; None before the first collection."""

    covered_from: datetime | None
    complete_until: datetime | None


def floor(instant: datetime, grain: timedelta) -> datetime:
    """Return the start of the UTC bucket of this width that holds `instant`."""
    return instant - (instant - _EPOCH) % grain


def ceiling(instant: datetime, grain: timedelta) -> datetime:
    """Return the first UTC bucket bound of this width at or after `instant`."""
    return -(-(instant - _EPOCH) // grain) * grain + _EPOCH


def fetch_window(plan: Plan, grain: timedelta, watermark: datetime | None) -> tuple[datetime, datetime]:
    """Return `[start, end)` on bucket bounds; the bucket that holds `now` is included, and restated next time."""
    # A first collection begins at midnight UTC, so that its first day can be compared with the bill.
    start = plan.start or (floor(plan.now - plan.backfill, _DAY) if watermark is None else watermark - plan.lookback)
    end = min(plan.end or plan.now, plan.now)
    first = floor(start, grain)
    return first, max(ceiling(end, grain), first + grain)


def oldest(now: datetime, grain: timedelta, history: timedelta | None, earliest: datetime | None) -> datetime:
    """Return the first bucket bound that a provider can be asked for: no older than `history`, nor than `earliest`."""
    bounds = [_EPOCH if history is None else floor(now - history, grain), earliest or _EPOCH]
    return ceiling(max(bounds), grain)


def next_watermark(
    plan: Plan,
    window: tuple[datetime, datetime],
    fetched_at: datetime,
    watermark: datetime | None,
    since: datetime = _EPOCH,
) -> datetime | None:
    """Return the watermark after this window; one that leaves a gap behind it, which could be read, does not move it.

    `since` is the oldest instant that the provider can be asked for.
    """
    start, end = window
    if start > max(since, fetched_at - plan.backfill if watermark is None else watermark):
        return watermark
    reached = min(end, fetched_at)
    return reached if watermark is None else max(watermark, reached)


def extend_coverage(
    coverage: Coverage, window: tuple[datetime, datetime], first_bucket: datetime | None, settled: datetime
) -> Coverage:
    """Return the coverage after a window was read in full.

    `first_bucket` is the earliest bucket with usage, `settled` the instant before which the provider's figures stand.
    `complete_until` never retreats. A window that does not touch the coverage changes nothing, since the gap between
    them was never read; the next collection from the watermark joins them.
    """
    start, end = window
    until = min(settled, end)
    if coverage.covered_from is None or coverage.complete_until is None:
        return coverage if first_bucket is None else Coverage(first_bucket, max(first_bucket, until))
    if end < coverage.covered_from or start > coverage.complete_until:
        return coverage
    return Coverage(min(coverage.covered_from, first_bucket or start), max(coverage.complete_until, until))
