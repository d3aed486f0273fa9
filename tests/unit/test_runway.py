"""How long prepaid money lasts: differences, top-ups left out, a reason where there is too little to say."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.runway import Observed, runway

START = datetime(2026, 11, 6, 6, 0, tzinfo=UTC)


def seen(*available: str, hours: int = 6) -> list[Observed]:
    return [Observed(START + number * timedelta(hours=hours), Decimal(left)) for number, left in enumerate(available)]


def test_spending_goes_on_as_it_was() -> None:
    # 7.5 in two days and a half: 3 a day.
    found = runway(seen("40", "38.5", "37", "37", "36.25", "32.5", hours=12))
    assert (found.spent, found.observed, found.top_ups) == (Decimal("7.5"), timedelta(days=2.5), 0)
    assert found.spent_per_day == 3
    assert found.days == Decimal("10.8")  # 10.8333..., never more than there is
    assert found.lasts_until == START + timedelta(days=2.5, hours=260)
    assert found.reason is None


def test_the_time_of_a_top_up_is_left_out_with_its_money() -> None:
    # Two days of 2 each, then a day in which 20 came in and nobody knows what went out, then a day of 2.
    found = runway(seen("10", "8", "6", "25", "23", hours=24))
    assert (found.top_ups, found.spent, found.observed) == (1, Decimal(6), timedelta(days=3))
    assert (found.spent_per_day, found.days) == (Decimal(2), Decimal("11.5"))


@pytest.mark.parametrize(("granted", "topped_up"), [(("5", "8"), ("5", "0")), (("5", "0"), ("5", "8"))])
def test_a_top_up_smaller_than_what_went_out_shows_in_its_part(
    granted: tuple[str, str], topped_up: tuple[str, str]
) -> None:
    days = [START + number * timedelta(days=1) for number in range(3)]
    parts = [("12", "6", "6"), ("10", granted[0], topped_up[0]), ("8", granted[1], topped_up[1])]
    found = runway([Observed(at, *map(Decimal, part)) for at, part in zip(days, parts, strict=True)])
    assert (found.top_ups, found.spent, found.observed) == (1, Decimal(2), timedelta(days=1))


@pytest.mark.parametrize(
    ("observations", "says"),
    [
        ([], "No balance was seen"),
        (seen("10"), "Less than a day"),
        (seen("10", "9", "8"), "Less than a day"),
        (seen("10", "90", hours=48), "Less than a day"),
        (seen("10", "10", hours=24), "Nothing was spent"),
    ],
)
def test_where_there_is_too_little_to_say_it_says_why(observations: list[Observed], says: str) -> None:
    found = runway(observations)
    assert (found.days, found.spent_per_day, found.lasts_until) == (None, None, None)
    assert found.reason is not None
    assert says in found.reason
    assert found.reason.endswith(".")


def test_what_is_posted_once_a_month_has_no_runway() -> None:
    found = runway(seen("100", "100", "40", hours=24), posts_late=True)
    assert (found.days, found.spent) == (None, Decimal(60))
    assert found.reason is not None
    assert "once a month" in found.reason


@pytest.mark.parametrize("left", ["0", "-1.5"])
def test_what_is_spent_or_owed_lasts_no_day(left: str) -> None:
    found = runway(seen("10", left, hours=24))
    assert (found.days, found.lasts_until) == (Decimal(0), START + timedelta(days=1))


def test_beyond_ten_years_there_is_no_date() -> None:
    found = runway(seen("1000000", "999999.9", hours=24))
    assert (found.days, found.lasts_until) == (Decimal("9999999.0"), None)


@given(st.lists(st.integers(0, 10**9), min_size=2, max_size=30), st.integers(1, 10**6))
def test_the_arithmetic_is_exact(drops: list[int], minutes: int) -> None:
    left, observations = Decimal(sum(drops) + 12_345), []
    for number, drop in enumerate([0, *drops]):
        left -= drop
        observations.append(Observed(START + number * timedelta(minutes=minutes), left))
    found = runway(observations)
    assert found.spent == sum(drops)
    assert found.observed == len(drops) * timedelta(minutes=minutes)
    if found.days is not None:
        seconds = int(found.observed.total_seconds())
        # days <= left / (spent / observed) < days + 0.1, without dividing.
        assert (
            found.days * 86_400 * found.spent <= 12_345 * seconds < (found.days + Decimal("0.1")) * 86_400 * found.spent
        )
