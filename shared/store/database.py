"""One Postgres connection per thread, opened late, checked after idling, and the rules for trying again."""

from __future__ import annotations

import json
import random
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg

from shared.errors import DatabaseUnavailableError
from shared.store.connection import (
    ANSWER_SECONDS,
    BoundedConnection,
    Connection,
    connect,
    forever,
    is_password_refused,
    reason,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["Connection", "Database", "PasswordRefusedError", "as_rows", "connect", "ping"]

T = TypeVar("T")

# Neon closes idle connections and its pooler may have restarted: ask before relying on one that rested this long.
IDLE_CHECK_SECONDS = 60
ATTEMPTS = 3
# Before the second try at most so long, before the third four times as long; each drawn anew, so that many do not
# come back at once.
_BACKOFF_SECONDS = 0.25
# Server shutting down or not yet up, connection exceptions, too many connections, serialization, deadlock.
_RETRYABLE = ("57P01", "57P02", "57P03", "08", "53300", "40001", "40P01")


class PasswordRefusedError(DatabaseUnavailableError):
    """Correct the password in DATABASE_URL, or in the secret that it comes from (SQLSTATE 28P01)."""


class _Thread(threading.local):
    """What each thread has of its own."""

    def __init__(self) -> None:
        self.connection: BoundedConnection | None = None
        self.used = 0.0  # by the clock, in seconds
        self.remaining: Callable[[], float] = forever


class Database:
    """Gives every thread its own connection; safe to share between threads.

    `dsn` may be a function, such as one that reads a secret: it is asked for the first connection, and once more when
    Postgres refuses the password, so it should fetch each time. `clock` and `sleep` count seconds.
    """

    def __init__(
        self,
        dsn: str | Callable[[], str],
        *,
        # A function that sleeps on Lambda has its monotonic clock stopped; this one goes on.
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._ask = None if isinstance(dsn, str) else dsn
        self._dsn = dsn if isinstance(dsn, str) else None
        self._asking = threading.Lock()
        self._clock = clock
        self._sleep = sleep
        self._thread = _Thread()

    def __repr__(self) -> str:
        return "Database(...)"

    @contextmanager
    def within(self, remaining: Callable[[], float]) -> Iterator[None]:
        """Keep this thread's waiting and trying again inside the seconds that `remaining` gives, one kept back.

        with database.within(lambda: context.get_remaining_time_in_millis() / 1000):
            ...
        """
        before = self._thread.remaining
        self._thread.remaining = remaining
        try:
            yield
        finally:
            self._thread.remaining = before

    def left(self) -> float:
        """Return the seconds that `within` leaves this thread; infinite outside of it."""
        return self._thread.remaining()

    def run(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction, again on a lost connection, a deadlock or a serialization failure.

        `work` must be idempotent: a COMMIT whose answer was lost is tried again.

        Raises:
            DatabaseUnavailableError: Postgres did not answer within three tries, or within the time.
            PasswordRefusedError: Postgres refused the password, also after it was asked for again.
            SettingError: the address is malformed.
        """
        notes: dict[str, Any] = {}
        for attempt in range(ATTEMPTS):
            try:
                with self.transaction() as connection:
                    connection.notes = notes
                    return work(connection)
            except psycopg.Error as error:
                if not self._is_retryable(error):
                    raise
                cause = None if self._thread.connection is None else error
                self._close_if_lost(error)
                if not self._pause(attempt):
                    why = f" ({reason(error)})" if cause is None else ""
                    raise DatabaseUnavailableError(
                        f"The database did not answer{why}; try again in a few seconds."
                    ) from cause
        raise AssertionError("unreachable")

    @contextmanager
    def transaction(self) -> Iterator[BoundedConnection]:
        """Open a transaction on this thread's connection: committed at the end, rolled back on any exception.

        Raises:
            psycopg.Error: whatever Postgres or the network says; nothing is tried again here.
        """
        connection = self._connection()
        with connection.transaction():
            yield connection
        self._thread.used = self._clock()

    def close(self) -> None:
        """Close this thread's connection; the next use opens a new one."""
        connection, self._thread.connection = self._thread.connection, None
        if connection is not None:
            connection.close()

    def _connection(self) -> BoundedConnection:
        connection = self._thread.connection
        if connection is not None:
            connection.remaining, connection.notes = self._thread.remaining, {}
            rested = self._clock() - self._thread.used
            if not connection.closed and not 0 <= rested <= IDLE_CHECK_SECONDS:
                try:
                    ping(connection)
                except psycopg.Error:
                    connection.close()
        if connection is None or connection.closed:
            self.close()
            connection = self._thread.connection = self._open()
            connection.remaining = self._thread.remaining
        self._thread.used = self._clock()
        return connection

    def _open(self) -> BoundedConnection:
        seconds = self._thread.remaining() - ANSWER_SECONDS
        dsn = self._address()
        try:
            return connect(dsn, seconds)
        except psycopg.OperationalError as error:
            if not is_password_refused(error):
                raise
        renewed = self._address(refused=dsn)
        try:
            if renewed != dsn:
                return connect(renewed, seconds)
        except psycopg.OperationalError as error:
            if not is_password_refused(error):
                raise
        raise PasswordRefusedError("Postgres refused the password; correct DATABASE_URL or the secret it comes from.")

    def _address(self, refused: str | None = None) -> str:
        with self._asking:
            # Another thread may have asked already, after the same refusal.
            if self._ask is not None and self._dsn in {None, refused}:
                self._dsn = self._ask()
            return self._dsn or ""

    def _is_retryable(self, error: psycopg.Error) -> bool:
        connection = self._thread.connection
        if connection is None or connection.closed:
            return True
        # Without a SQLSTATE no server wrote it: the driver or a pooler speaks of a connection that is gone.
        if error.sqlstate is None:
            return isinstance(error, (psycopg.OperationalError, psycopg.InternalError))
        return error.sqlstate.startswith(_RETRYABLE)

    def _close_if_lost(self, error: psycopg.Error) -> None:
        """Keep the connection after a deadlock or a serialization failure, which it survives."""
        if error.sqlstate is None or not error.sqlstate.startswith("40"):
            self.close()

    def _pause(self, attempt: int) -> bool:
        """Wait before the next try; False if there is none, or no time for it."""
        seconds = random.uniform(0, _BACKOFF_SECONDS * 4**attempt)  # noqa: S311 - jitter, not a secret
        if attempt == ATTEMPTS - 1 or seconds + ANSWER_SECONDS >= self._thread.remaining():
            return False
        self._sleep(seconds)
        return True


def ping(connection: Connection) -> None:
    """Ask Postgres for a sign of life."""
    connection.execute("SELECT 1")


def as_rows(records: Sequence[Mapping[str, Any]]) -> str:
    """Encode records for `jsonb_populate_recordset`: as text, numbers and instants reach their columns whole."""
    return json.dumps(records, default=str)
