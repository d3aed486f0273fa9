"""What the tests of OpenRouter's collection share: rows of a fake server, the real provider against it, sums."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx

from infra.demo.openrouter.data import ActivityRow, Endpoint, Key
from infra.demo.openrouter.fake import MANAGEMENT_KEY, FakeOpenRouter
from shared.providers.base import Provider
from shared.providers.http import Budget
from shared.providers.registry import REGISTRY
from shared.store.database import Connection, Database
from shared.workflows.collect import AccountReport
from tests.integration.collecting import run

NOW = datetime(2026, 11, 20, 10, 30, tzinfo=UTC)
DAY = timedelta(days=1)
YESTERDAY = datetime(2026, 11, 19, tzinfo=UTC)
SPACE = "ws-only"
FLASH = Endpoint("e-flash", "google/gemini-2.5-flash", "google/gemini-2.5-flash", "Google")
MAIN, HELPER = Key("peakpaws-main", SPACE), Key("kanban-subagent", SPACE)


def used(
    key: Key | None = MAIN,
    usage: str = "0.25",
    at: datetime = YESTERDAY,
    *,
    requests: int = 3,
    prompt: int = 1000,
    cached: int = 400,
    byok: str = "0",
) -> ActivityRow:
    counts = (requests, prompt, 100, 40, cached)
    return ActivityRow(at, FLASH, key.hash if key else None, SPACE, counts, Decimal(usage), Decimal(byok))


def openrouter(fake: FakeOpenRouter, key: str = MANAGEMENT_KEY) -> Provider:
    patient = Budget(deadline=float("inf"), clock=lambda: 0.0, sleep=lambda _: None, now=fake.clock)
    return REGISTRY["openrouter"].connect(key, httpx.Client(trust_env=False), patient, fake.base_url)


def collected(database: Database, fake: FakeOpenRouter, **plan: Any) -> AccountReport:  # noqa: ANN401 - as `run` takes them
    [report] = run(database, openrouter(fake), **{"now": NOW, **plan})
    return report


def sums(connection: Connection) -> list[tuple[Any, ...]]:
    """Label, cost, requests and input per line, by label."""
    rows = connection.execute(
        "SELECT session_label, cost, requests, input_tokens, cache_read_tokens FROM ledger ORDER BY 1 NULLS LAST, 2"
    )
    return [tuple(row.values()) for row in rows]
