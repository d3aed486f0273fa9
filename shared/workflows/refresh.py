"""Refresh: fetch the price library's published data file, check it, and store it if it is good."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx

from shared.core import crash
from shared.core.pricing import PRICES
from shared.prices import published
from shared.prices.book import PriceBook
from shared.prices.published import LEAST_SHARE, UnusableCatalogueError
from shared.store import catalogue as store
from shared.store import models
from shared.workflows.pricing import edition, load_book

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from decimal import Decimal

    from shared.core.pricing import RateCard
    from shared.prices.catalogue import Catalogue
    from shared.store.database import Connection, Database

# The file has 2 MB; one that is sixteen times as large is not that file.
MAX_BYTES = 32 * 2**20
_TIMEOUT_SECONDS = 30.0
_MOST_CHANGES = 200
_MOST_NAMED = 5


@dataclass(slots=True)
class Refreshed:
    """How an attempt ended: `stored`, `unchanged`, `refused` or `unreachable`, the last two with a sentence.

    `changes` are those of models in use, as of now: `provider, model, before, after`, each USD per million tokens (fees
    per thousand) by class, of the tiers above the base one too.
    """

    status: str
    error: str | None = None
    sha256: str | None = None
    models: int = 0
    changes: list[dict[str, Any]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return the shape that runs store; more changes than fit are counted."""
        return {
            "status": self.status,
            "error": self.error,
            "sha256": self.sha256,
            "models": self.models,
            "changes": self.changes[:_MOST_CHANGES],
            "changed": len(self.changes),
        }


class _UnreachableError(Exception):
    """Nothing arrived; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the file is, and the time there is for it: `left` gives seconds, `http` is not asked for longer."""

    http: httpx.Client
    url: str
    left: Callable[[], float]


def is_due(connection: Connection, now: datetime) -> bool:
    """Return whether the file was not yet fetched on the UTC day of `now`."""
    return not store.is_answered(connection, now.date())


def refresh(database: Database, shipped: Catalogue, source: Source, now: datetime) -> Refreshed:
    """Fetch the file and make it the catalogue in force, unless something is wrong with it.

    It is refused when it is malformed, holds a price that is none, has less than 80 % of the models that were shipped,
    or lacks the price of a model in use that has one; the last good one stays in force then.

    Raises:
        DatabaseUnavailableError: Postgres is away; nothing changed.
    """
    content, library = b"", published.library_version()
    digest: str | None = None
    try:
        content = _download(source)
        digest = hashlib.sha256(content).hexdigest()
        newest = database.run(store.newest)
        if newest is not None and newest["sha256"] == digest and newest["library"] == library:
            found = Refreshed("unchanged", None, digest, newest["models"])
        else:
            found = _check(database, shipped, content, digest, now)
    except _UnreachableError as error:
        found = Refreshed("unreachable", str(error))
    except UnusableCatalogueError as error:
        found = Refreshed("refused", f"The price catalogue at {source.url} was refused: {error}.", digest)

    crash.at("refresh:checked")

    def keep(connection: Connection) -> None:
        if found.status == "stored" and found.sha256 is not None:
            store.store(connection, found.sha256, content, found.models, library, now)
            crash.at("refresh:stored")
        store.note_check(connection, now, found.status, found.sha256, found.error)

    database.run(keep)
    crash.at("refresh:answered")
    return found


def _download(source: Source) -> bytes:
    left = source.left()
    if left <= 0:
        raise _UnreachableError("There was no time left to fetch the price catalogue.")
    chunks: list[bytes] = []
    size = 0
    try:
        with source.http.stream(
            "GET",
            source.url,
            # gzip only: other codings may blow one chunk up past the size cap before it can be counted.
            headers={"Accept": "application/json", "Accept-Encoding": "gzip"},
            timeout=min(_TIMEOUT_SECONDS, left),
            follow_redirects=False,
        ) as response:
            if not response.is_success:
                raise _UnreachableError(
                    f"The price catalogue at {source.url} answered with status {response.status_code}; check "
                    "PRICE_CATALOGUE_URL, redirects are not followed."
                )
            for chunk in response.iter_bytes():
                size += len(chunk)
                if size > MAX_BYTES:
                    raise UnusableCatalogueError(f"it has more than {MAX_BYTES} bytes")
                if source.left() <= 0:
                    raise _UnreachableError(f"The price catalogue at {source.url} did not arrive in time.")
                chunks.append(chunk)
    except httpx.HTTPError as error:
        raise _UnreachableError(
            f"The price catalogue at {source.url} could not be fetched ({type(error).__name__}); the next collection "
            "tries again."
        ) from error
    return b"".join(chunks)


def _check(database: Database, shipped: Catalogue, content: bytes, digest: str, now: datetime) -> Refreshed:
    fetched = edition(content, f"{now:%Y-%m-%d}", digest)
    count, known = (sum(1 for _ in one.models()) for one in (fetched, shipped))
    if count < known * LEAST_SHARE:
        raise UnusableCatalogueError(f"it has {count} models, and {known} were shipped")
    before = database.run(lambda c: load_book(c, shipped))
    after = PriceBook(before.overrides, fetched, before.names)
    used = database.run(models.used_names)
    vanished = [
        f"{provider}/{name}"
        for provider, name in used
        if before.card(provider, name, now) is not None and after.card(provider, name, now) is None
    ]
    if vanished:
        others = f" and {len(vanished) - _MOST_NAMED} others" if len(vanished) > _MOST_NAMED else ""
        raise UnusableCatalogueError(
            f"it has no price any more for {', '.join(vanished[:_MOST_NAMED])}{others}, in use here; set a price of "
            "your own for it to accept the file"
        )
    return Refreshed("stored", None, digest, count, _changes(before, after, used, now))


def _changes(before: PriceBook, after: PriceBook, used: list[tuple[str, str]], now: datetime) -> list[dict[str, Any]]:
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for provider, name in used:
        old, new = _figures(before.card(provider, name, now)), _figures(after.card(provider, name, now))
        if old != new:
            key = provider, after.canonical(provider, name)
            found[key] = {"provider": key[0], "model": key[1], "before": old, "after": new}
    return [found[key] for key in sorted(found)]


def _figures(card: RateCard | None) -> dict[str, Decimal] | None:
    """Return every price of a card by class, with the threshold before it for the tiers above the base one."""
    if card is None:
        return None
    return {
        f"above {above}: {name}" if above else name: price
        for above, rates in card.tiers
        for name in PRICES
        if (price := getattr(rates, name)) is not None
    }
