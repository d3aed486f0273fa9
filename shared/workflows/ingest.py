"""Usage events into the ledger: recognised, read, priced, written and rolled up, a batch in one transaction.

The order inside the transaction keeps writers apart: what everybody shares is only read, then the lines go in by the
order of their keys, and the roll-ups, which all writers touch, come last and in order. Nobody waits in a circle. Rows
are read and priced while Postgres writes those before them.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from shared.core import crash
from shared.core.conventions import EventError
from shared.core.events import Reader
from shared.errors import DatabaseUnavailableError
from shared.store import accounts, dailies, events, ledger, projects, records, rollups
from shared.store.cells import Cells
from shared.store.connection import notes_of
from shared.store.database import Connection
from shared.workflows.event_lines import FAST, EventMapper, money, slot_of
from shared.workflows.outcomes import CREATED, UNSEEN, Outcome, Report, conflict, created, duplicate, rejected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.core.event_fields import Event
    from shared.prices.book import PriceBook
    from shared.store.database import Database

# (account id, start of the quarter hour in UTC, canonical model): what attribution is derived for.
Group: TypeAlias = tuple[int, datetime, str]
# Called in the transaction that changed lines of these groups, after ledger and roll-ups were changed.
Touched: TypeAlias = Callable[[Connection, Collection[Group]], None]

# Writers that send the same events at once take turns; each turn settles at least one of them.
_TURNS = 50
_NAMED_MODELS = 3
# Keys of a large batch that are looked up to guess about the others, and what is not large.
_SAMPLE = 32
_ALWAYS_ALL = 256

_NO_ID = f"{events.NULL}\t{events.NULL}\t{events.NULL}"
_NO_TEXTS = f"{_NO_ID}\n"
# Counts behind the token classes, from `reasoning` to `requests`, as most events have them.
_USUAL = [0, 0, 0, 0, 0, 0, 1]
_NO_OTHERS = "\t".join(map(str, _USUAL))


@dataclass(frozen=True, slots=True)
class Options:
    """How a batch is stored: as which `source`, whether only to price it, whether to return the `records`.

    `touched` is told in the same transaction which groups changed.
    """

    source: str = "event"
    dry_run: bool = False
    with_records: bool = False
    touched: Touched | None = None


class _DryRunError(Exception):
    """Takes a report out of a transaction that is not to be committed."""

    def __init__(self, report: Report) -> None:
        super().__init__()
        self.report = report


class _NewRatesError(Exception):
    """Rates that no line was priced by before have to be stored first."""


def ingest(
    database: Database,
    load_book: Callable[[Connection], PriceBook],
    rows: Sequence[object],
    now: datetime,
    options: Options | None = None,
) -> Report:
    """Store the good rows of a batch, at once and durably, and say what became of each row.

    An event id that is stored already makes a row a duplicate if it says the same, else a conflict; both within the
    batch too. Again with the same rows changes nothing, but for rows without an event id.

    Args:
        database: where to.
        load_book: gives the prices of the moment.
        rows: decoded JSON, objects of the contract's fields.
        now: when they arrived (UTC).
        options: see there.

    Raises:
        DatabaseUnavailableError: Postgres does not answer; rows with an event id can be sent again.
    """
    with no_collection():
        batch = _Batch(rows, now, load_book, options or Options())
        for _ in range(_TURNS):
            try:
                report = database.run(batch.store)
            except _DryRunError as done:
                report = done.report
            except events.RacedError:
                batch.is_repeated = True  # one of these events is stored, perhaps since a moment ago
                continue
            crash.at("ingest:answered")
            return Report(report.outcomes, batch.warnings(), report.records, batch.unpriced())
    raise DatabaseUnavailableError("Others keep sending the same events; send these again in a few seconds.")


@contextmanager
def no_collection() -> Iterator[None]:
    """Keep the garbage collector from walking, again and again, over the many objects of a batch, which has no cycles.

    It takes a seventh of the time of a large batch. Another thread may switch it on again earlier, which is harmless.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            # What is left of the batch goes to the oldest generation without being walked over once more.
            gc.freeze()
            gc.unfreeze()
            gc.enable()


class _Batch:
    """A batch on its way: the same object whenever its transaction has to be repeated."""

    def __init__(
        self,
        rows: Sequence[object],
        now: datetime,
        load_book: Callable[[Connection], PriceBook],
        options: Options,
    ) -> None:
        self._rows = rows
        self._now = now
        self._load_book = load_book
        self._options = options
        self._reader = Reader(now)
        self._keys = [self._reader.key(row) for row in rows]
        # Equal keys lie side by side, the first one sent first.
        self._order = sorted(range(len(rows)), key=lambda index: self._keys[index] or "")
        self._outcomes: list[Outcome] = []
        self._missing: dict[str, dict[str, Any]] = {}
        self._unpriced: Counter[str] = Counter()
        self._mapper: EventMapper | None = None
        self._move: rollups.Move | None = None
        self.is_repeated = False

    def store(self, connection: Connection) -> Report:
        """Store what is new. Idempotent: a try whose COMMIT was not answered is recognised by the ids it drew."""
        notes = notes_of(connection)
        if "stored" in notes and events.has(connection, notes["stored"][0]):
            report: Report = notes["stored"][1]
            return report
        stored = self._look_up(connection)
        is_all_known = all(key in stored for key in self._keys)
        ids = [] if is_all_known else events.draw_ids(connection, len(self._rows))
        cells = self._write(connection, stored, ids)
        crash.at("ingest:lines")
        made = [outcome.id for outcome in self._outcomes if outcome.status == CREATED]
        if self._move is not None:
            ledger.save_model_names(connection, self._mapper.names() if self._mapper else {})
            rollups.carry_out(connection, self._move)
            if self._options.touched is not None:
                groups = {(account, datetime.fromisoformat(slot), model) for account, slot, model in cells.groups()}
                self._options.touched(connection, groups)
            crash.at("ingest:balanced")
        wanted = [outcome.id for outcome in self._outcomes if outcome.id] if self._options.with_records else []
        report = Report(self._outcomes, (), records.by_ids(connection, wanted) if wanted else {})
        if self._options.dry_run:
            raise _DryRunError(report)
        if made:
            notes["stored"] = (made[0], report)
        return report

    def _look_up(self, connection: Connection) -> dict[str, tuple[str, int]]:
        """Return the events of the batch that are stored already, key -> (payload, line id), as far as that matters.

        Most large batches are new as a whole, or sent again as a whole: a few of their keys tell which. Where that was
        wrong, COPY finds out, and the next try looks all of them up.
        """
        keys = [key for index in self._order if (key := self._keys[index]) is not None]
        some = keys[:: len(keys) // _SAMPLE] if len(keys) > _ALWAYS_ALL and not self.is_repeated else keys
        stored = events.known(connection, some) if some else {}
        return events.known(connection, keys) if stored and len(some) < len(keys) else stored

    def unpriced(self) -> dict[str, int]:
        """Return how many rows of each model had no price."""
        return dict(self._unpriced)

    def warnings(self) -> list[str]:
        """Say which models had no price; looking for near names is slow, so only for a few."""
        found = []
        for number, (model, count) in enumerate(self._unpriced.most_common()):
            is_name = number < _NAMED_MODELS and not model.endswith(FAST)
            near = self._mapper.book.nearest(model) if self._mapper and is_name else []
            hint = f"; did you mean {' or '.join(near)}?" if near else "."
            rows = "1 row has" if count == 1 else f"{count} rows have"
            found.append(f"{rows} the model {model[:100]!r}, for which no price is known{hint}")
        return found

    def _write(self, connection: Connection, stored: dict[str, tuple[str, int]], ids: list[str]) -> Cells:
        """Write the new lines, and return their sums."""
        book, everyone, rules = self._load_book(connection), accounts.everyone(connection), projects.rules(connection)
        state = dailies.share(connection)
        while True:
            cells = Cells()
            self._mapper = EventMapper(
                book, everyone, rules, self._options.source, cells, ledger.known_rates(connection)
            )
            try:
                events.write(connection, self._lines(self._mapper, cells, state, stored, ids))
            except _NewRatesError:
                ledger.rates_ids(connection, self._missing)
            else:
                return cells

    def _lines(
        self,
        mapper: EventMapper,
        cells: Cells,
        state: dailies.State,
        stored: dict[str, tuple[str, int]],
        ids: list[str],
    ) -> Iterator[str]:
        """Make the rows of COPY for what is new, by key, and note what becomes of every row.

        Raises:
            _NewRatesError: after the last row, where rates are missing.
        """
        self._missing.clear()
        self._unpriced.clear()
        self._outcomes = [UNSEEN] * len(self._rows)
        stamp = f"{self._now.isoformat()}\t{self._now.isoformat()}"
        outcomes, rows, keys, read_row = self._outcomes, self._rows, self._keys, self._reader.read
        before, before_payload, before_id = "", "", 0
        for index in self._order:
            # Read anew by every try: what is not kept leaves its memory, still warm, to the next row.
            try:
                event = read_row(rows[index], keys[index])
            except EventError as error:
                outcomes[index] = rejected(error)
                continue
            call, purpose, counts, at, at_text, cost, description, tags, metadata, _, key, payload = event
            if key is not None:
                known = stored.get(key) or ((before_payload, before_id) if key == before else None)
                if known is not None:
                    outcomes[index] = duplicate(known[1]) if known[0] == payload else conflict(event, known[1])
                    continue
            sold, use = mapper.sold(call), mapper.use(purpose)
            if sold.tariffs is None:
                outcomes[index] = rejected(sold.problem)
                continue
            slot = slot_of(at, at_text)
            tariff = sold.tariffs.find(slot, at, counts)
            if tariff is None:
                self._unpriced[sold.title] += 1
            elif not tariff.rates_id and not mapper.find_id(tariff):
                self._missing[tariff.rates.fingerprint()] = tariff.rates.to_json()
            amounts, digits, costs = money(tariff, counts, cost)
            cells.add((slot, sold.keys, use.keys, digits), counts, amounts)
            line_id = ids[index]
            before, before_payload, before_id = key or "", payload or "", int(line_id)
            outcomes[index] = created(before_id)
            inputs, outputs, read, short, long, *others = counts
            is_bare = tags is None and metadata is None and description is None
            own = _NO_TEXTS if is_bare else _own_texts(event)
            rest = _NO_OTHERS if others == _USUAL else "\t".join(map(str, others))
            identity = _NO_ID if key is None else _identity(event)
            yield (
                f"{line_id}\t{identity}\t{at_text}\t{stamp}\t{sold.fields}\t{use.fields}\t{inputs}\t{outputs}\t"
                f"{read}\t{short}\t{long}\t{rest}\t{costs}\t{own}"
            )
        if self._missing:
            raise _NewRatesError
        # Postgres still has lines to write.
        self._move = rollups.move(cells, state)


def _own_texts(event: Event) -> str:
    """Return the fields of COPY that no two events need to share."""
    return f"{events.text(event.description)}\t{events.text(event.tags)}\t{events.text(event.metadata)}\n"


def _identity(event: Event) -> str:
    return f"{events.text(event.event_id)}\t{event.key}\t{event.payload}"
