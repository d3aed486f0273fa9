"""Random events, and what each of them costs and belongs to: by tables of this file's own, without our code."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

FIRST, DAYS = datetime(2026, 10, 10, tzinfo=UTC), 40
SECONDS = DAYS * 24 * 3600
# USD per million tokens: input, output, cache read, five-minute write, one-hour write. List prices of 2026-11.
PRICES = {
    "claude-sonnet-4-5-20250929": ("3", "15", "0.3", "3.75", "6"),
    "claude-haiku-4-5": ("1", "5", "0.1", "1.25", "2"),
    "gpt-4o": ("2.5", "10", "1.25", "0", "0"),
}
LONG = ("6", "22.5", "0.6", "7.5", "12")
LONG_FROM = 200_000
# A price of its own: from when on, input and output.
DATED, DATED_PROVIDER = "acme-large", "acme"
DATED_PRICES = (
    (datetime(2026, 1, 1, tzinfo=UTC), "0.123456789", "4"),
    (datetime(2026, 10, 28, 7, 30, tzinfo=UTC), "1", "2.5"),
)
UNPRICED = "mystery-7"
SHOWN = {"claude-sonnet-4-5-20250929": "claude-sonnet-4-5"}
PROVIDERS = {"gpt-4o": "openai", DATED: DATED_PROVIDER, UNPRICED: "nowhere"}
MODELS = (*PRICES, DATED, UNPRICED)
PROJECTS = {"peakpaws-": "PeakPaws", "kanban-": "Kanban Board", "context-vault-": "Context Vault"}
LABELS = (None, "main", "peakpaws-build", "kanban-7", "context-vault-heartbeat", "loose")
OFFSETS = (timedelta(0), timedelta(hours=5, minutes=30), timedelta(hours=-7))
DIMENSIONS = ("model", "provider", "project", "session_type", "session_label", "agent", "category", "user", "source")


@dataclass(frozen=True, slots=True)
class Fact:
    """What one event is worth: USD exactly (None: unpriced), tokens by class, and its key in every dimension."""

    number: int
    at: datetime
    keys: dict[str, str]
    tags: dict[str, str]
    tokens: tuple[int, int, int, int, int]
    cost: Fraction | None


def events(seed: int, count: int) -> Iterator[tuple[dict[str, Any], Fact]]:
    """Yield events as they are sent, each with its fact; the same seed gives the same ones."""
    pick = random.Random(seed)  # noqa: S311 - events, not secrets
    for number in range(count):
        yield _event(pick, number)


def _event(pick: random.Random, number: int) -> tuple[dict[str, Any], Fact]:
    model = pick.choice(MODELS)
    at = FIRST + timedelta(seconds=pick.randrange(SECONDS), microseconds=pick.choice((0, 0, 1, 999_999)))
    tokens = (pick.randrange(30_000), pick.randrange(4_000), pick.randrange(90_000), 0, 0)
    if model.startswith("claude"):
        tokens = (*tokens[:3], pick.randrange(2_000), pick.randrange(500))
    if pick.random() < 0.01:
        tokens = (LONG_FROM + pick.randrange(3), *tokens[1:2], 0, 0, 0)
    is_batch = model.startswith("claude") and pick.random() < 0.2
    reported = f"0.{pick.randrange(10**12):012}" if pick.random() < 0.2 else None
    if reported and pick.random() < 0.5:
        tokens = (0, 0, 0, 0, 0)
    label, agent = pick.choice(LABELS), pick.choice((None, "builder", "tester"))
    category, user = pick.choice((None, "planning", "analysis")), pick.choice((None, None, "ada"))
    own_project = "Own" if pick.random() < 0.1 else None
    tags = {"team": pick.choice("ab")} if pick.random() < 0.3 else {}
    row: dict[str, Any] = {
        "event_id": f"n{number}", "model": model, "provider": PROVIDERS.get(model),
        "recorded_at": _written(at, pick.choice(OFFSETS)), "session_label": label, "agent": agent, "category": category,
        "user": user, "project": own_project, "tags": tags or None, "batch": is_batch or None, "cost": reported,
        "description": "x" if number % 5 == 0 else None,
    }  # fmt: skip
    if any(tokens) or reported is None:
        names = ("tokens_in", "tokens_out", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens")
        row |= dict(zip(names, tokens, strict=True))
    keys = {
        "model": SHOWN.get(model, model), "provider": PROVIDERS.get(model, "anthropic"),
        "project": own_project or _project(label), "session_type": _session_type(label),
        "session_label": label or "unassigned", "agent": agent or "unassigned", "category": category or "unassigned",
        "user": user or "unassigned", "source": "event",
    }  # fmt: skip
    cost = _cost(model, at, tokens, is_batch=is_batch)
    if cost is None or not any(tokens):
        # What was sent counts where tokens say nothing, or nobody knows their price.
        cost = Fraction(reported) if reported else cost
    return row, Fact(number, at, keys, tags, tokens, cost)


def _written(at: datetime, offset: timedelta) -> str:
    local = (at + offset).replace(tzinfo=None).isoformat(timespec="microseconds")
    minutes = int(offset.total_seconds()) // 60
    return f"{local}{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def _cost(model: str, at: datetime, tokens: tuple[int, ...], *, is_batch: bool) -> Fraction | None:
    if model == UNPRICED:
        return None
    table: tuple[str, ...]
    if model == DATED:
        _, *known = max(period for period in DATED_PRICES if period[0] <= at)
        # Nobody set a price for its cache, so it costs what input costs.
        table = (*known, known[0], known[0], known[0])
    else:
        is_long = model.startswith("claude-sonnet") and sum(tokens) - tokens[1] > LONG_FROM
        table = LONG if is_long else PRICES[model]
    cost = sum((count * Fraction(price) for count, price in zip(tokens, table, strict=True)), Fraction(0))
    return cost / 10**6 / (2 if is_batch else 1)


def _project(label: str | None) -> str:
    return next((name for prefix, name in PROJECTS.items() if (label or "").startswith(prefix)), "General")


def _session_type(label: str | None) -> str:
    if label and "heartbeat" in label:
        return "heartbeat"
    return "main" if label in {None, "main"} else "subagent"
