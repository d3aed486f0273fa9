"""Where a chain of OpenAI's pages stands, in windows of which only a part can be read by key."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from shared.errors import CursorRefusedError, ProviderError
from shared.providers.base import Window

if TYPE_CHECKING:
    from shared.providers.base import Stream

# Costs know keys since this day; a span that begins earlier is refused as a whole.
KEYS_SINCE = datetime(2025, 12, 6, tzinfo=UTC)
KEYS_REFUSED = re.compile(r"api_key_id\b.* is not available .*on or after (\d{9,11})\b")
# A cursor of ours: the part of the window that is being read, then the provider's token, if there is one yet.
_CURSOR = re.compile(r"(keyed|keyless):(\d{9,11})-(\d{9,11}):(.*)", re.DOTALL)


class KeysRefusedError(ProviderError):
    """The span begins before keys are known; the message says since when they are."""


@dataclass(frozen=True, slots=True)
class Place:
    """The part of a window that is read with or without keys, and the token of its next page (None: the first).

    Parts of a window meet and never overlap, so no bucket is read under two sets of dimensions.
    """

    window: Window
    has_keys: bool
    token: str | None

    @classmethod
    def read(cls, stream: Stream, window: Window, cursor: str | None) -> Place:
        """Return the place that a cursor names; without one, the first of the window.

        Raises:
            CursorRefusedError: it belongs to another window.
        """
        if found := _CURSOR.fullmatch(cursor or ""):
            part = Window(*(datetime.fromtimestamp(int(second), UTC) for second in (found[2], found[3])))
            if part.start < window.start or part.end > window.end:
                raise CursorRefusedError("A page token of OpenAI belongs to another window.")
            return cls(part, found[1] == "keyed", found[4] or None)
        if stream.is_bill and window.start < KEYS_SINCE:
            return cls(replace(window, end=min(window.end, KEYS_SINCE)), has_keys=False, token=cursor)
        return cls(window, has_keys=True, token=cursor)

    def without_keys(self, refusal: ProviderError, stream: Stream) -> Place:
        """Return the part that lies before the day which a refusal names; it ends on a bound of buckets.

        Raises:
            ProviderError: the refusal itself, where there is no such part.
        """
        found = KEYS_REFUSED.search(str(refusal))
        since = datetime.fromtimestamp(int(found[1]), UTC) if found else self.window.start
        end = self.window.start
        while end < min(since, self.window.end):
            end += stream.grain
        if end == self.window.start:
            raise refusal
        return Place(replace(self.window, end=end), has_keys=False, token=None)

    def cursor(self, whole: Window, token: str | None) -> str | None:
        """Return what leads to the page after this one; `token` is the provider's, None at the end of the part."""
        if token is not None:
            return token if self.window == whole else _spell(self, token)
        if self.window.end == whole.end:
            return None
        return _spell(Place(Window(self.window.end, whole.end), has_keys=True, token=None), "")


def _spell(place: Place, token: str) -> str:
    bounds = "-".join(f"{bound.timestamp():.0f}" for bound in (place.window.start, place.window.end))
    return f"{'keyed' if place.has_keys else 'keyless'}:{bounds}:{token}"
