"""Times as files write them, as ISO 8601 in UTC with milliseconds or more."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

_PLAIN = re.compile(r"20\d\d-\d\d-\d\dT[0-2]\d:[0-5]\d:[0-5]\d\.\d{3}Z", re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_OFFSET = re.compile(r"(Z|[+-]\d\d:?\d\d)$", re.IGNORECASE)
# Counts since 1970 in milliseconds are above this, those in seconds below.
_MILLISECONDS = 10**11


def utc(value: object, zone: str = "UTC") -> str | None:
    """Return an instant: ISO text, or seconds or milliseconds since 1970; None for anything else.

    Text without an offset is in `zone`; of an hour that the clock shows twice, the first. A day alone is its noon UTC,
    which is the same day almost everywhere.
    """
    if type(value) is str and _PLAIN.fullmatch(value):
        return value
    found = _moment(value, zone)
    if found is None:
        return None
    text = found.astimezone(UTC).isoformat(timespec="microseconds" if found.microsecond % 1000 else "milliseconds")
    return f"{text[:-6]}Z"


def is_local(value: object) -> bool:
    """Return whether a time is text that has no offset and is more than a day."""
    return type(value) is str and not _DAY.fullmatch(value.strip()) and not _OFFSET.search(value.strip())


def _moment(value: object, zone: str) -> datetime | None:
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return datetime.fromtimestamp(value / 1000 if value > _MILLISECONDS else value, UTC)
        if not isinstance(value, str):
            return None
        text = value.strip()
        if _DAY.fullmatch(text):
            text += "T12:00:00Z"
        found = datetime.fromisoformat(text)
        return found if found.tzinfo else found.replace(tzinfo=ZoneInfo(zone))
    except (ValueError, OverflowError, OSError):
        return None
