"""How far back a fetch looks: three days each time, five weeks once a week, the last month once it is invoiced."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.core.windows import Plan, Reads, Why, ceiling, fetch_window, floor, reads_after, trailing_window

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
instants = st.datetimes(datetime(2020, 1, 1), datetime(2032, 1, 1)).map(lambda d: d.replace(tzinfo=UTC))  # noqa: DTZ001 - made aware at once


def utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


def plan(now: datetime, backfill: int = 90, start: datetime | None = None, end: datetime | None = None) -> Plan:
    return Plan(now, lookback=3 * DAY, backfill=backfill * DAY, start=start, end=end)


def begins(
    now: datetime, weekly: datetime | None, monthly: datetime | None, backfill: int = 90
) -> tuple[datetime, Why]:
    """Where the fetch of `now` begins that follows one of six hours before."""
    start, end, why = trailing_window(plan(now, backfill), HOUR, Reads(now - 6 * HOUR, weekly, monthly))
    assert end == ceiling(now, HOUR)
    return start, why


def test_between_deeper_reads_a_fetch_reads_three_days() -> None:
    now = utc(2026, 11, 20, 10, 30)
    assert begins(now, now - 6 * DAY, now - 6 * DAY) == (utc(2026, 11, 17, 4), Why.TRAILING)


def test_five_weeks_are_read_once_a_week() -> None:
    now = utc(2026, 11, 20, 10, 30)
    assert begins(now, now - 7 * DAY, now - 6 * DAY) == (utc(2026, 10, 16), Why.WEEKLY)
    assert begins(now, now - 7 * DAY + timedelta(seconds=1), now - 6 * DAY)[1] is Why.TRAILING
    assert begins(now, None, now - 6 * DAY)[1] is Why.WEEKLY


@pytest.mark.parametrize(
    ("now", "last", "start"),
    [
        (utc(2026, 11, 8), utc(2026, 11, 7, 23, 59), utc(2026, 10, 1)),
        (utc(2026, 11, 8, 5), utc(2026, 11, 7), utc(2026, 10, 1)),
        (utc(2027, 1, 8), utc(2027, 1, 7), utc(2026, 12, 1)),  # over a new year
        (utc(2027, 1, 7, 23, 59), utc(2026, 12, 7), utc(2026, 11, 1)),  # December's 8th was missed
        (utc(2027, 3, 8), utc(2027, 3, 7), utc(2027, 2, 1)),
        (utc(2028, 3, 8), utc(2028, 3, 7), utc(2028, 2, 1)),  # 29 days: a day more than five weeks back
        (utc(2027, 3, 31), utc(2027, 3, 7), utc(2027, 2, 1)),
    ],
)
def test_a_month_is_read_again_from_the_8th_of_the_next_one_on(now: datetime, last: datetime, start: datetime) -> None:
    # The week's read may have been just before, and never makes it unnecessary.
    assert begins(now, None, last) == (start, Why.MONTHLY if start < floor(now - 35 * DAY, DAY) else Why.WEEKLY)
    assert begins(now, now - HOUR, last) == (start, Why.MONTHLY)


def test_before_the_8th_nothing_of_the_last_month_is_due() -> None:
    assert begins(utc(2026, 11, 7, 23, 59), utc(2026, 11, 3), utc(2026, 10, 8))[1] is Why.TRAILING


def test_after_a_long_pause_one_fetch_does_all_of_it() -> None:
    now = utc(2027, 1, 20, 6)
    reads = Reads(utc(2026, 11, 5, 4), weekly=utc(2026, 11, 3), monthly=utc(2026, 10, 8))
    start, end, why = trailing_window(plan(now), HOUR, reads)
    # What was not read yet reaches further back than any restatement does.
    assert (start, why) == (utc(2026, 11, 2, 4), Why.TRAILING)
    after = reads_after(plan(now), (start, end), now, reads)
    assert after == Reads(utc(2026, 11, 5, 4), weekly=now, monthly=now)


def test_a_first_collection_is_a_deep_read_too() -> None:
    now = utc(2026, 11, 20, 10, 30)
    start, end, why = trailing_window(plan(now), HOUR, Reads())
    assert (start, why) == (utc(2026, 8, 22), Why.BACKFILL)
    assert reads_after(plan(now), (start, end), now, Reads()) == Reads(None, now, now)


def test_days_that_are_asked_for_are_read_and_nothing_else() -> None:
    now = utc(2026, 11, 20, 10, 30)
    asked = plan(now, start=utc(2026, 11, 3), end=utc(2026, 11, 5))
    assert trailing_window(asked, HOUR, Reads(now - DAY)) == (utc(2026, 11, 3), utc(2026, 11, 5), Why.ASKED)
    assert reads_after(asked, (utc(2026, 1, 1), utc(2026, 11, 5)), now, Reads(now - DAY)) == Reads(now - DAY)


def test_an_account_does_not_grow_into_its_past() -> None:
    now = utc(2026, 11, 20, 10, 30)
    assert begins(now, None, None, backfill=9) == (utc(2026, 11, 11), Why.WEEKLY)
    window = utc(2026, 11, 11), utc(2026, 11, 20, 11)
    assert reads_after(plan(now, backfill=9), window, now, Reads(now)) == Reads(now, now, now)
    assert begins(now, None, None, backfill=2) == (utc(2026, 11, 17, 4), Why.TRAILING)


def test_what_the_provider_cannot_be_asked_for_is_not_waited_for() -> None:
    now = utc(2026, 11, 20, 10, 30)
    window = utc(2026, 10, 21), utc(2026, 11, 20)
    assert reads_after(plan(now), window, now, Reads(now)) == Reads(now)
    assert reads_after(plan(now), window, now, Reads(now), since=window[0]) == Reads(now, now, now)


@given(instants, st.none() | instants, st.none() | instants, st.sampled_from([HOUR, DAY]), st.integers(1, 200))
def test_a_deeper_read_is_not_due_again_once_it_was_done(
    now: datetime, weekly: datetime | None, monthly: datetime | None, grain: timedelta, backfill: int
) -> None:
    before = Reads(now - 6 * HOUR, weekly, monthly)
    asked = plan(now, backfill)
    start, end, why = trailing_window(asked, grain, before)
    assert start <= fetch_window(asked, grain, before.until)[0]
    assert (floor(start, grain), floor(end, grain)) == (start, end)
    after = reads_after(asked, (start, end), now, before)
    again, _, then = trailing_window(plan(now + HOUR, backfill), grain, after)
    assert again >= start
    # The next hour may be the first of an 8th.
    assert then is Why.TRAILING or (now + HOUR).day == 8 or why is Why.TRAILING
    if why is not Why.TRAILING:
        assert now in {after.weekly, after.monthly}


@settings(max_examples=40)
@given(instants, st.integers(3, 24))
def test_each_week_is_read_deep_once_and_each_month_once(begin: datetime, hours: int) -> None:
    runs = [begin + number * timedelta(hours=hours) for number in range(70 * 24 // hours)]
    reads, starts, deep = Reads(begin, begin, begin), {}, []
    for now in runs:
        start, end, why = trailing_window(plan(now), HOUR, reads)
        starts[now] = start
        deep += [] if why is Why.TRAILING else [(now, why)]
        reads = replace(reads_after(plan(now), (start, end), now, reads), until=now)
    weekly = [at for at, why in deep if why is Why.WEEKLY]
    assert all(later - earlier >= 7 * DAY for earlier, later in pairwise(weekly))
    monthly = [(at.year, at.month) for at, why in deep if why is Why.MONTHLY]
    assert len(monthly) == len(set(monthly))
    # Nothing is left out for longer than a week and the time between two runs.
    gaps = [later - earlier for earlier, later in pairwise([begin, *(at for at, _ in deep)])]
    assert max(gaps) < 7 * DAY + timedelta(hours=hours)
    for earlier, now in pairwise(runs):
        if earlier < floor(now, DAY).replace(day=8) <= now:
            assert starts[now] <= (now.replace(day=1) - DAY).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
