"""The ledger in a few dictionaries: what every figure has to be, computed without our code."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from shared.core.money import CONTEXT
from shared.core.usage import Usage
from shared.providers.base import Bucket, Name, Owner, Page, Row, Stream, Window

HOUR, QUARTER = timedelta(hours=1), timedelta(minutes=15)
BEGIN = datetime(2026, 11, 17, tzinfo=UTC)
PRICED, UNPRICED, FOREIGN = "claude-sonnet-4-5", "mystery-1", "nobody-2"
# USD per token of the priced model.
_INPUT, _OUTPUT = Decimal("0.000003"), Decimal("0.000015")

# (hour, key, model) -> (input, output) tokens: what the provider says.
Reported = dict[tuple[datetime, str, str], tuple[int, int]]


@dataclass
class Event:
    """An event as it was sent, and whether it was voided; `line_id` is known once it is stored."""

    event_id: str
    model: str
    at: datetime
    tokens: tuple[int, int]
    cost: Decimal | None
    is_voided: bool = False
    line_id: int = 0

    def wire(self) -> dict[str, Any]:
        account = {"provider": "acme"} if self.model == FOREIGN else {"account": "anthropic"}
        cost = {} if self.cost is None else {"cost": self.cost}
        return {
            "event_id": self.event_id, "model": self.model, "recorded_at": self.at.isoformat(), **account, **cost,
            "tokens_in": self.tokens[0], "tokens_out": self.tokens[1], "session_label": f"kanban-{self.event_id}",
        }  # fmt: skip

    @property
    def price(self) -> Decimal | None:
        if self.model == PRICED:
            return price(self.tokens)
        return self.cost


@dataclass
class Figures:
    """Sums of one quarter hour and model."""

    input: int = 0
    output: int = 0
    requests: int = 0
    cost: Decimal = Decimal(0)
    unpriced_tokens: int = 0
    unpriced_requests: int = 0

    def add(self, tokens: tuple[int, int], requests: int, cost: Decimal | None) -> None:
        self.input += tokens[0]
        self.output += tokens[1]
        self.requests += requests
        if cost is None:
            self.unpriced_tokens += sum(tokens)
            self.unpriced_requests += requests
        else:
            self.cost = CONTEXT.add(self.cost, cost)


@dataclass
class Model:
    """What was sent and collected so far. `reported` is the provider's truth, `collected` what was last read of it."""

    now: datetime = BEGIN + timedelta(days=1)
    events: dict[str, Event] = field(default_factory=dict)
    manual: dict[int, tuple[datetime, Decimal, int]] = field(default_factory=dict)
    reported: Reported = field(default_factory=dict)
    collected: Reported = field(default_factory=dict)
    bucket_versions: int = 0
    manual_versions: int = 0
    coverage: tuple[datetime | None, datetime | None] = (None, None)

    def collect(self) -> None:
        fresh = {key: tokens for key, tokens in self.reported.items() if key[0] < self.now}
        self.bucket_versions += sum(key not in fresh or fresh[key] != tokens for key, tokens in self.collected.items())
        self.collected = fresh

    def is_covered(self, event: Event) -> bool:
        start, end = self.coverage
        return event.model != FOREIGN and start is not None and end is not None and start <= event.at < end

    def expected(self) -> dict[tuple[datetime, str], Figures]:
        """Every quarter hour and model: inside the coverage the report alone, outside what was sent."""
        found: dict[tuple[datetime, str], Figures] = defaultdict(Figures)
        for (hour, _, model), tokens in self.collected.items():
            found[hour, model].add(tokens, 0, price(tokens) if model == PRICED else None)
        days = {(hour.date(), model) for hour, _, model in self.collected}
        for event in self.events.values():
            if event.is_voided:
                continue
            figures = found[event.at - (event.at - BEGIN) % QUARTER, event.model]
            if not self.is_covered(event):
                figures.add(event.tokens, 1, event.price)
            elif event.model == UNPRICED and event.cost is not None and (event.at.date(), UNPRICED) in days:
                # Nobody but its sender knows what it cost; its tokens are taken out of buckets without a price.
                figures.cost = CONTEXT.add(figures.cost, event.cost)
                figures.unpriced_tokens -= sum(event.tokens)
                figures.unpriced_requests -= 1
        for at, cost, count in self.manual.values():
            found[at, "unassigned"].add((count, 0), 0, cost)
        return {key: figures for key, figures in found.items() if figures != Figures()}


def price(tokens: tuple[int, int]) -> Decimal:
    return tokens[0] * _INPUT + tokens[1] * _OUTPUT


class Reporting:
    """A provider whose report is a model's."""

    name = "anthropic"
    streams: tuple[Stream, ...] = (Stream("usage", grain=HOUR, lag=timedelta(minutes=10)),)

    def __init__(self, model: Model) -> None:
        self._model = model

    def owner(self) -> Owner:
        return Owner("org", "Organisation")

    def names(self) -> tuple[Name, ...]:
        return (Name("key", "a", "peakpaws-a"), Name("key", "b", "kanban-b"))

    def fetch(self, stream: Stream, window: Window, cursor: str | None) -> Page:
        assert (stream, cursor) == (self.streams[0], None)
        return Page(tuple(self._rows(window)), None, (window.start, window.end))

    def parse(self, stream: Stream, row: Row) -> Bucket:
        assert stream == self.streams[0]
        usage = Usage(input=row.raw["input"], output=row.raw["output"])
        dimensions = {"key": row.raw["key"], "model": row.raw["model"]}
        return Bucket(row.start, row.end, dimensions, usage, model=row.raw["model"], key_id=row.raw["key"])

    def _rows(self, window: Window) -> Iterator[Row]:
        for (hour, key, model), (inputs, outputs) in sorted(self._model.reported.items()):
            if window.start <= hour < window.end and hour < self._model.now:
                raw = {"key": key, "model": model, "input": inputs, "output": outputs}
                yield Row(hour, hour + HOUR, raw)


def figures_of(rows: Iterable[dict[str, Any]]) -> dict[tuple[datetime, str], Figures]:
    """Read rows of sums by slot and model; those that are zero are left out."""
    found = {
        (row["slot"], row["model"]): Figures(
            int(row["input_tokens"]), int(row["output_tokens"]), int(row["requests"]), row["cost"],
            int(row["unpriced_tokens"]), int(row["unpriced_requests"]),
        )
        for row in rows
    }  # fmt: skip
    return {key: figures for key, figures in found.items() if figures != Figures()}
