from __future__ import annotations

from decimal import Decimal, Inexact

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.money import (
    DISPLAY_UNIT,
    MAX_SCALE,
    apportion,
    display,
    normalise,
    parse_money,
    plain,
    scale,
    total,
)

amounts = st.decimals(
    min_value=-(10**12), max_value=10**12, allow_nan=False, allow_infinity=False, places=MAX_SCALE
) | st.decimals(min_value=-1, max_value=1, allow_nan=False, allow_infinity=False, places=12)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("12.50", "12.5"),
        ("0.12345678901234567890123", "0.12345678901234567890123"),
        ("0E-6176", "0"),
        ("-0", "0"),
        ("1E+3", "1000"),
        ("+.5", "0.5"),
        (" 7. ", "7"),
        (Decimal("3.000"), "3"),
        (Decimal("1." + "0" * 80), "1"),
        (20, "20"),
        ("99999999999999999999", "99999999999999999999"),
    ],
)
def test_amounts_are_read_exactly_and_written_plainly(value: object, expected: str) -> None:
    amount = parse_money(value)
    assert str(amount) == expected
    assert amount == Decimal(expected)


@pytest.mark.parametrize(
    "value",
    [
        0.1,
        True,
        None,
        b"1",
        "NaN",
        "Infinity",
        "-inf",
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("Infinity"),
        "",
        "1_000",
        "1,5",
        "$1",
        "１",  # noqa: RUF001 - a digit, but not one of ours
        "1e999999999",
        "1E+21",
        "1E-31",
        Decimal("0." + "1" * 31),
        Decimal((0, (1,) * 90, -60)),
        10**20,
        "1" * 101,
    ],
)
def test_everything_else_is_refused_with_a_sentence(value: object) -> None:
    with pytest.raises(ValueError, match=r"^An amount .*\.$"):
        parse_money(value)


@given(amounts)
def test_text_and_back_is_the_same_amount(amount: Decimal) -> None:
    assert parse_money(plain(amount)) == amount
    assert "E" not in plain(amount)


@given(amounts)
def test_normalised_amounts_have_one_form(amount: Decimal) -> None:
    assert normalise(amount) == amount
    assert str(normalise(amount)) == str(normalise(Decimal(f"{amount:f}00")))
    assert scale(normalise(amount)) <= scale(amount)


def test_a_sum_that_does_not_fit_is_an_error_and_not_a_rounded_sum() -> None:
    with pytest.raises(Inexact):
        total([Decimal("1E+50"), Decimal("1E-30")])


@pytest.mark.parametrize(
    ("amount", "shown"),
    [("0.00000000005", "0"), ("0.00000000015", "0.0000000002"), ("1.23", "1.23"), ("-0.00000000001", "0")],
)
def test_display_rounds_half_to_even(amount: str, shown: str) -> None:
    assert plain(display(Decimal(amount))) == shown


@given(st.dictionaries(st.text(max_size=4) | st.none(), amounts, max_size=12))
def test_printed_parts_add_up_to_the_printed_total(parts: dict[str | None, Decimal]) -> None:
    printed = apportion(parts)
    assert total(printed.values()) == display(total(parts.values()))
    assert list(printed) == list(parts)
    for key, part in parts.items():
        assert abs(printed[key] - part) < DISPLAY_UNIT
        assert scale(printed[key]) <= 10
        assert part or not printed[key]


@given(st.dictionaries(st.text(max_size=4), amounts, min_size=1, max_size=12))
def test_the_order_of_the_parts_changes_nothing(parts: dict[str, Decimal]) -> None:
    backwards = dict(reversed(list(parts.items())))
    assert apportion(parts) == apportion(backwards)


@given(
    st.dictionaries(
        st.integers(0, 3), st.dictionaries(st.text(max_size=2), amounts, min_size=1, max_size=6), max_size=4
    )
)
def test_a_breakdown_of_a_breakdown_adds_up_at_both_levels(days: dict[int, dict[str, Decimal]]) -> None:
    exact = {day: total(models.values()) for day, models in days.items()}
    printed = apportion(exact)
    for day, models in days.items():
        shares = apportion(models, printed[day])
        assert total(shares.values()) == printed[day]


def test_ties_go_to_the_first_key() -> None:
    third = Decimal("0.00000000005")
    assert apportion({"b": third, "a": third}) == {"b": Decimal(0), "a": DISPLAY_UNIT}


def test_nothing_stays_nothing_while_there_is_something() -> None:
    printed = apportion({"a": Decimal("0.5"), "none": Decimal(0)}, Decimal("0.4999999999"))
    assert printed == {"a": Decimal("0.4999999999"), "none": Decimal(0)}
    raised = apportion({"a": Decimal("0.5"), "none": Decimal(0)}, Decimal("0.5000000002"))
    assert raised == {"a": Decimal("0.5000000002"), "none": Decimal(0)}
    assert apportion({"none": Decimal(0)}, DISPLAY_UNIT) == {"none": DISPLAY_UNIT}


def test_a_total_that_is_not_theirs_is_refused() -> None:
    with pytest.raises(ValueError, match="not the total 2"):
        apportion({"a": Decimal(1)}, Decimal(2))
    with pytest.raises(ValueError, match="no parts"):
        apportion({}, DISPLAY_UNIT)
    assert apportion({}) == {}
