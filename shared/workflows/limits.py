"""What a stream can be asked for at all, and when: each provider's own limits, as its streams state them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.core import windows

if TYPE_CHECKING:
    from datetime import datetime

    from shared.providers.base import Stream


def oldest(stream: Stream, now: datetime, watermark: datetime | None) -> datetime:
    """Return the first bucket bound that a window may begin at, having read up to `watermark`."""
    remembered = windows.remembered(now, stream.forgets_after, watermark)
    return windows.oldest(now, stream.grain, stream.history, stream.earliest, remembered)


def rests(stream: Stream, now: datetime, watermark: datetime | None) -> bool:
    """Tell whether it is too early to ask again, having read up to `watermark`."""
    return stream.rest is not None and watermark is not None and now - watermark < stream.rest
