"""Quarantine: rows that look absurd are held back by the collection that reads them, and a person decides."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from shared.core import crash
from shared.core.projects import assign
from shared.core.quarantine import Figures, is_absurd, is_large, usual_day
from shared.errors import ConflictError, NotFoundError
from shared.store import attribution, audit, ledger, projects
from shared.store import quarantine as store
from shared.workflows import days
from shared.workflows.lines import priced_again

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import date, datetime

    from shared.prices.book import PriceBook
    from shared.store.audit import Author
    from shared.store.collection import Checkpoint
    from shared.store.database import Connection, Database

RELEASE, DROP = ACTIONS = ("release", "drop")
_STATES = {RELEASE: store.RELEASED, DROP: store.DROPPED}
_TOKENS = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")

Record = dict[str, Any]


@dataclass(slots=True)
class Judge:
    """Says which lines of one account are absurd, by what was usual before the window that is merged."""

    connection: Connection
    held: Checkpoint
    read_days: Callable[[], Mapping[date, Figures]]
    _days: Mapping[date, Figures] | None = None
    _usual: dict[date, Figures | None] = field(default_factory=dict)
    _believed: Figures | None = None

    def usual_if_absurd(self, line: Record) -> Figures | None:
        """Return the usual day beside which a line is absurd, None for every other line."""
        row = _figures(line)
        # What is read for the first time is all the same: nobody can tell growth from a mistake there.
        if self.held.watermark is None or not is_large(row):
            return None
        if self._days is None or self._believed is None:
            self._days = self.read_days()
            self._believed = store.believed(self.connection, self.held.account_id, *_window(self.held))
        day = line["recorded_at"].date()
        if day not in self._usual:
            self._usual[day] = usual_day(self._days, day)
        usual = self._usual[day]
        return usual if is_absurd(row, usual, self._believed) else None


@contextmanager
def judging(connection: Connection, held: Checkpoint) -> Iterator[Judge]:
    """Give who judges the lines of a window that is about to be merged."""
    with store.days_before(connection, held.account_id, *_window(held)) as read_days:
        yield Judge(connection, held, read_days)


def book(judge: Judge, lines: Sequence[Record], known: Mapping[int, Mapping[str, Any]], now: datetime) -> int:
    """Bring lines with their `bucket_id` to the ledger, but for those that are held; return how many those are.

    `known` are the stored buckets that are restated, as `buckets.known` returns them; those without a line among
    `lines` lose the one that they had. What was released stays so unless it grew; what was held or dropped is judged
    by its new figures.
    """
    connection = judge.connection
    fresh, restated, held, kept = [], [], [], []
    said = {line["bucket_id"] for line in lines}
    silent = [before for bucket_id, before in known.items() if bucket_id not in said]
    gone = [before["line_id"] for before in silent if before["line_id"] is not None]
    freed = [before["id"] for before in silent if before["state"] is not None]
    for line in lines:
        before = known.get(line["bucket_id"], {"line_id": None, "state": None})
        usual = None if _still_released(line, before) else judge.usual_if_absurd(line)
        if usual is not None:
            held.append(_held(judge.held.stream, line, usual))
            gone += [] if before["line_id"] is None else [before["line_id"]]
        elif before["line_id"] is not None:
            restated.append({**line, "id": before["line_id"]})
            kept += [] if before["state"] is None else [_told(line)]
        else:
            fresh.append(line)
            freed += [] if before["state"] is None else [line["bucket_id"]]
    if fresh:
        ledger.insert(connection, fresh)
    if restated:
        ledger.replace(connection, restated)
    if gone:
        ledger.remove(connection, gone)
    if freed:
        store.forget(connection, freed)
    if kept:
        store.restate(connection, kept)
    if held:
        store.hold(connection, held, now)
    return len(held)


def decide(
    database: Database, load_book: Callable[[Connection], PriceBook], row_id: int, action: str, note: str | None,
    author: Author,
) -> dict[str, Any]:  # fmt: skip
    """Release or drop a row and return it as `store.quarantine.get` does; the same decision again changes nothing.

    A released row counts from then on, at the price and in the project of the moment, with its roll-ups and balance
    lines in the same transaction; a dropped one is in no figure. Either may be taken back by the other.

    Raises:
        NotFoundError: no such row; it may have been freed by a restatement.
        ConflictError: its account is being deleted.
    """

    def work(connection: Connection) -> dict[str, Any]:
        row = store.lock(connection, row_id)
        if row is None:
            raise no_row(row_id)
        if row["deleting_at"] is not None:
            raise ConflictError(f"The account {row['account']} is being deleted, and its rows with it.")
        if row["state"] != _STATES[action]:
            _carry_out(connection, load_book, row, action, author, note)
        found = store.get(connection, row_id)
        if found is None:
            raise AssertionError("the row is locked, so it is there")
        return found

    found = database.run(work)
    crash.at("quarantine:answered")
    return found


def no_row(row_id: int) -> NotFoundError:
    """Return the error for a row that is not there."""
    return NotFoundError(
        f"There is no row {row_id} in quarantine; GET /admin/quarantine lists them. A row leaves it by itself when its "
        "provider restates it to a usual figure, or does not report it any more."
    )


def _carry_out(
    connection: Connection, load_book: Callable[[Connection], PriceBook], row: Mapping[str, Any], action: str,
    author: Author, note: str | None,
) -> None:  # fmt: skip
    # In the order of every writer: lines, their sums, the account.
    told = {name: row[name] for name in ("cost", "tokens")}
    if action == RELEASE:
        line = _of_today(connection, load_book, row)
        ledger.insert(connection, [{**line, "updated_at": author.at}])
        told = _told(line)
        store.restate(connection, [told])
    elif row["line_id"] is not None:
        ledger.remove(connection, [row["line_id"]])
    crash.at("quarantine:counted")
    if action == RELEASE or row["line_id"] is not None:
        attribution.lock(connection, [row["account_id"]], strict=True)
        days.balance(connection, [row["account_id"]], row["recorded_at"])
    crash.at("quarantine:balanced")
    store.decide(connection, row["id"], _STATES[action], author.name, author.at, note)
    about = {name: row[name] for name in ("account", "stream", "recorded_at")}
    figures = {name: told[name] for name in ("cost", "tokens")}
    detail = {"row": row["id"], "before": row["state"], "note": note, **about, **figures}
    audit.write(connection, author, f"quarantine {action}", detail)
    crash.at("quarantine:noted")


def _of_today(
    connection: Connection, load_book: Callable[[Connection], PriceBook], row: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the line of a held row by this moment's rules and prices: it missed all that was changed since."""
    names = projects.names_of(connection, row["bucket_id"])
    project = assign(projects.rules(connection), **{**names, "label": names["label"] or row["line"]["session_label"]})
    line = {**row["line"], "bucket_id": row["bucket_id"], "rates_id": row["rates_id"], "project": project}
    is_reported = line["rates_id"] is None and line["cost"] is not None
    found = None if is_reported else priced_again(load_book(connection), line)
    if found is None:
        return line
    costs, rates = found
    if rates is None:
        raise AssertionError("what the book prices has rates")
    ids = ledger.rates_ids(connection, {rates.fingerprint(): rates.to_json()})
    return {**line, **costs, "rates_id": ids[rates.fingerprint()]}


def _still_released(line: Record, before: Mapping[str, Any]) -> bool:
    if before["state"] != store.RELEASED:
        return False
    return not _figures(line).exceeds(Figures(before["believed_cost"], int(before["believed_tokens"])))


def _held(stream: str, line: Record, usual: Figures) -> Record:
    return {
        **_told(line),
        "account_id": line["account_id"],
        "stream": stream,
        "recorded_at": line["recorded_at"],
        "usual_cost": usual.cost,
        "usual_tokens": usual.tokens,
    }


def _told(line: Mapping[str, Any]) -> Record:
    row = _figures(line)
    return {
        "bucket_id": line["bucket_id"],
        # As text, numbers keep every digit.
        "line": {name: _text(value) for name, value in line.items() if name not in {"bucket_id", "rates_id", "id"}},
        "rates_id": line["rates_id"],
        "cost": row.cost,
        "tokens": row.tokens,
    }


def _text(value: object) -> object:
    return value if value is None or isinstance(value, str | bool) else str(value)


def _figures(line: Mapping[str, Any]) -> Figures:
    # Figures of a line that was held are text.
    cost = None if line["cost"] is None else Decimal(line["cost"])
    return Figures(cost, sum(int(line[f"{name}_tokens"]) for name in _TOKENS))


def _window(held: Checkpoint) -> tuple[datetime, datetime]:
    if held.listed_start is None or held.listed_end is None:
        raise AssertionError("a window that is merged was listed")
    return held.listed_start, held.listed_end
