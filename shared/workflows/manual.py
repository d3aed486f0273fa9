"""Manual entries: what a person says a service cost on a day. Editable, with every version kept, never balanced."""

from __future__ import annotations

import difflib
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any

from shared.core import crash, jsontext
from shared.core.conventions import EventError, count
from shared.core.labels import check_label, tags_json
from shared.core.money import parse_money, plain
from shared.core.naming import provider_id
from shared.core.periods import PeriodError, parse_date
from shared.core.projects import assign
from shared.core.sessions import MAIN
from shared.errors import ConflictError, InvalidInputError, NotFoundError
from shared.store import accounts, events, ledger, projects, records
from shared.store import manual as store
from shared.store.connection import notes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from shared.prices.book import PriceBook
    from shared.store.accounts import Account
    from shared.store.database import Connection, Database

FIELDS = ("service", "account", "account_id", "date", "cost", "tokens", "model", "notes", "project", "tags")
# Noon is inside the date in every zone but those at the date line.
_NOON = time(12, tzinfo=UTC)
_NO_MODEL = "unassigned"
_NAMES = 3
# UTF-8 bytes, as events have them.
_LONGEST = 300
_LONGEST_NOTES = 4000


def create(
    database: Database, load_book: Callable[[Connection], PriceBook], body: Mapping[str, Any], now: datetime
) -> dict[str, Any]:
    """Store an entry of the contract's fields (decoded JSON) and return its record.

    Again with the same fields is another entry: there may be several per day and service.

    Raises:
        InvalidInputError: a field cannot be taken; the sentence names it.
    """

    def work(connection: Connection) -> dict[str, Any]:
        notes = notes_of(connection)
        # A COMMIT whose answer was lost is tried again with the id that the first try drew.
        if "drawn" not in notes:
            notes["drawn"] = int(events.draw_ids(connection, 1)[0])
        line_id: int = notes["drawn"]
        if not events.has(connection, line_id):
            store.insert(connection, line_id, line_of(connection, load_book, body, now), MAIN)
            crash.at("manual:stored")
        return _record(connection, line_id)

    found = database.run(work)
    crash.at("manual:answered")
    return found


def edit(
    database: Database,
    load_book: Callable[[Connection], PriceBook],
    line_id: int,
    body: Mapping[str, Any],
    now: datetime,
) -> dict[str, Any]:
    """Replace the fields that are sent (null empties one), keep what the entry said, and return its record.

    The same again changes nothing and keeps no version.

    Raises:
        InvalidInputError: a field cannot be taken; the sentence names it.
        NotFoundError: no such line.
        ConflictError: it is not a manual entry.
    """

    def work(connection: Connection) -> dict[str, Any]:
        before = _locked(connection, line_id)
        said = _said(before)
        if "account" in body or "account_id" in body:
            said.pop("account_id")
        after = line_of(connection, load_book, {**said, **body}, now)
        if any(after[name] != before[name] for name in store.COLUMNS if name not in {"updated_at", "tags"}) or (
            _tags(after["tags"]) != before["tags"]
        ):
            store.keep_version(connection, line_id, "edited", now)
            crash.at("manual:kept")
            store.replace(connection, line_id, after)
            crash.at("manual:edited")
        return _record(connection, line_id)

    return database.run(work)


def delete(database: Database, line_id: int, now: datetime) -> dict[str, Any]:
    """Take an entry out of every figure, keep what it said in its history, and return its last record.

    Raises:
        NotFoundError: no such line.
        ConflictError: it is not a manual entry.
    """

    def work(connection: Connection) -> dict[str, Any]:
        notes = notes_of(connection)
        if "deleted" in notes and not events.has(connection, line_id):
            last: dict[str, Any] = notes["deleted"]
            return last
        _locked(connection, line_id)
        found = _record(connection, line_id)
        store.keep_version(connection, line_id, "deleted", now)
        store.delete(connection, line_id)
        crash.at("manual:deleted")
        notes["deleted"] = found
        return found

    return database.run(work)


def _locked(connection: Connection, line_id: int) -> dict[str, Any]:
    line = store.lock(connection, line_id)
    if line is None:
        raise NotFoundError(f"There is no manual entry {line_id}; GET /api/usage?source=manual lists them.")
    if line["source"] != "manual":
        raise ConflictError(f"The record {line_id} is not a manual entry (source {line['source']}); events are voided.")
    return line


def _record(connection: Connection, line_id: int) -> dict[str, Any]:
    found = records.get(connection, line_id)
    if found is None:
        raise AssertionError("the line was written or locked, so it is there")
    return found


def _said(line: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that make a stored entry again."""
    return {
        "service": line["provider"],
        "account_id": line["account_id"],
        "date": line["recorded_at"].astimezone(UTC).date().isoformat(),
        "cost": line["cost"],
        "tokens": line["input_tokens"],
        "model": line["model_raw"],
        "notes": line["description"],
        "project": line["project"] if line["project_given"] else None,
        "tags": line["tags"],
    }


def line_of(
    connection: Connection, load_book: Callable[[Connection], PriceBook], body: Mapping[str, Any], now: datetime
) -> dict[str, Any]:
    """Return the ledger columns that an entry decides.

    Raises:
        InvalidInputError: a field cannot be taken.
    """
    try:
        service = _service(body.get("service"))
        model = check_label("model", body.get("model"), _LONGEST)
        project = check_label("project", body.get("project"), _LONGEST)
        found = {
            "recorded_at": noon(_date(body.get("date"))),
            "cost": (cost := _cost(body.get("cost"))),
            "reported_cost": cost,
            "input_tokens": count("tokens", body.get("tokens")),
            "description": check_label("notes", body.get("notes"), _LONGEST_NOTES),
            "tags": tags_json(body.get("tags")),
            "account_id": _account(connection, body),
        }
    except EventError as error:
        raise InvalidInputError(str(error), [{"field": error.field, "message": str(error)}]) from error
    provider = provider_id(service)
    canonical = _NO_MODEL
    if model is not None:
        canonical = load_book(connection).canonical(provider, model)
        ledger.save_model_names(connection, {model.lower(): canonical})
    return {
        **found,
        "updated_at": now,
        "provider": provider,
        "model": canonical,
        "model_raw": model,
        "project": project or assign(projects.rules(connection)),
        "project_given": project is not None,
    }


def noon(day: date) -> datetime:
    """Return the instant that an entry of this date counts at."""
    return datetime.combine(day, _NOON)


def _service(value: object) -> str:
    service = check_label("service", value, _LONGEST)
    if service is None:
        raise EventError("service", "Add service: what was paid for, such as openai or chatgpt plus.")
    return service


def _date(value: object) -> date:
    if not isinstance(value, str):
        raise EventError("date", "Add date: the day it counts on, YYYY-MM-DD.")
    try:
        return parse_date(value)
    except PeriodError as error:
        raise EventError("date", f"date: {error}") from error


def _cost(value: object) -> Any:  # noqa: ANN401 - a Decimal; parse_money says so
    if value is None:
        raise EventError("cost", "Add cost: what it cost in USD, such as 20.00.")
    try:
        cost = parse_money(value)
    except ValueError as error:
        raise EventError("cost", f"cost: {error}") from error
    if cost < 0:
        raise EventError("cost", f"cost cannot be negative, not {plain(cost)}.")
    return cost


def _account(connection: Connection, body: Mapping[str, Any]) -> int | None:
    everyone = accounts.everyone(connection)
    by_field = {}
    for field in ("account", "account_id"):
        value = body.get(field)
        if value is None or value == "":
            continue
        by_field[field] = _find(field, value, everyone)
    if len(set(by_field.values())) > 1:
        raise EventError("account_id", "account and account_id name different accounts; send one of them.")
    found = next(iter(by_field.values()), None)
    if found is not None and not accounts.hold(connection, found):
        raise EventError("account", "The account is being deleted; name another one, or none.")
    return found


def _find(field: str, value: object, everyone: Sequence[Account]) -> int:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise EventError(field, f"{field} must be the name or id of an account.")
    name = str(value).strip()
    named = [account.id for account in everyone if account.name == value]
    found = named or [account.id for account in everyone if str(account.id) == name]
    if not found:
        near = difflib.get_close_matches(name, [account.name for account in everyone], n=_NAMES, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "leave it out, or name one that exists."
        raise EventError(field, f"There is no account {name[:60]!r}; {hint}")
    return found[0]


def _tags(text: str | None) -> Any:  # noqa: ANN401 - JSON
    return None if text is None else jsontext.loads(text)
