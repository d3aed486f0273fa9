"""Runs: long work with a beginning, a heartbeat and an end that anybody can look up."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared.core import jsontext

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.store.database import Connection

# A run that has been silent for longer than any function may live was killed.
SILENCE = timedelta(minutes=20)
_COLUMNS = "id, job, status, started_at, finished_at, result, error"


def start(connection: Connection, job: str, request: Mapping[str, Any], now: datetime) -> int:
    """Open a run and return its id; runs that fell silent are closed on the way."""
    connection.execute(
        """
        UPDATE runs SET status = 'failed', finished_at = %(now)s,
            error = 'The process ended before the run did; start it again, it continues where it stopped.'
        WHERE status = 'running' AND heartbeat_at < %(silent_since)s
        """,
        {"now": now, "silent_since": now - SILENCE},
    )
    row = connection.execute(
        """
        INSERT INTO runs (job, status, started_at, heartbeat_at, request)
        VALUES (%(job)s, 'running', %(now)s, %(now)s, %(request)s::jsonb) RETURNING id
        """,
        {"job": job, "now": now, "request": jsontext.dumps(request)},
    ).fetchone()
    if row is None:
        raise AssertionError("RETURNING gives a row")
    return int(row["id"])


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


def get(connection: Connection, run_id: int) -> dict[str, Any] | None:
    """Return one run in the shape of the contract, None if there is none."""
    return connection.execute(f"SELECT {_COLUMNS} FROM runs WHERE id = %s", [run_id]).fetchone()


def newest(
    connection: Connection, job: str | None, before: int | None, limit: int, offset: int
) -> list[dict[str, Any]]:
    """Return runs with ids below `before`, newest first."""
    return connection.execute(
        f"""
        SELECT {_COLUMNS} FROM runs
        WHERE (%(job)s::text IS NULL OR job = %(job)s) AND (%(before)s::bigint IS NULL OR id < %(before)s)
        ORDER BY id DESC LIMIT %(limit)s OFFSET %(offset)s
        """,
        {"job": job, "before": before, "limit": limit, "offset": offset},
    ).fetchall()
