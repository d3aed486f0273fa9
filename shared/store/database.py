"""One Postgres connection per thread, opened late, checked after idling, and the rules for trying again."""

from __future__ import annotations

import json
import random
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import set_json_dumps, set_json_loads

from shared.core import jsontext
from shared.errors import DatabaseUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

T = TypeVar("T")
Connection = psycopg.Connection[DictRow]

# Neon closes idle connections and its pooler may have restarted: ask before relying on one that rested this long.
IDLE_CHECK_SECONDS = 60
ATTEMPTS = 3
# Server shutting down or not yet up, connection exceptions, too many connections, serialization, deadlock.
_RETRYABLE = ("57P01", "57P02", "57P03", "08", "53300", "40001", "40P01")


class Database:
    """Gives every thread its own connection to `dsn`; safe to share between threads."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._local = threading.local()

    def __repr__(self) -> str:
        return "Database(...)"

    def run(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction, again on a lost connection, a deadlock or a serialization failure.

        `work` must be idempotent: a COMMIT whose answer was lost is tried again.

        Raises:
            DatabaseUnavailableError: Postgres did not answer within three tries.
        """
        for attempt in range(ATTEMPTS):
            try:
                with self.transaction() as connection:
                    return work(connection)
            except psycopg.Error as error:
                if not self._is_retryable(error):
                    raise
                self.close()
                if attempt == ATTEMPTS - 1:
                    raise DatabaseUnavailableError(
                        "The database did not answer; try again in a few seconds."
                    ) from error
                time.sleep(random.uniform(0, 0.1 * 2**attempt))  # noqa: S311 - jitter, not a secret
        raise AssertionError("unreachable")

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Open a transaction on this thread's connection: committed at the end, rolled back on any exception."""
        connection = self._connection()
        with connection.transaction():
            yield connection
        self._local.used = time.monotonic()

    def close(self) -> None:
        """Close this thread's connection; the next use opens a new one."""
        connection: Connection | None = getattr(self._local, "connection", None)
        self._local.connection = None
        if connection is not None:
            connection.close()

    def _connection(self) -> Connection:
        connection: Connection | None = getattr(self._local, "connection", None)
        if (
            connection is not None
            and not connection.closed
            and time.monotonic() - self._local.used > IDLE_CHECK_SECONDS
        ):
            try:
                connection.execute("SELECT 1")
            except psycopg.Error:
                self.close()
                connection = None
        if connection is None or connection.closed:
            connection = connect(self._dsn)
            self._local.connection = connection
        self._local.used = time.monotonic()
        return connection

    def _is_retryable(self, error: psycopg.Error) -> bool:
        connection: Connection | None = getattr(self._local, "connection", None)
        # A connection that was never made, or broke, leaves no SQLSTATE behind.
        if connection is None or connection.broken or connection.closed:
            return isinstance(error, (psycopg.OperationalError, psycopg.InternalError))
        return error.sqlstate is not None and error.sqlstate.startswith(_RETRYABLE)


def connect(dsn: str) -> Connection:
    """Open a connection that works behind a pooler in transaction mode, with JSON that keeps every digit.

    Raises:
        psycopg.OperationalError: Postgres does not answer or refuses the credential.
    """
    # Prepared statements outlive a transaction and so the pooler's promise; psycopg would make them by itself.
    connection = psycopg.connect(dsn, autocommit=True, prepare_threshold=None, row_factory=dict_row, connect_timeout=10)
    set_json_loads(jsontext.loads, connection)
    set_json_dumps(jsontext.dumps, connection)
    return connection


def ping(connection: Connection) -> None:
    """Ask Postgres for a sign of life."""
    connection.execute("SELECT 1")


def as_rows(records: Sequence[Mapping[str, Any]]) -> str:
    """Encode records for `jsonb_populate_recordset`: as text, numbers and instants reach their columns whole."""
    return json.dumps(records, default=str)
