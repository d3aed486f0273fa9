"""Spend logs of a LiteLLM proxy: answers of `/spend/logs/v2` or rows of its table, as JSON, JSON lines or CSV."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cost_tracker.imports.tables import is_table, names_in, rows_in
from cost_tracker.imports.times import utc
from cost_tracker.imports.units import Reading, single
from shared.providers import litellm_rows
from shared.providers.litellm_rows import text

if TYPE_CHECKING:
    from cost_tracker.imports.units import Terms, Unit

NAME = "litellm"
_TELLING = frozenset({"request_id", "spend", "startTime"})
_TOKENS = ("tokens_in", "tokens_out", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens")


def is_named(path: str) -> bool:
    """Return whether a file may be an export by its name."""
    return is_table(path)


def is_ours(path: str, head: bytes) -> bool:
    """Return whether a file that begins like this holds spend logs."""
    return is_named(path) and set(names_in(head)) >= _TELLING


def read(path: str, offset: int, terms: Terms) -> Reading:
    """Return what the file says; it is read whole.

    Raises:
        OSError: the file cannot be read.
    """
    del offset
    reading = Reading()
    for row in rows_in(path, reading):
        try:
            unit = _unit(row, terms, reading)
        except ValueError as error:
            reading.refuse(f"A row cannot be read: {error}.")
            continue
        if unit is not None:
            reading.units.append(unit)
    return reading


def _unit(row: dict[str, Any], terms: Terms, reading: Reading) -> Unit | None:
    name, at = text(row.get("request_id")), utc(row.get("startTime") or row.get("endTime"))
    if not name or at is None:
        reading.skip("without a request id" if not name else "without a time")
        return None
    if at < terms.since:
        reading.skip("older than asked for")
        return None
    event = litellm_rows.event(row)
    if event is None:
        reading.skip("failed")
        return None
    reading.want(terms.account, event["provider"])
    event |= {"account": terms.account_of(""), "project": terms.project}
    total = sum(event.get(count, 0) for count in _TOKENS)
    return single(event.pop("event_id"), event, at, total)
