"""What looks absurd beside an account's usual day, and what does not."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.quarantine import FACTOR, LEAST_COST, LEAST_TOKENS, Figures, is_absurd, is_large, usual_day

TODAY = date(2026, 11, 20)
DAY = timedelta(days=1)


def figures(cost: str | None, tokens: int = 0) -> Figures:
    return Figures(None if cost is None else Decimal(cost), tokens)


def history(*costs: str, until: date = TODAY) -> dict[date, Figures]:
    """One day each, the last one just before `until`."""
    return {until - (len(costs) - number) * DAY: figures(cost, 1000) for number, cost in enumerate(costs)}


USUAL = figures("3", 1_000_000)
UNPRICED = figures("0", 1_000_000)


@pytest.mark.parametrize(
    ("row", "usual", "absurd"),
    [
        (figures("2999.99"), USUAL, False),
        (figures("3000"), USUAL, True),
        (figures("-3000"), USUAL, True),  # a credit of a thousand days is no less strange
        (figures("0", 10**15), USUAL, False),  # what costs nothing makes no total absurd
        (figures(None, 10**9 - 1), USUAL, False),
        (figures(None, 10**9), USUAL, True),  # no price: tokens
        (figures("9.99"), figures("0.001", 1), False),  # a first real use after trials
        (figures("10"), figures("0.001", 1), True),
        (figures("5000", 10**9), UNPRICED, True),  # nothing had a price until now: tokens again
        (figures("5000", 10**8), UNPRICED, False),
        (figures(None, LEAST_TOKENS - 1), figures("0", 1), False),
        (figures("5000", 10**9), figures("0", 0), False),
        (figures("9999.99"), UNPRICED, False),  # a plan is used up
        (figures("-10000"), UNPRICED, True),
        (figures("50000"), figures("0", 0), True),
        (figures("1000000", 10**12), None, False),  # too little is known
    ],
)
def test_a_row_is_held_beside_a_usual_day(row: Figures, usual: Figures | None, *, absurd: bool) -> None:
    assert is_absurd(row, usual) is absurd
    if absurd:
        assert is_large(row)


def test_what_was_released_is_believed_again() -> None:
    released = figures("5000", 10**9)
    assert not is_absurd(figures("5000"), USUAL, released)
    assert is_absurd(figures("5000.01"), USUAL, released)
    assert not is_absurd(figures(None, 10**9), UNPRICED, released)
    assert is_absurd(figures(None, 10**9 + 1), UNPRICED, released)
    assert not is_absurd(figures("50000"), UNPRICED, figures("50000"))


@pytest.mark.parametrize(
    ("row", "other", "more"),
    [
        (figures("5", 10), figures("5", 10), False),
        (figures("5.01", 10), figures("5", 10), True),
        (figures("5", 11), figures("5", 10), True),
        (figures("4", 9), figures("5", 10), False),
        (figures(None, 10), figures("5", 10), False),
        (figures("5", 10), figures(None, 10), True),
        (figures("-6", 0), figures("5", 0), True),
    ],
)
def test_upwards_is_more_of_either(row: Figures, other: Figures, *, more: bool) -> None:
    assert row.exceeds(other) is more


def test_a_week_of_figures_is_needed() -> None:
    assert usual_day(history(*["3"] * 6), TODAY) is None
    assert usual_day(history(*["3"] * 7), TODAY) == figures("3", 1000)
    assert usual_day(history(*["3"] * 6) | {TODAY: USUAL, TODAY + DAY: USUAL}, TODAY) is None  # only what was before
    assert usual_day({}, TODAY) is None


def test_the_usual_day_is_the_median_of_the_last_thirty_with_figures() -> None:
    assert usual_day(history("1", "1", "1", "2", "1", "1", "900000"), TODAY) == figures("1", 1000)
    found = usual_day(history(*["1"] * 40, *["5"] * 16), TODAY)
    assert found == figures("5", 1000)
    quiet = history(*["3"] * 10, until=TODAY - 50 * DAY) | {TODAY - DAY: figures("0", 0)}
    assert usual_day(quiet, TODAY) == figures("3", 1000)
    assert usual_day(history(*["3"] * 10, until=TODAY - 90 * DAY), TODAY) is None  # forgotten


def test_an_account_without_prices_has_usual_tokens() -> None:
    days = {TODAY - number * DAY: Figures(None, number) for number in range(1, 8)}
    assert usual_day(days, TODAY) == figures("0", 4)


def test_days_that_a_plan_covers_are_known() -> None:
    covered = {TODAY - number * DAY: figures("0") for number in range(1, 8)}
    assert usual_day(covered, TODAY) == figures("0")
    assert usual_day(covered | {TODAY - DAY: figures("2")}, TODAY) == figures("0")
    assert usual_day(covered, TODAY - DAY) is None


@given(
    st.lists(st.decimals(Decimal("0.01"), Decimal(10_000), places=2), min_size=7, max_size=60),
    st.decimals(Decimal(1), Decimal(900), places=2),
)
def test_growth_of_any_shape_is_believed(costs: list[Decimal], factor: Decimal) -> None:
    days = {TODAY - (number + 1) * DAY: Figures(cost, 1) for number, cost in enumerate(costs)}
    usual = usual_day(days, TODAY)
    assert usual is not None
    assert usual.cost is not None
    assert not is_absurd(Figures(usual.cost * factor, 1), usual)
    assert is_absurd(Figures(max(usual.cost * FACTOR, LEAST_COST), 1), usual)
