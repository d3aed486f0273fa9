"""The jobs about prices and projects: what re-pricing, re-mapping and refreshing the catalogue do as runs.

Each returns (status, result, error), which `functions.jobs` makes an outcome of.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from shared.core.periods import local_date
from shared.store.audit import Author
from shared.workflows.collect import RESERVE_SECONDS
from shared.workflows.pricing import load_book
from shared.workflows.push import Pace
from shared.workflows.reassign import Order as Moving
from shared.workflows.reassign import Reassigned, reassign
from shared.workflows.refresh import Refreshed, Source, is_due, refresh
from shared.workflows.reprice import Order, Repriced, reprice
from shared.workflows.summarise import summarise

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from functions.runtime import App

__all__ = ["Done", "Refreshed", "do_reassign", "do_refresh", "do_reprice", "price_new", "refresh_if_due", "with_prices"]

Done: TypeAlias = tuple[str, dict[str, Any], str | None]

# Two megabytes from a file server.
_LONGEST_REFRESH_SECONDS = 120.0


def refresh_if_due(app: App, remaining: Callable[[], float]) -> Refreshed | None:
    """Fetch the price catalogue, once a day and before the collection that will use it; None where it is not due."""
    is_set = app.settings.price_catalogue_url is not None
    if not is_set or not app.database.run(lambda c: is_due(c, app.clock())):
        return None
    return _fetch(app, remaining)


def price_new(app: App, request: Mapping[str, Any], remaining: Callable[[], float]) -> Repriced:
    """Price the lines that had no price until now, because their model has got one since."""
    order = Order(_author(app, request, "collect"), app.settings.timezone, only_unpriced=True)
    return reprice(app.database, lambda c: load_book(c, app.catalogue), order, remaining)


def with_prices(done: Done, fetched: Refreshed | None, priced: Repriced) -> Done:
    """Add to how a collection ended what became of the prices: `catalogue` and `priced`, each where there is any."""
    status, result, error = done
    if fetched is not None:
        result = {**result, "catalogue": fetched.as_json()}
        error = " ".join(sentence for sentence in (error, fetched.error) if sentence) or None
    if priced.changes:
        result = {**result, "priced": priced.as_json()}
    return status, result, error


def do_reprice(
    app: App, request: Mapping[str, Any], remaining: Callable[[], float], progress: Callable[[datetime], None]
) -> Done:
    """Re-price the span of the request, or say what that would change."""
    order = Order(
        _author(app, request, "reprice"),
        app.settings.timezone,
        _instant(request.get("start")),
        _instant(request.get("end")),
        dry_run=bool(request.get("dry_run")),
    )
    return _over_days(app, reprice(app.database, lambda c: load_book(c, app.catalogue), order, remaining, progress))


def do_reassign(
    app: App, request: Mapping[str, Any], remaining: Callable[[], float], progress: Callable[[datetime], None]
) -> Done:
    """Apply the project rules to the span of the request, or say what that would move."""
    order = Moving(
        _author(app, request, "reassign"),
        _instant(request.get("start")),
        _instant(request.get("end")),
        dry_run=bool(request.get("dry_run")),
    )
    return _over_days(app, reassign(app.database, order, remaining, progress))


def do_refresh(app: App, remaining: Callable[[], float]) -> Done:
    """Fetch the price catalogue now.

    Raises:
        SettingError: there is no address.
    """
    found = _fetch(app, remaining)
    return "failed" if found.error else "succeeded", found.as_json(), found.error


def _fetch(app: App, remaining: Callable[[], float]) -> Refreshed:
    longest = Pace.lasting(_LONGEST_REFRESH_SECONDS)
    url = app.settings.required("price_catalogue_url")
    source = Source(app.http, url, lambda: min(remaining() - RESERVE_SECONDS, longest.left()))
    return refresh(app.database, app.catalogue, source, app.clock())


def _over_days(app: App, found: Repriced | Reassigned) -> Done:
    if not found.dry_run:
        summarise(app.database, local_date(app.clock(), app.settings.zone), app.settings.zone)
    if found.stopped_at is None:
        return "succeeded", found.as_json(), None
    return (
        "partial",
        found.as_json(),
        f"The time was over before {found.stopped_at.date()}; what is done is kept, run it again from there.",
    )


def _author(app: App, request: Mapping[str, Any], job: str) -> Author:
    return Author(request.get("by") or job, app.clock(), request.get("run"))


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
