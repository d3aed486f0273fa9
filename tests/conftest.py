"""Real Postgres for tests: one embedded server per run, the schema built once, a clone of it per test."""

import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import psycopg
import pytest
from httpx._transports import default as _transports
from psycopg import sql
from psycopg.conninfo import make_conninfo

from shared.store.database import Connection, Database, connect
from shared.store.migrate import migrate

# Servers of the tests speak plain HTTP, and whoever opens a client reads all certificates: one reading is enough.
_transports.create_ssl_context = cache(_transports.create_ssl_context)  # type: ignore[attr-defined] # not exported

# Failures of these comparisons show both sides.
pytest.register_assert_rewrite("tests.machine.checks", "tests.machine.world")

_HOME = "COST_TRACKER_TEST_HOME"
_TEMPLATE = "tracker_template"
# A file system in memory, where there is one with room: making and dropping a database takes a tenth of the time.
_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own in it
_ROOM = 6 * 2**30


def pytest_configure(config: pytest.Config) -> None:
    # The process that starts the workers names the server's home; workers inherit it, and what is temporary with it.
    if not hasattr(config, "workerinput"):
        os.environ[_HOME] = tempfile.mkdtemp(prefix="tracker-tests-", dir=_MEMORY if _has_room(_MEMORY) else None)
        Path(os.environ[_HOME]).chmod(0o755)
        os.environ["TMPDIR"] = os.environ[_HOME]
        tempfile.tempdir = None


def _has_room(folder: Path) -> bool:
    return os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > _ROOM


def pytest_unconfigure(config: pytest.Config) -> None:
    if "infra.local.postgres" in sys.modules:
        # Before its own exit hook, which would make its folder again.
        sys.modules["infra.local.postgres"].stop(Path(os.environ[_HOME]))
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ[_HOME], ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_dsn() -> str:
    """An embedded Postgres of this test run's own, with the template database made."""
    from infra.local import postgres  # noqa: PLC0415 - unit tests do without a server

    dsn = postgres.start(Path(os.environ[_HOME]))
    with psycopg.connect(dsn, autocommit=True) as admin:
        # Nothing here has to survive a power cut.
        for setting in ("fsync", "full_page_writes", "synchronous_commit", "autovacuum"):
            admin.execute(sql.SQL("ALTER SYSTEM SET {} = off").format(sql.Identifier(setting)))
        admin.execute("SELECT pg_reload_conf()")
        admin.execute("SELECT pg_advisory_lock(1)")
        if admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [_TEMPLATE]).fetchone() is None:
            building = f"{_TEMPLATE}_building"
            admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(building)))
            with connect(make_conninfo(dsn, dbname=building)) as connection:
                migrate(connection)
            admin.execute(
                sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(building), sql.Identifier(_TEMPLATE))
            )
        admin.execute("SELECT pg_advisory_unlock(1)")
    return dsn


@pytest.fixture(scope="session")
def admin(postgres_dsn: str) -> Iterator[psycopg.Connection]:
    """One connection that makes and drops databases."""
    with psycopg.connect(postgres_dsn, autocommit=True) as found:
        yield found


def _database(admin: psycopg.Connection, template: str) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex[:12]}"
    admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
    yield make_conninfo(admin.info.dsn, dbname=name)
    admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def dsn(admin: psycopg.Connection) -> Iterator[str]:
    """A migrated, empty database."""
    yield from _database(admin, _TEMPLATE)


@pytest.fixture
def blank_dsn(admin: psycopg.Connection) -> Iterator[str]:
    """A database without a schema."""
    yield from _database(admin, "template0")


@pytest.fixture
def database(dsn: str) -> Iterator[Database]:
    found = Database(dsn)
    yield found
    found.close()


@pytest.fixture
def connection(dsn: str) -> Iterator[Connection]:
    with connect(dsn) as found:
        yield found
