"""The price book of this moment: the newest catalogue under the overrides and aliases that people stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.errors import InvalidInputError
from shared.prices import published
from shared.prices.book import PriceBook
from shared.prices.catalogue import Catalogue
from shared.prices.names import names
from shared.prices.overrides import Override
from shared.store import audit, prices
from shared.store import catalogue as store

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from decimal import Decimal

    from shared.store.audit import Author
    from shared.store.database import Connection, Database

# Editions that this process has read, by digest. Two, so that runs that began under the last one keep it.
_EDITIONS: dict[str, Catalogue] = {}
_MOST_EDITIONS = 2


def load_book(connection: Connection, catalogue: Catalogue) -> PriceBook:
    """Return the catalogue in force with every stored override and alias; `catalogue` is the one that was shipped."""
    stored = prices.overrides(connection)
    named = names().with_aliases(prices.aliases(connection))
    return PriceBook([override(row) for row in stored], current(connection, catalogue), named)


def current(connection: Connection, shipped: Catalogue) -> Catalogue:
    """Return the catalogue that was fetched last, if it is newer than the shipped one and can still be read."""
    newest = store.newest(connection)
    if newest is None or not published.is_newer(newest["library"], published.library_version()):
        return shipped
    digest = newest["sha256"]
    if digest not in _EDITIONS:
        try:
            found = edition(store.content(connection, digest), f"{newest['stored_at']:%Y-%m-%d}", digest)
        except published.UnusableCatalogueError:
            # It was checked by another release of the library, and the code was rolled back since.
            found = shipped
        while len(_EDITIONS) >= _MOST_EDITIONS:
            _EDITIONS.pop(next(iter(_EDITIONS)), None)
        _EDITIONS[digest] = found
    return _EDITIONS.get(digest, shipped)


def edition(content: bytes, day: str, digest: str) -> Catalogue:
    """Return a data file as a catalogue, named after the day it was stored and its digest.

    Raises:
        UnusableCatalogueError: it is none.
    """
    providers = published.read(content)
    return Catalogue(lambda: (providers, f"genai-prices data {day} {digest[:12]}"))


def override(row: dict[str, Any]) -> Override:
    """Return a stored override as the price book takes it."""
    values: dict[str, Any] = {name: row[column] for name, column in prices.COLUMNS.items()}
    return Override(
        id=str(row["id"]), model=row["model"], provider=row["provider"], since=row["since"],
        created_at=row["created_at"], **values,
    )  # fmt: skip


def set_price(
    database: Database,
    shipped: Catalogue,
    model: str,
    provider: str | None,
    since: datetime | None,
    figures: Mapping[str, Decimal | None],
    author: Author,
) -> tuple[dict[str, Any], bool]:
    """Add a price for a model from `since` on, for one provider or any; return it and whether it is new.

    `figures` are USD per million tokens by class. Saying again what was last said of the same instant, or without
    `since` what holds already, adds nothing. Nothing that is stored is priced by it before it is re-priced.

    Raises:
        DatabaseUnavailableError: Postgres is away.
    """

    def work(connection: Connection) -> tuple[dict[str, Any], bool]:
        prices.lock_overrides(connection)
        book = load_book(connection, shipped)
        name = book.canonical(provider, model)
        if since is None:
            known = prices.override_in_force(connection, name, provider, author.at)
        else:
            known = prices.latest_override(connection, name, provider, since)
        if known is not None and all(known[column] == figures.get(kind) for kind, column in prices.COLUMNS.items()):
            return known, False
        added = prices.add_override(connection, name, provider, since or author.at, figures)
        audit.write(connection, author, "price", added)
        return added, True

    return database.run(work)


def set_aliases(
    database: Database, shipped: Catalogue, model: str, wanted: list[str], author: Author
) -> tuple[str, dict[str, str]]:
    """Make `wanted` (lower case) the user's names of a model and no others.

    The next line that is written uses them; lines that are stored keep their names until they are re-priced. Returns
    the model's canonical id and those names that were another model's until now.

    Raises:
        InvalidInputError: one of them is a model's own id.
    """

    def work(connection: Connection) -> tuple[str, dict[str, str]]:
        book = load_book(connection, shipped)
        name = book.canonical(None, model)
        for alias in wanted:
            if book.is_id(alias) and alias not in book.names.aliases:
                message = f"{alias!r} is a model itself; an alias is another name for one."
                raise InvalidInputError(message, [{"field": "aliases", "message": message}])
        before = prices.aliases(connection)
        moved = prices.set_aliases(connection, name, wanted)
        if prices.aliases(connection) != before:
            audit.write(connection, author, "aliases", {"model": name, "aliases": wanted, "moved": moved})
        return name, moved

    return database.run(work)
