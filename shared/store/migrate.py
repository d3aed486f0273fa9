"""Forward-only SQL migrations, each in a transaction of its own, with a checksum that refuses edited files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from shared.errors import MigrationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.store.database import Connection

DIRECTORY = Path(__file__).parent / "migrations"
# Any fixed number does; it only has to be the same for every migrator of this schema.
_LOCK = 0x41_43_54


@dataclass(frozen=True, slots=True)
class Migration:
    """One `NNNN_name.sql` file."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """Return the SHA-256 of the file's text."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def load(directory: Path = DIRECTORY) -> tuple[Migration, ...]:
    """Read the migrations in order.

    Raises:
        MigrationError: a file name without a number, or numbers with a gap or a repeat.
    """
    found = []
    for path in sorted(directory.glob("*.sql")):
        number, _, name = path.stem.partition("_")
        if not number.isdigit():
            raise MigrationError(f"Name {path.name} like 0001_what_it_does.sql.")
        found.append(Migration(int(number), name, path.read_text()))
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise MigrationError("Number the migrations 0001, 0002, ... without gaps or repeats.")
    return tuple(found)


def digest(migrations: tuple[Migration, ...] | None = None) -> str:
    """Return the name of a state of the schema, such as `0005-9f86d081884c`: the newest number, a hash of all files.

    The template carries it as `SchemaHash`, so that CloudFormation migrates when it changes.
    """
    known = load() if migrations is None else migrations
    everything = "\n".join(migration.checksum for migration in known)
    return f"{len(known):04}-{hashlib.sha256(everything.encode()).hexdigest()[:12]}"


def migrate(
    connection: Connection,
    migrations: tuple[Migration, ...] | None = None,
    *,
    remaining: Callable[[], float] = lambda: inf,
) -> list[str]:
    """Apply what is missing and return the names applied, in order; nothing to do is an empty list.

    Two migrators at once are safe: each migration takes a lock for its transaction and looks again. A database that
    is ahead of these files (a rollback of the code) is left as it is. `remaining` gives the seconds left: locks are
    waited for and statements run at most so long.

    Raises:
        MigrationError: an applied file was edited since.
        psycopg.Error: the SQL failed or the time ran out, and the schema stays at the version before it; or the
            connection was lost, and the next try finds out whether the last migration is in.
    """
    applied = []
    for migration in load() if migrations is None else migrations:
        with connection.transaction():
            _limit(connection, remaining())
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
            if _apply(connection, migration):
                applied.append(f"{migration.version:04} {migration.name}")
    return applied


def _limit(connection: Connection, seconds: float) -> None:
    if seconds == inf:
        return
    limit = max(int(seconds * 1000), 1)  # in milliseconds; 0 would mean no limit
    # A wait for a lock ends first, so that the error tells it from a statement that takes too long.
    connection.execute(
        "SELECT set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true)",
        [str(limit), str(limit + 500)],
    )


def version(connection: Connection) -> int:
    """Return the number of the newest applied migration, 0 for an empty database."""
    with connection.transaction():
        row = connection.execute("SELECT to_regclass('schema_migrations') AS known").fetchone()
        if row is None or row["known"] is None:
            return 0
        row = connection.execute("SELECT coalesce(max(version), 0) AS version FROM schema_migrations").fetchone()
    return int(row["version"]) if row else 0


def _apply(connection: Connection, migration: Migration) -> bool:
    _ensure_table(connection)
    row = connection.execute(
        "SELECT checksum FROM schema_migrations WHERE version = %s", [migration.version]
    ).fetchone()
    if row is None:
        connection.execute(migration.sql.encode())
        connection.execute(
            "INSERT INTO schema_migrations (version, name, checksum) VALUES (%s, %s, %s)",
            [migration.version, migration.name, migration.checksum],
        )
        return True
    if row["checksum"] != migration.checksum:
        raise MigrationError(
            f"Migration {migration.version:04} was edited after it was applied; put it back and write a new one."
        )
    return False


def _ensure_table(connection: Connection) -> None:
    connection.execute(
        """
        CREATE TABLE IF NOT EXISTS schema_migrations (
            version     integer PRIMARY KEY,
            name        text NOT NULL,
            checksum    text NOT NULL,
            applied_at  timestamptz NOT NULL DEFAULT now()
        )
        """
    )
