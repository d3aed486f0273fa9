"""The roll-ups by days of one zone: which zone that is, how far they are, and cutting them from the fine one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import psycopg

from shared.core.periods import local_date, midnight

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.store.database import Connection

# Before everything that can be recorded, and after it.
BEGINNING = datetime(1900, 1, 1, tzinfo=UTC)
END = datetime(2300, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)


class BusyError(Exception):
    """Roll-ups are being moved by somebody who takes long; a later try goes better."""


@dataclass(frozen=True, slots=True)
class State:
    """The zone that days are cut in, and until when (UTC) each roll-up holds what was recorded.

    `cut_until` is that of `rollup_day`, one dimension at a time; `closed_until` that of `rollup_day_keys`, all keys.
    """

    zone: ZoneInfo
    cut_until: datetime
    closed_until: datetime

    def days(self, first: datetime, last: datetime) -> list[datetime]:
        """Return the first instants (UTC) of the days of `first` to `last`, and of one more on either side."""
        # Where a clock falls back over midnight, an instant after that has the date before it.
        date, until = local_date(first, self.zone) - _DAY, local_date(last, self.zone) + _DAY
        return [midnight(date + _DAY * n, self.zone) for n in range((until - date).days + 1)]


def read(connection: Connection) -> State:
    """Return the state of the moment."""
    return _state(connection.execute("SELECT zone, cut_until, closed_until FROM rollup_state").fetchone())


def share(connection: Connection) -> State:
    """Return the state and have it stay until this transaction ends, together with others who move roll-ups."""
    return _state(connection.execute("SELECT zone, cut_until, closed_until FROM rollup_state FOR SHARE").fetchone())


def take(connection: Connection) -> State:
    """Return the state and keep everybody who moves roll-ups off until this transaction ends; reports go on."""
    # A lock on the row alone would never be granted while writers overlap; this one queues.
    connection.execute("LOCK TABLE rollup_state IN EXCLUSIVE MODE")
    return read(connection)


def try_take(connection: Connection) -> State:
    """Do the same, unless that takes more than two seconds: writers who come meanwhile wait as well.

    Raises:
        BusyError: somebody moves roll-ups in a long transaction.
    """
    try:
        with connection.transaction():
            connection.execute("SELECT set_config('lock_timeout', '2s', true)")
            connection.execute("LOCK TABLE rollup_state IN EXCLUSIVE MODE")
    except psycopg.errors.LockNotAvailable as error:
        raise BusyError from error
    return read(connection)


def _state(row: Mapping[str, Any] | None) -> State:
    if row is None:
        raise AssertionError("the migration made the row")
    return State(ZoneInfo(row["zone"]), row["cut_until"], row["closed_until"])
