"""What a fetch asks for, how far the watermark moves, and what is covered then."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.windows import Coverage, Plan, ceiling, extend_coverage, fetch_window, floor, gap, next_watermark

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOW = datetime(2026, 11, 20, 10, 30, tzinfo=UTC)
instants = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)).map(lambda d: d.replace(tzinfo=UTC))  # noqa: DTZ001 - made aware at once


def at(day: int, hour: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, tzinfo=UTC)


def plan(now: datetime = NOW, start: datetime | None = None, end: datetime | None = None) -> Plan:
    return Plan(now, lookback=3 * DAY, backfill=90 * DAY, start=start, end=end)


@given(instants, st.sampled_from([HOUR, DAY]))
def test_floor_and_ceiling_enclose_an_instant(instant: datetime, grain: timedelta) -> None:
    assert floor(instant, grain) <= instant <= ceiling(instant, grain)
    assert ceiling(instant, grain) - floor(instant, grain) in {timedelta(0), grain}
    assert floor(floor(instant, grain), grain) == floor(instant, grain)


def test_a_first_fetch_goes_back_to_a_midnight() -> None:
    assert fetch_window(plan(), HOUR, None) == (datetime(2026, 8, 22, tzinfo=UTC), at(20, 11))


def test_a_later_fetch_starts_at_the_watermark_minus_the_look_back() -> None:
    assert fetch_window(plan(), HOUR, at(20, 4)) == (at(17, 4), at(20, 11))
    assert fetch_window(plan(), DAY, at(20, 4)) == (at(17), at(21))


def test_a_given_range_is_what_is_fetched_but_never_the_future() -> None:
    assert fetch_window(plan(start=at(3), end=at(5)), HOUR, at(19)) == (at(3), at(5))
    assert fetch_window(plan(start=at(19), end=at(30)), HOUR, at(19)) == (at(19), at(20, 11))


@given(instants, st.none() | instants, st.sampled_from([HOUR, DAY]))
def test_windows_lie_on_bucket_bounds_and_are_never_empty(
    now: datetime, watermark: datetime | None, grain: timedelta
) -> None:
    start, end = fetch_window(plan(now), grain, watermark)
    assert (floor(start, grain), floor(end, grain)) == (start, end)
    assert start < end


@pytest.mark.parametrize(
    ("window", "before", "after"),
    [
        ((at(17), at(20, 11)), at(20, 4), NOW),  # the usual: up to the fetch
        ((at(3), at(5)), at(20, 4), at(20, 4)),  # old days do not move it back
        ((at(15), at(18)), at(10), at(10)),  # a gap lies before the window
        ((at(9), at(18)), at(10), at(18)),  # no gap: forward
        ((datetime(2026, 8, 22, tzinfo=UTC), at(20, 11)), None, NOW),  # the first collection
        ((at(3), at(5)), None, None),  # a given range before the first collection
    ],
)
def test_the_watermark_moves_forward_without_gaps(
    window: tuple[datetime, datetime], before: datetime | None, after: datetime | None
) -> None:
    assert next_watermark(plan(), window, NOW, before) == after


@pytest.mark.parametrize(
    ("coverage", "window", "first", "after"),
    [
        (Coverage(None, None), (at(1), at(20, 11)), at(2), Coverage(at(2), at(20, 10))),
        (Coverage(None, None), (at(1), at(20, 11)), None, Coverage(None, None)),
        (Coverage(at(2), at(19)), (at(16), at(20, 11)), at(16), Coverage(at(2), at(20, 10))),
        (Coverage(at(2), at(20, 10)), (at(16), at(18)), at(16), Coverage(at(2), at(20, 10))),
        (Coverage(at(10), at(20)), (at(1), at(5)), at(1), Coverage(at(10), at(20))),  # a gap: not covered
        (Coverage(at(10), at(20)), (at(1), at(10)), at(1), Coverage(at(1), at(20))),
        (Coverage(at(2), at(5)), (at(9), at(20, 11)), at(9), Coverage(at(2), at(5))),  # a gap: the next run joins them
    ],
)
def test_coverage(
    coverage: Coverage, window: tuple[datetime, datetime], first: datetime | None, after: Coverage
) -> None:
    assert extend_coverage(coverage, window, first, at(20, 10)) == after


def test_a_gap_that_nobody_can_read_any_more_is_stepped_over() -> None:
    before, window = Coverage(at(2), at(5)), (at(9), at(20, 11))
    assert extend_coverage(before, window, at(9), at(20, 10), since=at(8)) == before
    after = extend_coverage(before, window, at(9), at(20, 10), since=at(9))
    assert after == Coverage(at(2), at(20, 10))
    assert gap(before, after, window) == (at(5), at(9))
    assert gap(before, before, window) is None
    assert gap(before, Coverage(at(2), at(7)), (at(4), at(7))) is None


@given(st.lists(st.tuples(instants, instants), max_size=8), instants)
def test_complete_until_never_retreats(windows: list[tuple[datetime, datetime]], settled: datetime) -> None:
    coverage = Coverage(None, None)
    for one, other in windows:
        window = min(one, other), max(one, other)
        after = extend_coverage(coverage, window, window[0], settled)
        if coverage.complete_until is not None:
            assert after.complete_until is not None
            assert after.complete_until >= coverage.complete_until
        coverage = after
