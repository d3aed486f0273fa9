"""Refreshing the price catalogue from a real HTTP server: good files are used, all others refused with a sentence."""

from __future__ import annotations

import gzip
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from math import inf
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from shared.prices import published
from shared.prices.catalogue import Catalogue, bundled
from shared.store import catalogue as store
from shared.workflows import pricing
from shared.workflows import refresh as workflow
from shared.workflows.pricing import load_book
from shared.workflows.refresh import Refreshed, Source, is_due, refresh
from tests.integration.collecting import CATALOGUE, NOW
from tests.integration.published_file import FileServer, Raw, content, model, raw
from tests.integration.repricing import again, price
from tests.integration.stored_lines import AT, ledger, line, no_drift
from tests.integration.stored_lines import store as store_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shared.prices.book import PriceBook
    from shared.store.database import Connection, Database

DAY = timedelta(days=1)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer(content()) as found:
        yield found


@pytest.fixture
def fetch(database: Database, server: FileServer) -> Callable[..., Refreshed]:
    def run(days: int = 0, left: Callable[[], float] = lambda: inf) -> Refreshed:
        with httpx.Client(trust_env=False) as http:
            return refresh(database, CATALOGUE, Source(http, server.url, left), NOW + days * DAY)

    return run


def dearer(rows: Raw) -> None:
    model(rows, "anthropic", "claude-opus-4-6")["prices"] = {
        "input_mtok": 6,
        "output_mtok": {"base": 30, "tiers": [{"start": 200000, "price": 45}]},
    }


def added(rows: Raw) -> None:
    new = {"id": "claude-next", "match": {"equals": "claude-next"}, "prices": {"input_mtok": 7, "output_mtok": 35}}
    next(row for row in rows if row["id"] == "anthropic")["models"].append(new)


def both(rows: Raw) -> None:
    dearer(rows)
    added(rows)


def book(database: Database, shipped: Catalogue = CATALOGUE) -> PriceBook:
    return database.run(lambda c: load_book(c, shipped))


def checks(connection: Connection) -> list[tuple[Any, ...]]:
    rows = connection.execute("SELECT status, error FROM catalogue_checks ORDER BY id")
    return [tuple(row.values()) for row in rows]


def test_the_file_that_tests_change_says_what_was_shipped() -> None:
    read = Catalogue(lambda: (published.read(content()), "test"))
    for provider in bundled()[0]:
        for info in provider.models:
            for at in (NOW, AT.replace(year=2024), NOW.replace(hour=2)):
                mine, theirs = read.card(provider.id, info.id, at), CATALOGUE.card(provider.id, info.id, at)
                assert (mine is None) == (theirs is None)
                if mine and theirs:
                    assert [rates for _, rates in mine.tiers] == [
                        replace(rates, version="test") for _, rates in theirs.tiers
                    ]


def test_a_good_file_prices_the_next_line_and_says_what_changed(
    database: Database, connection: Connection, server: FileServer, fetch: Callable[..., Refreshed]
) -> None:
    [old] = store_lines(connection, [line(model="claude-opus-4-6")])
    again(database)
    connection.execute("INSERT INTO model_names VALUES ('claude-opus-4-6', 'claude-opus-4-6')")
    server.content = content(both)
    found = fetch()
    assert (found.status, found.error, found.models) == ("stored", None, sum(len(row["models"]) for row in raw()) + 1)
    [change] = found.changes
    assert (change["provider"], change["model"]) == ("anthropic", "claude-opus-4-6")
    assert (change["before"]["input"], change["after"]["input"]) == (5, 6)
    assert change["after"]["above 200000: output"] == 45
    priced = book(database)
    card = priced.card("anthropic", "claude-opus-4-6", NOW)
    assert card is not None
    assert (card.base.input, card.base.source) == (Decimal(6), "catalogue")
    assert found.sha256 is not None
    assert card.base.version == f"genai-prices data 2026-11-20 {found.sha256[:12]}"
    assert priced.card("anthropic", "claude-next", NOW) is not None
    assert ledger(connection, [old])[0]["cost"] == Decimal("0.0175")  # the past waits for a re-pricing
    again(database)
    assert ledger(connection, [old])[0]["cost"] == Decimal("0.021")
    assert no_drift(database)
    assert connection.execute("SELECT sha256, models, library FROM price_catalogues").fetchall() == [
        {"sha256": found.sha256, "models": found.models, "library": published.library_version()}
    ]


def test_another_process_reads_it_from_the_database(
    database: Database, server: FileServer, fetch: Callable[..., Refreshed]
) -> None:
    server.content = content(dearer)
    fetch()
    pricing._EDITIONS.clear()  # noqa: SLF001 - what another process does not have
    card = book(database, Catalogue()).card("anthropic", "claude-opus-4-6", NOW)
    assert card is not None
    assert card.base.input == 6


def test_it_is_fetched_once_a_day(
    database: Database, connection: Connection, server: FileServer, fetch: Callable[..., Refreshed]
) -> None:

    def due(days: int) -> bool:
        return database.run(lambda c: is_due(c, NOW + days * DAY))

    assert due(0)
    server.status = 503
    assert fetch().status == "unreachable"
    assert due(0)  # nothing was learned, so the next collection asks again
    server.status = 200
    assert fetch().status == "stored"
    assert (due(0), due(1)) == (False, True)
    assert fetch(1).status == "unchanged"
    assert not due(1)
    server.content = b"{}"
    assert fetch(2).status == "refused"
    assert not due(2)
    assert [status for status, _ in checks(connection)] == ["unreachable", "stored", "unchanged", "refused"]


def negative(rows: Raw) -> None:
    model(rows, "openai", "gpt-4o")["prices"]["input_mtok"] = Decimal(-1)


def too_fine(rows: Raw) -> None:
    model(rows, "openai", "gpt-4o")["prices"]["input_mtok"] = Decimal("1E-25")


def tier_of_nan(rows: Raw) -> None:
    model(rows, "openai", "gpt-4o")["prices"]["input_mtok"] = {"base": 1, "tiers": [{"start": 5, "price": "NaN"}]}


def unpriced(rows: Raw) -> None:
    model(rows, "openai", "gpt-4o")["prices"] = []


def twice(rows: Raw) -> None:
    rows.append(rows[0])


def no_pattern(rows: Raw) -> None:
    model(rows, "openai", "gpt-4o")["match"] = {"or": [{"equals": "gpt-4o"}, {"regex": "gpt-(4"}]}


def shrunken(rows: Raw) -> None:
    for row in rows:
        row["models"] = row["models"][: len(row["models"]) * 3 // 4]


def vanished(rows: Raw) -> None:
    for row in rows:
        row["models"] = [one for one in row["models"] if "opus-4-6" not in str(one).lower()]


REFUSED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "not JSON": (lambda data: data[:-100], "not usable JSON"),
    "not a list": (lambda _: b'{"providers": []}', "not a list of providers"),
    "an empty list": (lambda _: b"[]", "it has 0 models"),
    "another shape": (lambda _: b'[{"id": "openai", "models": [{"id": 5}]}]', "the library's shape"),
    "NaN": (lambda data: data.replace(b'"input_mtok":2.5', b'"input_mtok":NaN', 1), "NaN is not a JSON number"),
    "Infinity": (lambda data: data.replace(b'"input_mtok":2.5', b'"input_mtok":Infinity', 1), "Infinity is not"),
    "NaN as text": (lambda _: content(tier_of_nan), "the library's shape"),
    "negative": (lambda _: content(negative), "openai/gpt-4o: The price of input_mtok cannot be negative"),
    "absurdly fine": (lambda _: content(too_fine), "at most 24 decimals"),
    "no price": (lambda _: content(unpriced), "gpt-4o has no prices at all"),
    "an id twice": (lambda _: content(twice), "is in it twice"),
    "no pattern": (lambda _: content(no_pattern), "has a pattern that is none"),
    "shrunken": (lambda _: content(shrunken), "were shipped"),
    "a model in use is gone": (lambda _: content(vanished), "no price any more for anthropic/claude-opus-4-6, in use"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_bad_file_is_refused_and_the_last_good_one_stays(
    database: Database, connection: Connection, server: FileServer, fetch: Callable[..., Refreshed], kind: str
) -> None:
    store_lines(connection, [line(model="claude-opus-4-6")])
    connection.execute("INSERT INTO model_names VALUES ('claude-opus-4-6', 'claude-opus-4-6')")
    server.content = content(dearer)
    good = fetch()
    change, words = REFUSED[kind]
    server.content = change(content())
    assert server.content != content()
    found = fetch(1)
    assert found.status == "refused"
    assert found.error is not None
    assert words in found.error
    assert found.error.startswith(f"The price catalogue at {server.url} was refused: ")
    assert (len(found.error) < 500, "\n" in found.error) == (True, False)
    newest = database.run(store.newest)
    assert newest is not None
    assert newest["sha256"] == good.sha256
    card = book(database).card("anthropic", "claude-opus-4-6", NOW)
    assert card is not None
    assert card.base.input == 6
    assert checks(connection)[-1] == ("refused", found.error)


def test_a_price_of_ones_own_lets_a_model_go(
    database: Database, connection: Connection, server: FileServer, fetch: Callable[..., Refreshed]
) -> None:
    store_lines(connection, [line(model="claude-opus-4-6")])
    connection.execute("INSERT INTO model_names VALUES ('claude-opus-4-6', 'claude-opus-4-6')")
    server.content = content(vanished)
    assert fetch().status == "refused"
    price(database, "claude-opus-4-6", AT)
    assert fetch(1).status == "stored"


def test_a_file_too_large_is_refused(database: Database, server: FileServer, fetch: Callable[..., Refreshed]) -> None:
    server.content = b"[" + b" " * workflow.MAX_BYTES + b"]"
    assert "more than 33554432 bytes" in str(fetch().error)
    # Small on the wire and large behind it.
    server.content, server.headers = gzip.compress(server.content), {"Content-Encoding": "gzip"}
    assert "more than 33554432 bytes" in str(fetch(1).error)
    assert database.run(store.newest) is None


def test_what_cannot_be_fetched_is_said(server: FileServer, fetch: Callable[..., Refreshed]) -> None:
    server.status, server.headers = 302, {"Location": "http://127.0.0.1:1/"}
    assert "status 302" in str(fetch().error)
    server.status, server.headers = 200, {"Content-Encoding": "gzip"}
    assert "could not be fetched (DecodingError)" in str(fetch().error)
    assert "no time left" in str(fetch(left=lambda: 0).error)
    seconds = iter([30.0, -1.0])
    server.headers = {}
    assert "did not arrive in time" in str(fetch(left=lambda: next(seconds)).error)


def test_a_later_release_of_the_library_wins_over_an_older_file(
    database: Database, connection: Connection, server: FileServer, fetch: Callable[..., Refreshed]
) -> None:
    server.content = content(dearer)
    fetch()
    connection.execute("UPDATE price_catalogues SET library = '0.0.9'")
    card = book(database).card("anthropic", "claude-opus-4-6", NOW)
    assert card is not None
    assert card.base.input == 5
    # Until the same file is fetched and checked under the new one.
    assert fetch(1).status == "stored"
    card = book(database).card("anthropic", "claude-opus-4-6", NOW)
    assert card is not None
    assert card.base.input == 6


def test_a_file_that_this_release_cannot_read_is_not_used(database: Database) -> None:
    def keep(connection: Connection) -> None:
        store.store(connection, "0" * 64, b"{}", 1, published.library_version(), NOW)

    database.run(keep)
    card = book(database).card("anthropic", "claude-opus-4-6", NOW)
    assert card is not None
    assert card.base.version == CATALOGUE.version


def test_only_the_newest_files_are_kept(database: Database, connection: Connection) -> None:
    for number in range(13):
        database.run(lambda c, n=number: store.store(c, f"{n}", b"[]", 0, "0.2.3", NOW))  # type: ignore[misc] # run at once
    database.run(lambda c: store.store(c, "5", b"[]", 0, "0.2.3", NOW + DAY))
    rows = connection.execute("SELECT sha256 FROM price_catalogues ORDER BY id").fetchall()
    assert [row["sha256"] for row in rows] == [*map(str, [3, 4, 6, 7, 8, 9, 10, 11, 12]), "5"]
    newest = database.run(store.newest)
    assert newest is not None
    assert newest["sha256"] == "5"
