"""Collect: every account by itself, some at once, so that none waits for another that hangs."""

from __future__ import annotations

import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from shared.workflows.collect_account import RESERVE_SECONDS, Collector
from shared.workflows.collected import AccountReport, Progress, Source, opened_account

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from shared.core.windows import Plan
    from shared.prices.book import PriceBook
    from shared.store.database import Connection, Database

__all__ = ["AT_ONCE", "RESERVE_SECONDS", "AccountReport", "Progress", "Source", "collect"]

# Each has a connection of its own and a window in memory while it is merged.
AT_ONCE = 4
# Even where there is time without end a provider must not hold an account for ever.
_LONGEST_SECONDS = 3600.0


def collect(
    database: Database,
    sources: Iterable[Source],
    load_prices: Callable[[Connection], PriceBook],
    plan: Plan,
    remaining: Callable[[], float],
    progress: Callable[[Progress], None] = lambda _: None,
) -> list[AccountReport]:
    """Collect every source and say what happened to each, in their order; one account's failure never stops the others.

    `remaining` gives the seconds left; 30 before the end the run stops with its pages kept. Some accounts are read at
    once, each within its share of the time; who needs more goes on when all others had theirs. `progress` is called by
    one of them at a time. Collecting again over the same figures changes nothing.

    Raises:
        DatabaseUnavailableError: Postgres is away; nothing was lost and the next run continues.
    """
    prices = database.run(load_prices)
    given = list(sources)
    if len(given) <= 1:
        return [Collector(database, source, prices, plan, remaining, progress).run() for source in given]
    # Before any is read: what one of them feeds may be requests to another.
    for source in given:
        database.run(partial(opened_account, source=source))
    crew = _Crew(database, prices, plan, remaining, _in_turn(progress))
    reports: dict[int, AccountReport] = {}
    waiting = list(range(len(given)))
    while waiting:
        for number, report in zip(waiting, crew.run([given[number] for number in waiting]), strict=True):
            before = reports.get(number)
            reports[number] = report if before is None else replace(report, streams=[*before.streams, *report.streams])
        # Whose share was too short, while there is time of others left.
        waiting = [number for number in waiting if reports[number].is_cut and remaining() >= RESERVE_SECONDS * 2]
    return [reports[number] for number in range(len(given))]


@dataclass(frozen=True, slots=True)
class _Crew:
    """Threads that collect accounts side by side."""

    database: Database
    prices: PriceBook
    plan: Plan
    remaining: Callable[[], float]
    progress: Callable[[Progress], None]

    def run(self, sources: Sequence[Source]) -> list[AccountReport]:
        """Collect each source within an equal share of the time that is left."""
        rounds = math.ceil(len(sources) / AT_ONCE)
        share = min((self.remaining() - RESERVE_SECONDS) / rounds, _LONGEST_SECONDS) + RESERVE_SECONDS
        with ThreadPoolExecutor(min(len(sources), AT_ONCE), thread_name_prefix="collect") as pool:
            # What a thread is told by its context, the tests' watchers among it, holds for its helpers.
            futures = [pool.submit(copy_context().run, self._one, source, share) for source in sources]
            return [future.result() for future in futures]

    def _one(self, source: Source, share: float) -> AccountReport:
        end = time.monotonic() + share

        def left() -> float:
            return min(end - time.monotonic(), self.remaining())

        bound = source if source.bind is None else replace(source, provider=source.bind(left() - RESERVE_SECONDS))
        try:
            with self.database.within(self.remaining):
                return Collector(self.database, bound, self.prices, self.plan, left, self.progress).run()
        finally:
            self.database.close()


def _in_turn(progress: Callable[[Progress], None]) -> Callable[[Progress], None]:
    lock = threading.Lock()

    def call(at: Progress) -> None:
        with lock:
            progress(at)

    return call
