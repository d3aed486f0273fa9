"""The demo organisation's figures by hand: raw rows of the fake server times a price table of this file's own."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from infra.demo.anthropic import FakeAnthropic

# USD per million tokens: input, output, cache read, five-minute write, one-hour write. List prices of 2026-11.
PRICES = {
    "claude-opus-4-6": ("5", "25", "0.5", "6.25", "10"),
    "claude-opus-5-5": ("4", "20", "0.2", "5", "8"),
    "claude-sonnet-4-5-20250929": ("3", "15", "0.3", "3.75", "6"),
    "claude-haiku-4-5-20251001": ("1", "5", "0.1", "1.25", "2"),
}
LONG_CONTEXT = {"claude-sonnet-4-5-20250929": ("6", "22.5", "0.6", "7.5", "12")}
SHOWN_AS = {"claude-sonnet-4-5-20250929": "claude-sonnet-4-5", "claude-haiku-4-5-20251001": "claude-haiku-4-5"}
WEB_SEARCH = Decimal("0.01")
PROJECTS = {
    "peakpaws-": "PeakPaws",
    "kanban-": "Kanban Board",
    "trading-": "Trading Tools",
    "cost-tracker-": "Cost Tracker",
    "context-vault-": "Context Vault",
}
CLASSES = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")
BOOKED_FROM_THE_BILL = {"code_execution", "session_usage", "file_storage"}


@dataclass
class Fact:
    """One raw row as a ledger line ought to be: `cost` None is unpriced."""

    at: datetime
    model: str
    label: str | None
    project: str
    session_type: str
    cost: Decimal | None
    costs: dict[str, Decimal] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)
    request_type: str = "unassigned"
    provider: str = "anthropic"
    requests: int = 0
    source: str = "api"


@dataclass
class Sum:
    """What a report says about some facts."""

    cost: Decimal = Decimal(0)
    tokens: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CLASSES, 0))
    unpriced: int = 0
    requests: int = 0


def facts(fake: FakeAnthropic, start: datetime, end: datetime) -> list[Fact]:
    """Every raw usage row and every charge of the bill that no token explains, by hand."""
    keys = {key.id: key.name for key in fake.dataset.keys}
    workspaces = {workspace.id: workspace.name for workspace in fake.dataset.workspaces}
    found = [_used(at, row, keys, workspaces) for at, row in fake.raw_usage(start, end)]
    for day, row in fake.raw_costs(midnight(start), end):
        if row["cost_type"] in BOOKED_FROM_THE_BILL:
            label = workspaces.get(row["workspace_id"] or "")
            usd = Decimal(row["amount"]) / 100
            found.append(
                Fact(
                    day,
                    row["cost_type"],
                    label,
                    project_of(label),
                    type_of(label),
                    usd,
                    {"unclassified": usd},
                    dict.fromkeys(CLASSES, 0),
                    row["cost_type"],
                )
            )
    return found


def billed(fake: FakeAnthropic, start: datetime, end: datetime) -> dict[datetime, Decimal]:
    """The bill per UTC day in USD."""
    days: dict[datetime, Decimal] = {}
    for day, row in fake.raw_costs(start, end):
        days[midnight(day)] = days.get(midnight(day), Decimal(0)) + Decimal(row["amount"]) / 100
    return days


def total(some: Iterable[Fact]) -> Sum:
    """Add facts up."""
    result = Sum()
    for fact in some:
        result.cost += fact.cost or 0
        result.requests += fact.requests
        for name in CLASSES:
            result.tokens[name] += fact.tokens[name]
        if fact.cost is None:
            result.unpriced += sum(fact.tokens[name] for name in CLASSES)
    return result


def by(some: Iterable[Fact], key: Callable[[Fact], Any]) -> dict[Any, Sum]:
    """Add facts up per key."""
    groups: dict[Any, list[Fact]] = {}
    for fact in some:
        groups.setdefault(key(fact), []).append(fact)
    return {name: total(group) for name, group in groups.items()}


def _used(at: datetime, row: dict[str, Any], keys: dict[str, str], workspaces: dict[str, str]) -> Fact:
    key = keys.get(row["api_key_id"] or "")
    label = key or workspaces.get(row["workspace_id"] or "")
    counts = (
        row["uncached_input_tokens"],
        row["output_tokens"],
        row["cache_read_input_tokens"],
        row["cache_creation"]["ephemeral_5m_input_tokens"],
        row["cache_creation"]["ephemeral_1h_input_tokens"],
    )
    searches = row["server_tool_use"]["web_search_requests"]
    model = row["model"]
    is_long = row["context_window"] == "200k-1M"
    table = LONG_CONTEXT.get(model, PRICES.get(model)) if is_long else PRICES.get(model)
    costs: dict[str, Decimal] = {}
    if table:
        factor = Decimal("0.5") if row["service_tier"] == "batch" else Decimal(1)
        factor *= Decimal("1.1") if row["inference_geo"] == "us" else Decimal(1)
        costs = {
            name: Decimal(count) * Decimal(price) * factor / 10**6
            for name, count, price in zip(CLASSES, counts, table, strict=True)
        }
        costs["web_searches"] = searches * WEB_SEARCH
    return Fact(
        at=at,
        model=SHOWN_AS.get(model, model),
        label=label,
        project=project_of(label),
        session_type=type_of(label, key),
        cost=sum(costs.values(), Decimal(0)) if table else None,
        costs=costs,
        tokens=dict(zip(CLASSES, counts, strict=True)),
    )


def project_of(label: str | None) -> str:
    """The project that a label belongs to by the rules every tracker starts with."""
    return next((name for prefix, name in PROJECTS.items() if (label or "").lower().startswith(prefix)), "General")


def type_of(label: str | None, key: str | None = None) -> str:
    """The session type that the names of a polled line say."""
    if "heartbeat" in (label or "").lower():
        return "heartbeat"
    return "subagent" if "subagent" in (key or "").lower() else "main"


def midnight(instant: datetime) -> datetime:
    """The start of the UTC day that holds an instant."""
    return instant - (instant - datetime(2000, 1, 1, tzinfo=UTC)) % timedelta(days=1)
