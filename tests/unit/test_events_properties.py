"""Reading and pricing fast gives what the plain rules give, to the last digit."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.core.conventions import EventError
from shared.core.event_fields import COUNTS
from shared.core.events import Reader
from shared.core.money import total
from shared.core.periods import PeriodError, floor_quarter, parse_instant
from shared.core.pricing import FEES, TOKEN_CLASSES, RateCard, Rates, price, tier_input
from shared.core.tariffs import Tariff, Tariffs
from shared.core.usage import PriceContext, Usage
from shared.prices.book import PriceBook
from shared.prices.catalogue import Catalogue

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
PRICES = st.decimals(min_value=0, max_value=1000, places=12, allow_nan=False).map(
    lambda value: value.normalize() if value else Decimal(0)
)
MAYBE = st.none() | PRICES
SMALL = st.integers(0, 300_000)
ANY = st.integers(0, 10**15)


@st.composite
def rates(draw: st.DrawFn) -> Rates:
    prices: dict[str, Any] = {name: draw(MAYBE) for name in (*TOKEN_CLASSES, *FEES)}
    if draw(st.booleans()):
        prices["reasoning"] = prices["output"]
    return Rates(source="test", model="m", **prices)


@st.composite
def usages(draw: st.DrawFn) -> tuple[int, ...]:
    numbers = SMALL if draw(st.booleans()) else ANY
    found = [draw(numbers) if draw(st.booleans()) else 0 for _ in COUNTS]
    found[-1] = draw(st.sampled_from([0, 1, 1, 1, 7]))
    return tuple(found)


def costs(tariff: Tariff, counts: tuple[int, ...]) -> list[Decimal] | None:
    amounts = tariff.charge(counts)
    return None if amounts is None else [Decimal(amount).scaleb(-tariff.digits) for amount in amounts]


@settings(max_examples=500)
@given(rates(), usages())
def test_a_tariff_is_the_price_to_the_last_digit(found: Rates, counts: tuple[int, ...]) -> None:
    expected = price(Usage(*counts), found)
    if expected is None:
        assert costs(Tariff(found), counts) is None
        return
    parts = [
        expected.input, expected.output, expected.cache_read, expected.cache_write_5m, expected.cache_write_1h,
        expected.audio, expected.image, expected.web_search, expected.request,
    ]  # fmt: skip
    assert costs(Tariff(found), counts) == [*parts, total(parts)]


@given(st.lists(rates(), min_size=1, max_size=3), usages())
def test_tiers_are_chosen_as_the_card_chooses_them(found: list[Rates], counts: tuple[int, ...]) -> None:
    card = RateCard(tuple((number * 200_000, one) for number, one in enumerate(found)))
    tariff = Tariffs(lambda _at: card).find("slot", NOW, counts)
    assert tariff is not None
    assert tariff.rates is card.select(tier_input(Usage(*counts), PriceContext()))


BOOK = PriceBook((), Catalogue())
MODELS = (
    "claude-sonnet-4-5",
    "claude-opus-4-6",
    "gpt-4o",
    "gemini-2.5-pro",
    "deepseek-chat",
    "deepseek-reasoner",
    "o3",
)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(MODELS),
    st.lists(st.datetimes(datetime(2025, 1, 1), datetime(2026, 12, 31)), min_size=1, max_size=12),  # noqa: DTZ001 - made aware below
    st.booleans(),
)
def test_prices_over_time_are_those_of_the_book(model: str, instants: list[datetime], batch: bool) -> None:  # noqa: FBT001 - Hypothesis draws it
    context = PriceContext(batch=batch)
    tariffs = Tariffs(lambda at: BOOK.card(None, model, at, context))
    counts = (1000, 50, 300, 0, 0, 0, 0, 0, 0, 0, 0, 1)
    # Neighbours within a quarter hour, so that what is remembered of it is used.
    for instant in [at + timedelta(seconds=s) for at in instants for s in (0, 1, 1, 61)]:
        at = instant.replace(tzinfo=UTC)
        expected = BOOK.rates(None, model, at, Usage(*counts), context)
        tariff = tariffs.find(floor_quarter(at).isoformat(), at, counts)
        assert (tariff.rates if tariff else None) == expected


def test_a_price_that_changes_within_a_quarter_hour_changes_there() -> None:
    change = datetime(2026, 11, 23, 9, 7, 30, tzinfo=UTC)
    before, after = (RateCard(((0, Rates(source=name, model="m", input=Decimal(1))),)) for name in ("old", "new"))
    tariffs = Tariffs(lambda at: after if at >= change else before)
    counts = (1, *[0] * 10, 1)
    seen = []
    for seconds in (-60, -1, 0, 1, -1, 30):
        tariff = tariffs.find("2026-11-23T09:00:00Z", change + timedelta(seconds=seconds), counts)
        seen.append(tariff.rates.source if tariff else None)
    assert seen == ["old", "old", "new", "new", "old", "new"]


@given(
    st.datetimes(datetime(1999, 1, 1), datetime(2201, 1, 1)),  # noqa: DTZ001 - written with an offset
    st.sampled_from(["Z", "z", "+00:00", "+05:30", "-0800", "+14", ""]),
    st.sampled_from(["T", " ", "t"]),
    st.integers(0, 9),
    st.sampled_from([".", ","]),
)
def test_every_way_to_write_an_instant_is_read_as_the_rules_say(
    at: datetime, offset: str, between: str, digits: int, point: str
) -> None:
    fraction = f"{point}{at.microsecond:06}999"[: digits + 1] if digits else ""
    text = f"{at:%Y-%m-%d}{between}{at:%H:%M:%S}{fraction}{offset}"
    row = {"model": "m", "cost": 1, "recorded_at": text}
    try:
        expected = parse_instant(text)
    except PeriodError:
        expected = None
    if expected is None or expected > NOW + timedelta(minutes=5):
        with pytest.raises(EventError):
            Reader(NOW).read(row, None)
        return
    event = Reader(NOW).read(row, None)
    assert event.at == expected
    # What Postgres is given is the same instant, with microseconds at most, in UTC.
    assert datetime.fromisoformat(event.at_text) == expected
    assert event.at_text[:14] == expected.strftime("%Y-%m-%dT%H:")


def test_the_last_instant_of_a_day_stays_in_it() -> None:
    row = {"model": "m", "cost": 1, "recorded_at": "2026-11-22T23:59:59.9999995Z"}
    assert Reader(NOW).read(row, None).at == datetime(2026, 11, 22, 23, 59, 59, 999999, tzinfo=UTC)
