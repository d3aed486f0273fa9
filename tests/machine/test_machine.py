"""Whatever happens to a ledger, in whatever order, its figures are those of a few dictionaries."""

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from shared.core import crash
from shared.store.database import Database
from tests.machine.model import BEGIN, EVER, FOREIGN, HOUR, NEVER, PRICED, UNPRICED, Event, Price, Span
from tests.machine.world import World

EXAMPLES = int(os.environ.get("MACHINE_EXAMPLES", "100"))
STEPS = 30
# What every run of the tests does is the same each time; who asks for more looks for something new.
IS_SOAK = EXAMPLES > 100
DAY, MICROSECOND = timedelta(days=1), timedelta(microseconds=1)

numbers = st.integers(0, 10**9)
# A few hours mostly, so that events meet buckets, of several keys too; half of the time at their edges.
offsets = st.sampled_from([timedelta(0), -MICROSECOND, MICROSECOND, timedelta(minutes=15), timedelta(minutes=47)])
hours = st.sampled_from([3, 4, 5, 23, 24]) | st.integers(0, 30)
tokens = st.tuples(st.integers(0, 5000), st.integers(0, 900))
models = st.sampled_from([PRICED, PRICED, UNPRICED, FOREIGN])
money = st.sampled_from([None, None, Decimal("0.25"), Decimal("1E-30")])
entries = st.fixed_dictionaries(
    {"service": st.sampled_from(["openai", "chatgpt plus"]), "date": st.sampled_from(["2026-11-17", "2026-11-18"]),
     "cost": st.sampled_from(["20", "0.1"]), "tokens": st.integers(0, 3)},
)  # fmt: skip


patterns = st.sampled_from(["kanban-b", "kanban-e*", "kanban-e1*", "*-a", "peakpaws-?"])
prices = st.builds(
    Price,
    st.sampled_from([PRICED, UNPRICED, FOREIGN]),
    # Before all usage, and inside of it, at the edges of buckets and beside them.
    st.sampled_from([BEGIN - 10 * DAY, BEGIN, BEGIN + 5 * HOUR - MICROSECOND, BEGIN + 5 * HOUR, BEGIN + 23.3 * HOUR]),
    st.sampled_from([Decimal(2), Decimal(3), Decimal("0.1234567890123456789")]),
    st.sampled_from([Decimal(0), Decimal(10), Decimal(15)]),
)  # fmt: skip
bounds = st.sampled_from([EVER, BEGIN, BEGIN + 5 * HOUR, BEGIN + timedelta(hours=19, minutes=47), BEGIN + DAY, NEVER])
spans = st.tuples(bounds, bounds).filter(lambda span: span[0] < span[1])


def points(verb: str) -> st.SearchStrategy[str]:
    """The points that a verb passes."""
    return st.sampled_from([point for point in crash.POINTS if point.startswith(f"{verb}:")])


def one_day(number: int) -> Span:
    return BEGIN + number * DAY, BEGIN + (number + 1) * DAY


class Ledger(RuleBasedStateMachine):
    """The rules; `database` and `reader` are set by the test."""

    database: Database
    reader: Database

    @initialize()
    def begin(self) -> None:
        self.world = World(self.database, self.reader)
        self.model = self.world.model

    def event(self, model: str, hour: int, offset: timedelta, counts: tuple[int, int], cost: Decimal | None) -> Event:
        at = min(BEGIN + hour * HOUR + offset, self.model.now)
        return Event(f"e{len(self.model.events)}", model, at, counts, cost)

    def pick(self, number: int, *, unvoided: bool = False) -> Event:
        known = [event for event in self.model.events.values() if not (unvoided and event.is_voided)]
        return known[number % len(known)]

    def has_events(self) -> bool:
        return bool(self.model.events)

    @rule(model=models, hour=hours, offset=offsets, counts=tokens, cost=money)
    def ingest(self, model: str, hour: int, offset: timedelta, counts: tuple[int, int], cost: Decimal | None) -> None:
        self.world.send([self.event(model, hour, offset, counts, cost)])

    @rule(hour=hours, offset=offsets, batch=st.lists(st.tuples(models, tokens), min_size=2, max_size=5))
    def ingest_many(self, hour: int, offset: timedelta, batch: list[tuple[str, tuple[int, int]]]) -> None:
        made = [self.event(model, hour + index, offset, counts, None) for index, (model, counts) in enumerate(batch)]
        named = [replace(event, event_id=f"{event.event_id}.{index}") for index, event in enumerate(made)]
        self.world.send([*named, named[0]])

    @rule(hour=hours, model=st.sampled_from([PRICED, UNPRICED]), counts=st.tuples(tokens, tokens, tokens), cost=money)
    def log_what_is_polled(
        self, hour: int, model: str, counts: tuple[tuple[int, int], ...], cost: Decimal | None
    ) -> None:
        for key, count in zip("ab", counts, strict=False):
            self.model.reported[BEGIN + hour * HOUR, key, model] = count
        self.world.collect()
        self.world.send([self.event(model, hour, timedelta(minutes=47), counts[2], cost)])

    @precondition(has_events)
    @rule(order=st.randoms(use_true_random=False))
    def duplicate_and_reorder(self, order: object) -> None:
        known = [replace(event) for event in self.model.events.values()]
        order.shuffle(known)  # type: ignore[attr-defined] # Hypothesis' random, typed as object
        assert set(self.world.offer(known[:6])) == {"duplicate"}

    @precondition(has_events)
    @rule(number=numbers)
    def conflict(self, number: int) -> None:
        event = self.pick(number)
        other = replace(event, tokens=(event.tokens[0] + 1, event.tokens[1]))
        assert self.world.offer([other]) == ["rejected"]

    @precondition(lambda self: None not in self.model.coverage)
    @rule(model=models, counts=tokens, edge=st.sampled_from([-MICROSECOND, timedelta(0)]), is_end=st.booleans())
    def late_event_at_the_edge(self, model: str, counts: tuple[int, int], edge: timedelta, is_end: bool) -> None:  # noqa: FBT001 - drawn
        at = self.model.coverage[is_end]
        assert at is not None
        self.world.send([Event(f"e{len(self.model.events)}", model, at + edge, counts, None)])

    @precondition(lambda self: any(not event.is_voided for event in self.model.events.values()))
    @rule(number=numbers)
    def void(self, number: int) -> None:
        self.world.void(self.pick(number, unvoided=True))

    @rule(hour=hours, key=st.sampled_from("ab"), model=st.sampled_from([PRICED, UNPRICED]), counts=tokens)
    def report_or_restate(self, hour: int, key: str, model: str, counts: tuple[int, int]) -> None:
        self.model.reported[BEGIN + hour * HOUR, key, model] = counts

    @precondition(lambda self: self.model.reported)
    @rule(number=numbers)
    def vanish(self, number: int) -> None:
        known = sorted(self.model.reported)
        del self.model.reported[known[number % len(known)]]

    @rule(minutes=st.sampled_from([0, 7, 60, 185]))
    def collect(self, minutes: int) -> None:
        self.model.now += timedelta(minutes=minutes)
        self.world.collect()

    @rule(body=entries)
    def enter(self, body: dict[str, object]) -> None:
        self.world.enter(body)

    @precondition(lambda self: self.model.manual)
    @rule(number=numbers, body=entries)
    def edit(self, number: int, body: dict[str, object]) -> None:
        # The service alone is no figure, so it would be a version that the model does not count.
        body.pop("service")
        self.world.edit(self.entry(number), body)

    @precondition(lambda self: self.model.manual)
    @rule(number=numbers)
    def delete(self, number: int) -> None:
        self.world.delete(self.entry(number))

    def entry(self, number: int) -> int:
        known = sorted(self.model.manual)
        return known[number % len(known)]

    @rule(price=prices)
    def set_price(self, price: Price) -> None:
        self.world.set_price(price)

    @rule(span=spans)
    def reprice(self, span: Span) -> None:
        self.world.reprice(span)

    @rule(pattern=patterns, project=st.sampled_from(["Atlas", "Beacon", None]), priority=st.sampled_from([5, 10, 15]))
    def set_rule(self, pattern: str, project: str | None, priority: int) -> None:
        self.world.set_rule(pattern, project, priority)

    @rule(span=spans)
    def reassign(self, span: Span) -> None:
        self.world.reassign(span)

    @rule(point=points("ingest"), model=models, hour=hours, offset=offsets, counts=tokens)
    def crash_while_sending(
        self, point: str, model: str, hour: int, offset: timedelta, counts: tuple[int, int]
    ) -> None:
        event = self.event(model, hour, offset, counts, None)
        self.crash_and_replay(point, lambda: self.world.send([event]))

    @precondition(lambda self: any(not event.is_voided for event in self.model.events.values()))
    @rule(point=points("void"), number=numbers)
    def crash_while_voiding(self, point: str, number: int) -> None:
        wrong = self.pick(number, unvoided=True)
        self.crash_and_replay(point, lambda: self.world.void(wrong))

    @rule(point=points("merge"))
    def crash_while_collecting(self, point: str) -> None:
        self.crash_and_replay(point, self.world.collect)

    @rule(point=points("reprice"), price=prices, day=st.sampled_from([0, 1]))
    def crash_while_repricing(self, point: str, price: Price, day: int) -> None:
        self.world.set_price(price)
        self.crash_and_replay(point, lambda: self.world.reprice_only(one_day(day)), is_passed=False)

    @rule(point=points("reprice"), price=prices)
    def crash_while_pricing_what_is_new(self, point: str, price: Price) -> None:
        self.world.set_price(price)
        # The collection itself is done by then.
        self.world.collect_only()
        self.crash_and_replay(point, self.world.price_new, is_passed=False, is_whole=False)

    @rule(point=points("reassign"), pattern=patterns, day=st.sampled_from([0, 1]))
    def crash_while_reassigning(self, point: str, pattern: str, day: int) -> None:
        self.world.set_rule(pattern, "Comet", 20)
        self.crash_and_replay(point, lambda: self.world.reassign_only(one_day(day)), is_passed=False)

    def crash_and_replay(
        self, point: str, work: Callable[[], None], *, is_passed: bool = True, is_whole: bool = True
    ) -> None:
        """Die at a point and begin again. What may have nothing to do need not pass it.

        What is one transaction leaves nothing behind before its COMMIT; of several days some may be done.
        """
        is_killed = self.world.killed(point, work)
        assert is_killed or not is_passed
        if is_killed:
            if is_whole and not point.endswith(":answered"):
                self.world.check()
            work()

    @invariant()
    def figures(self) -> None:
        self.world.check()


def test_every_figure_at_every_step(database: Database, dsn: str) -> None:
    reader = Database(dsn)
    machine = type("Machine", (Ledger,), {"database": database, "reader": reader})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None, suppress_health_check=list(HealthCheck),
            derandomize=not IS_SOAK,
        ),
    )  # fmt: skip
    reader.close()
