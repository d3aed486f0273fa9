"""A provider whose report is a model's."""

from collections.abc import Iterator
from datetime import timedelta

from shared.core.usage import Usage
from shared.providers.base import Bucket, Name, Owner, Page, Row, Stream, Window
from tests.machine.model import HOUR, KEYS, Model


class Reporting:
    """Reports in hours what the model says, up to its present."""

    name = "anthropic"
    streams: tuple[Stream, ...] = (Stream("usage", grain=HOUR, lag=timedelta(minutes=10)),)

    def __init__(self, model: Model) -> None:
        self._model = model

    def owner(self) -> Owner:
        return Owner("org", "Organisation")

    def names(self) -> tuple[Name, ...]:
        return tuple(Name("key", key, name) for key, name in KEYS.items())

    def fetch(self, stream: Stream, window: Window, cursor: str | None) -> Page:
        assert (stream, cursor) == (self.streams[0], None)
        return Page(tuple(self._rows(window)), None, (window.start, window.end))

    def parse(self, stream: Stream, row: Row) -> Bucket:
        assert stream == self.streams[0]
        usage = Usage(input=row.raw["input"], output=row.raw["output"])
        dimensions = {"api_key_id": row.raw["key"], "model": row.raw["model"]}
        return Bucket(row.start, row.end, dimensions, usage, model=row.raw["model"], key_id=row.raw["key"])

    def _rows(self, window: Window) -> Iterator[Row]:
        for (hour, key, model), (inputs, outputs) in sorted(self._model.reported.items()):
            if window.start <= hour < window.end and hour < self._model.now:
                raw = {"key": key, "model": model, "input": inputs, "output": outputs}
                yield Row(hour, hour + HOUR, raw)
