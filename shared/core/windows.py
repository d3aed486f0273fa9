"""Which span of time a fetch asks for, how far a finished one moves the watermark, and what is covered then.

Providers restate: most figures within three days, some for weeks, and a month when it is invoiced. So every fetch
reads the last days again, once a week a fetch reads five weeks, and from the 8th on one reads the whole last month.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

_DAY = timedelta(days=1)
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
# Late corrections of usage reports come within the month that they are about, and some days.
WEEKLY_SPAN = timedelta(days=35)
_WEEK = timedelta(days=7)
# Invoices of a month are closed in its successor's first week.
INVOICED_ON = 8


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


class Why(StrEnum):
    """Why a window begins where it does."""

    ASKED = "asked"
    BACKFILL = "backfill"
    TRAILING = "trailing"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    # Of an earlier run that was cut.
    CONTINUED = "continued"


@dataclass(frozen=True, slots=True)
class Reads:
    """How far a stream was read: `until`, its watermark, and when the deeper fetches began (UTC) that were the last.

    `weekly` read its `WEEKLY_SPAN`, `monthly` the whole month that was invoiced last.
    """

    until: datetime | None = None
    weekly: datetime | None = None
    monthly: datetime | None = None


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


def trailing_window(plan: Plan, grain: timedelta, reads: Reads) -> tuple[datetime, datetime, Why]:
    """Return `[start, end)` as `fetch_window`, further back where a deeper read is due, and why it begins there.

    Nothing is read that a first collection would not read, so that an account does not grow into its past.
    """
    start, end = fetch_window(plan, grain, reads.until)
    if plan.start is not None:
        return start, end, Why.ASKED
    if reads.until is None:
        return start, end, Why.BACKFILL
    why = Why.TRAILING
    for is_due, since, reason in (
        (_is_weekly_due(plan.now, reads), _weekly_start(plan.now), Why.WEEKLY),
        (_is_monthly_due(plan.now, reads), _monthly_start(plan.now), Why.MONTHLY),
    ):
        first = floor(max(since, floor(plan.now - plan.backfill, _DAY)), grain)
        if is_due and first < start:
            start, why = first, reason
    return start, end, why


def reads_after(
    plan: Plan, window: tuple[datetime, datetime], fetched_at: datetime, reads: Reads, since: datetime = _EPOCH
) -> Reads:
    """Return the deeper reads after the window `[start, end)`, as asked for, was read in full.

    What is done counts, not what it was done for: a first collection or a long look-back are deep reads too. `since`
    is the oldest instant that the provider can be asked for.
    """
    start, end = window
    # A report of whole days ends before the day that is running.
    if end < floor(fetched_at, _DAY):
        return reads
    most = max(since, floor(fetched_at - plan.backfill, _DAY))
    return replace(
        reads,
        weekly=fetched_at if start <= max(_weekly_start(fetched_at), most) else reads.weekly,
        monthly=fetched_at if start <= max(_monthly_start(fetched_at), most) else reads.monthly,
    )


def _is_weekly_due(now: datetime, reads: Reads) -> bool:
    return reads.weekly is None or now - reads.weekly >= _WEEK


def _is_monthly_due(now: datetime, reads: Reads) -> bool:
    return reads.monthly is None or reads.monthly < _invoiced(now)


def _weekly_start(now: datetime) -> datetime:
    return floor(now - WEEKLY_SPAN, _DAY)


def _monthly_start(now: datetime) -> datetime:
    """Return where the month begins that was invoiced last."""
    return (_invoiced(now).replace(day=1) - _DAY).replace(day=1)


def _invoiced(now: datetime) -> datetime:
    """Return the latest 8th, 00:00 UTC, that is not after `now`."""
    first = floor(now, _DAY).replace(day=1)
    if now.day < INVOICED_ON:
        first = (first - _DAY).replace(day=1)
    return first.replace(day=INVOICED_ON)


def oldest(
    now: datetime,
    grain: timedelta,
    history: timedelta | None,
    earliest: datetime | None,
    remembered: datetime | None = None,
) -> datetime:
    """Return the first bucket bound that a provider can be asked for: no older than any of the three."""
    bounds = [_EPOCH if history is None else floor(now - history, grain), earliest or _EPOCH, remembered or _EPOCH]
    return ceiling(max(bounds), grain)


def remembered(now: datetime, forgets_after: timedelta | None, watermark: datetime | None) -> datetime | None:
    """Return since when a provider names all that had usage, as far as it was read; None where it always does."""
    if forgets_after is None or watermark is None:
        return None
    return min(watermark, now - forgets_after)


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
    coverage: Coverage,
    window: tuple[datetime, datetime],
    first_bucket: datetime | None,
    settled: datetime,
    since: datetime = _EPOCH,
) -> Coverage:
    """Return the coverage after a window was read in full.

    `first_bucket` is the earliest bucket with usage, `settled` the instant before which the provider's figures stand,
    `since` the oldest one that it can be asked for. `complete_until` never retreats. A window that does not touch the
    coverage changes nothing, since the gap between them was never read; the next collection from the watermark joins
    them. A gap that nobody can read any more is stepped over: see `gap`.
    """
    start, end = window
    until = min(settled, end)
    if coverage.covered_from is None or coverage.complete_until is None:
        return coverage if first_bucket is None else Coverage(first_bucket, max(first_bucket, until))
    if end < coverage.covered_from or start > max(coverage.complete_until, since):
        return coverage
    return Coverage(min(coverage.covered_from, first_bucket or start), max(coverage.complete_until, until))


def gap(before: Coverage, after: Coverage, window: tuple[datetime, datetime]) -> tuple[datetime, datetime] | None:
    """Return the span that the coverage stepped over with this window, in which no report tells anything."""
    old, new = before.complete_until, after.complete_until
    return (old, window[0]) if old is not None and new is not None and old < window[0] < new else None
