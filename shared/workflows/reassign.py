"""Reassign: apply project rules to the past, day by day, or say what a set of rules would move."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from shared.core import crash
from shared.core.money import CONTEXT
from shared.core.projects import Rule, assign
from shared.store import audit, projects
from shared.store import reprice as reprice_store
from shared.workflows import days
from shared.workflows.days import Walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from shared.store.audit import Author
    from shared.store.database import Connection, Database

_COUNTS = ("lines", "requests", "tokens")
_NAMES = ("label", "agent", "key_name", "workspace_name")


@dataclass(frozen=True, slots=True)
class Order:
    """What to move: lines in `[start, end)` (UTC, None for no bound), by the rules in force."""

    author: Author
    start: datetime | None = None
    end: datetime | None = None
    dry_run: bool = False


@dataclass(slots=True)
class Moves:
    """What was moved, or would be: sums by (project before, project after), costs in USD.

    Balance lines follow their buckets and are not counted.
    """

    sums: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    def add(self, source: str, target: str, row: dict[str, Any]) -> None:
        """Take in some lines."""
        zero = {**dict.fromkeys(_COUNTS, 0), "cost": Decimal(0)}
        _add(self.sums.setdefault((source, target), zero), row)

    def as_json(self) -> dict[str, Any]:
        """Return `lines, requests, tokens, cost` in all, and `moves` with each pair of projects, in order."""
        whole: dict[str, Any] = {**dict.fromkeys(_COUNTS, 0), "cost": Decimal(0)}
        for row in self.sums.values():
            _add(whole, row)
        return {
            **whole,
            "moves": [
                {"from": source, "to": target, **self.sums[source, target]} for source, target in sorted(self.sums)
            ],
        }


@dataclass(slots=True)
class Reassigned:
    """How a run over the past ended; `stopped_at` is set when the time was over before the end."""

    dry_run: bool
    moves: Moves = field(default_factory=Moves)
    days: int = 0
    stopped_at: datetime | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the shape that runs store; `continue_from` is there when the time was over before the end."""
        stopped = {} if self.stopped_at is None else {"continue_from": self.stopped_at}
        return {"dry_run": self.dry_run, "days": self.days, **self.moves.as_json(), **stopped}


def preview(connection: Connection, rules: Sequence[Rule], start: datetime, end: datetime) -> Moves:
    """Return what `rules` (ordered) would move in `[start, end)` UTC; nothing is changed."""
    moves = Moves()
    with closing(projects.groups(connection, start, end)) as rows:
        for row in rows:
            target = _target(rules, row)
            if target != row["project"]:
                moves.add(row["project"], target, row)
    return moves


def reassign(
    database: Database,
    order: Order,
    remaining: Callable[[], float],
    progress: Callable[[datetime], None] = lambda _: None,
) -> Reassigned:
    """Give every line that rules decide on the project of the rules in force.

    Lines whose sender named the project keep it. Each UTC day is one transaction with its roll-ups and its audit row,
    so a run that is killed leaves whole days; run again, it finds nothing to do in them. A dry run changes nothing.
    Stops a minute before the time is over; `progress` gets the start of each day that is done.

    Raises:
        DatabaseUnavailableError: Postgres is away; whole days are done.
    """
    rules = database.run(projects.rules)
    walk = Walk(order.start, order.end)
    report = Reassigned(order.dry_run)

    def next_line(start: datetime, end: datetime) -> datetime | None:
        return database.run(lambda c: projects.next_line(c, start, end))

    def done(start: datetime, sums: Iterable[tuple[str, str, dict[str, Any]]]) -> None:
        for source, target, row in sums:
            report.moves.add(source, target, row)
        progress(start)

    spans = walk.days(next_line, remaining)
    days.each(database, spans, lambda start, end: _attempt(database, order, rules, start, end), done, remaining)
    report.days, report.stopped_at = walk.worked, walk.stopped_at
    return report


def _attempt(
    database: Database, order: Order, rules: Sequence[Rule], start: datetime, end: datetime
) -> Iterable[tuple[str, str, dict[str, Any]]]:
    # A COMMIT whose answer was lost is tried again and then moves nothing more: the first try's word stands.
    found: list[tuple[str, str, dict[str, Any]]] = []

    def work(connection: Connection) -> None:
        if order.dry_run:
            sums = preview(connection, rules, start, end).sums
        else:
            sums = _day(connection, order, rules, start, end).sums
        if sums:
            found[:] = [(source, target, row) for (source, target), row in sums.items()]

    database.run(work)
    crash.at("reassign:answered")
    return found


def _day(connection: Connection, order: Order, rules: Sequence[Rule], start: datetime, end: datetime) -> Moves:
    moves = Moves()
    reprice_store.lock(connection, start)
    wanted: dict[tuple[str, ...], str] = {}
    with closing(projects.groups(connection, start, end)) as rows:
        for row in rows:
            target = _target(rules, row)
            if target != row["project"]:
                wanted[tuple(row[name] or "" for name in _NAMES)] = target
    if not wanted:
        return moves
    listed = [{**dict(zip(_NAMES, names, strict=True)), "to": target} for names, target in wanted.items()]
    for row in projects.move(connection, start, end, listed):
        moves.add(row["source"], row["target"], row)
    crash.at("reassign:moved")
    projects.apply(connection, start, end, order.author.at)
    crash.at("reassign:applied")
    if polled := days.polled(connection, projects.moved_accounts(connection)):
        days.balance(connection, polled, start)
        crash.at("reassign:balanced")
    audit.write(connection, order.author, "reassign", {"day": start.date(), **moves.as_json()})
    crash.at("reassign:noted")
    return moves


def _target(rules: Sequence[Rule], row: dict[str, Any]) -> str:
    return assign(rules, **{name: row[name] for name in _NAMES})


def _add(sums: dict[str, Any], more: dict[str, Any]) -> None:
    for name in _COUNTS:
        sums[name] += int(more[name])
    sums["cost"] = CONTEXT.add(sums["cost"], more["cost"])
