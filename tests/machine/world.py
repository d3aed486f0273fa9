"""The real ledger beside its model: every verb on both."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from math import inf
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from shared.core import crash, periods
from shared.core.money import CONTEXT, total
from shared.core.projects import Rule as GlobRule
from shared.core.windows import Plan
from shared.store import accounts
from shared.store.audit import Author
from shared.store.database import Connection, Database
from shared.workflows import manual, rules
from shared.workflows.attribute import rebuild
from shared.workflows.collect import Source, collect
from shared.workflows.ingest import Options, ingest
from shared.workflows.pricing import load_book, set_price
from shared.workflows.reassign import Order as Moving
from shared.workflows.reassign import reassign
from shared.workflows.reprice import Order, Repriced, reprice
from shared.workflows.void import void
from tests.integration.collecting import CATALOGUE
from tests.machine import balances
from tests.machine.checks import Checks
from tests.machine.model import BEGIN, EVER, NEVER, RULES, Change, Event, Model, Price, Rule, Span
from tests.machine.provider import Reporting

T = TypeVar("T")

EVERYTHING = (EVER, NEVER)
_TABLES = (
    "accounts, provider_names, collection_state, staged_rows, buckets, bucket_versions, ledger, rollup_quarter, "
    "model_names, rates, manual_versions, summary_changes, price_overrides, audit_log, "
    "price_catalogues, catalogue_checks, rollup_day, rollup_day_keys"
)


class Killed(BaseException):
    """The process ended here."""


class World:
    """One empty ledger with an account that is not collected yet."""

    def __init__(self, database: Database, reader: Database | None = None) -> None:
        """Empty the database; `reader` has connections of its own, on which only what was committed is seen."""
        self.database = database
        self.model = Model()
        self._checks = Checks(reader or database, self.model)

        def empty(connection: Connection) -> None:
            connection.execute(f"TRUNCATE {_TABLES} RESTART IDENTITY CASCADE")
            connection.execute("DELETE FROM project_mappings WHERE id > %s", [max(rule.id for rule in RULES)])
            accounts.ensure(connection, "anthropic", "anthropic", "environment")
            # Days of an odd zone, the first of them closed: what comes late moves every roll-up.
            connection.execute(
                "UPDATE rollup_state SET zone = 'America/St_Johns', closed_until = %s",
                [periods.midnight((BEGIN + timedelta(days=3)).date(), ZoneInfo("America/St_Johns"))],
            )

        database.run(empty)
        self._provider = Reporting(self.model)
        self._load_book()

    def check(self) -> None:
        """Compare everything; see `Checks.check`."""
        self._checks.check()

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
                self.model.store(event)
            elif outcome.status == "duplicate":
                assert known is not None
                assert outcome.id == known.line_id
        return [outcome.status for outcome in report.outcomes]

    def void(self, event: Event) -> None:
        void(self.database, event.line_id, "wrong", self.model.now, touched=rebuild)
        event.is_voided = True

    def collect(self) -> None:
        """Collect; the last step of that is `price_new`."""
        self.collect_only()
        self.price_new()

    def collect_only(self) -> None:
        """Collect, up to the automatic pricing."""
        plan = Plan(now=self.model.now, lookback=timedelta(days=9), backfill=timedelta(days=9))
        source = Source("anthropic", "environment", self._provider)
        [report] = collect(self.database, [source], lambda _: self._book, plan, lambda: inf)
        assert report.status == "succeeded", report
        self.model.collect()

    def price_new(self) -> None:
        """Price what had no price until now, as the end of every collection does."""
        self.run_reprice(EVERYTHING, only_unpriced=True)
        self.model.reprice(EVERYTHING, only_unpriced=True)

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

    def set_price(self, price: Price) -> None:
        figures = {"input": price.input, "output": price.output}
        set_price(self.database, CATALOGUE, price.model, None, price.since, figures, self._author())
        self.model.prices.append(price)
        self._load_book()

    def set_rule(self, pattern: str, project: str | None, priority: int) -> None:
        """Add a rule, change the one of this pattern, or without a project remove it."""
        known = self.model.rules.get(pattern)
        if project is None:
            if known is not None:
                rules.remove(self.database, known.id, self._author())
                del self.model.rules[pattern]
            return
        wanted = GlobRule(pattern, project, priority)
        if known is None:
            stored = rules.add(self.database, wanted, self._author())
        else:
            stored = rules.change(self.database, known.id, {"project": project, "priority": priority}, self._author())
        self.model.rules[pattern] = Rule(pattern, project, priority, stored["id"])

    def reprice(self, span: Span) -> None:
        """Say what it would change, which changes nothing; then do it, and that is what has changed."""
        before = self._checks.digest(), self._whole()
        announced = self.run_reprice(span, dry_run=True).as_json()
        assert self._checks.digest() == before[0]
        done = self.run_reprice(span).as_json()
        assert {**announced, "dry_run": False} == done
        changes = self.model.reprice(span)
        assert _announced(done) == {name: change for name, change in changes.items() if any(change)}
        assert CONTEXT.subtract(done["cost_after"], done["cost_before"]) == CONTEXT.subtract(self._whole(), before[1])

    def reassign(self, span: Span) -> None:
        """As `reprice`, for the rules."""
        before = self._checks.digest()
        announced = self.run_reassign(span, dry_run=True)
        assert self._checks.digest() == before
        assert {**announced, "dry_run": False} == self.run_reassign(span)
        moves = self.model.reassign(span)
        assert {(move["from"], move["to"]): move["cost"] for move in announced["moves"]} == {
            pair: figures.cost for pair, figures in moves.items()
        }
        assert (announced["requests"], announced["tokens"]) == (
            sum(figures.requests for figures in moves.values()),
            sum(figures.input + figures.output for figures in moves.values()),
        )

    def reprice_only(self, span: Span) -> None:
        """Re-price without asking what that would change."""
        self.run_reprice(span)
        self.model.reprice(span)

    def reassign_only(self, span: Span) -> None:
        """Re-map without asking what that would move."""
        self.run_reassign(span)
        self.model.reassign(span)

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

    def run_reprice(self, span: Span, *, dry_run: bool = False, only_unpriced: bool = False) -> Repriced:
        """Re-price the ledger alone."""
        order = Order(self._author(), "UTC", *span, dry_run=dry_run, only_unpriced=only_unpriced)
        return reprice(self.database, lambda _: self._book, order, lambda: inf)

    def run_reassign(self, span: Span, *, dry_run: bool = False) -> dict[str, Any]:
        """Re-map the ledger alone."""
        return reassign(self.database, Moving(self._author(), *span, dry_run=dry_run), lambda: inf).as_json()

    def _whole(self) -> Decimal:
        return total(figures.cost for figures in balances.by_project(self.model).values())

    def _load_book(self) -> None:
        self._book = self.database.run(lambda connection: load_book(connection, CATALOGUE))

    def _author(self) -> Author:
        return Author("somebody", self.model.now)


def _entry(record: dict[str, Any]) -> tuple[datetime, Decimal, int]:
    return record["recorded_at"], record["cost_usd"], record["input_tokens"]


def _announced(done: dict[str, Any]) -> dict[str, Change]:
    """What a re-pricing says of each model that it makes dearer or cheaper, or gives a first price."""
    found = {
        row["model"]: (
            CONTEXT.subtract(row["cost_after"], row["cost_before"]),
            row["unpriced_before"] - row["unpriced_after"],
        )
        for row in done["changes"]
        if not row["is_balance"]
    }
    return {name: change for name, change in found.items() if any(change)}
