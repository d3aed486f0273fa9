"""What a stream can be asked for at all, and when: each provider's own limits, as its streams state them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from shared.core import windows
from shared.core.windows import Why, floor, trailing_window

if TYPE_CHECKING:
    from datetime import datetime

    from shared.core.windows import Plan, Reads
    from shared.providers.base import Stream


def oldest(stream: Stream, now: datetime, watermark: datetime | None) -> datetime:
    """Return the first bucket bound that a window may begin at, having read up to `watermark`."""
    remembered = windows.remembered(now, stream.forgets_after, watermark)
    return windows.oldest(now, stream.grain, stream.history, stream.earliest, remembered)


def rests(stream: Stream, now: datetime, watermark: datetime | None) -> bool:
    """Tell whether it is too early to ask again, having read up to `watermark`."""
    return stream.rest is not None and watermark is not None and now - watermark < stream.rest


def window(stream: Stream, plan: Plan, done: Reads) -> tuple[datetime, datetime, Why, str]:
    """Return `[start, end)` to ask for, why it begins there, and where that is empty a sentence that says why.

    `done` is what was read before.
    """
    # Requests are not restated: deep reads of a feed would only find what is there.
    deep = replace(done, weekly=plan.now, monthly=plan.now) if stream.is_feed else done
    start, end, why = trailing_window(plan, stream.grain, deep)
    if stream.is_bill:
        # Bills trail: a span without any complete day is refused, so a few are always asked for.
        start = min(start, floor(plan.now - plan.lookback, stream.grain))
    since, running = oldest(stream, plan.now, done.until), floor(plan.now, stream.grain)
    first, last = max(start, since), min(end, running) if stream.is_final_only else end
    note = ""
    if first >= last:
        note = f"Only what has ended is told, and of what was asked for nothing has: that goes up to {_told(running)}."
        if end <= since:
            is_known = end > windows.oldest(plan.now, stream.grain, stream.history, stream.earliest)
            told = "was read before and may be forgotten there by now" if is_known else "cannot be asked for"
            note = f"What lies before {_told(since)} {told}."
    return first, last, why, note


def _told(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC"
