"""The user's own prices: when they hold, and what they mean for classes they do not name."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from shared.core.usage import PriceContext, Usage
from shared.prices.book import PriceBook
from shared.prices.catalogue import Catalogue
from shared.prices.overrides import Override

CATALOGUE = Catalogue()
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
PLAIN = PriceContext()
MILLION = Usage(input=1_000_000, output=1_000_000)


def usd(text: str) -> Decimal:
    return Decimal(text)


def total(
    book: PriceBook,
    usage: Usage,
    model: str = "claude-opus-5-5",
    provider: str | None = "anthropic",
    at: datetime = NOW,
) -> Decimal:
    priced = book.price(provider, model, at, usage, PLAIN)
    assert priced
    return priced[0].total


def override(since: datetime | date, model: str = "claude-opus-5-5", **changes: Any) -> Override:  # noqa: ANN401 - any field
    values: dict[str, Any] = {"id": "1", "input": usd("2"), "output": usd("8"), "created_at": NOW}
    return Override(model=model, since=since, **values | changes)


def test_an_override_holds_from_its_instant_until_the_next() -> None:
    first, second = datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=timezone(timedelta(hours=2)))
    book = PriceBook([override(second, id="2", input=usd("1")), override(first)], CATALOGUE)
    tick = timedelta(microseconds=1)
    paid = {at: total(book, Usage(input=1_000_000), at=at) for at in (first - tick, first, second - tick, second)}
    assert list(paid.values()) == [usd("4"), usd("2"), usd("2"), usd("1")]
    used = book.rates("anthropic", "claude-opus-5-5-20260901", second, MILLION, PLAIN)
    assert used
    assert (used.source, used.version, used.since) == ("override", "2", date(2026, 6, 30))


def test_a_date_begins_at_midnight_utc() -> None:
    book = PriceBook([override(date(2026, 6, 1))], CATALOGUE)
    start = datetime(2026, 6, 1, tzinfo=UTC)
    assert total(book, MILLION, at=start) == usd("10")
    assert total(book, MILLION, at=start - timedelta(microseconds=1)) == usd("24")


def test_an_override_keeps_the_proportions_of_the_catalogue() -> None:
    book = PriceBook([override(date(2026, 1, 1))], CATALOGUE)
    used = book.rates("anthropic", "claude-opus-5-5", NOW, MILLION, PLAIN)
    assert used
    assert (used.cache_read, used.cache_write_5m, used.cache_write_1h) == (usd("0.1"), usd("2.5"), usd("4"))
    assert (used.reasoning, used.web_search) == (usd("8"), usd("10"))
    assert used.adjustments == (
        "Not named, as in the catalogue: cache_read, cache_write_5m, cache_write_1h, web_search.",
    )


def test_an_override_means_what_it_names() -> None:
    named: dict[str, Any] = {
        "cache_read": usd("0.5"),
        "cache_write_5m": usd("3"),
        "cache_write_1h": usd("5"),
        "web_search": usd("1"),
    }
    book = PriceBook([override(date(2026, 1, 1), **named)], CATALOGUE)
    used = book.rates("anthropic", "claude-opus-5-5", NOW, MILLION, PLAIN)
    assert used
    assert {name: getattr(used, name) for name in named} == named
    assert used.adjustments == ()


@pytest.mark.parametrize(
    ("model", "context", "input_"),
    [
        ("claude-opus-5-5", PriceContext(batch=True), "1"),  # the catalogue's batch is half
        ("claude-opus-5-5", PriceContext(speed="fast"), "4"),  # its fast mode is double
        ("claude-opus-5-5", PriceContext(inference_geo="us"), "2.2"),  # US-only is 1.1 times
        ("claude-opus-5-5", PriceContext(batch=True, inference_geo="us"), "1.1"),
        ("claude-sonnet-4-5", PriceContext(context_window="200k-1M"), "4"),  # 6 instead of 3
        ("claude-sonnet-4-5", PriceContext(context_window="0-200k"), "2"),
    ],
)
def test_an_override_keeps_the_proportions_of_batch_tier_region_and_length(
    model: str, context: PriceContext, input_: str
) -> None:
    book = PriceBook([override(date(2026, 1, 1), model=model)], CATALOGUE)
    used = book.rates("anthropic", model, NOW, MILLION, context)
    assert used
    assert used.input == usd(input_)
    assert any("proportion" in note for note in used.adjustments) == (input_ != "2")


def test_an_override_equal_to_the_list_price_changes_no_price() -> None:
    listed = PriceBook((), CATALOGUE)
    book = PriceBook([override(date(2026, 1, 1), input=usd("4"), output=usd("20"))], CATALOGUE)
    usage = Usage(input=7, output=11, cache_read=13, cache_write_5m=17, cache_write_1h=19, web_searches=3, requests=1)
    for context in (PLAIN, PriceContext(batch=True), PriceContext(speed="fast"), PriceContext(inference_geo="us")):
        ours, theirs = (one.price("anthropic", "claude-opus-5-5", NOW, usage, context) for one in (book, listed))
        assert ours
        assert theirs
        assert ours[0] == theirs[0]


def test_an_override_prices_a_model_that_nobody_else_does() -> None:
    house = override(date(2026, 1, 1), model="in-house-7b", cache_write_5m=usd("2.5"))
    book = PriceBook([house], CATALOGUE)
    tokens = Usage(input=1_000_000, cache_read=1_000_000, cache_write_5m=1_000_000, cache_write_1h=1_000_000)
    assert total(book, tokens, "In-House-7B", None) == usd("9")
    assert book.price(None, "in-house-7b", NOW, Usage(web_searches=1), PLAIN) is None


def test_a_proportion_without_end_is_rounded_once() -> None:
    chat = override(date(2026, 1, 1), model="deepseek-chat", input=usd("1"))
    used = PriceBook([chat], CATALOGUE).rates(None, "deepseek-chat", NOW, MILLION, PLAIN)
    assert used
    assert used.cache_read == usd("0.259259259259259259")


def test_an_override_of_one_provider_leaves_the_others_alone() -> None:
    general = override(date(2026, 1, 1), model="gpt-4o")
    special = override(date(2026, 1, 1), id="2", model="gpt-4o", provider="azure", input=usd("7"))
    book = PriceBook([special, general], CATALOGUE)
    paid = {who: total(book, Usage(input=1_000_000), "gpt-4o", who) for who in ("azure", "openai")}
    assert paid == {"azure": usd("7"), "openai": usd("2")}


@pytest.mark.parametrize(
    ("since", "prices"),
    [
        (datetime(2026, 1, 1), {}),  # noqa: DTZ001 - that is the mistake
        (date(2026, 1, 1), {"input": usd("-1")}),
        (date(2026, 1, 1), {"output": usd("NaN")}),
        (date(2026, 1, 1), {"cache_read": usd("1E-25")}),
    ],
)
def test_impossible_overrides_are_refused(since: datetime | date, prices: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        override(since, **prices)
