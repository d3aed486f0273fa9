"""When an account's silence is longer than its habit."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.core.silence import Span, is_late, is_unused

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOW = datetime(2026, 11, 20, tzinfo=UTC)  # a Friday, midnight


def used(*starts: datetime, grain: timedelta = HOUR) -> list[Span]:
    return [(start, start + grain) for start in sorted(starts)]


def working_hours(last: datetime) -> list[Span]:
    """Nine to five on weekdays, for the four weeks before the end of `last`'s day."""
    days = [last - DAY * n for n in range(28)]
    return used(*(day + HOUR * hour for day in days if day.weekday() < 5 for hour in range(9, 17)))


@pytest.mark.parametrize(
    ("hours", "silent"), [(0, False), (24, False), (64, False), (95, False), (97, True), (500, True)]
)
def test_a_weekend_is_no_silence_where_weekends_are_free(hours: int, *, silent: bool) -> None:
    friday = NOW
    ends = friday + HOUR * 17  # the longest gap so far: Friday 17:00 to Monday 9:00, 64 hours
    assert is_unused(working_hours(friday), ends + HOUR * hours) is silent


def test_an_agent_that_never_sleeps_may_rest_for_a_day() -> None:
    always = used(*(NOW - HOUR * n for n in range(28 * 24)))
    assert not is_unused(always, NOW + HOUR + DAY)
    assert is_unused(always, NOW + HOUR + DAY + HOUR)


def test_daily_reports_are_measured_between_their_days() -> None:
    daily = used(*(NOW - DAY * n for n in range(20)), grain=DAY)
    assert not is_unused(daily, NOW + DAY * 2)
    assert is_unused(daily, NOW + DAY * 2 + HOUR)


def test_an_interval_inside_another_makes_no_gap() -> None:
    nested = [(NOW - DAY * 10, NOW), *used(*(NOW - DAY * n for n in range(1, 10)))]
    assert not is_unused(nested, NOW + DAY)


@pytest.mark.parametrize("days", [0, 1, 6])
def test_who_is_new_has_no_habits_yet(days: int) -> None:
    assert not is_unused(used(*(NOW + DAY * n for n in range(days))), NOW + DAY * 90)


def test_a_report_is_late_beyond_what_is_usual_for_it() -> None:
    usual, interval = timedelta(minutes=10), HOUR * 6
    assert not is_late(HOUR * 12, usual, interval)
    assert is_late(HOUR * 12 + timedelta(minutes=31), usual, interval)
    assert not is_late(HOUR * 24 * 3, DAY, interval)
