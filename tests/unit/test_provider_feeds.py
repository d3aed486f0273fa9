"""What every feed of the registry must do beside the contract of all streams: events instead of buckets."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

from shared.core.events import Reader
from shared.providers.base import HasEvents, Row, Stream
from tests.fixtures.providers.recording import Recording, pages, planted, reply
from tests.fixtures.providers.registered import each_feed, one_page
from tests.fixtures.providers.wire import NOW, Time


def recorded(name: str, stream: str) -> tuple[HasEvents, Stream, list[Row]]:
    recording = Recording(name)
    provider = recording.connect(recording.whole(), Time().budget())
    assert isinstance(provider, HasEvents)
    which, window, _ = recording.stream(provider, stream)
    return provider, which, [row for page in pages(provider, which, window) for row in page.rows]


def plain(event: dict[str, Any] | None) -> dict[str, Any] | None:
    if event is None:
        return None
    return {name: str(value) if isinstance(value, Decimal) else value for name, value in event.items()}


@each_feed
def test_the_recording_yields_the_expected_events(name: str, stream: str) -> None:
    provider, which, rows = recorded(name, stream)
    assert [plain(provider.event(which, row)) for row in rows] == Recording(name).load(f"{stream}.expected.json")


@each_feed
def test_every_event_can_be_taken_under_an_id_of_its_own(name: str, stream: str) -> None:
    provider, which, rows = recorded(name, stream)
    events = [event for row in rows if (event := provider.event(which, row)) is not None]
    reader = Reader(NOW)
    keys = [reader.key(event) for event in events]
    assert None not in keys
    assert len(set(keys)) == len(keys)
    assert [reader.read(event, key).at for event, key in zip(events, keys, strict=True)] == [
        row.start for row in rows if provider.event(which, row) is not None
    ]


@each_feed
def test_event_is_pure_and_survives_another_reading(name: str, stream: str) -> None:
    provider, which, [row, *_] = recorded(name, stream)
    before = json.dumps(row.raw, default=str)
    event = provider.event(which, row)
    again = replace(row, raw=json.loads(json.dumps(row.raw, default=float), parse_float=Decimal))
    assert provider.event(which, row) == event == provider.event(which, again)
    assert json.dumps(row.raw, default=str) == before


@each_feed
def test_an_unknown_word_is_accepted(name: str, stream: str) -> None:
    recording = Recording(name)
    notes = recording.load("contract.json")["streams"][stream]
    provider, which, _ = recorded(name, stream)
    for word in notes["words"]:
        body = planted(recording.first_page(stream), [*notes["row"], word], "never seen before")
        assert provider.event(which, one_page(name, stream, [reply(body)]).rows[0]) is not None
