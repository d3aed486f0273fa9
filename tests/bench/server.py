"""A Postgres of a measurement's own, as shipped, fsync on."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from infra.local import postgres
from shared.store.database import connect
from shared.store.migrate import migrate


class Server:
    """One Postgres; every measurement gets a database of its own."""

    def __init__(self, home: Path) -> None:
        self._dsn = postgres.start(home)

    @contextmanager
    def database(self, name: str) -> Iterator[str]:
        """A migrated, empty database, dropped afterwards."""
        name = f"bench_{name}"
        postgres.create_database(self._dsn, name)
        dsn = make_conninfo(self._dsn, dbname=name)
        with connect(dsn) as connection:
            migrate(connection)
        yield f"postgresql://postgres@/{name}?host={conninfo_to_dict(dsn)['host']}"
        with connect(self._dsn) as admin:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@contextmanager
def server() -> Iterator[Server]:
    """A server that leaves nothing behind."""
    home = Path(tempfile.mkdtemp(prefix="cost-bench-"))
    home.chmod(0o755)
    try:
        yield Server(home)
    finally:
        postgres.stop(home)
        shutil.rmtree(home, ignore_errors=True)
