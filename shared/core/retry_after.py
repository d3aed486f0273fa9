"""How long a server asks to wait: the Retry-After of an HTTP answer."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# No run waits a day; what asks for more asks for the next run, too.
LONGEST_SECONDS = 86_400.0
_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?")


def seconds_to_wait(header: str, now: datetime) -> float | None:
    """Return the seconds of a Retry-After, at most a day; None without a usable one (RFC 9110, 10.2.3).

    Args:
        header: its value, seconds or an HTTP date; empty without one.
        now: the moment that a date is compared with, UTC.
    """
    text = header.strip()
    if _SECONDS.fullmatch(text):
        seconds = float(text)  # a wait, not money
    else:
        try:
            date = parsedate_to_datetime(text)
            # The obsolete zone -0000 yields a naive datetime; HTTP dates are UTC.
            date = date if date.tzinfo else date.replace(tzinfo=UTC)
            seconds = (date - now).total_seconds()
        except (ValueError, OverflowError):
            return None
    return min(seconds, LONGEST_SECONDS) if seconds > 0 else None
