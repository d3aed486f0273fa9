"""Summarise: one row of `daily_summaries` for every closed local day, brought up to date with the roll-up."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from shared.core.periods import day as period_of
from shared.core.periods import local_date
from shared.store import summaries
from shared.store.summaries import Figures, Summary

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from zoneinfo import ZoneInfo

    from shared.core.periods import Period
    from shared.store.database import Connection, Database

# Days summed in one transaction: a month keeps it short on a large ledger.
_AT_ONCE = 31
_DAY = timedelta(days=1)
_LAST_QUARTER = time(23, 45)


def summarise(database: Database, today: date, zone: ZoneInfo) -> int:
    """Bring the summaries of every closed day up to date, and return how many are new or changed.

    A day is closed when it is before `today` in `zone`, and it has a row from the first day with usage on, usage or
    not. Only days whose roll-up changed since the last time are summed again, so that a second call costs next to
    nothing; another zone than last time cuts all of them anew. Several calls at once wait for each other.
    """
    changed = 0
    while True:
        is_done, count = database.run(lambda c: _batch(c, today, zone))
        changed += count
        if is_done:
            return changed


def aggregate(database: Database, day: date, today: date, zone: ZoneInfo) -> Summary:
    """Sum one local day again and return its summary.

    It is stored as `summarise` does; a day that is not over yet, or lies before the first usage, is only computed.
    """
    return database.run(lambda c: _aggregate(c, day, today, zone))


def compute(connection: Connection, day: date, zone: ZoneInfo) -> Figures:
    """Return what a local day costs by the roll-up, storing nothing."""
    return summaries.figures(connection, [period_of(day, zone)])[0]


def first_day(connection: Connection, zone: ZoneInfo) -> date | None:
    """Return the local date of the first usage, None where there is none."""
    first = summaries.first_slot(connection)
    return None if first is None else local_date(first, zone)


def _aggregate(connection: Connection, day: date, today: date, zone: ZoneInfo) -> Summary:
    summaries.lock(connection)
    found = compute(connection, day, zone)
    known = summaries.get(connection, day)
    first = first_day(connection, zone)
    is_kept = known is not None or (first is not None and day >= first)
    if day < today and is_kept and _exists(period_of(day, zone)):
        summaries.save(connection, [found])
        known = summaries.get(connection, day)
        if known is not None:
            return known
    return Summary(
        **{field.name: getattr(found, field.name) for field in fields(Figures)},
        synced_to_cv=False,
        synced_at=None,
        payload_hash=None,
        push_due=False,
        attempts=0,
        last_error=None,
        leased_by=None,
        leased_until=None,
    )


def _batch(connection: Connection, today: date, zone: ZoneInfo) -> tuple[bool, int]:
    state = summaries.lock(connection)
    if state.zone != zone.key:
        summaries.set_zone(connection, zone.key)
        if state.zone is not None:
            summaries.recut(connection, today)
    # Changes of today are dropped: the day has no row yet, and will be summed for that reason once it is over.
    taken = summaries.take_changes(connection, _AT_ONCE)
    touched = {day for utc_day in taken for day in _local_dates(utc_day, zone) if day < today}
    first = first_day(connection, zone)
    missing = [] if first is None else summaries.missing(connection, first, today - _DAY, _AT_ONCE)
    known = summaries.stored(connection, touched)
    wanted = {day for day in touched if day in known or (first is not None and day >= first)} | set(missing)
    rows: list[Figures] = []
    for run in _runs(period_of(day, zone) for day in sorted(wanted)):
        rows += summaries.figures(connection, run)
    count = summaries.save(connection, rows) if rows else 0
    return len(taken) < _AT_ONCE and len(missing) < _AT_ONCE, count


def _local_dates(utc_day: date, zone: ZoneInfo) -> set[date]:
    """Return the local dates that quarter hours of a UTC day belong to."""
    return {local_date(datetime.combine(utc_day, at, UTC), zone) for at in (time.min, _LAST_QUARTER)}


def _exists(day: Period) -> bool:
    # A zone that crosses the date line skips a date.
    return day.start < day.end


def _runs(days: Iterable[Period]) -> Iterator[list[Period]]:
    """Group days that follow one another; dates that a zone skipped are left out."""
    run: list[Period] = []
    for day in filter(_exists, days):
        if run and run[-1].end != day.start:
            yield run
            run = []
        run.append(day)
    if run:
        yield run
