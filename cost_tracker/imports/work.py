"""One import: what is new in the files, de-duplicated, into the ledger; then, and only then, remembered as read."""

from __future__ import annotations

import gc
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol, TypeAlias

from cost_tracker.client import ApiError, ClientError
from cost_tracker.imports.dedupe import Pool
from cost_tracker.imports.files import plan, state_of
from cost_tracker.imports.registry import FORMATS
from cost_tracker.imports.scan import read_all
from cost_tracker.imports.send import Sender
from shared.core.projects import Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from cost_tracker.client import Client
    from cost_tracker.imports.dedupe import Stored
    from cost_tracker.imports.files import Piece, Plan, Target
    from cost_tracker.imports.scan import Read
    from cost_tracker.imports.send import Sent, Taken
    from cost_tracker.imports.state import State
    from cost_tracker.imports.units import Reading, Terms, Unit

    Ask: TypeAlias = Callable[[Terms, str], tuple[Reading, str]]

_WITNESS = "witness"
_ASKED = "asked until"


class Progress(Protocol):
    """Is told how far the work is: bytes while reading, rows while sending."""

    def begin(self, what: str, whole: int) -> None:
        """A part begins that has `whole` bytes or rows."""

    def advance(self, done: int) -> None:
        """So many more are done."""


class Silent:
    """A progress that nobody looks at."""

    def begin(self, what: str, whole: int) -> None:
        """Do nothing."""

    def advance(self, done: int) -> None:
        """Do nothing."""


@dataclass(slots=True)
class Report:
    """What an import found and what became of it; counts of the ledger's answers are in `sent`.

    `wanted` are accounts, with their providers, that its events name; `known` of these were looked up, `accounts` made.
    `own` of them nobody chose, and `polled` is provider -> name of an account that is polled.
    """

    files: int = 0
    unchanged: int = 0
    bytes: int = 0
    lines: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    unknown: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    noted: Counter[str] = field(default_factory=Counter)
    wanted: set[tuple[str, str]] = field(default_factory=set)
    known: set[tuple[str, str]] = field(default_factory=set)
    accounts: list[str] = field(default_factory=list)
    polled: dict[str, str] = field(default_factory=dict)
    own: set[tuple[str, str]] = field(default_factory=set)
    sent: Sent | None = None
    seconds: float = 0.0

    @property
    def is_empty(self) -> bool:
        """Whether there was nothing to import."""
        return not self.kept and not self.refused

    @property
    def rejected(self) -> int:
        """How many rows are usage and did not get into the ledger."""
        return self.refused.total() + (self.sent.rejected if self.sent else 0)

    def add(self, reading: Reading, begin: int = 0) -> None:
        """Take in the counts of what was read from the byte `begin` on."""
        self.bytes += reading.end - begin
        self.lines += reading.lines
        self.dropped.update(reading.dropped)
        self.skipped.update(reading.skipped)
        self.refused.update(reading.refused)
        self.noted.update(reading.noted)
        self.wanted.update(reading.accounts)


def find_new(state: State, targets: Sequence[Target], terms: Terms) -> Plan:
    """Return what there is to read."""
    return plan(targets, state.files(), terms.since)


def is_same_ledger(state: State, client: Client) -> bool:
    """Return whether the ledger still holds what the state says was imported; if not, the state is emptied."""
    line_id, _, event_id = state.note(_WITNESS).partition(" ")
    if not line_id:
        return True
    try:
        is_same: bool = client.get(f"/api/usage/{line_id}")["data"]["event_id"] == event_id
    except ApiError as error:
        is_same = error.status != HTTPStatus.NOT_FOUND
    if not is_same:
        state.forget()
    return is_same


def run(
    client: Client,
    state: State,
    found: Plan,
    terms: Terms,
    *,
    ask: Ask | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Import what `found` says is new. Stopped at any moment and run again, it ends as if it had not been stopped.

    Args:
        client: the tracker.
        state: what was imported before.
        found: see `find_new`.
        terms: the caller's.
        ask: a source that is no file: given the terms and what its last call left as a note, it returns a reading and
            the next note.
        dry_run: ask the tracker what it would do; nothing is stored or remembered.
        progress: is told how far it is.

    Raises:
        ApiError: the tracker refuses what is asked, such as for its key.
        UnreachableError: it does not answer; what it answered before is kept.
        ClientError: the account that is asked for would be of several providers; nothing was sent.
        CostTrackerError: `ask` failed; nothing was sent.
    """
    began = time.monotonic()
    shown = progress or Silent()
    report = Report(len(found.pieces), found.unchanged, unknown=found.unknown, unreadable=list(found.unreadable))
    with _no_collection():
        asked_for, terms = terms, _prepared(client, found, terms, report, dry_run=dry_run)
        pool = Pool()
        pool.add(state.refused())
        asked = ""
        if ask is not None:
            answered, asked = ask(terms, state.note(_ASKED))
            pool.add(answered.units)
            report.add(answered)
        read = list(_read(found, terms, pool, report, shown))
        _make_accounts(client, report, dry_run=dry_run)
        moves = [name for name, value in (("account", asked_for.account), ("project", asked_for.project)) if value]
        _send(client, state, pool, report, shown, moves, dry_run=dry_run)
        if not dry_run:
            state.save_note(_ASKED, asked or state.note(_ASKED))
            states = (state_of(piece, end, terms.since, is_held=is_held) for piece, end, is_held in read)
            state.save_files([each for each in states if each is not None])
    report.seconds = time.monotonic() - began
    return report


def _send(
    client: Client, state: State, pool: Pool, report: Report, shown: Progress, moves: Sequence[str], *, dry_run: bool
) -> None:
    """Send what is left in the pool, oldest first, and remember each batch once it is answered."""
    winners = sorted(pool.settle(state.stored(pool.groups())), key=lambda winner: (winner.unit.source, winner.unit.at))
    report.dropped.update(pool.dropped)
    report.dropped += Counter()
    report.kept = sum(winner.unit.size for winner in winners)
    if not winners:
        return
    sender = Sender(client, moves=moves, dry_run=dry_run)
    report.sent = sender.sent
    shown.begin("sending", report.kept)
    doubtful = {unit.group for unit in pool.doubtful}
    instead: dict[bytes, int] = {}
    for batch in sender.send(winners):
        if not dry_run:
            _remember(state, batch)
        instead |= {winner.unit.group: ids[0] for winner, ids in batch if ids and winner.unit.group in doubtful}
        shown.advance(sum(taken.winner.unit.size for taken in batch))
    if sender.sent.already and not dry_run:
        # The ledger holds what we do not remember, so it may hold more of it.
        sender.retract(pool.doubtful, instead)
    if sender.sent.witness and not dry_run:
        state.save_note(_WITNESS, "{} {}".format(*sender.sent.witness))


def _prepared(client: Client, found: Plan, terms: Terms, report: Report, *, dry_run: bool) -> Terms:
    """Return the terms with the tracker's rules; the accounts that formats need are there then."""
    for form in (FORMATS[name] for name in {piece.format for piece in found.pieces}):
        if form.unpolled and terms.account != "":
            report.wanted.add((terms.account or form.unpolled[0], form.unpolled[1]))
            if not terms.account:
                report.own.add(form.unpolled)
    if not _make_accounts(client, report, dry_run=dry_run):
        terms = replace(terms, account="")
    return replace(terms, rules=_rules(client))


def _make_accounts(client: Client, report: Report, *, dry_run: bool) -> bool:
    """Make the accounts that are wanted and missing, to be named and never polled; return whether all are there.

    Raises:
        ClientError: one of them would be of several providers.
    """
    if report.wanted <= report.known:
        return True
    rows = client.get("/api/accounts")["data"]
    there = {row["name"] for row in rows}
    report.polled = {row["provider"]: row["name"] for row in rows if row.get("covered_from")}
    missing = sorted((name, provider) for name, provider in report.wanted - report.known if name not in there)
    report.known = set(report.wanted)
    for name, provider in missing:
        others = {other for wanted, other in report.wanted if wanted == name} - {provider}
        if others:
            listed = ", ".join(sorted({provider, *others}))
            raise ClientError(f"{name} would be an account of {listed}; import these apart, or leave --account out.")
        if not dry_run:
            client.post("/api/accounts", {"name": name, "provider": provider})
            report.accounts.append(name)
    return not missing or not dry_run


def _rules(client: Client) -> tuple[Rule, ...]:
    try:
        rows = client.get("/api/projects/rules")["data"]
    except ApiError as error:
        if error.status != HTTPStatus.FORBIDDEN:
            raise
        return ()
    return tuple(Rule(row["pattern"], row["project"], row["priority"], row["id"]) for row in rows)


def _read(found: Plan, terms: Terms, pool: Pool, report: Report, shown: Progress) -> Iterator[tuple[Piece, int, bool]]:
    """Yield each piece that could be read, with the byte it was read to and whether lines wait there."""
    shown.begin("reading", sum(piece.size for piece in found.pieces))
    done: Read
    for done in read_all(found.pieces, terms):
        piece, reading, problem = done
        shown.advance(piece.size)
        if problem:
            report.unreadable.append(problem)
            continue
        pool.add(reading.units)
        report.add(reading, piece.begin)
        yield piece, reading.end, reading.is_held


def _remember(state: State, batch: Iterable[Taken]) -> None:
    stored: list[tuple[Unit, tuple[int, ...]]] = []
    gone: list[Stored] = []
    refused: list[Unit] = []
    for winner, ids in batch:
        if ids is None:
            refused.append(winner.unit)
        else:
            stored.append((winner.unit, ids))
            gone += winner.instead_of
    state.save_units(stored, gone, refused)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the garbage collector from walking over what has no cycles, again and again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
