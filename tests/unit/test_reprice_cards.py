"""When prices change, and the cards that lines of a day are priced by."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pytest

from shared.core.reprice import Card, Shape, cards, utc_day
from shared.core.usage import PriceContext
from shared.prices.book import PriceBook
from shared.prices.catalogue import Catalogue
from shared.prices.overrides import Override
from shared.prices.published import is_newer

CATALOGUE = Catalogue()
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)
NOON = NOW.replace(hour=12)
OVERRIDE = Override("1", "claude-sonnet-4-5", NOON, NOW, Decimal(2), Decimal(10))
BOOK = PriceBook([OVERRIDE], CATALOGUE)


def found(provider: str, model: str, context: PriceContext | None = None, book: PriceBook = BOOK) -> list[Card]:
    start, end = utc_day(NOW)
    shape = Shape(provider, model, context or PriceContext())
    instants = [start, *book.changes(provider, model, start, end), end]
    return list(cards(shape, model, instants, lambda at: book.card(provider, model, at, shape.context)))


def test_a_day_is_cut_where_an_override_begins() -> None:
    before, after = found("anthropic", "claude-sonnet-4-5-20250929", PriceContext(context_window="0-200k"))
    assert (before.end, after.start) == (NOON, NOON)
    assert before.rates is not None
    assert after.rates is not None
    assert (before.rates.input, after.rates.input) == (Decimal(3), Decimal(2))


def test_tiers_become_cards_by_the_size_of_a_request() -> None:
    book = PriceBook([], CATALOGUE)
    low, high = found("google", "gemini-2.5-pro", book=book)
    assert (low.above, low.up_to, high.above, high.up_to) == (-1, 200_000, 200_000, None)
    # Where the provider has classed the requests, their size says nothing more.
    [classed] = found("google", "gemini-2.5-pro", PriceContext(context_window="200k-1M"), book)
    assert (classed.above, classed.up_to, classed.rates) == (-1, None, high.rates)


def test_a_model_without_a_price_has_a_card_without_rates() -> None:
    [card] = found("anthropic", "claude-nobody-knows")
    assert card.rates is None
    assert card.as_row(3)["detail"] is None
    assert (card.as_row(3)["number"], card.as_row(3)["input_price"]) == (3, None)


def test_prices_by_the_hour_are_cut_by_the_hour() -> None:
    start, end = utc_day(NOW)
    edges = PriceBook([], CATALOGUE).changes("deepseek", "deepseek-v4-flash", start, end)
    assert [at.time() for at in edges] == [time(1), time(4), time(6), time(10)]


def test_between_two_changes_every_price_of_the_catalogue_is_one_and_the_same() -> None:
    book = PriceBook([], CATALOGUE)
    start, end = datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
    checked = 0
    for listing in CATALOGUE.models():
        changes = book.changes(listing.provider, listing.id, start, end)
        # Prices by the hour change a few times on each of seven hundred days.
        for first, last in list(zip([start, *changes], [*changes, end], strict=True))[:50]:
            price = book.card(listing.provider, listing.id, first)
            for part in (0.37, 0.71):
                between = first + (last - first) * part
                assert book.card(listing.provider, listing.id, between) == price, (listing, between)
            checked += len(changes) > 0
    assert checked > 20


def test_the_history_of_a_model_is_its_overrides_over_what_is_published() -> None:
    later = Override("2", "claude-sonnet-4-5", date(2026, 11, 23), NOW, Decimal(4), Decimal(20), "anthropic")
    listed = PriceBook([OVERRIDE, later], CATALOGUE).history(None, "claude-sonnet-4-5-20250929")
    assert [(period.since, period.card.base.source, period.card.base.input) for period in listed[:2]] == [
        (datetime(2026, 11, 23, tzinfo=UTC), "override", Decimal(4)),
        (NOON, "override", Decimal(2)),
    ]
    assert listed[2].card.base.source == "catalogue"
    assert listed[2].card.base.input == 3


def test_the_history_has_the_hours_of_a_price() -> None:
    listed = PriceBook([], CATALOGUE).history("deepseek", "deepseek-chat")
    assert "00:30-16:30" in {period.hours for period in listed}


@pytest.mark.parametrize(("model", "count"), [("kimi-k1.5", 1), ("ollama/llama3", 1), ("nobody-knows", 0)])
def test_the_history_of_what_no_catalogue_has(model: str, count: int) -> None:
    listed = PriceBook([], CATALOGUE).history(None, model)
    assert [period.card.base.source for period in listed] == ["built-in"] * count


@pytest.mark.parametrize(
    ("fetched", "installed", "newer"),
    [("0.2.3", "0.2.3", True), ("0.2.3", "0.2.10", False), ("0.10.0", "0.9.9", True), ("1.0.0rc1", "0.9", True)],
)
def test_a_published_file_is_newer_than_the_release_it_was_fetched_under(
    fetched: str,
    installed: str,
    newer: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    assert is_newer(fetched, installed) is newer
