"""How far back a stream is asked, and when not at all: what its provider keeps, has forgotten, or is paid for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shared.core.windows import Plan, Reads
from shared.providers.base import Stream
from shared.workflows.limits import oldest, rests, window

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOW = datetime(2026, 11, 20, 10, 30, tzinfo=UTC)
FORGETFUL = Stream("usage", HOUR, HOUR, history=90 * DAY, forgets_after=13 * DAY)


@pytest.mark.parametrize(
    ("watermark", "first"),
    [
        # The first time all that there is; what was forgotten by then was never here.
        (None, datetime(2026, 8, 22, 10, tzinfo=UTC)),
        # Afterwards nothing is taken for gone that was only forgotten.
        (NOW - HOUR, datetime(2026, 11, 7, 11, tzinfo=UTC)),
        # After a long silence it goes on where it was.
        (NOW - 30 * DAY, datetime(2026, 10, 21, 11, tzinfo=UTC)),
    ],
)
def test_what_a_provider_has_forgotten_is_not_read_again(watermark: datetime | None, first: datetime) -> None:
    assert oldest(FORGETFUL, NOW, watermark) == first


def test_a_stream_without_limits_is_read_as_far_back_as_asked() -> None:
    assert oldest(Stream("usage", HOUR, HOUR), NOW, NOW) < NOW - 9_000 * DAY


def test_what_costs_money_is_asked_once_it_is_due() -> None:
    midnight = NOW.replace(hour=0, minute=0)
    costs = Stream("costs", DAY, DAY, is_bill=True, rest=30 * HOUR)
    at = {hours: rests(costs, midnight + hours * HOUR, midnight) for hours in (0, 24, 29, 30, 100)}
    assert at == {0: True, 24: True, 29: True, 30: False, 100: False}
    assert not rests(costs, midnight, None)
    assert not rests(FORGETFUL, midnight, midnight)


@pytest.mark.parametrize(
    ("stream", "start", "days", "watermark", "note"),
    [
        (FORGETFUL, NOW - 200 * DAY, 30, None, "What lies before 2026-08-22 10:00 UTC cannot be asked for."),
        (
            FORGETFUL, NOW - 60 * DAY, 30, NOW,
            "What lies before 2026-11-07 11:00 UTC was read before and may be forgotten there by now.",
        ),
        (
            Stream("usage", DAY, DAY, is_final_only=True), NOW - HOUR, 1, None,
            "Only what has ended is told, and of what was asked for nothing has: that goes up to 2026-11-20 00:00 UTC.",
        ),
        (FORGETFUL, NOW - 100 * DAY, 30, None, ""),
        (Stream("usage", DAY, DAY, is_final_only=True), NOW - 2 * DAY, 2, None, ""),
    ],
)  # fmt: skip
def test_why_nothing_is_asked_for(
    stream: Stream, start: datetime, days: int, watermark: datetime | None, note: str
) -> None:
    plan = Plan(NOW, lookback=3 * DAY, backfill=90 * DAY, start=start, end=start + days * DAY)
    first, last, _, told = window(stream, plan, Reads(watermark))
    assert told == note
    assert (first < last) == (note == "")
