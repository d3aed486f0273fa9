"""What one connection is: safe behind a pooler, instants in UTC, JSON with every digit, no wait beyond the time."""

from __future__ import annotations

from datetime import UTC, datetime
from math import inf
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg.adapt import Loader
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Format
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import set_json_dumps, set_json_loads

from shared.core import jsontext
from shared.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg.abc import AdaptContext, Buffer, PQGen
    from psycopg.pq.abc import PGconn

T = TypeVar("T")
Connection = psycopg.Connection[DictRow]

# Kept back of the time that remains: whoever asked still has to be answered.
ANSWER_SECONDS = 1.0
_CONNECT_SECONDS = 10
_LEAST_CONNECT_SECONDS = 2  # libpq takes less for this much
# Used where the address says nothing else. A peer that vanished while the function was frozen is noticed in seconds
# instead of the kernel's quarter of an hour; none of these is state on the server, so a pooler does not mind.
_DEFAULTS = {
    "client_encoding": "utf8",
    "tcp_user_timeout": "10000",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
}
# The driver's own text may hold parts of the address, a mistyped password among them, so it is never passed on.
_REASONS = (
    ("resolve host", "its host name is unknown"),
    ("translate host name", "its host name is unknown"),
    ("refused", "connection refused"),
    ("No such file", "nothing listens there"),
    ("timeout", "no answer in time"),
    ("starting up", "it is starting up"),
    ("shutting down", "it is shutting down"),
    ("too many", "too many connections"),
    ("no more connections", "too many connections"),
    ("does not exist", "the database or user does not exist"),
    ("SSL", "TLS failed"),
)


def forever() -> float:
    """Return the seconds left of a time without an end."""
    return inf


class BoundedConnection(Connection):
    """A connection whose statements end when the time does.

    `remaining` gives the seconds left. `notes` is what earlier tries of the same work left (see `notes_of`).
    """

    def __init__(self, pgconn: PGconn) -> None:
        super().__init__(pgconn, dict_row)
        self.remaining: Callable[[], float] = forever
        self.notes: dict[str, Any] = {}

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Wait for the server, at most as long as time remains; a connection given up is closed.

        Raises:
            psycopg.OperationalError: the connection was lost, or the time is over.
        """
        left = self.remaining()
        if left != inf:
            left = max(left - ANSWER_SECONDS, 0)
            timeout = left if timeout is None else min(left, timeout)
        try:
            return super().wait(gen, interval, timeout)
        except psycopg.OperationalError:
            if self.remaining() <= ANSWER_SECONDS:
                self.pgconn.finish()  # its answer may still come, and would be taken for the next statement's
            raise
        except ValueError as error:
            # The end of a COPY has one answer, says the driver; a pooler whose backend was killed sends two.
            if not self.closed:
                raise
            raise psycopg.OperationalError("the connection was lost") from error


class _UtcLoader(Loader):
    """Reads instants in UTC. The driver's own are in the server's TimeZone, and so would be texts made of them."""

    def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
        super().__init__(oid, context)
        found = psycopg.adapters.get_loader(oid, Format.TEXT)
        if found is None:
            raise AssertionError("the driver reads timestamptz")
        self._load = found(oid, context).load

    def load(self, data: Buffer) -> datetime:
        instant: datetime = self._load(data)
        return instant.astimezone(UTC)


def connect(dsn: str, seconds: float = inf) -> BoundedConnection:
    """Open a connection that works behind a pooler in transaction mode, with JSON that keeps every digit.

    It takes at most `seconds`, or what the address says, or ten. Instants come back in UTC.

    Raises:
        psycopg.OperationalError: Postgres does not answer or refuses the credential.
        SettingError: the address is malformed; the driver's own words would repeat it.
    """
    try:
        given = {name: value for name, value in conninfo_to_dict(dsn).items() if value is not None}
        limit = int(given.pop("connect_timeout", 0)) or _CONNECT_SECONDS
        info = make_conninfo("", **{**_DEFAULTS, **given})
    except (psycopg.ProgrammingError, ValueError):
        raise SettingError(
            "DATABASE_URL is malformed; write it as postgresql://user:password@host/database, special characters of "
            "the password percent-encoded."
        ) from None
    # Prepared statements outlive a transaction and so the pooler's promise; psycopg would make them by itself.
    connection = BoundedConnection.connect(
        info,
        autocommit=True,
        prepare_threshold=None,
        connect_timeout=int(max(_LEAST_CONNECT_SECONDS, min(limit, seconds))),
    )
    connection.adapters.register_loader("timestamptz", _UtcLoader)
    set_json_loads(jsontext.loads, connection)
    set_json_dumps(jsontext.dumps, connection)
    return connection


def notes_of(connection: Connection) -> dict[str, Any]:
    """Return what tries of the same `Database.run` leave for each other: a lost connection does not lose it.

    Work that is not idempotent by itself becomes so here, such as by an id that was already drawn.
    """
    return connection.notes if isinstance(connection, BoundedConnection) else {}


def is_password_refused(error: psycopg.Error) -> bool:
    """Return whether this is SQLSTATE 28P01, which libpq does not tell of a connection that was not made."""
    # Postgres and Neon write the first, PgBouncer the second where it checks the password by SCRAM itself.
    texts = ("password authentication failed", "SASL authentication failed")
    return error.sqlstate == "28P01" or any(text in str(error) for text in texts)


def reason(error: psycopg.Error) -> str:
    """Say in a few words of our own why no connection was made."""
    text = str(error)
    return next((words for part, words in _REASONS if part in text), "no connection")
