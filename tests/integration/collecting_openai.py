"""What the tests of OpenAI's collection share: rows of a fake server, the real provider against it, sums."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx

from infra.demo.openai.data import CostRow, Key, Project, UsageRow
from infra.demo.openai.fake import ADMIN_KEY, FakeOpenAI
from shared.providers.base import Provider
from shared.providers.http import Budget
from shared.providers.registry import REGISTRY
from shared.store.database import Connection, Database
from shared.workflows.collect import AccountReport
from tests.integration.collecting import run

NOW = datetime(2026, 11, 20, 10, 30, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
AT = datetime(2026, 11, 18, 14, tzinfo=UTC)
MIDNIGHT = AT.replace(hour=0)
MINI = "gpt-5-mini-2025-08-07"
PROJECTS = (Project("proj_a", "Shop"), Project("proj_b", "Old", archived_at=AT))
KEYS = (Key("key_a", "proj_a", "peakpaws-main"), Key("key_b", "proj_b", None, service_account="kanban-subagent"))


def chat(at: datetime = AT, key: str = "key_a", **counts: int) -> UsageRow:
    told = {"input_tokens": 1_000_000, "output_tokens": 100_000, "num_model_requests": 4, **counts}
    words = {"project_id": "proj_a" if key == "key_a" else "proj_b", "api_key_id": key, "model": MINI}
    return UsageRow(at, "completions", told, {**words, "batch": False, "service_tier": "default"})


def search(key: str = "key_a", *, number: int = 3) -> UsageRow:
    words = {"project_id": "proj_a", "api_key_id": key, "model": MINI, "context_level": "low"}
    return UsageRow(AT, "web_search_calls", {"num_requests": number, "num_model_requests": 2}, words)


def bill(at: datetime = AT, key: str = "key_a", amount: str = "0.03", line: str = "web search tool calls") -> CostRow:
    return CostRow(at, Decimal(amount), line, "proj_a" if key == "key_a" else "proj_b", key)


def openai(fake: FakeOpenAI) -> Provider:
    return connect(httpx.Client(trust_env=False), fake.base_url)


def connect(http: httpx.Client, address: str) -> Provider:
    patient = Budget(deadline=float("inf"), clock=lambda: 0.0, sleep=lambda _: None)
    return REGISTRY["openai"].connect(ADMIN_KEY, http, patient, address)


def total(connection: Connection) -> Any:  # noqa: ANN401 - a column
    row = connection.execute("SELECT sum(cost) AS cost, sum(web_searches) AS searches FROM ledger").fetchone()
    assert row is not None
    return row["cost"], row["searches"]


def collected(database: Database, fake: FakeOpenAI, **plan: Any) -> AccountReport:  # noqa: ANN401 - as `run` takes them
    [report] = run(database, openai(fake), **{"backfill": 10 * DAY, "now": NOW, **plan})
    return report
