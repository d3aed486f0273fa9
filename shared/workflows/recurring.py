"""Recurring entries: a rule is stored once, and each of its dates becomes an ordinary manual entry when it has come."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice, takewhile
from math import inf
from typing import TYPE_CHECKING, Any, TypeAlias

from shared.core import crash, jsontext
from shared.core.conventions import EventError
from shared.core.periods import PeriodError, parse_date
from shared.core.recurring import REPEATS, following
from shared.core.sessions import MAIN
from shared.errors import ConflictError, DatabaseUnavailableError, InvalidInputError, NotFoundError
from shared.store import accounts, audit, events
from shared.store import manual as entries
from shared.store import recurring as store
from shared.store.connection import notes_of
from shared.workflows import manual

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import date

    from shared.prices.book import PriceBook
    from shared.store.audit import Author
    from shared.store.database import Connection, Database

Load: TypeAlias = "Callable[[Connection], PriceBook]"

FIELDS = (*manual.FIELDS, "repeat", "until")
# So many entries are one transaction.
_AT_ONCE = 50
# A transaction's worth of time is kept back.
_RESERVE_SECONDS = 5.0


@dataclass(slots=True)
class Booked:
    """How many entries were made, and a sentence for each rule that could not be booked."""

    entries: int = 0
    errors: list[str] = field(default_factory=list)


def create(database: Database, load_book: Load, body: Mapping[str, Any], author: Author) -> int:
    """Store a rule of `FIELDS` (decoded JSON; `date` is its first date) and return its id; nothing is booked by this.

    Raises:
        InvalidInputError: a field cannot be taken; the sentence names it.
    """

    def work(connection: Connection) -> int:
        notes = notes_of(connection)
        # A COMMIT whose answer was lost is tried again with the id that the first try drew.
        if "drawn" not in notes:
            notes["drawn"] = store.draw_id(connection)
        rule_id: int = notes["drawn"]
        if store.get(connection, rule_id) is None:
            rule = _rule(connection, load_book, body, author)
            store.insert(connection, rule_id, rule, author.at)
            audit.write(connection, author, "recurring entry added", {"id": rule_id, "after": _noted(rule)})
        return rule_id

    return database.run(work)


def change(
    database: Database,
    load_book: Load,
    rule_id: int,
    body: Mapping[str, Any],
    today: date,
    author: Author,
    remaining: Callable[[], float] = lambda: inf,
) -> None:
    """Replace the fields that are sent (null empties one) from tomorrow on.

    What is due by `today` is booked by the old words first, so that it does not matter when this is done. Other dates
    hold for the future only, unless nothing was booked yet.

    Raises:
        InvalidInputError, NotFoundError: as `manual.edit`.
        ConflictError: it has ended, or time was over before all that is due was booked; what was booked stays.
    """
    book(database, load_book, rule_id, today, author, remaining)

    def work(connection: Connection) -> None:
        before = _held(connection, rule_id)
        if before["ended_at"] is not None:
            raise ConflictError(f"The recurring entry {rule_id} has ended; make a new one.")
        _check_booked(before, today)
        said = _said(before)
        if "account" in body or "account_id" in body:
            said.pop("account_id")
        after = _rule(connection, load_book, {**said, **body}, author)
        if _noted(after) == _noted(before):
            return
        store.replace(connection, rule_id, after, author.at)
        if before["booked_until"] is not None and any(after[name] != before[name] for name in ("repeat", "first_date")):
            store.settle(connection, rule_id, today)
        noted = {"id": rule_id, "before": _noted(before), "after": _noted(after)}
        audit.write(connection, author, "recurring entry changed", noted)

    database.run(work)


def end(
    database: Database,
    load_book: Load,
    rule_id: int,
    today: date,
    author: Author,
    remaining: Callable[[], float] = lambda: inf,
) -> None:
    """End a rule after what is due by `today`; what was booked stays. Again changes nothing.

    Raises:
        NotFoundError: there is no such rule.
        ConflictError: time was over before all that is due was booked; what was booked stays.
    """
    book(database, load_book, rule_id, today, author, remaining)

    def work(connection: Connection) -> None:
        held = _held(connection, rule_id)
        if held["ended_at"] is None:
            _check_booked(held, today)
            store.end(connection, rule_id, author.at)
            audit.write(connection, author, "recurring entry ended", {"id": rule_id})

    database.run(work)


def book_due(
    database: Database, load_book: Load, today: date, author: Author, remaining: Callable[[], float] = lambda: inf
) -> Booked:
    """Make the entries of every date up to `today` that has none yet, each once; what time does not allow comes later.

    Raises:
        DatabaseUnavailableError: Postgres is away; what was made is kept and the next time goes on.
    """
    done = Booked()
    for rule_id in database.run(lambda c: store.due(c, today)):
        try:
            done.entries += book(database, load_book, rule_id, today, author, remaining)
        except DatabaseUnavailableError:
            raise
        except (InvalidInputError, NotFoundError) as error:
            done.errors.append(f"Recurring entry {rule_id}: {error}")
    return done


def book(
    database: Database,
    load_book: Load,
    rule_id: int,
    today: date,
    author: Author,
    remaining: Callable[[], float] = lambda: inf,
) -> int:
    """Make the entries of one rule that are due by `today` and return how many were made; raises as `end`.

    Raises:
        InvalidInputError: its account is being deleted.
    """
    made, more = 0, True
    while more and remaining() > _RESERVE_SECONDS:
        found = database.run(lambda c: _book(c, load_book, rule_id, today, author))
        crash.at("recurring:answered")
        made, more = made + found, found == _AT_ONCE
    return made


def _book(connection: Connection, load_book: Load, rule_id: int, today: date, author: Author) -> int:
    rule = _held(connection, rule_id)
    if rule["ended_at"] is not None:
        return 0
    last = min(today, rule["until"] or today)
    coming = following(rule["first_date"], rule["repeat"], rule["booked_until"])
    days = list(islice(takewhile(lambda day: day <= last, coming), _AT_ONCE))
    if not days:
        return 0
    line = manual.line_of(connection, load_book, _said(rule), author.at)
    for day, line_id in zip(days, events.draw_ids(connection, len(days)), strict=True):
        if store.take(connection, rule_id, day, int(line_id)):
            entries.insert(connection, int(line_id), {**line, "recorded_at": manual.noon(day)}, MAIN)
            crash.at("recurring:booked")
    store.settle(connection, rule_id, days[-1])
    return len(days)


def _check_booked(rule: Mapping[str, Any], today: date) -> None:
    due = next_date(rule)
    if due is not None and due <= today:
        raise ConflictError(
            f"Not every date of the recurring entry {rule['id']} that has come is booked yet, {due} is next; send this "
            "again to go on, or wait for the next collection."
        )


def _held(connection: Connection, rule_id: int) -> dict[str, Any]:
    """Return a rule that nobody else changes now; its account first, as everybody does who ends an account."""
    found = store.get(connection, rule_id)
    if found is not None and found["account_id"] is not None:
        accounts.hold(connection, found["account_id"])
    held = store.lock(connection, rule_id)
    if held is None:
        raise no_rule(rule_id)
    return held


def no_rule(rule_id: int) -> NotFoundError:
    """Return the error for a rule that does not exist."""
    return NotFoundError(f"There is no recurring entry {rule_id}; GET /api/usage/manual/recurring lists them.")


def next_date(rule: Mapping[str, Any]) -> date | None:
    """Return the date that a rule (`store.recurring.get`) books next, which may have passed; None if it has ended."""
    if rule["ended_at"] is not None:
        return None
    found = next(following(rule["first_date"], rule["repeat"], rule["booked_until"]))
    return None if rule["until"] is not None and found > rule["until"] else found


def _said(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that make a stored rule again."""
    kept = {name: rule[name] for name in store.COLUMNS if name not in {"first_date", "until"}}
    until = None if rule["until"] is None else rule["until"].isoformat()
    return {**kept, "date": rule["first_date"].isoformat(), "until": until}


def _rule(connection: Connection, load_book: Load, body: Mapping[str, Any], author: Author) -> dict[str, Any]:
    """Return the columns of a rule.

    Raises:
        InvalidInputError: a field cannot be taken.
    """
    line = manual.line_of(connection, load_book, {name: body.get(name) for name in manual.FIELDS}, author.at)
    first = line["recorded_at"].date()
    try:
        repeat, until = _repeat(body.get("repeat")), _until(body.get("until"), first)
    except EventError as error:
        raise InvalidInputError(str(error), [{"field": error.field, "message": str(error)}]) from error
    return {
        "service": str(body["service"]).strip(),
        "account_id": line["account_id"],
        "cost": line["cost"],
        "tokens": line["input_tokens"],
        "model": line["model_raw"],
        "notes": line["description"],
        "project": line["project"] if line["project_given"] else None,
        "tags": line["tags"],
        "repeat": repeat,
        "first_date": first,
        "until": until,
    }


def _repeat(value: object) -> str:
    if not isinstance(value, str) or value not in REPEATS:
        raise EventError("repeat", f"Add repeat: one of {', '.join(REPEATS)}.")
    return value


def _until(value: object, first: date) -> date | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise EventError("until", "until must be the last date it may have, YYYY-MM-DD, or null.")
    try:
        found = parse_date(value)
    except PeriodError as error:
        raise EventError("until", f"until: {error}") from error
    if found < first:
        raise EventError("until", f"until must not be before the first date, {first}.")
    return found


def _noted(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a rule says, its tags decoded whether it was stored or not."""
    tags = rule["tags"]
    said = {name: rule[name] for name in store.COLUMNS}
    return {**said, "tags": jsontext.loads(tags) if isinstance(tags, str) else tags}
