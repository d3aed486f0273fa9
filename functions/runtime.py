"""Composition root: settings become an `App`, once per process; tests and the local service build their own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from math import inf
from pathlib import Path

import httpx
from aws_lambda_powertools import Logger

from functions import jobs
from shared.config import Settings
from shared.prices.catalogue import Catalogue
from shared.providers.http import Budget
from shared.providers.registry import REGISTRY
from shared.store.database import Database
from shared.workflows.collect import Source

logger = Logger(service="ai-cost-tracker")

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class App:
    """Everything the entry points need, already connected to nothing: connections open at first use.

    `sources` makes the polled accounts for one run, given the seconds it has; `dispatch` starts a stored run by id
    and returns at once. `is_demo` says that the accounts are invented.
    """

    settings: Settings
    database: Database
    catalogue: Catalogue
    http: httpx.Client
    clock: Clock
    dispatch: Callable[[App, int], None]
    is_demo: bool = False

    def sources(self, seconds: float) -> list[Source]:
        """Return every account whose credential is set, bound to a budget of `seconds`."""
        budget = Budget.lasting(seconds)
        origin = "demo" if self.is_demo else "environment"
        found = []
        for name, spec in REGISTRY.items():
            key = spec.find_key(self.settings.credentials())
            if key is not None:
                provider = spec.connect(key, self.http, budget, self.settings.base_url(name))
                found.append(Source(f"{name}-demo" if self.is_demo else name, origin, provider))
        return found

    @property
    def lookback(self) -> timedelta:
        """How far behind the watermark a collection reads again."""
        return timedelta(days=self.settings.collection_lookback_days)

    @property
    def backfill(self) -> timedelta:
        """How far back a first collection goes."""
        return timedelta(days=self.settings.collection_backfill_days)


def utc_now() -> datetime:
    """Return the present instant, aware, in UTC."""
    return datetime.now(UTC)


def build(
    settings: Settings,
    http: httpx.Client,
    *,
    clock: Clock = utc_now,
    dispatch: Callable[[App, int], None],
    is_demo: bool = False,
) -> App:
    """Wire an App from its parts; nothing is opened, nothing is sent.

    Raises:
        SettingError: DATABASE_URL is missing.
    """
    return App(
        settings=settings,
        database=Database(settings.required("database_url")),
        catalogue=Catalogue(),
        http=http,
        clock=clock,
        dispatch=dispatch,
        is_demo=is_demo,
    )


@cache
def app() -> App:
    """Return this process's App, from the environment over a local `.env`."""
    return build(Settings.load(dotenv_path=Path(".env")), httpx.Client(timeout=30), dispatch=in_a_thread)


def in_a_thread(app: App, run_id: int) -> None:
    """Start a run in this process. Killing it is safe: the next run continues from its checkpoint."""
    threading.Thread(target=_work, args=(app, run_id), name=f"run-{run_id}", daemon=True).start()


def _work(app: App, run_id: int) -> None:
    try:
        jobs.work(app, run_id, lambda: inf)
    finally:
        app.database.close()
