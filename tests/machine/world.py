"""The real ledger beside its model: every verb on both, and the comparison."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from shared.core import crash, jsontext, periods
from shared.core.money import total
from shared.core.windows import Plan
from shared.store import accounts, export, reports, rollups
from shared.store.database import Connection, Database
from shared.store.reports import Filters
from shared.workflows import manual
from shared.workflows.attribute import rebuild
from shared.workflows.collect import Source, collect
from shared.workflows.ingest import Options, ingest
from shared.workflows.pricing import load_book
from shared.workflows.void import void
from tests.integration.collecting import CATALOGUE
from tests.machine.model import BEGIN, Event, Model, Reporting, figures_of

T = TypeVar("T")

# One on the hour, and two whose days begin inside an hour of UTC.
ZONES = tuple(ZoneInfo(name) for name in ("UTC", "Asia/Kathmandu", "America/St_Johns"))
_SPAN = (BEGIN - timedelta(days=20), BEGIN + timedelta(days=40))
_TABLES = (
    "accounts, provider_names, collection_state, staged_rows, buckets, bucket_versions, ledger, rollup_quarter, "
    "model_names, rates, manual_versions, summary_changes"
)


class Killed(BaseException):
    """The process ended here."""


class World:
    """One empty ledger with an account that is not collected yet."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.model = Model()
        self._checks = 0
        database.run(lambda connection: connection.execute(f"TRUNCATE {_TABLES} RESTART IDENTITY CASCADE"))
        database.run(lambda connection: accounts.ensure(connection, "anthropic", "anthropic", "environment"))
        self._provider = Reporting(self.model)
        self._book = database.run(lambda connection: load_book(connection, CATALOGUE))

    # The verbs. Each is what a user or the schedule does; those that change the model do so once they returned.

    def send(self, events: Sequence[Event]) -> None:
        statuses = self.offer(events)
        assert set(statuses) <= {"created", "duplicate"}, statuses

    def offer(self, events: Sequence[Event]) -> list[str]:
        """Ingest these, take the new ones into the model, and return what became of each."""
        rows = [event.wire() for event in events]
        report = ingest(self.database, lambda _: self._book, rows, self.model.now, options=Options(touched=rebuild))
        for event, outcome in zip(events, report.outcomes, strict=True):
            known = self.model.events.get(event.event_id)
            if outcome.status == "created" or (known is None and outcome.status == "duplicate"):
                event.line_id = outcome.id or 0
                self.model.events[event.event_id] = event
            elif outcome.status == "duplicate":
                assert known is not None
                assert outcome.id == known.line_id
        return [outcome.status for outcome in report.outcomes]

    def void(self, event: Event) -> None:
        void(self.database, event.line_id, "wrong", self.model.now, touched=rebuild)
        event.is_voided = True

    def collect(self) -> None:
        plan = Plan(now=self.model.now, lookback=timedelta(days=9), backfill=timedelta(days=9))
        source = Source("anthropic", "environment", self._provider)
        [report] = collect(self.database, [source], lambda _: self._book, plan, lambda: float("inf"))
        assert report.status == "succeeded", report
        self.model.collect()

    def enter(self, body: dict[str, Any]) -> None:
        made = manual.create(self.database, lambda _: self._book, body, self.model.now)
        self.model.manual[made["id"]] = _entry(made)

    def edit(self, line_id: int, body: dict[str, Any]) -> None:
        made = manual.edit(self.database, lambda _: self._book, line_id, body, self.model.now)
        self.model.manual_versions += _entry(made) != self.model.manual[line_id]
        self.model.manual[line_id] = _entry(made)

    def delete(self, line_id: int) -> None:
        manual.delete(self.database, line_id, self.model.now)
        self.model.manual_versions += 1
        del self.model.manual[line_id]

    def killed(self, point: str, work: Callable[[], T]) -> bool:
        """Do the work in a process that dies at this point; return whether it got there."""

        def hook(passed: str) -> None:
            if passed == point:
                raise Killed

        try:
            with crash.watched(hook):
                work()
        except Killed:
            return True
        return False

    # The comparison.

    def check(self) -> None:
        """I1 to I4, I6 to I8, I10 and I11, over all that is stored."""
        self.database.run(self._check)

    def _check(self, connection: Connection) -> None:
        model = self.model
        self._read_coverage(connection)
        assert rollups.drift(connection, *_SPAN) == []
        rows = connection.execute(
            """
            SELECT slot, model, sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
                sum(requests) AS requests, sum(cost) AS cost, sum(unpriced_tokens) AS unpriced_tokens,
                sum(unpriced_requests) AS unpriced_requests
            FROM rollup_quarter GROUP BY slot, model
            """
        )
        expected = model.expected()
        assert figures_of(rows) == expected
        counted = connection.execute(
            """
            SELECT (SELECT count(*) FROM ledger WHERE source = 'event') AS events,
                (SELECT count(*) FROM ledger WHERE source = 'manual') AS manual,
                (SELECT count(*) FROM bucket_versions) AS bucket_versions,
                (SELECT count(*) FROM manual_versions) AS manual_versions
            """
        ).fetchone()
        assert counted is not None
        assert tuple(counted.values()) == (
            len(model.events), len(model.manual), model.bucket_versions, model.manual_versions,
        )  # fmt: skip
        self._check_days(connection, {slot: cost for slot, cost in _by_slot(expected).items() if cost})
        self._check_export(connection, total(figures.cost for figures in expected.values()))

    def _read_coverage(self, connection: Connection) -> None:
        """The coverage is the collector's; what is checked of it is that it only grows."""
        [account] = accounts.everyone(connection)
        before, after = self.model.coverage, (account.covered_from, account.complete_until)
        if before[0] is not None and before[1] is not None:
            assert after[0] is not None
            assert after[1] is not None
            assert (after[0] <= before[0], after[1] >= before[1]) == (True, True)
        self.model.coverage = after

    def _check_days(self, connection: Connection, slots: dict[datetime, Decimal]) -> None:
        """Days of one zone, another at each step: breakdowns add up to the whole, which is what the model says."""
        self._checks += 1
        zone = ZONES[self._checks % len(ZONES)]
        dates = [(BEGIN + timedelta(days=day)).date() for day in range(-3, 8)]
        bounds = [periods.midnight(date, zone) for date in dates]
        by_period: dict[int, dict[str | None, list[Decimal]]] = {}
        for row in reports.sums(connection, bounds, ("model", "project", "source"), Filters()):
            by_period.setdefault(row.period, {}).setdefault(row.dimension, []).append(row.totals.cost)
        for index, (start, end) in enumerate(pairwise(bounds)):
            sums = by_period.get(index, {None: [Decimal(0)]})
            whole = total(cost for slot, cost in slots.items() if start <= slot < end)
            assert {name: total(parts) for name, parts in sums.items()} == dict.fromkeys(sums, whole)

    def _check_export(self, connection: Connection, whole: Decimal) -> None:
        text = b"".join(export.stream(connection, "jsonl", _SPAN, Filters()))
        found = [jsontext.loads(line) for line in text.splitlines()]
        assert total(Decimal(str(row["cost_usd"])) for row in found if row["cost_usd"] is not None) == whole


def _entry(record: dict[str, Any]) -> tuple[datetime, Decimal, int]:
    return record["recorded_at"], record["cost_usd"], record["input_tokens"]


def _by_slot(expected: dict[tuple[datetime, str], Any]) -> dict[datetime, Decimal]:
    found: dict[datetime, Decimal] = {}
    for (slot, _), figures in expected.items():
        found[slot] = total((found.get(slot, Decimal(0)), figures.cost))
    return found
