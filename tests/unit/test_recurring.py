"""The dates on which something recurs: month ends, leap years, and nothing twice wherever one begins."""

from datetime import date, timedelta
from itertools import islice, takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.recurring import REPEATS, following, nth


@pytest.mark.parametrize(
    ("first", "repeat", "expected"),
    [
        ("2026-11-02", "monthly", ["2026-11-02", "2026-12-02", "2027-01-02", "2027-02-02"]),
        ("2027-12-31", "monthly", ["2027-12-31", "2028-01-31", "2028-02-29", "2028-03-31", "2028-04-30"]),
        ("2027-01-30", "monthly", ["2027-01-30", "2027-02-28", "2027-03-30"]),
        ("2028-02-29", "yearly", ["2028-02-29", "2029-02-28", "2030-02-28", "2031-02-28", "2032-02-29"]),
        ("2026-12-28", "weekly", ["2026-12-28", "2027-01-04", "2027-01-11"]),
    ],
)
def test_the_dates(first: str, repeat: str, expected: list[str]) -> None:
    found = islice(following(date.fromisoformat(first), repeat, None), len(expected))
    assert [day.isoformat() for day in found] == expected


@given(
    st.dates(date(2000, 1, 1), date(2100, 12, 31)), st.sampled_from(REPEATS), st.integers(-400, 4000),
    st.integers(0, 400),
)  # fmt: skip
def test_going_on_after_any_date_misses_and_repeats_nothing(first: date, repeat: str, days: int, more: int) -> None:
    after, last = first + timedelta(days=days), first + timedelta(days=days + more)

    def until(found: date) -> bool:
        return found <= last

    whole = list(takewhile(until, following(first, repeat, None)))
    assert whole == sorted(set(whole))
    assert [day for day in whole if day > after] == list(takewhile(until, following(first, repeat, after)))
    assert all(nth(first, repeat, number) == day for number, day in enumerate(whole))
