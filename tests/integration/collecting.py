"""What the collection tests share: an App's worth of parts over a fake provider, and whole-database comparison."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx

from infra.demo.anthropic import ADMIN_KEY, FakeAnthropic
from shared.core.windows import Plan
from shared.prices.catalogue import Catalogue
from shared.providers.base import Provider
from shared.providers.http import Budget
from shared.providers.registry import REGISTRY
from shared.store.database import Connection, Database
from shared.workflows.collect import AccountReport, Progress, Source, collect
from shared.workflows.pricing import load_book

NOW = datetime(2026, 11, 20, 10, 30, tzinfo=UTC)
CATALOGUE = Catalogue()

# What a collection leaves behind. Surrogate ids and the fence count attempts, so they may differ; nothing else may.
_IDS = {"id", "bucket_id", "rates_id", "fence", "created_at"}
_TABLES = (
    "accounts", "provider_names", "collection_state", "staged_rows", "buckets", "bucket_versions", "ledger",
    "rollup_quarter", "model_names", "rates", "project_mappings",
)  # fmt: skip


def tables(connection: Connection) -> dict[str, list[str]]:
    """Every row of every table that collections write, without surrogate ids, in a fixed order."""
    return {
        table: sorted(
            repr(sorted((name, value) for name, value in row.items() if name not in _IDS))
            for row in connection.execute(f"SELECT * FROM {table}")  # noqa: S608 - constants of this file
        )
        for table in _TABLES
    }


def provider(fake: FakeAnthropic, key: str = ADMIN_KEY) -> Provider:
    """The real Anthropic provider against the fake server; it waits for nothing."""
    return provider_at(fake.url, key)


def provider_at(url: str, key: str) -> Provider:
    """The same, by the server's address."""
    patient = Budget(deadline=float("inf"), clock=lambda: 0.0, sleep=lambda _: None)
    return REGISTRY["anthropic"].connect(key, httpx.Client(trust_env=False), patient, url)


def run(
    database: Database,
    *providers: Provider,
    now: datetime = NOW,
    backfill: timedelta = timedelta(days=90),
    start: datetime | None = None,
    end: datetime | None = None,
    remaining: Callable[[], float] = lambda: float("inf"),
    progress: Callable[[Progress], None] = lambda _: None,
) -> list[AccountReport]:
    """Collect with the real workflow; the first provider's account is `anthropic`, then `anthropic-2` and so on."""
    sources = [
        Source("anthropic" if index == 1 else f"anthropic-{index}", "environment", one)
        for index, one in enumerate(providers, start=1)
    ]
    plan = Plan(now=now, lookback=timedelta(days=3), backfill=backfill, start=start, end=end)
    return collect(database, sources, lambda c: load_book(c, CATALOGUE), plan, remaining, progress)


def changes(report: AccountReport, stream: str = "usage") -> tuple[int, int, int, int]:
    """(new, changed, unchanged, removed) of a stream, over all of its windows in the run."""
    found = [one.changes for one in report.streams if one.stream == stream]
    return (
        sum(c.new for c in found),
        sum(c.changed for c in found),
        sum(c.unchanged for c in found),
        sum(c.removed for c in found),
    )
