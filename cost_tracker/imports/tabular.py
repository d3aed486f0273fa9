"""Tables of any making: CSV with a heading, JSON lines or arrays, their columns mapped to ours by name or `--map`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import orjson

from cost_tracker.imports.decoding import loads
from cost_tracker.imports.tables import is_table, names_in, rows_in
from cost_tracker.imports.times import is_local, utc
from cost_tracker.imports.units import Reading, single
from shared.core.amounts import amount, whole
from shared.core.event_fields import COUNTS, WORDS
from shared.core.event_ids import digest, short

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cost_tracker.imports.units import Terms, Unit

NAME = "table"
LOCAL = "Times without an offset, read in the zone of --tz"

_OBJECTS = ("tags", "metadata")
_FIELDS = (*COUNTS, *WORDS, *_OBJECTS, "batch", "cost", "description", "recorded_at", "event_id")
# What others call our fields; compared in lower case with `_` between words.
_ALIASES = {
    "model": ("model_name", "model_id", "model_raw"),
    "tokens_in": ("input_tokens", "prompt_tokens", "input", "tokens_input"),
    "tokens_out": ("output_tokens", "completion_tokens", "output", "tokens_output"),
    "cache_read_tokens": ("cache_read", "cache_read_input_tokens", "cached_tokens"),
    "cache_write_tokens": ("cache_write", "cache_creation_input_tokens", "cache_creation_tokens"),
    "cost": ("total_cost", "cost_usd", "amount", "amount_usd", "spend", "price", "total"),
    "recorded_at": ("timestamp", "created_at", "datetime", "time", "date", "day", "at"),
    "session_label": ("session", "session_id"),
    "user": ("user_id", "user_name"),
    "description": ("notes", "note"),
}


def is_named(path: str) -> bool:
    """Return whether a file is a table by its name."""
    return is_table(path)


def is_ours(path: str, head: bytes) -> bool:
    """Return whether a file that begins like this is a table with a model, a time and counts or a cost."""
    found = columns_of(names_in(head), ()) if is_named(path) else {}
    return {"model", "recorded_at"} <= found.keys() and bool({"tokens_in", "tokens_out", "cost"} & found.keys())


def read(path: str, offset: int, terms: Terms) -> Reading:
    """Return what the table says; it is read whole.

    Raises:
        OSError: the file cannot be read.
    """
    del offset
    reading = Reading()
    reading.units += units_of(NAME, rows_in(path, reading), terms, reading)
    return reading


def columns_of(names: Iterable[str], chosen: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return our field -> their column: as chosen, else by name, else by what others call it."""
    found = dict(chosen)
    by_name = {_plain(name): name for name in reversed(list(names))}
    for field in _FIELDS:
        if field not in found:
            known = next((by_name[name] for name in (field, *_ALIASES.get(field, ())) if name in by_name), None)
            if known is not None:
                found[field] = known
    return found


def units_of(kind: str, rows: Iterable[Mapping[str, Any]], terms: Terms, reading: Reading) -> Iterable[Unit]:
    """Yield the events of rows; what cannot be one is refused in `reading` with the reason.

    A row without an id of its own is known by all that it says and, among rows that say the same, by its number.
    """
    columns: dict[tuple[str, ...], dict[str, str]] = {}
    seen: Counter[str] = Counter()
    for row in rows:
        names = tuple(row)
        mapped = columns.get(names) or columns.setdefault(names, columns_of(names, terms.columns))
        try:
            event = _event({field: row.get(column) for field, column in mapped.items()}, terms, reading)
        except ValueError as error:
            reading.refuse(f"A row cannot be read: {error}.")
            continue
        at = event.pop("recorded_at")
        if at < terms.since:
            reading.skip("older than asked for")
            continue
        own = event.pop("event_id", None)
        if own is None:
            own = _name(row)
            seen[own] += 1
            own = f"{kind}:{own}" + (f":{seen[own]}" if seen[own] > 1 else "")
        total = sum(event.get(name) or 0 for name in COUNTS[:5])
        yield single(short(str(own)), event, at, total)


def _event(given: dict[str, Any], terms: Terms, reading: Reading) -> dict[str, Any]:
    event = {field: _value(field, value, terms.zone) for field, value in given.items() if not _is_blank(value)}
    if not event.get("model"):
        raise ValueError("it names no model")
    if not event.get("recorded_at"):
        raise ValueError(f"it has no time that is understood, but {str(given.get('recorded_at'))[:40]!r}")
    if is_local(given["recorded_at"]):
        reading.note(LOCAL)
    if "tokens_in" in event or "tokens_out" in event:
        event = {"tokens_in": 0, "tokens_out": 0} | event
    elif event.get("cost") is None:
        raise ValueError("it has neither tokens nor a cost")
    account = terms.account_of(event.get("account") or "")
    reading.want(account, event.get("provider") or "")
    return event | {"account": account, "project": terms.project or event.get("project")}


def _value(field: str, value: Any, zone: str) -> Any:  # noqa: ANN401 - a cell or JSON
    if field in COUNTS:
        return whole(value)
    if field == "cost":
        return amount(value)
    if field == "recorded_at":
        return utc(value, zone)
    if field == "batch":
        return str(value).strip().lower() in {"1", "true", "yes", "t"}
    return _object(value) if field in _OBJECTS else str(value).strip()


def _is_blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _object(value: Any) -> dict[str, Any] | None:  # noqa: ANN401 - a cell or JSON
    if isinstance(value, str):
        try:
            value = loads(value.encode())
        except ValueError:
            return None
    return value if isinstance(value, dict) and value else None


def _name(row: Mapping[str, Any]) -> str:
    return digest(orjson.dumps(dict(row), option=orjson.OPT_SORT_KEYS, default=str).decode()).hex()


def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")
