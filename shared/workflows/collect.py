"""Collect: read each account's streams page by page, then merge each window into the ledger as a whole."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared.core import jsontext
from shared.core.windows import Plan, fetch_window, next_watermark
from shared.errors import CredentialError, CursorRefusedError, MalformedResponseError, ProviderError, SupersededError
from shared.providers.base import Page, Provider, Stream, Window
from shared.store import accounts, collection, projects
from shared.workflows.lines import Mapper
from shared.workflows.merge import Changes, merge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from shared.prices.book import PriceBook
    from shared.store.accounts import Account
    from shared.store.collection import Checkpoint
    from shared.store.database import Connection, Database

# Lambda ends a function without warning: stop in time to commit, and let the next run go on.
RESERVE_SECONDS = 30
# Page tokens expire. A fetch that lay longer than this starts its window again.
_CHECKPOINT_LIFE = timedelta(hours=24)
# More pages than buckets means a chain without an end; the spare is for buckets split over pages.
_SPARE_PAGES = 100


@dataclass(frozen=True, slots=True)
class Source:
    """An account's name and origin with the provider that its credential opens."""

    account: str
    origin: str
    provider: Provider


@dataclass(slots=True)
class StreamReport:
    """What happened to one stream: pages read in this run, the window, and what it changed."""

    stream: str
    window_start: datetime | None = None
    window_end: datetime | None = None
    pages: int = 0
    changes: Changes = field(default_factory=Changes)


@dataclass(slots=True)
class AccountReport:
    """What happened to one account. `status` is `succeeded`, `partial` (continues next time) or `failed`."""

    account: str
    provider: str
    status: str = "succeeded"
    error: str | None = None
    streams: list[StreamReport] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return the shape that runs store."""
        return {
            "account": self.account,
            "provider": self.provider,
            "status": self.status,
            "error": self.error,
            "streams": [
                {**{k: v for k, v in asdict(stream).items() if k != "changes"}, **asdict(stream.changes)}
                for stream in self.streams
            ],
        }


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a stream's window is read: `done` of 0 to 1 by time covered."""

    account: str
    stream: str
    pages: int
    done: float


class _OutOfTimeError(Exception):
    """The run must end now; its checkpoint holds what was read."""


def collect(
    database: Database,
    sources: Iterable[Source],
    load_prices: Callable[[Connection], PriceBook],
    plan: Plan,
    remaining: Callable[[], float],
    progress: Callable[[Progress], None] = lambda _: None,
) -> list[AccountReport]:
    """Collect every source and say what happened to each; one account's failure never stops the others.

    `remaining` gives the seconds left; 30 before the end the run stops with its pages kept. Collecting again over the
    same figures changes nothing.

    Raises:
        DatabaseUnavailableError: Postgres is away; nothing was lost and the next run continues.
    """
    prices = database.run(load_prices)
    return [_Collector(database, source, prices, plan, remaining, progress).run() for source in sources]


@dataclass(slots=True)
class _Collector:
    database: Database
    source: Source
    prices: PriceBook
    plan: Plan
    remaining: Callable[[], float]
    progress: Callable[[Progress], None]

    def run(self) -> AccountReport:
        provider = self.source.provider
        report = AccountReport(self.source.account, provider.name)
        account = self.database.run(
            lambda c: accounts.ensure(c, self.source.account, provider.name, self.source.origin)
        )
        state = "ok"
        try:
            self._check_time()
            mapper = self._mapper(account)
            for stream in provider.streams:
                self._stream(account, stream, mapper, report)
        except (_OutOfTimeError, SupersededError) as stop:
            report.status = "partial"
            report.error = str(stop) or "Out of time: the pages read are kept and the next run continues from them."
            return report
        except ProviderError as error:
            report.status, report.error = "failed", str(error)
            state = "credential_refused" if isinstance(error, CredentialError) else "failing"
        self.database.run(lambda c: accounts.set_health(c, account.id, state, report.error, self.plan.now))
        return report

    def _mapper(self, account: Account) -> Mapper:
        listed = self.source.provider.names()
        named = [(name.kind, name.id, name.name, name.archived) for name in listed]
        self.database.run(lambda c: accounts.save_names(c, account.id, named))
        names = self.database.run(lambda c: accounts.names(c, account.id))
        rules = self.database.run(projects.rules)
        return Mapper(account.id, self.source.provider.name, names, rules, self.prices, self.plan.now)

    def _stream(self, account: Account, stream: Stream, mapper: Mapper, report: AccountReport) -> None:
        held = self.database.run(lambda c: collection.take_over(c, account.id, stream.name))
        if held.fetched_at is not None and self.plan.now - held.fetched_at < _CHECKPOINT_LIFE:
            held = self._window(held, stream, mapper, report)
            # The window that was just completed from its checkpoint may already be all that was asked for.
            if self.plan.start is None and held.watermark is not None and held.watermark >= self.plan.now:
                return
        start, end = fetch_window(self.plan, stream.grain, held.watermark)
        held = self.database.run(lambda c: collection.open_window(c, held, start, end, self.plan.now))
        self._window(held, stream, mapper, report)

    def _window(self, held: Checkpoint, stream: Stream, mapper: Mapper, report: AccountReport) -> Checkpoint:
        result = StreamReport(stream.name, held.window_start, held.window_end)
        report.streams.append(result)
        try:
            held = self._read(held, stream, result)
        except CursorRefusedError:
            held = self._reopen(held)
            held = self._read(held, stream, result)
        except MalformedResponseError:
            # What this window's pages said cannot be trusted; the next run reads it from its first page.
            self.database.run(lambda c: collection.finish(c, held, None))
            raise
        self._check_time()
        result.changes = self._merge(held, stream, mapper)
        return self.database.run(lambda c: collection.take_over(c, held.account_id, stream.name))

    def _read(self, held: Checkpoint, stream: Stream, result: StreamReport) -> Checkpoint:
        window = _opened(held)
        most_pages = (window.end - window.start) // stream.grain + _SPARE_PAGES
        seen = {held.next_cursor}
        while not held.all_read:
            self._check_time()
            page = self.source.provider.fetch(stream, window, held.next_cursor)
            if page.next_cursor is not None and (page.next_cursor in seen or held.pages >= most_pages):
                raise MalformedResponseError(
                    f"{self.source.provider.name} keeps sending the same or endless pages of {stream.name}; "
                    "nothing was stored, the next run tries again."
                )
            seen.add(page.next_cursor)
            held = self._stage(held, page)
            result.pages += 1
            reached = page.rows[-1].end if page.rows and page.next_cursor else window.end
            done = (reached - window.start) / (window.end - window.start)
            self.progress(Progress(self.source.account, stream.name, held.pages, done))
        return held

    def _stage(self, held: Checkpoint, page: Page) -> Checkpoint:
        rows = [(row.start, row.end, jsontext.dumps(row.raw)) for row in page.rows]
        return self.database.run(lambda c: collection.stage(c, held, rows, page.next_cursor))

    def _merge(self, held: Checkpoint, stream: Stream, mapper: Mapper) -> Changes:
        window = _opened(held)
        watermark = next_watermark(
            self.plan, (window.start, window.end), held.fetched_at or self.plan.now, held.watermark
        )
        # A COMMIT whose answer was lost is tried again and finds the window closed: the first try's word stands.
        done: list[Changes] = []

        def attempt(connection: Connection) -> None:
            changes = merge(connection, self.source.provider, stream, held, mapper, watermark)
            if changes is not None:
                done.append(changes)

        self.database.run(attempt)
        return done[-1]

    def _reopen(self, held: Checkpoint) -> Checkpoint:
        window = _opened(held)
        fetched_at = held.fetched_at or self.plan.now
        return self.database.run(lambda c: collection.open_window(c, held, window.start, window.end, fetched_at))

    def _check_time(self) -> None:
        if self.remaining() < RESERVE_SECONDS:
            raise _OutOfTimeError


def _opened(held: Checkpoint) -> Window:
    if held.window_start is None or held.window_end is None:
        raise AssertionError("a fetch reads an open window only")
    return Window(held.window_start, held.window_end)
