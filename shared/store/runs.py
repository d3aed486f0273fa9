"""Runs: long work with a beginning, a heartbeat and an end that anybody can look up."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared.core import jsontext
from shared.store.connection import notes_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.store.database import Connection

# A run that has been silent for longer than any function may live was killed.
SILENCE = timedelta(minutes=20)
_KILLED = "The process ended before the run did; start it again, it continues where it stopped."
# Nobody closes the run of a killed process until the next one starts, so its silence is told apart when it is read.
_IS_SILENT = "status = 'running' AND heartbeat_at < %(silent_since)s"
_COLUMNS = f"""
    id, job, CASE WHEN {_IS_SILENT} THEN 'failed' ELSE status END AS status, started_at,
    CASE WHEN {_IS_SILENT} THEN heartbeat_at ELSE finished_at END AS finished_at, result,
    CASE WHEN {_IS_SILENT} THEN %(killed)s ELSE error END AS error
"""


def start(connection: Connection, job: str, request: Mapping[str, Any], now: datetime) -> int:
    """Open a run and return its id; runs that fell silent are closed on the way."""
    connection.execute(
        f"UPDATE runs SET status = 'failed', finished_at = heartbeat_at, error = %(killed)s WHERE {_IS_SILENT}",
        _silence(now),
    )
    notes = notes_of(connection)
    if "run" not in notes:
        row = connection.execute("SELECT nextval(pg_get_serial_sequence('runs', 'id')) AS id").fetchone()
        if row is None:
            raise AssertionError("a sequence gives a number")
        notes["run"] = int(row["id"])
    # A COMMIT whose answer was lost is tried again with the same id, and finds the run there: one run, not two.
    connection.execute(
        """
        INSERT INTO runs (id, job, status, started_at, heartbeat_at, request) OVERRIDING SYSTEM VALUE
        VALUES (%(id)s, %(job)s, 'running', %(now)s, %(now)s, %(request)s::jsonb) ON CONFLICT (id) DO NOTHING
        """,
        {"id": notes["run"], "job": job, "now": now, "request": jsontext.dumps(request)},
    )
    run_id: int = notes["run"]
    return run_id


def beat(connection: Connection, run_id: int, progress: Mapping[str, Any], now: datetime) -> None:
    """Show that the run is alive and how far it is."""
    connection.execute(
        "UPDATE runs SET heartbeat_at = %s, result = %s::jsonb WHERE id = %s AND status = 'running'",
        [now, jsontext.dumps(progress), run_id],
    )


def finish(
    connection: Connection, run_id: int, status: str, result: Mapping[str, Any], error: str | None, now: datetime
) -> None:
    """Close the run as `succeeded`, `partial` or `failed`."""
    connection.execute(
        "UPDATE runs SET status = %s, result = %s::jsonb, error = %s, heartbeat_at = %s, finished_at = %s "
        "WHERE id = %s",
        [status, jsontext.dumps(result), error, now, now, run_id],
    )


def request_of(connection: Connection, run_id: int) -> dict[str, Any] | None:
    """Return `job` and `request` of a run that has not finished, else None."""
    return connection.execute("SELECT job, request FROM runs WHERE id = %s AND status = 'running'", [run_id]).fetchone()


def last_succeeded(connection: Connection, job: str) -> datetime | None:
    """Return when a run of this job was last started that succeeded, None if none ever did."""
    row = connection.execute(
        "SELECT max(started_at) AS at FROM runs WHERE job = %s AND status = 'succeeded'", [job]
    ).fetchone()
    return row["at"] if row else None


def get(connection: Connection, run_id: int, now: datetime) -> dict[str, Any] | None:
    """Return one run in the shape of the contract, None if there is none; one that fell silent has failed."""
    return connection.execute(
        f"SELECT {_COLUMNS} FROM runs WHERE id = %(id)s", {"id": run_id, **_silence(now)}
    ).fetchone()


def newest(
    connection: Connection, job: str | None, before: int | None, limit: int, offset: int, now: datetime
) -> list[dict[str, Any]]:
    """Return runs with ids below `before`, newest first."""
    return connection.execute(
        f"""
        SELECT {_COLUMNS} FROM runs
        WHERE (%(job)s::text IS NULL OR job = %(job)s) AND (%(before)s::bigint IS NULL OR id < %(before)s)
        ORDER BY id DESC LIMIT %(limit)s OFFSET %(offset)s
        """,
        {"job": job, "before": before, "limit": limit, "offset": offset, **_silence(now)},
    ).fetchall()


def _silence(now: datetime) -> dict[str, Any]:
    return {"silent_since": now - SILENCE, "killed": _KILLED}
