"""Composition root: settings become an `App`, once per process; tests and the local service build their own.

What only some requests need is imported by them: a cold start answers a reader who waits.
"""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from functions.kms import KmsSealer
from functions.logs import hide, logger
from functions.ssm import Parameters
from shared.config import Settings
from shared.errors import CostTrackerError
from shared.prices.catalogue import Catalogue
from shared.store import runs
from shared.store.database import Database
from shared.workflows.keys import Keyring
from shared.workflows.sealing import NoSealer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import httpx

    from shared.workflows.collect import Source
    from shared.workflows.sealing import Sealer

__all__ = ["App", "app", "build", "in_a_thread", "logger", "to_worker", "utc_now"]

Clock: TypeAlias = "Callable[[], datetime]"
Dispatch: TypeAlias = "Callable[[App, int], None]"


@dataclass(frozen=True, slots=True)
class App:
    """Everything the entry points need, already connected to nothing: connections open at first use.

    `sources` makes the polled accounts for one run, given the seconds it has; `dispatch` starts a stored run by id
    and returns at once. `is_demo` says that the accounts are invented. `sealer` encrypts stored credentials.
    `keyring` remembers the stored API keys that were seen lately.
    """

    settings: Settings
    database: Database
    catalogue: Catalogue
    open_http: Callable[[], httpx.Client]
    clock: Clock
    dispatch: Dispatch
    is_demo: bool = False
    keyring: Keyring = field(default_factory=Keyring)
    sealer: Sealer = field(default_factory=NoSealer)

    @property
    def http(self) -> httpx.Client:
        """The client for every call to the outside, one per process."""
        return self.open_http()

    def sources(self, seconds: float, provider: str | None = None, account: str | None = None) -> list[Source]:
        """Return every polled account, or those of a provider or of a name; see `functions.sources.sources`."""
        from functions.sources import sources  # noqa: PLC0415 - only who polls loads an HTTP client

        return sources(self, seconds, provider, account)

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
    http: httpx.Client | Callable[[], httpx.Client],
    *,
    clock: Clock = utc_now,
    dispatch: Dispatch,
    is_demo: bool = False,
    dsn: str | Callable[[], str] | None = None,
    sealer: Sealer | None = None,
) -> App:
    """Wire an App from its parts; nothing is opened, nothing is sent. Its secrets are kept out of the log from here on.

    `http` may be a function that makes the client at first use; `dsn` stands in for DATABASE_URL, as
    `Database` takes it. Without a `sealer` credentials cannot be stored.

    Raises:
        SettingError: DATABASE_URL is missing.
    """
    hide(settings)
    return App(
        settings=settings,
        database=Database(settings.required("database_url") if dsn is None else dsn),
        catalogue=Catalogue(),
        open_http=http if callable(http) else lambda: http,
        clock=clock,
        dispatch=dispatch,
        is_demo=is_demo,
        sealer=sealer or NoSealer(),
    )


class Process:
    """A process's settings and App: from the environment, over a local `.env`, over the parameters of SSM_PREFIX.

    `environ` is looked at when asked, so that a test may set it first.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._lock = threading.Lock()
        self._parameters: Parameters | None = None
        self._seen: Mapping[str, str] = {}
        self._app: App | None = None

    def settings(self, *, fresh: bool = False) -> Settings:
        """Return the settings as they are now; with `fresh` the parameters are not older than this call.

        Raises:
            SettingError: one is malformed, or the parameters cannot be read.
        """
        return self._load(self._fetch(fresh=fresh))

    def app(self) -> App:
        """Return the App; a new one when a parameter has changed.

        Raises:
            SettingError: as `settings`, or DATABASE_URL is missing.
        """
        with self._lock:
            parameters = self._fetch()
            if self._app is None or parameters != self._seen:
                settings, before = self._load(parameters), self._app
                name = self._environ.get("WORKER_FUNCTION", "").strip()
                self._app = build(
                    settings,
                    cache(_open_http),
                    dispatch=to_worker(name) if name else in_a_thread,
                    dsn=_Address(self, settings.required("database_url")),
                    sealer=KmsSealer(key) if (key := self._environ.get("CREDENTIALS_KEY", "").strip()) else None,
                )
                self._seen = parameters
                if before is not None:
                    before.database.close()
            return self._app

    def _fetch(self, *, fresh: bool = False) -> Mapping[str, str]:
        if self._parameters is None:
            self._parameters = Parameters(self._environ.get("SSM_PREFIX", "").strip())
        return self._parameters.fetch(fresh=fresh)

    def _load(self, parameters: Mapping[str, str]) -> Settings:
        settings = Settings.load(self._environ, dotenv_path=Path(".env"), parameters=parameters)
        hide(settings)
        return settings


class _Address:
    """DATABASE_URL as the `Database` asks for it: as known at first, then, because it was refused, as it is now."""

    def __init__(self, process: Process, known: str) -> None:
        self._process = process
        self._known: str | None = known

    def __call__(self) -> str:
        known, self._known = self._known, None
        return known or self._process.settings(fresh=True).required("database_url")


process = Process(os.environ)


def app() -> App:
    """Return this process's App.

    Raises:
        SettingError: a setting is missing or malformed, or the parameters cannot be read.
    """
    return process.app()


def _open_http() -> httpx.Client:
    import httpx  # noqa: PLC0415 - a tenth of a second that only who calls out pays

    return httpx.Client(timeout=30)


def in_a_thread(app: App, run_id: int) -> None:
    """Start a run in this process. Killing it is safe: the next run continues from its checkpoint."""
    threading.Thread(target=_work, args=(app, run_id), name=f"run-{run_id}", daemon=True).start()


def _work(app: App, run_id: int) -> None:
    from functions import jobs  # noqa: PLC0415 - a reader does no jobs

    try:
        jobs.work(app, run_id, lambda: inf)
    except CostTrackerError:
        # The last frame of a thread: nobody is above it to be told. The run is closed when its silence is noticed.
        logger.exception("run lost", extra={"run": run_id})
    finally:
        app.database.close()


def to_worker(function: str) -> Dispatch:
    """Return a dispatch that has another Lambda function do the run, by an event that AWS keeps until it is done.

    A run whose worker cannot be started is closed as failed, with a sentence.
    """

    def dispatch(app: App, run_id: int) -> None:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - readers do without the SDK

        try:
            _lambda_client().invoke(
                FunctionName=function, InvocationType="Event", Payload=json.dumps({"run": run_id}).encode()
            )
        except (BotoCoreError, ClientError):
            logger.exception("the worker could not be started", extra={"run": run_id})
            sentence = "The worker function could not be started; try again, and see the log if it stays so."
            app.database.run(lambda c: runs.finish(c, run_id, "failed", {}, sentence, app.clock()))

    return dispatch


@cache
def _lambda_client() -> Any:  # noqa: ANN401 - boto3 makes its classes at run time
    import boto3  # noqa: PLC0415 - slow, and only needed to start a worker
    from botocore.config import Config  # noqa: PLC0415 - the same

    # The caller waits at an API Gateway that gives up after 30 s.
    limits = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2})
    return boto3.client("lambda", config=limits)
