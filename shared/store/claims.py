"""Who works on a run: events are delivered at least once, and a run is worked on once at a time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared.core import jsontext
from shared.store import runs
from shared.store.connection import notes_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.store.database import Connection

# Lambda delivers a failed event again after a minute: by then a worker that died must have lost its claim. One that
# lives and was silent for longer is protected by the fence of its checkpoint.
LEASE = timedelta(seconds=50)
# Any fixed number does; it only has to be the same for everyone who starts scheduled runs.
_LOCK = 0x41_43_55


def claim(connection: Connection, run_id: int, now: datetime) -> dict[str, Any] | None:
    """Become the one worker of a run and return its `job` and `request`.

    None where the run has ended, does not exist, or another worker showed a sign of life within the lease.
    """
    # A run that nobody has taken has the heartbeat of its start; taking it moves that, by a microsecond at least. A
    # COMMIT whose answer was lost is tried again, and finds its own mark.
    notes = notes_of(connection)
    mine = notes.get("claimed_at")
    notes["claimed_at"] = mine or now
    return connection.execute(
        """
        UPDATE runs SET heartbeat_at = greatest(%(now)s, started_at + interval '1 microsecond')
        WHERE id = %(id)s AND status = 'running' AND (
            heartbeat_at = started_at OR heartbeat_at < %(silent_since)s
            OR heartbeat_at = greatest(%(mine)s::timestamptz, started_at + interval '1 microsecond') AND %(again)s
        )
        RETURNING job, request
        """,
        {
            "id": run_id,
            "now": notes["claimed_at"],
            "silent_since": now - LEASE,
            "mine": mine,
            "again": mine is not None,
        },
    ).fetchone()


def start_once(connection: Connection, job: str, request: Mapping[str, Any], now: datetime) -> int:
    """Return the run of a job for a request, which names the instant it was due; opened if there is none yet.

    A second delivery of the same event finds the first one's run while that goes on or has succeeded; after a failure
    it opens another.
    """
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    row = connection.execute(
        """
        SELECT max(id) AS id FROM runs
        WHERE job = %s AND request = %s::jsonb AND status IN ('running', 'succeeded')
        """,
        [job, jsontext.dumps(request)],
    ).fetchone()
    found = row["id"] if row else None
    return runs.start(connection, job, request, now) if found is None else int(found)
