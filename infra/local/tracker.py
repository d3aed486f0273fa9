"""The tracker in process: keys, database, schema, the demo's provider, and the threads that runs work in."""

from __future__ import annotations

import logging
import sys
import threading
import time
from math import inf
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit, urlunsplit

import httpx
import psycopg
from pydantic import SecretStr

from functions import runtime, sources
from functions.api import main as api
from infra.local import postgres
from infra.local.keyfiles import api_key_path, with_keys
from infra.local.sealer import KeyFileSealer
from infra.local.transport import HandlerTransport
from shared.errors import MigrationError, SettingError
from shared.providers.registry import REGISTRY
from shared.store import runs
from shared.store.database import connect
from shared.store.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from functions.runtime import App
    from infra.local.demo import DemoProviders
    from shared.config import Settings

STOP_SECONDS = 3.0
DEMO_SUFFIX = "_demo"
_STOPPED = "It was stopped before its end; what was read is kept and the next run continues."


def silent(_line: str) -> None:
    """Say nothing."""


def is_demo(settings: Settings, *, asked: bool | None = None) -> bool:
    """Tell whether the demo organisation is in question: as asked, else where no provider's key is set."""
    if asked is not None:
        return asked
    credentials = settings.credentials()
    return all(spec.find_key(credentials) is None for spec in REGISTRY.values())


def refused_keys(settings: Settings) -> list[str]:
    """Return, for each provider whose only keys are of a kind that cannot read usage, the sentence on what it needs."""
    given = settings.credentials()
    return [
        f"{', '.join(held)} cannot be used. {spec.key_needed}"
        for spec in REGISTRY.values()
        if spec.find_key(given) is None and (held := [key.setting for key in spec.key_settings if key.setting in given])
    ]


class Tracker:
    """The API in process, over the embedded Postgres or `DATABASE_URL`, with the schema up to date.

    Use `Tracker.open`. `applied` are the migrations that opening it applied; `key` is an API key with every scope.
    """

    def __init__(self, settings: Settings, demo: DemoProviders | None, applied: list[str]) -> None:
        self.settings = settings
        self.is_demo = demo is not None
        self.applied = applied
        self.key = settings.required("api_key")
        self._demo = demo
        self._runs = _Runs()
        self._http = httpx.Client(timeout=30)
        self.app: App = runtime.build(
            settings,
            self._http,
            dispatch=self._runs.start,
            is_demo=self.is_demo,
            sealer=KeyFileSealer(settings.home),
        )
        self.handler = api.build(lambda: self.app)

    @classmethod
    def open(
        cls, settings: Settings, *, demo: bool | None = None, create: bool = False, say: Callable[[str], None] = silent
    ) -> Self:
        """Open the tracker; what is missing is made: home, keys, database, tables.

        The demo organisation lives in a database of its own, beside the real one. `demo` asks for it or against it;
        left out, `is_demo` decides, but never once the real database holds usage, and without `create` only where the
        demo's database exists already: it is serving that brings it into being, not a command that looks. `say` gets
        one line per step.

        Raises:
            SettingError: the home or the database cannot be used.
            MigrationError: the schema cannot be brought up to date.
        """
        _log_to_stderr(settings)
        if settings.database_url is None:
            say(f"starting Postgres in {settings.home}")
            settings = settings.model_copy(
                update={"database_url": SecretStr(postgres.start(settings.home)), "database_url_direct": None}
            )
        settings = with_keys(settings)
        wants_demo = is_demo(settings, asked=demo) and (demo is True or not _has_usage(settings))
        if wants_demo:
            beside = _beside(settings)
            wants_demo = _has_database(settings, beside, create=create or demo is True)
            settings = beside if wants_demo else settings
        say("applying migrations")
        applied = _migrated(settings)
        if not wants_demo:
            return cls(settings, None, applied)
        say("demo: figures of an invented organisation, from fake providers, in a database of their own")
        from infra.local.demo import DemoProviders  # noqa: PLC0415 - only the demo has providers of its own

        providers = DemoProviders().start()
        return cls(providers.settings(settings), providers, applied)

    @property
    def database_name(self) -> str:
        """The name of the database, without where it is."""
        return urlsplit(self.settings.required("database_url")).path.strip("/")

    @property
    def key_path(self) -> Path:
        """Where the API key is kept that was generated because `API_KEY` was not set."""
        return api_key_path(self.settings)

    def client(self) -> httpx.Client:
        """Return a client that calls the API in process, with the key set."""
        transport = HandlerTransport(self.handler)
        # Nothing is gained by compressing what does not leave the process.
        headers = {"X-API-Key": self.key, "Accept-Encoding": "identity"}
        return httpx.Client(transport=transport, base_url="http://local", headers=headers)

    def enter_invoices(self) -> None:
        """Enter what the demo's organisation pays and no API tells; nothing without the demo."""
        if self.is_demo:
            from infra.local.demo import enter_invoices  # noqa: PLC0415 - only the demo has invented invoices

            enter_invoices(self.app)

    def begin_collection(self, due: datetime | None = None) -> int | None:
        """Start a stored run for the instant it was `due` (UTC) and return its id; None where nothing can be polled."""
        if not sources.given(self.app) and not self.app.sources(inf):
            return None
        request = {} if due is None else {"now": due}
        run_id = self.app.database.run(lambda c: runs.start(c, "collect", request, self.app.clock()))
        self._runs.start(self.app, run_id)
        return run_id

    def stop_runs(self) -> None:
        """Stop runs between two pages: what they read is kept and the next one continues."""
        self._runs.stop(self.app)

    def close(self) -> None:
        """Stop runs and let everything go; the data stays."""
        self.stop_runs()
        if self._demo is not None:
            self._demo.stop()
        self._http.close()
        self.app.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


class _Runs:
    """Works runs in threads and can ask them to stop: they see that no time remains."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._threads: dict[int, threading.Thread] = {}

    def start(self, app: App, run_id: int) -> None:
        self._threads = {number: thread for number, thread in self._threads.items() if thread.is_alive()}
        thread = threading.Thread(target=self._work, args=(app, run_id), name=f"run-{run_id}", daemon=True)
        self._threads[run_id] = thread
        thread.start()

    def stop(self, app: App) -> None:
        self._stopping.set()
        deadline = time.monotonic() + STOP_SECONDS
        for run_id, thread in self._threads.items():
            is_begun = thread.ident is not None  # Ctrl-C may come between the run and its thread
            if is_begun:
                thread.join(max(0.0, deadline - time.monotonic()))
            if not is_begun or thread.is_alive():  # it waits for a provider; nobody should wait for it
                now = app.clock()
                app.database.run(lambda c, r=run_id, n=now: runs.finish(c, r, "partial", {}, _STOPPED, n))  # type: ignore[misc] # run at once
        self._threads = {}

    def _work(self, app: App, run_id: int) -> None:
        try:
            from functions import jobs  # noqa: PLC0415 - a command that only asks loads no collector

            # What is left is what `stop` waits: too little to read on, enough to write down how far it came.
            jobs.work(app, run_id, lambda: STOP_SECONDS if self._stopping.is_set() else inf)
        except Exception:  # noqa: BLE001 - the last frame of a thread: nobody is above it to be told
            if not self._stopping.is_set():  # the database may be gone by then
                runtime.logger.exception("run lost", extra={"run": run_id})
        finally:
            app.database.close()


def _log_to_stderr(settings: Settings) -> None:
    """Leave stdout to answers, which programs read."""
    handler = runtime.logger.registered_handler
    if isinstance(handler, logging.StreamHandler):
        # Not `setStream`, which flushes the one before: whoever calls us in process may have closed that.
        handler.stream = sys.stderr
    runtime.logger.setLevel(settings.log_level)


def _beside(settings: Settings) -> Settings:
    """Return the settings with the demo's database instead of the real one, on the same server."""
    urls = {name: getattr(settings, name) for name in ("database_url", "database_url_direct")}
    moved = {}
    for name, url in urls.items():
        if url is not None:
            parts = urlsplit(url.get_secret_value())
            database = parts.path.strip("/") or "cost_tracker"
            moved[name] = SecretStr(urlunsplit(parts._replace(path=f"/{database}{DEMO_SUFFIX}")))
    return settings.model_copy(update=moved)


def _has_usage(settings: Settings) -> bool:
    with _connected(settings) as connection:
        if connection.execute("SELECT 1 FROM pg_class WHERE oid = to_regclass('ledger')").fetchone() is None:
            return False
        if connection.execute("SELECT 1 FROM ledger LIMIT 1").fetchone() is not None:
            return True
        # A stored credential is meant for real figures; its column is as old as a migration that may be due.
        query = "SELECT 1 FROM accounts WHERE to_jsonb(accounts) ->> 'credential' IS NOT NULL LIMIT 1"
        return connection.execute(query).fetchone() is not None


def _has_database(settings: Settings, wanted: Settings, *, create: bool) -> bool:
    name = urlsplit(_direct(wanted)).path.strip("/")
    with _connected(settings) as connection:
        exists = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is not None
    if not exists and create:
        try:
            postgres.create_database(_direct(settings), name)
        except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
            pass  # another process was faster
        except psycopg.Error as error:
            raise SettingError(
                f"The demo needs a database {name} of its own, which could not be created; create it, or set a "
                "provider's key, or start with --no-demo."
            ) from error
    return exists or create


def _migrated(settings: Settings) -> list[str]:
    with _connected(settings) as connection:
        try:
            return migrate(connection)
        except psycopg.Error as error:
            reason = str(error).partition("\n")[0].rstrip(".")
            raise MigrationError(f"A migration failed and left the schema as it was: {reason}.") from error


def _direct(settings: Settings) -> str:
    return settings.required("database_url" if settings.database_url_direct is None else "database_url_direct")


def _connected(settings: Settings) -> psycopg.Connection[psycopg.rows.DictRow]:
    try:
        return connect(_direct(settings))
    except psycopg.OperationalError as error:
        raise SettingError(
            "Postgres does not let us in; check DATABASE_URL: host, database, user and password."
        ) from error
