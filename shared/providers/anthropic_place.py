"""Where a chain of analytics pages stands, in windows that are longer than one question may be."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from shared.errors import CursorRefusedError
from shared.providers.base import Window

_LONGEST = timedelta(days=31)
# A cursor of ours: the question, the part that is being read, where finished figures end, where the last row began,
# then the provider's token, if there is one yet.
_CURSOR = re.compile(r"analytics(\d)?:(\d{9,11})-(\d{9,11}):(\d{9,11}):(\d{9,11})?:(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Place:
    """The part of a window that is read now and the token of its next page (None: the first).

    Figures are finished up to `until`, as the first page of the window said: they may be refreshed while the others
    are read, and what an earlier page left out would then be missing. `last` is where the last row began. `question`
    counts those that are asked about each part, one after the other.
    """

    window: Window
    until: datetime | None = None
    last: datetime | None = None
    token: str | None = None
    question: int = 0

    @classmethod
    def read(cls, window: Window, cursor: str | None, questions: int = 1) -> Place:
        """Return the place that a cursor names; without one, the first of the window.

        Raises:
            CursorRefusedError: it belongs to another window, or to a report with more questions.
        """
        found = _CURSOR.fullmatch(cursor or "")
        if found is None:
            return cls(Window(window.start, min(window.start + _LONGEST, window.end)), token=cursor)
        start, end, until, last = (None if text is None else _instant(text) for text in found.groups()[1:5])
        question = int(found[1] or 0)
        if start is None or end is None or start < window.start or end > window.end or question >= questions:
            raise CursorRefusedError("A page token of Anthropic belongs to another window.")
        return cls(Window(start, end), until, last, found[6] or None, question)

    def following(
        self, whole: Window, until: datetime, last: datetime | None, token: str | None, questions: int = 1
    ) -> str | None:
        """Return what leads to the page after this one; `token` is the provider's, None at the end of an answer."""
        if token is not None:
            return _spell(replace(self, last=last), until, token)
        if self.question + 1 < questions:
            return _spell(Place(self.window, question=self.question + 1), until, "")
        start, end = self.window.end, min(self.window.end + _LONGEST, whole.end)
        if start >= min(until, whole.end):
            return None
        return _spell(Place(Window(start, end)), until, "")


def _spell(place: Place, until: datetime, token: str) -> str:
    bounds = f"{_second(place.window.start)}-{_second(place.window.end)}"
    last = "" if place.last is None else _second(place.last)
    return f"analytics{place.question or ''}:{bounds}:{_second(until)}:{last}:{token}"


def _second(instant: datetime) -> str:
    return f"{instant.timestamp():.0f}"


def _instant(second: str) -> datetime:
    return datetime.fromtimestamp(int(second), UTC)
