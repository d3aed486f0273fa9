"""What a collection does besides polling: entries that recur are booked when their date has come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.core.periods import local_date
from shared.store.audit import Author
from shared.workflows.collect import RESERVE_SECONDS
from shared.workflows.pricing import load_book
from shared.workflows.recurring import Booked, book_due

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from functions.price_jobs import Done
    from functions.runtime import App


def book(app: App, request: Mapping[str, Any], remaining: Callable[[], float]) -> Booked:
    """Make the manual entries that are due by today, as the TIMEZONE setting has it.

    Raises:
        DatabaseUnavailableError: what was made is kept, and the next collection goes on.
    """
    author = Author("collect", app.clock(), request.get("run"))
    today = local_date(author.at, app.settings.zone)
    return book_due(
        app.database,
        lambda connection: load_book(connection, app.catalogue),
        today,
        author,
        lambda: remaining() - RESERVE_SECONDS,
    )


def with_entries(done: Done, booked: Booked) -> Done:
    """Add to how a collection ended what became of recurring entries: `recurring`, where there is any."""
    status, result, error = done
    if booked.entries or booked.errors:
        result = {**result, "recurring": {"entries": booked.entries, "errors": booked.errors}}
        error = " ".join([*([error] if error else []), *booked.errors]) or None
        status = "partial" if booked.errors and status == "succeeded" else status
    return status, result, error
