"""Feed: single requests that a gateway lists become events, exactly as if whoever made them had sent them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shared.errors import ConflictError, SupersededError
from shared.workflows.attribute import rebuild
from shared.workflows.ingest import Options, ingest
from shared.workflows.outcomes import CONFLICT, CREATED, DUPLICATE

if TYPE_CHECKING:
    from datetime import datetime

    from shared.prices.book import PriceBook
    from shared.providers.base import HasEvents, Page, Row, Stream
    from shared.store.database import Database

_MOST_REASONS = 20
_OTHERS = "There are more reasons."
_RESTATED = "It is stored with other content, which was kept."


@dataclass(slots=True)
class Fed:
    """What became of a feed's rows in one run.

    `conflicts` are stored already and say something else now; `rejected` cannot be stored; `skipped` are no usage.
    `reasons` says why rows of the former two are missing: sentence -> how many, and when (UTC) the first one was made.
    """

    created: int = 0
    duplicates: int = 0
    conflicts: int = 0
    rejected: int = 0
    skipped: int = 0
    reasons: dict[str, tuple[int, datetime]] = field(default_factory=dict)

    def explain(self, reason: str, row: Row) -> None:
        """Note why a row is missing."""
        if reason not in self.reasons and len(self.reasons) >= _MOST_REASONS:
            reason = _OTHERS
        count, first = self.reasons.get(reason, (0, row.start))
        self.reasons[reason] = count + 1, min(first, row.start)

    def as_json(self) -> dict[str, Any]:
        """Return the shape that runs store."""
        counts = {name: getattr(self, name) for name in ("created", "duplicates", "conflicts", "rejected", "skipped")}
        reasons = [
            {"reason": reason, "count": count, "first_at": first} for reason, (count, first) in self.reasons.items()
        ]
        return {**counts, "reasons": reasons}


@dataclass(frozen=True, slots=True)
class Feeder:
    """Takes pages of one feed at `now` (UTC)."""

    database: Database
    book: PriceBook
    provider: HasEvents
    now: datetime

    def take(self, stream: Stream, page: Page, fed: Fed) -> None:
        """Store what is new on a page, durably, and count in `fed` what became of each row. Again changes nothing.

        Raises:
            DatabaseUnavailableError: Postgres does not answer; the page can be taken again.
            SupersededError: an account was deleted at this moment; the page can be taken again.
        """
        rows, events = [], []
        for row in page.rows:
            try:
                event = self.provider.event(stream, row)
            except ValueError as error:
                fed.rejected += 1
                fed.explain(f"It cannot be understood: {error}.", row)
                continue
            if event is None:
                fed.skipped += 1
            else:
                rows.append(row)
                events.append(event)
        if not events:
            return
        try:
            report = ingest(self.database, lambda _: self.book, events, self.now, Options(touched=rebuild))
        except ConflictError as error:
            raise SupersededError(
                "An account was deleted while its requests were read; the next run goes on."
            ) from error
        for row, outcome in zip(rows, report.outcomes, strict=True):
            if outcome.status == CREATED:
                fed.created += 1
            elif outcome.status == DUPLICATE:
                fed.duplicates += 1
            elif outcome.code == CONFLICT:
                fed.conflicts += 1
                fed.explain(_RESTATED, row)
            else:
                fed.rejected += 1
                fed.explain(outcome.message or "", row)
