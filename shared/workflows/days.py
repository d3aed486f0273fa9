"""A span of the past, day by day: each UTC day that has lines is one transaction, and a run may end between two."""

from __future__ import annotations

import threading
from contextvars import copy_context
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from shared.core.reprice import utc_day
from shared.store import attribution
from shared.workflows import attribute

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from shared.store.database import Connection, Database

T = TypeVar("T")

# Lambda ends a function without warning, and a large day takes its time: none is begun with less than this.
RESERVE_SECONDS = 60.0
_FIRST = datetime(2000, 1, 1, tzinfo=UTC)
_LAST = datetime(2200, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Walk:
    """The UTC days of `[start, end)`, the first and last cut to it; without bounds all there are.

    `stopped_at` is set when the time was over: the start of the first day that was not worked on.
    """

    start: datetime | None = None
    end: datetime | None = None
    stopped_at: datetime | None = None
    worked: int = 0

    def days(
        self,
        next_line: Callable[[datetime, datetime], datetime | None],
        remaining: Callable[[], float],
    ) -> Iterator[tuple[datetime, datetime]]:
        """Yield the days with lines, oldest first; `next_line` finds the first one of a span."""
        at, end = self.start or _FIRST, self.end or _LAST
        while at < end and (found := next_line(at, end)) is not None:
            first, last = utc_day(found)
            if remaining() < RESERVE_SECONDS:
                self.stopped_at = max(first, at)
                return
            yield max(first, at), min(last, end)
            self.worked += 1
            at = last


def each(
    database: Database,
    spans: Iterator[tuple[datetime, datetime]],
    work: Callable[[datetime, datetime], T],
    done: Callable[[datetime, T], None],
    remaining: Callable[[], float],
) -> None:
    """Do `work` for each span, two at a time, and tell `done` its start and result, one at a time.

    Postgres does the work, and one connection keeps one of its cores busy. After a failure no span is begun any more;
    what was begun is finished, then the failure is raised.

    Raises:
        BaseException: whatever `work` or `done` raises.
    """
    lock = threading.Lock()
    failures: list[BaseException] = []

    def labour(span: tuple[datetime, datetime] | None) -> None:
        try:
            while span is not None:
                found = work(*span)
                with lock:
                    done(span[0], found)
                    span = None if failures else next(spans, None)
        except BaseException as error:  # noqa: BLE001 - raised below, in the caller's thread
            failures.append(error)

    def help_out(span: tuple[datetime, datetime]) -> None:
        try:
            with database.within(remaining):
                labour(span)
        finally:
            database.close()

    first, second = next(spans, None), next(spans, None)
    helper = None
    if second is not None:
        helper = threading.Thread(target=copy_context().run, args=(help_out, second), name="second day", daemon=True)
        helper.start()
    labour(first)
    if helper is not None:
        helper.join()
    if failures:
        raise failures[0]


def polled(connection: Connection, account_ids: Sequence[int]) -> list[int]:
    """Return those accounts that were ever collected, locked: balance lines of others do not exist."""
    return sorted(attribution.lock(connection, account_ids)) if account_ids else []


def balance(connection: Connection, account_ids: Collection[int], instant: datetime) -> None:
    """Derive the balance lines of these accounts again, on the UTC day that holds `instant`.

    The whole day, because events without a bucket of their own interval are balanced against the day's.
    """
    attribute.rebuild_days(connection, account_ids, *utc_day(instant))
