"""Whatever happens to a ledger, in whatever order, its figures are those of a few dictionaries."""

import os
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

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
from tests.machine.model import BEGIN, FOREIGN, HOUR, PRICED, UNPRICED, Event
from tests.machine.world import World

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLES = int(os.environ.get("MACHINE_EXAMPLES", "100"))
STEPS = 40
MICROSECOND = timedelta(microseconds=1)

numbers = st.integers(0, 10**9)
# A few hours, so that events meet buckets; half of the time at their edges.
offsets = st.sampled_from([timedelta(0), -MICROSECOND, MICROSECOND, timedelta(minutes=15), timedelta(minutes=47)])
hours = st.integers(0, 30)
tokens = st.tuples(st.integers(0, 5000), st.integers(0, 900))
models = st.sampled_from([PRICED, PRICED, UNPRICED, FOREIGN])
money = st.sampled_from([None, None, Decimal("0.25"), Decimal("1E-30")])
entries = st.fixed_dictionaries(
    {"service": st.sampled_from(["openai", "chatgpt plus"]), "date": st.sampled_from(["2026-11-17", "2026-11-18"]),
     "cost": st.sampled_from(["20", "0.1"]), "tokens": st.integers(0, 3)},
)  # fmt: skip


class Ledger(RuleBasedStateMachine):
    """The rules; `database` is set by the test."""

    database: Database

    @initialize()
    def begin(self) -> None:
        self.world = World(self.database)
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

    @rule(
        point=st.sampled_from([point for point in crash.POINTS if not point.startswith("manual")]),
        number=numbers, model=models, hour=hours, offset=offsets, counts=tokens,
    )  # fmt: skip
    def crash_and_replay(
        self, point: str, number: int, model: str, hour: int, offset: timedelta, counts: tuple[int, int]
    ) -> None:
        work: Callable[[], None]
        if point.startswith("ingest"):
            event = self.event(model, hour, offset, counts, None)
            work = lambda: self.world.send([event])  # noqa: E731 - one of three
        elif point.startswith("void"):
            if all(event.is_voided for event in self.model.events.values()):
                return
            wrong = self.pick(number, unvoided=True)
            work = lambda: self.world.void(wrong)  # noqa: E731
        else:
            work = self.world.collect
        assert self.world.killed(point, work)
        if not point.endswith(":answered"):
            self.world.check()
        work()

    @invariant()
    def figures(self) -> None:
        self.world.check()


def test_every_figure_at_every_step(database: Database) -> None:
    machine = type("Machine", (Ledger,), {"database": database})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None, suppress_health_check=list(HealthCheck),
            derandomize="MACHINE_EXAMPLES" not in os.environ,
        ),
    )  # fmt: skip
