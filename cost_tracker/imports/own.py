"""Our own exports, CSV, JSON or JSON lines: events come back as they were.

What was polled comes from the provider again, and balance lines are derived from the rest: both are passed over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cost_tracker.imports.tables import is_table, names_in, rows_in
from cost_tracker.imports.times import utc
from cost_tracker.imports.units import DIRECT, Reading, Unit
from shared.core import jsontext
from shared.core.amounts import whole
from shared.core.event_ids import digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cost_tracker.imports.units import Terms

NAME = "export"
_TELLING = frozenset({"event_id", "collected_at", "model_raw", "session_type", "priced_by", "source"})
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_PASSED = {"api": "polled lines", "attribution": "balance lines", "manual": "manual entries"}
_NONE = "none"
_COUNTS = {
    "tokens_in": "input_tokens",
    "tokens_out": "output_tokens",
    "cache_read_tokens": "cache_read_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "cache_write_1h_tokens": "cache_write_1h_tokens",
    "requests": "requests",
    **{
        name: name
        for name in (
            "reasoning_tokens", "audio_input_tokens", "audio_output_tokens", "image_input_tokens",
            "image_output_tokens", "web_searches",
        )
    },
}  # fmt: skip
_TEXTS = (
    "provider", "project", "agent", "user", "session_label", "session_type", "category", "description", "request_type",
    "service_tier", "speed", "inference_geo",
)  # fmt: skip


def is_named(path: str) -> bool:
    """Return whether a file may be an export by its name."""
    return is_table(path)


def is_ours(path: str, head: bytes) -> bool:
    """Return whether a file that begins like this is an export of ours."""
    return is_named(path) and set(names_in(head)) >= _TELLING


def read(path: str, offset: int, terms: Terms) -> Reading:
    """Return the events of an export; it is read whole.

    Raises:
        OSError: the file cannot be read.
    """
    del offset
    reading = Reading()
    is_csv = path.lower().endswith((".csv", ".tsv"))
    for row in rows_in(path, reading, exact=True):
        source = row.get("source")
        if source in _PASSED:
            reading.skip(_PASSED[source])
            continue
        try:
            unit = _unit({name: _cell(name, value) for name, value in row.items()} if is_csv else row, terms)
        except (ValueError, KeyError, TypeError) as error:
            reading.refuse(f"A row cannot be read: {error}.")
            continue
        if unit.at < terms.since:
            reading.skip("older than asked for")
            continue
        reading.units.append(unit)
        account = "" if row["account"] == _NONE else row["account"]
        reading.want(terms.account_of(account), row["provider"])
    return reading


def _unit(row: Mapping[str, Any], terms: Terms) -> Unit:
    at = utc(row["recorded_at"])
    if at is None:
        raise ValueError(f"{row['recorded_at']!r} is no time")
    # What was logged without an id gets one here, so that importing twice does not count twice.
    event_id = row["event_id"] or "export:" + digest(f"{row['id']} {at} {row['collected_at']}").hex()
    event: dict[str, Any] = {"event_id": event_id, "model": row["model_raw"] or row["model"]}
    event |= {ours: whole(row.get(theirs)) for ours, theirs in _COUNTS.items()}
    event |= {name: row.get(name) or None for name in _TEXTS}
    account = "" if row["account"] == _NONE else row["account"]
    event |= {
        "batch": True if str(row.get("batch")).lower() in {"true", "t"} else None,
        "cost": row["reported_cost"],
        "account": terms.account_of(account),
        "project": terms.project or row["project"],
        "tags": _object(row.get("tags")),
        "metadata": _object(row.get("metadata")),
        "recorded_at": row["recorded_at"],
    }
    rows = jsontext.dumps({name: value for name, value in event.items() if value is not None and value != ""}).encode()
    return Unit(digest(event_id), b"", DIRECT, whole(row["total_tokens"]), at, rows, 1, source=row["source"])


def _cell(name: str, text: str) -> str | None:
    """Return a cell without the quote that keeps spreadsheets from running it; None where it is empty."""
    if name in {*_TEXTS, "event_id", "account", "model", "model_raw"} and text[:1] == "'" and text[1:2] in _FORMULA:
        text = text[1:]
    return text or None


def _object(value: object) -> dict[str, Any] | None:
    found = jsontext.loads(value) if isinstance(value, str) else value
    return found if isinstance(found, dict) and found else None
