"""Two ways to Postgres, direct and through PgBouncer; an API on either; a cluster that may be stopped."""

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from functions import runtime
from functions.api import main
from functions.runtime import App
from infra.demo.anthropic import ADMIN_KEY, FakeAnthropic
from infra.local import postgres
from infra.local.sealer import KeyFileSealer
from infra.local.transport import HandlerTransport
from shared.config import Settings
from shared.store.database import Database, connect
from shared.store.migrate import migrate
from tests.integration.account_world import World
from tests.integration.collecting import NOW
from tests.integration.migrating import url_of
from tests.integration.pooler import NO_POOLER, PgBouncer, Relay, find_pgbouncer

WAYS = ("direct", "pgbouncer")
API_KEY = "a-key-of-the-tests"


def part(dsn: str, name: str) -> str:
    return str(conninfo_to_dict(dsn)[name])


def in_front_of(host: str, port: int, postgres_dsn: str, *settings: str) -> Iterator[PgBouncer]:
    program = find_pgbouncer()
    if program is None:
        pytest.skip(NO_POOLER)
    found = PgBouncer(program, host, port, Path(part(postgres_dsn, "host")).stat().st_uid, *settings)
    yield found.start()
    found.discard()


@pytest.fixture(scope="session")
def pgbouncer(postgres_dsn: str) -> Iterator[PgBouncer]:
    """A PgBouncer in front of the embedded Postgres, for every database in it."""
    yield from in_front_of(part(postgres_dsn, "host"), 5432, postgres_dsn)


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def way_dsn(way: str, dsn: str, request: pytest.FixtureRequest) -> str:
    """The migrated, empty database of `dsn`, by this way."""
    return by_way(way, dsn, request)


def by_way(way: str, dsn: str, request: pytest.FixtureRequest) -> str:
    name = part(dsn, "dbname")
    if way == "direct":
        return f"postgresql://postgres@/{name}?host={part(dsn, 'host')}"
    pooler: PgBouncer = request.getfixturevalue("pgbouncer")
    return pooler.dsn(name)


@pytest.fixture(scope="module")
def module_dsn(postgres_dsn: str) -> str:
    """A migrated database for a whole module, whose tests empty it themselves: copying the template takes a while."""
    name = f"module_{uuid.uuid4().hex[:12]}"
    postgres.create_database(postgres_dsn, name)
    dsn = make_conninfo(postgres_dsn, dbname=name)
    with connect(dsn) as connection:
        migrate(connection)
    return dsn


@pytest.fixture(scope="module")
def relay(postgres_dsn: str) -> Iterator[Relay]:
    """A relay to the embedded Postgres; a test sets its fault."""

    def kill(pid: int) -> None:
        with psycopg.connect(postgres_dsn, autocommit=True) as admin:
            admin.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])

    found = Relay(f"{part(postgres_dsn, 'host')}/.s.PGSQL.5432", kill).start()
    yield found
    found.stop()


@pytest.fixture(scope="module")
def relayed_pgbouncer(relay: Relay, postgres_dsn: str) -> Iterator[PgBouncer]:
    """A PgBouncer whose own connections go through the relay."""
    yield from in_front_of("127.0.0.1", relay.port, postgres_dsn)


@pytest.fixture
def relayed_dsn(way: str, relay: Relay, dsn: str, request: pytest.FixtureRequest) -> str:
    """The database of `dsn` by this way, with the relay before Postgres."""
    name = part(dsn, "dbname")
    if way == "direct":
        return f"postgresql://postgres@127.0.0.1:{relay.port}/{name}"
    pooler: PgBouncer = request.getfixturevalue("relayed_pgbouncer")
    return pooler.dsn(name)


@dataclass(frozen=True)
class Api:
    """The whole API over an App, called in process."""

    app: App
    http: httpx.Client


@pytest.fixture
def serve() -> Iterator[Callable[..., Api]]:
    """Start the API on a database, collecting from a fake provider in a thread; tries follow each other at once."""
    started: list[Api] = []

    def start(dsn: str, fake: FakeAnthropic | None = None) -> Api:
        settings = {"DATABASE_URL": dsn, "API_KEY": API_KEY, "COLLECTION_BACKFILL_DAYS": "9"}
        if fake is not None:
            settings |= {"ANTHROPIC_ADMIN_KEY": ADMIN_KEY, "ANTHROPIC_BASE_URL": fake.url}
        app = runtime.build(
            Settings.load(settings), httpx.Client(trust_env=False), clock=lambda: NOW, dispatch=runtime.in_a_thread
        )
        app = replace(app, database=Database(dsn, sleep=lambda _: None))
        transport = HandlerTransport(main.build(lambda: app))
        api = Api(app, httpx.Client(transport=transport, base_url="http://local", headers={"X-API-Key": API_KEY}))
        started.append(api)
        return api

    yield start
    for api in started:
        api.http.close()
        api.app.http.close()
        api.app.database.close()


def unavailable(answer: httpx.Response) -> None:
    """Check that this is the 503 of the contract: our body, when to come back, and not a word of the inside."""
    assert answer.status_code == 503, answer.text
    assert answer.headers["retry-after"] == "5"
    body = answer.json()
    assert body["error"]["code"] == "database_unavailable"
    assert body["error"]["message"].endswith(".")
    for word in ("Traceback", "psycopg", "postgresql://", "127.0.0.1", "terminating", "shared/"):
        assert word not in answer.text


@dataclass(frozen=True)
class Cluster:
    """A Postgres of one test module's own: `dsn` is its empty database, `data` its directory."""

    dsn: str
    data: Path
    program: Path

    def control(self, *words: str) -> None:
        """Run `pg_ctl restart`, `stop`, `start` or `reload`, and wait for it."""
        is_root = os.geteuid() == 0
        owner = self.data.stat().st_uid if is_root else None
        groups: list[int] | None = [] if is_root else None
        subprocess.run(  # noqa: S603 - our own program and words
            [str(self.program), "-w", "-s", "-D", str(self.data), "-l", str(self.data / "log"), *words],
            check=True, user=owner, group=owner, extra_groups=groups, timeout=30, cwd="/",
        )  # fmt: skip


@pytest.fixture(scope="module")
def cluster(postgres_dsn: str) -> Iterator[Cluster]:
    assert postgres_dsn  # the library keeps its lock in the home of the first server, to the end of the process
    home = Path(tempfile.mkdtemp(prefix="tracker-cluster-"))
    home.chmod(0o755)
    dsn = postgres.start(home)
    with psycopg.connect(dsn, autocommit=True) as admin:
        # The library says these on the command line, which only a restart repeats.
        admin.execute("ALTER SYSTEM SET listen_addresses = ''")
        admin.execute(f"ALTER SYSTEM SET unix_socket_directories = '{part(dsn, 'host')}'")
        admin.execute("ALTER SYSTEM SET fsync = off")
        [(directory,)] = admin.execute("SELECT setting FROM pg_config WHERE name = 'BINDIR'").fetchall()
    found = Cluster(dsn, home / "postgres", Path(directory) / "pg_ctl")
    yield found
    postgres.stop(home)
    # The library forgets a server that was restarted.
    if (found.data / "postmaster.pid").exists():
        found.control("stop", "-m", "immediate")
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def opened(dsn: str, serve: Callable[..., Api], tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Open the API with a key file of its own, over the settings given by `env`."""
    with ExitStack() as stack:

        def start(*, env: FakeAnthropic | None = None, **changed: Any) -> World:  # noqa: ANN401 - fields of App
            api = serve(url_of(dsn), env)
            database = Database(dsn, sleep=lambda _: None)
            app = replace(api.app, sealer=KeyFileSealer(tmp_path), database=database, **changed)
            transport = HandlerTransport(main.build(lambda: app))
            http = httpx.Client(transport=transport, base_url="http://local", headers={"X-API-Key": API_KEY})
            stack.callback(database.close)
            stack.callback(http.close)
            return World(app, stack.enter_context(FakeAnthropic(clock=lambda: NOW)), http)

        yield start


@pytest.fixture
def world(opened: Callable[..., World]) -> World:
    return opened()
