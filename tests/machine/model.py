"""The ledger in a few dictionaries: what every figure has to be, computed without our code."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any, ClassVar, TypeAlias

from shared.core.money import CONTEXT, total

HOUR, QUARTER = timedelta(hours=1), timedelta(minutes=15)
BEGIN = datetime(2026, 11, 17, tzinfo=UTC)
EVER, NEVER = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
PRICED, UNPRICED, FOREIGN = "claude-sonnet-4-5", "mystery-1", "nobody-2"
GENERAL = "General"
KEYS = {"a": "peakpaws-a", "b": "kanban-b"}

# USD for input, for output, and as the sender says; None without a price.
Costs: TypeAlias = tuple[Decimal, Decimal, Decimal] | None
# (hour, key, model), the place of a bucket -> (input, output) tokens: what the provider says.
Place: TypeAlias = tuple[datetime, str, str]
Reported: TypeAlias = dict[Place, tuple[int, int]]
Span: TypeAlias = tuple[datetime, datetime]
# By how many USD the lines of a model got dearer, and how many of them got their first price.
Change: TypeAlias = tuple[Decimal, int]


@dataclass(frozen=True)
class Price:
    """What a model costs from an instant on, in USD per million tokens."""

    model: str
    since: datetime
    input: Decimal
    output: Decimal


@dataclass(frozen=True)
class Rule:
    """A glob over names. Of those that match, the higher priority decides, the longer beginning, the older one."""

    pattern: str
    project: str
    priority: int
    id: int

    def order(self) -> tuple[int, int, int]:
        return -self.priority, -len(re.split(r"[*?]", self.pattern)[0]), self.id


# What an installation begins with, as far as names of these tests reach.
LISTED = Price(PRICED, EVER, Decimal(3), Decimal(15))
RULES = (Rule("peakpaws-*", "PeakPaws", 10, 1), Rule("kanban-*", "Kanban Board", 10, 2), Rule("*", GENERAL, 0, 6))


@dataclass
class Event:
    """An event as it was sent, and what became of it; `line_id` is known once it is stored."""

    event_id: str
    model: str
    at: datetime
    tokens: tuple[int, int]
    said: Decimal | None
    is_voided: bool = False
    line_id: int = 0
    costs: Costs = None
    project: str = ""

    requests: ClassVar[int] = 1

    @property
    def label(self) -> str:
        return f"kanban-{self.event_id}"

    def wire(self) -> dict[str, Any]:
        account = {"provider": "acme"} if self.model == FOREIGN else {"account": "anthropic"}
        cost = {} if self.said is None else {"cost": self.said}
        return {
            "event_id": self.event_id, "model": self.model, "recorded_at": self.at.isoformat(), **account, **cost,
            "tokens_in": self.tokens[0], "tokens_out": self.tokens[1], "session_label": self.label,
        }  # fmt: skip


@dataclass
class Bucket:
    """A bucket as it was collected last."""

    model: str
    at: datetime
    tokens: tuple[int, int]
    key: str
    costs: Costs = None
    project: str = ""

    requests: ClassVar[int] = 0
    said: ClassVar[None] = None
    is_voided: ClassVar[bool] = False

    @property
    def label(self) -> str:
        return KEYS[self.key]


Line: TypeAlias = Event | Bucket


@dataclass
class Figures:
    """Sums of lines."""

    input: int = 0
    output: int = 0
    requests: int = 0
    cost: Decimal = Decimal(0)
    unpriced_tokens: int = 0
    unpriced_requests: int = 0

    def add(self, tokens: Sequence[int], requests: int, cost: Decimal | None) -> None:
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
    collected: dict[Place, Bucket] = field(default_factory=dict)
    prices: list[Price] = field(default_factory=lambda: [LISTED])
    rules: dict[str, Rule] = field(default_factory=lambda: {rule.pattern: rule for rule in RULES})
    bucket_versions: int = 0
    manual_versions: int = 0
    coverage: tuple[datetime | None, datetime | None] = (None, None)

    # What verbs do.

    def store(self, event: Event) -> None:
        event.costs, event.project = self.price(event), self.assign(event.label)
        self.events[event.event_id] = event

    def collect(self) -> None:
        fresh = {place: tokens for place, tokens in self.reported.items() if place[0] < self.now}
        before, self.collected = self.collected, {}
        for (hour, key, model), tokens in fresh.items():
            known = before.pop((hour, key, model), None)
            bucket = Bucket(model, hour, tokens, key)
            if known is not None and known.tokens == tokens:
                bucket = known
            else:
                self.bucket_versions += known is not None
                bucket.costs = self.price(bucket)
                bucket.project = self.assign(bucket.label) if known is None else known.project
            self.collected[hour, key, model] = bucket
        self.bucket_versions += len(before)

    def reprice(self, span: Span, *, only_unpriced: bool = False) -> dict[str, Change]:
        """Bring lines of the span to the prices of now; return what that adds up to, by model."""
        changes: dict[str, Change] = {}
        for line in self.lines(span):
            price = self.price(line)
            if price == line.costs or (only_unpriced and line.costs is not None):
                continue
            cost, fewer = changes.get(line.model, (Decimal(0), 0))
            moved = CONTEXT.subtract(total(price or ()), total(line.costs or ()))
            changes[line.model] = total((cost, moved)), fewer + (line.costs is None)
            line.costs = price
        return changes

    def reassign(self, span: Span) -> dict[tuple[str, str], Figures]:
        """Bring lines of the span to the rules of now; return (from, to) -> what moved."""
        moves: dict[tuple[str, str], Figures] = defaultdict(Figures)
        for line in self.lines(span):
            target = self.assign(line.label)
            if target != line.project:
                moves[line.project, target].add(line.tokens, line.requests, cost_of(line))
                line.project = target
        return moves

    # What follows.

    def lines(self, span: Span = (EVER, NEVER)) -> Iterator[Line]:
        known: list[Line] = [*self.collected.values(), *self.events.values()]
        for line in known:
            if span[0] <= line.at < span[1] and not line.is_voided:
                yield line

    def price(self, line: Line) -> Costs:
        """What a line costs by the price that began last before it; without one, what its sender says."""
        known = [price for price in self.prices if price.model == line.model and price.since <= line.at]
        if known and (line.said is None or any(line.tokens)):
            price = max(enumerate(known), key=lambda found: (found[1].since, found[0]))[1]
            inputs, outputs = line.tokens
            return inputs * price.input.scaleb(-6), outputs * price.output.scaleb(-6), Decimal(0)
        return None if line.said is None else (Decimal(0), Decimal(0), line.said)

    def assign(self, name: str) -> str:
        matching = [rule for rule in self.rules.values() if fnmatchcase(name, rule.pattern)]
        return min(matching, key=Rule.order).project

    def is_covered(self, event: Event) -> bool:
        start, end = self.coverage
        return event.model != FOREIGN and start is not None and end is not None and start <= event.at < end

    def totals(self) -> dict[tuple[datetime, str], Figures]:
        """Every quarter hour and model: inside the coverage the report alone, outside what was sent."""
        found: dict[tuple[datetime, str], Figures] = defaultdict(Figures)
        priced = {(bucket.at, bucket.model): False for bucket in self.collected.values()}
        for bucket in self.collected.values():
            found[bucket.at, bucket.model].add(bucket.tokens, 0, cost_of(bucket))
            priced[bucket.at, bucket.model] |= bucket.costs is not None
        for event in self.events.values():
            if event.is_voided:
                continue
            figures = found[slot_of(event.at), event.model]
            if not self.is_covered(event):
                figures.add(event.tokens, 1, cost_of(event))
            elif event.costs is not None:
                hour = event.at - (event.at - BEGIN) % HOUR
                beside = [
                    is_priced
                    for (at, model), is_priced in priced.items()
                    if model == event.model and (at == hour if (hour, model) in priced else at.date() == hour.date())
                ]
                if beside and not any(beside):
                    # Nobody but its sender knows what it cost, and the report has no money to take back.
                    figures.cost = CONTEXT.add(figures.cost, total(event.costs))
        for at, cost, count in self.manual.values():
            found[at, "unassigned"].add((count, 0), 0, cost)
        return {key: figures for key, figures in found.items() if figures != Figures()}

    def count(self) -> Counter[str]:
        return Counter(
            event=len(self.events), manual=len(self.manual), bucket_versions=self.bucket_versions,
            manual_versions=self.manual_versions,
        )  # fmt: skip


def cost_of(line: Line) -> Decimal | None:
    return None if line.costs is None else total(line.costs)


def slot_of(at: datetime) -> datetime:
    return at - (at - BEGIN) % QUARTER


def figures_of(rows: Iterable[dict[str, Any]]) -> dict[tuple[datetime, str, str], Figures]:
    """Read rows of sums by slot, model and project; those that are zero are left out."""
    found = {
        (row["slot"], row["model"], row["project"]): Figures(
            int(row["input_tokens"]), int(row["output_tokens"]), int(row["requests"]), row["cost"],
            int(row["unpriced_tokens"]), int(row["unpriced_requests"]),
        )
        for row in rows
    }  # fmt: skip
    return {key: figures for key, figures in found.items() if figures != Figures()}
