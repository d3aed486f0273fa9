"""Collect: read each account's streams page by page, then merge each window into the ledger as a whole."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared.core import crash, jsontext
from shared.core.windows import Plan, fetch_window, floor, next_watermark
from shared.errors import (
    CredentialError,
    CursorRefusedError,
    DatabaseUnavailableError,
    MalformedResponseError,
    ProviderError,
    ProviderUnavailableError,
    SupersededError,
)
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
    """What happened to one account. `status` is `succeeded`, `partial` (continues next time) or `failed`.

    `cause` is an error of ours behind a failure, for the log.
    """

    account: str
    provider: str
    status: str = "succeeded"
    error: str | None = None
    streams: list[StreamReport] = field(default_factory=list)
    cause: Exception | None = None

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
    refused: list[ProviderError] = field(default_factory=list)

    def run(self) -> AccountReport:
        provider = self.source.provider
        report = AccountReport(self.source.account, provider.name)
        account = self.database.run(
            lambda c: accounts.ensure(c, self.source.account, provider.name, self.source.origin)
        )
        state = "ok"
        try:
            self._check_time()
            self._check_owner(account)
            mapper = self._mapper(account)
            self._streams(account, mapper, report)
        except (_OutOfTimeError, SupersededError) as stop:
            report.status = "partial"
            report.error = str(stop) or "Out of time: the pages read are kept and the next run continues from them."
            return report
        except ProviderUnavailableError as error:
            is_late = self.remaining() < RESERVE_SECONDS
            report.status, report.error, state = "partial" if is_late else "failed", str(error), "failing"
        except ProviderError as error:
            report.status, report.error = "failed", str(error)
            state = "credential_refused" if isinstance(error, CredentialError) else "failing"
        except DatabaseUnavailableError:
            raise
        except Exception as error:  # noqa: BLE001 - a mistake of ours with one account must not stop the others
            report.status, report.cause, state = "failed", error, "failing"
            report.error = f"It failed inside the tracker ({type(error).__name__}); the log has the details."
        self.database.run(lambda c: accounts.set_health(c, account.id, state, report.error, self.plan.now))
        return report

    def _check_owner(self, account: Account) -> None:
        owner = self.source.provider.owner()
        known = self.database.run(lambda c: accounts.claim(c, account.id, owner.id))
        if known != owner.id:
            raise CredentialError(
                f"This key belongs to {owner.name}, but the account {account.name} holds figures of somebody else; "
                "use a key of theirs, or a database of its own for this one."
            )

    def _mapper(self, account: Account) -> Mapper:
        listed = self.source.provider.names()
        named = [(name.kind, name.id, name.name, name.archived) for name in listed]
        self.database.run(lambda c: accounts.save_names(c, account.id, named))
        names = self.database.run(lambda c: accounts.names(c, account.id))
        rules = self.database.run(projects.rules)
        return Mapper(account.id, self.source.provider.name, names, rules, self.prices, self.plan.now)

    def _streams(self, account: Account, mapper: Mapper, report: AccountReport) -> None:
        """Read one report after the other; one that is refused leaves the others to be read before it is told."""
        for stream in self.source.provider.streams:
            try:
                self._stream(account, stream, mapper, report)
            except (CredentialError, MalformedResponseError, ProviderUnavailableError):
                raise
            except ProviderError as error:
                self.refused.append(error)
        if self.refused:
            raise self.refused[0]

    def _stream(self, account: Account, stream: Stream, mapper: Mapper, report: AccountReport) -> None:
        held = self.database.run(lambda c: collection.take_over(c, account.id, stream.name))
        if held.fetched_at is not None and self.plan.now - held.fetched_at < _CHECKPOINT_LIFE:
            held = self._window(held, stream, mapper, report)
            # The window that was just completed from its checkpoint may already be all that was asked for.
            if self.plan.start is None and held.watermark is not None and held.watermark >= self.plan.now:
                return
        start, end = fetch_window(self.plan, stream.grain, held.watermark)
        if stream.is_bill:
            # Bills trail: a span without any complete day is refused, so a few are always asked for.
            start = min(start, floor(self.plan.now - self.plan.lookback, stream.grain))
        held = self.database.run(lambda c: collection.open_window(c, held, start, end, self.plan.now))
        self._window(held, stream, mapper, report)

    def _window(self, held: Checkpoint, stream: Stream, mapper: Mapper, report: AccountReport) -> Checkpoint:
        result = StreamReport(stream.name, held.window_start, held.window_end)
        report.streams.append(result)
        try:
            try:
                held = self._read(held, stream, result)
            except CursorRefusedError:
                held = self._reopen(held)
                held = self._read(held, stream, result)
        except (ProviderUnavailableError, CredentialError):
            raise  # its pages are good; the next run reads on
        except ProviderError:
            # What this window's pages said cannot be trusted, or cannot be had; the next run begins it anew.
            self.database.run(lambda c: collection.finish(c, held, None))
            raise
        self._check_time()
        result.changes, held = self._merge(held, stream, mapper)
        return held

    def _read(self, held: Checkpoint, stream: Stream, result: StreamReport) -> Checkpoint:
        window = _opened(held)
        most_pages = (window.end - window.start) // stream.grain + _SPARE_PAGES
        seen = {held.next_cursor}
        while not held.all_read:
            self._check_time()
            page = self.source.provider.fetch(stream, window, held.next_cursor)
            if page.next_cursor is not None and (page.next_cursor in seen or held.pages >= most_pages):
                raise self._nonsense(stream, "keeps sending the same or endless pages")
            if _goes_back(page, held, stream):
                raise self._nonsense(stream, "sends a page with intervals of the page before")
            seen.add(page.next_cursor)
            held = self._stage(held, page)
            result.pages += 1
            reached = page.rows[-1].end if page.rows and page.next_cursor else window.end
            done = (reached - window.start) / (window.end - window.start)
            self.progress(Progress(self.source.account, stream.name, held.pages, done))
        if held.listed_end is None and not (stream.is_bill or stream.may_be_absent):
            # Empty intervals are listed too, so an answer without any is not "no usage".
            raise self._nonsense(stream, "lists no interval at all")
        return held

    def _nonsense(self, stream: Stream, what: str) -> MalformedResponseError:
        name = f"{self.source.provider.name} {what} of its {stream.name} report"
        return MalformedResponseError(f"{name}; nothing was stored, the next run tries again.")

    def _stage(self, held: Checkpoint, page: Page) -> Checkpoint:
        rows = [(row.start, row.end, jsontext.dumps(row.raw)) for row in page.rows]
        return self.database.run(lambda c: collection.stage(c, held, rows, page.next_cursor, page.listed))

    def _merge(self, held: Checkpoint, stream: Stream, mapper: Mapper) -> tuple[Changes, Checkpoint]:
        if held.listed_end is None:  # a bill without any interval yet, or a report that the account does not have
            return Changes(), self.database.run(lambda c: collection.finish(c, held, None))
        window = _opened(held).start, held.listed_end
        watermark = next_watermark(self.plan, window, held.fetched_at or self.plan.now, held.watermark)
        # Events are explained by all reports of usage together, so the last one says how far they were read.
        last = [one for one in self.source.provider.streams if not one.is_bill][-1:]
        covers = last == [stream] and not self.refused
        # A COMMIT whose answer was lost is tried again and finds the window closed: the first try's word stands.
        done: list[Changes] = []

        def attempt(connection: Connection) -> Checkpoint:
            changes, closed = merge(connection, self.source.provider, stream, held, mapper, watermark, covers=covers)
            if changes is not None:
                done.append(changes)
            return closed

        closed = self.database.run(attempt)
        crash.at("merge:answered")
        return done[-1], closed

    def _reopen(self, held: Checkpoint) -> Checkpoint:
        window = _opened(held)
        fetched_at = held.fetched_at or self.plan.now
        return self.database.run(lambda c: collection.open_window(c, held, window.start, window.end, fetched_at))

    def _check_time(self) -> None:
        if self.remaining() < RESERVE_SECONDS:
            raise _OutOfTimeError


def _goes_back(page: Page, held: Checkpoint, stream: Stream) -> bool:
    """Tell whether a page lists intervals that an earlier one has listed: adding them up would bill them twice."""
    if page.listed is None or held.listed_start is None or held.listed_end is None:
        return False
    if not stream.splits_buckets:
        return page.listed[0] < held.listed_end
    return min(page.listed[1], held.listed_end) - max(page.listed[0], held.listed_start) > stream.grain


def _opened(held: Checkpoint) -> Window:
    if held.window_start is None or held.window_end is None:
        raise AssertionError("a fetch reads an open window only")
    return Window(held.window_start, held.window_end)
