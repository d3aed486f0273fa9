"""Collect one account: read its streams page by page, then merge each window into the ledger as a whole."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.core import crash, jsontext
from shared.core.windows import Reads, Why, next_watermark, reads_after
from shared.errors import (
    CredentialError,
    CursorRefusedError,
    DatabaseUnavailableError,
    MalformedResponseError,
    ProviderError,
    ProviderUnavailableError,
    SupersededError,
)
from shared.providers.base import HasBalances, HasEvents, Window
from shared.store import accounts, balances, collection, projects
from shared.workflows import limits
from shared.workflows.accounts import twice
from shared.workflows.adopt import adopt
from shared.workflows.collected import AccountReport, Progress, StreamReport, opened_account
from shared.workflows.feed import Fed, Feeder
from shared.workflows.lines import Mapper
from shared.workflows.merge import Changes, merge

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.core.windows import Plan
    from shared.prices.book import PriceBook
    from shared.providers.base import Page, Provider, Stream
    from shared.store.accounts import Account
    from shared.store.collection import Checkpoint
    from shared.store.database import Connection, Database
    from shared.workflows.collected import Source

# Lambda ends a function without warning: stop in time to commit, and let the next run go on.
RESERVE_SECONDS = 30
# Page tokens expire. A fetch that lay longer than this starts its window again.
_CHECKPOINT_LIFE = timedelta(hours=24)
# More pages than buckets means a chain without an end; the spare is for buckets split over pages.
_SPARE_PAGES = 100


class _OutOfTimeError(Exception):
    """The run must end now; its checkpoint holds what was read."""


@dataclass(slots=True)
class Collector:
    """Collects one source; `remaining` gives the seconds it has left."""

    database: Database
    source: Source
    prices: PriceBook
    plan: Plan
    remaining: Callable[[], float]
    progress: Callable[[Progress], None]
    refused: list[ProviderError] = field(default_factory=list)

    def run(self) -> AccountReport:
        """Read what there is, as far as time goes, and say what happened.

        Raises:
            DatabaseUnavailableError: Postgres is away; nothing was lost and the next run continues.
        """
        report = AccountReport(self.source.account, self._provider.name)
        account = self.database.run(lambda c: opened_account(c, self.source))
        if account is None:
            report.status, report.error = "partial", "The account was removed before its turn came."
            return report
        state = "ok"
        try:
            self._check_time()
            self._check_owner(account)
            self._adopt(account)
            mapper = self._mapper(account)
            self._streams(account, mapper, report)
            self._balances(account, report)
        except (_OutOfTimeError, SupersededError) as stop:
            report.status, report.is_cut = "partial", isinstance(stop, _OutOfTimeError)
            report.error = str(stop) or "Out of time: the pages read are kept and the next run continues from them."
            return report
        except ProviderUnavailableError as error:
            is_late = self.remaining() < RESERVE_SECONDS
            report.status, report.error, state = "partial" if is_late else "failed", str(error), "failing"
            report.is_cut = is_late
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

    @property
    def _provider(self) -> Provider:
        return self.source.provider

    def _check_owner(self, account: Account) -> None:
        owner = self._provider.owner()
        owner_id = owner.id
        if owner_id is None:
            return
        try:
            known = self.database.run(lambda c: accounts.claim(c, account.id, owner_id))
        except accounts.OwnedError as error:
            raise CredentialError(str(twice(owner, error.name))) from error
        if known != owner_id:
            raise CredentialError(
                f"This key belongs to {owner.name}, but the account {account.name} holds figures of somebody else; "
                "use a key of theirs, or a database of its own for this one."
            )

    def _adopt(self, account: Account) -> None:
        if not adopt(self.database, account, self.plan.now, self.remaining):
            raise _OutOfTimeError

    def _mapper(self, account: Account) -> Mapper:
        listed = self._provider.names()
        named = [(name.kind, name.id, name.name, name.archived) for name in listed]
        self.database.run(lambda c: accounts.save_names(c, account.id, named))
        names = self.database.run(lambda c: accounts.names(c, account.id))
        rules = self.database.run(projects.rules)
        return Mapper(account.id, self._provider.name, names, rules, self.prices, self.plan.now)

    def _streams(self, account: Account, mapper: Mapper, report: AccountReport) -> None:
        """Read one report after the other; one that is refused leaves the others to be read before it is told."""
        for stream in self._provider.streams:
            try:
                self._stream(account, stream, mapper, report)
            except (CredentialError, MalformedResponseError, ProviderUnavailableError):
                raise
            except ProviderError as error:
                self.refused.append(error)
        if self.refused:
            raise self.refused[0]

    def _balances(self, account: Account, report: AccountReport) -> None:
        """Ask what is left of prepaid money. Reports that were read stay what they are if that cannot be had."""
        if not isinstance(self._provider, HasBalances):
            return
        self._check_time()
        try:
            report.balances = self._provider.balances()
        except ProviderError as error:
            if not self._provider.streams:
                raise
            report.status, report.error = "partial", f"The reports were read, the balance was not: {error}"
            return
        seen = [
            balances.Seen(one.currency, one.available, one.called, one.granted, one.topped_up)
            for one in report.balances
        ]
        self.database.run(lambda c: balances.save(c, account.id, self.plan.now, seen))

    def _stream(self, account: Account, stream: Stream, mapper: Mapper, report: AccountReport) -> None:
        held = self.database.run(lambda c: collection.take_over(c, account.id, stream.name))
        if held.fetched_at is not None and (stream.is_feed or self.plan.now - held.fetched_at < _CHECKPOINT_LIFE):
            held = self._window(held, stream, mapper, report, Why.CONTINUED)
            # The window that was just completed from its checkpoint may already be all that was asked for.
            if self.plan.start is None and held.watermark is not None and held.watermark >= self.plan.now:
                return
        if self.plan.start is None and limits.rests(stream, self.plan.now, held.watermark):
            return
        start, end, why, note = limits.window(stream, self.plan, held.reads)
        if note:
            # In an ordinary run it is no news that nothing has ended since the last one.
            if self.plan.start is not None or held.watermark is None:
                report.streams.append(StreamReport(stream.name, why=why, note=note))
            return
        held = self.database.run(lambda c: collection.open_window(c, held, start, end, self.plan.now))
        self._window(held, stream, mapper, report, why)

    def _window(self, held: Checkpoint, stream: Stream, mapper: Mapper, report: AccountReport, why: Why) -> Checkpoint:
        result = StreamReport(stream.name, held.window_start, held.window_end, why)
        result.feed = Fed() if stream.is_feed else None
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
            self.database.run(lambda c: collection.finish(c, held, held.reads))
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
            page = self._provider.fetch(stream, window, held.next_cursor)
            if page.next_cursor is not None and (page.next_cursor in seen or held.pages >= most_pages):
                raise self._nonsense(stream, "keeps sending the same or endless pages")
            if _goes_back(page, held, stream):
                raise self._nonsense(stream, "sends a page with intervals of the page before")
            seen.add(page.next_cursor)
            held = self._stage(held, page, stream, result)
            result.pages += 1
            reached = page.rows[-1].end if page.rows and page.next_cursor else window.end
            done = (reached - window.start) / (window.end - window.start)
            self.progress(Progress(self.source.account, stream.name, held.pages, done))
            # A large one takes tens of megabytes, and would stay until the next one is whole.
            del page
        if held.listed_end is None and not (stream.is_bill or stream.may_be_absent):
            # Empty intervals are listed too, so an answer without any is not "no usage".
            raise self._nonsense(stream, "lists no interval at all")
        return held

    def _nonsense(self, stream: Stream, what: str) -> MalformedResponseError:
        name = f"{self._provider.name} {what} of its {stream.name} report"
        return MalformedResponseError(f"{name}; nothing was stored, the next run tries again.")

    def _stage(self, held: Checkpoint, page: Page, stream: Stream, result: StreamReport) -> Checkpoint:
        rows = page.rows if result.feed is None else ()
        if result.feed is not None and isinstance(self._provider, HasEvents):
            Feeder(self.database, self.prices, self._provider, self.plan.now).take(stream, page, result.feed)

        def keep(connection: Connection) -> Checkpoint:
            texts = ((row.start, row.end, jsontext.dumps(row.raw)) for row in rows)
            return collection.stage(connection, held, texts, page.next_cursor, page.listed)

        return self.database.run(keep)

    def _merge(self, held: Checkpoint, stream: Stream, mapper: Mapper) -> tuple[Changes, Checkpoint]:
        if held.listed_end is None:  # a bill without any interval yet, or a report that the account does not have
            return Changes(), self.database.run(lambda c: collection.finish(c, held, self._reads(held, stream)))
        window = _opened(held).start, held.listed_end
        fetched_at = held.fetched_at or self.plan.now
        since = limits.oldest(stream, fetched_at, held.watermark)
        until = next_watermark(self.plan, window, fetched_at, held.watermark, since)
        reads = replace(self._reads(held, stream), until=until)
        if stream.is_feed:
            return Changes(), self.database.run(lambda c: collection.finish(c, held, reads))
        # Events are explained by all reports of usage together, so the last one says how far they were read.
        last = [one for one in self._provider.streams if one.is_usage][-1:]
        covered_since = since if last == [stream] and not self.refused else None
        # A COMMIT whose answer was lost is tried again and finds the window closed: the first try's word stands.
        done: list[Changes] = []

        def attempt(connection: Connection) -> Checkpoint:
            changes, closed = merge(connection, self._provider, stream, held, mapper, reads, covered_since)
            if changes is not None:
                done.append(changes)
            return closed

        closed = self.database.run(attempt)
        crash.at("merge:answered")
        return done[-1], closed

    def _reads(self, held: Checkpoint, stream: Stream) -> Reads:
        window, fetched_at = _opened(held), held.fetched_at or self.plan.now
        since = limits.oldest(stream, fetched_at, held.watermark)
        return reads_after(self.plan, (window.start, window.end), fetched_at, held.reads, since)

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
