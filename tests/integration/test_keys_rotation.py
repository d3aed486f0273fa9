"""Rotation: one successor, an overlap that ends, nothing doubled by a COMMIT whose answer was lost."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import psycopg

from shared.core import keys
from shared.errors import ConflictError
from shared.store import keys as store
from shared.store.database import Database
from shared.workflows import keys as workflow
from tests.integration.test_keys import PEPPER, READ, WRITE, Clock, Process, clock, process

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["clock", "process"]  # fixtures


def test_a_rotated_key_has_its_name_and_scopes_and_ends_the_old_one(process: Process) -> None:
    old = process.makes(READ, WRITE, name="agent", expires_at="2027-01-01")
    assert process.asks(old["key"]) == 200
    answer = process.rotates(old["id"]).json()
    new = answer["data"]
    assert [new[name] for name in ("name", "scopes", "expires_at", "rotated_from")] == [
        "agent",
        [WRITE, READ],
        "2027-01-01T00:00:00Z",
        old["id"],
    ]
    assert (answer["replaced"]["id"], answer["replaced"]["status"]) == (old["id"], "revoked")
    assert process.asks(old["key"]) == 401
    assert process.asks(new["key"]) == 200


def test_the_old_key_works_on_for_the_overlap(process: Process, clock: Clock) -> None:
    old = process.makes(READ)
    answer = process.rotates(old["id"], overlap_minutes=30, expires_at="2026-12-24T00:00:00Z").json()
    assert (answer["replaced"]["status"], answer["replaced"]["revoked_at"]) == ("active", "2026-11-20T11:00:00Z")
    assert answer["data"]["expires_at"] == "2026-12-24T00:00:00Z"
    clock.passes(minutes=30, microseconds=-1)
    assert (process.asks(old["key"]), process.asks(answer["data"]["key"])) == (200, 200)
    clock.passes(microseconds=1)
    assert (process.asks(old["key"]), process.asks(answer["data"]["key"])) == (401, 200)


def test_an_overlap_is_cut_short_by_revoking(process: Process) -> None:
    old = process.makes(READ)
    process.rotates(old["id"], overlap_minutes=60)
    assert process.revokes(old["id"]).json()["data"]["revoked_at"] == "2026-11-20T10:30:00Z"
    assert process.asks(old["key"]) == 401


def test_a_key_is_rotated_once(process: Process) -> None:
    old = process.makes(READ)
    new = process.rotates(old["id"], overlap_minutes=60).json()["data"]
    again = process.rotates(old["id"])
    assert again.status_code == 409
    assert new["id"] in again.json()["error"]["message"]
    assert process.rotates(new["id"]).status_code == 201
    process.revokes(process.makes(READ, name="ended")["id"])
    ended = process.lists()["data"]
    assert {row["name"] for row in ended} == {"N8N", "ended"}
    gone = next(row["id"] for row in ended if row["name"] == "ended")
    assert "revoked" in process.rotates(gone).json()["error"]["message"]


def test_two_rotations_at_once_leave_one_successor(dsn: str, clock: Clock) -> None:
    database = Database(dsn)
    old = workflow.create(database, "a", (READ,), None, PEPPER, clock.now).row["id"]
    outcomes: list[str] = []
    barrier = threading.Barrier(4)

    def rotate() -> None:
        barrier.wait()
        try:
            made, _ = workflow.rotate(database, old, timedelta(0), None, PEPPER, clock.now)
            outcomes.append(made.row["id"])
        except ConflictError:
            outcomes.append("refused")
        finally:
            database.close()

    threads = [threading.Thread(target=rotate) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (len(outcomes), outcomes.count("refused")) == (4, 3)
    assert len(database.run(lambda c: store.newest(c, None, 10, 0, clock.now))) == 2
    database.close()


class Forgetful(Database):
    """A database whose first COMMIT succeeds without anybody learning of it."""

    commits = 0

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        with super().transaction() as connection:
            yield connection
        self.commits += 1
        if self.commits == 1:
            connection.close()
            raise psycopg.OperationalError("server closed the connection unexpectedly")


def test_a_lost_commit_makes_one_key(dsn: str, clock: Clock) -> None:
    database = Forgetful(dsn)
    made = workflow.create(database, "a", (READ,), None, PEPPER, clock.now)
    assert database.commits == 2
    assert [row["id"] for row in database.run(lambda c: store.newest(c, None, 10, 0, clock.now))] == [made.row["id"]]
    assert made.text not in repr(made)
    database.close()


def test_a_lost_commit_rotates_once(dsn: str, clock: Clock) -> None:
    calm = Database(dsn)
    old = workflow.create(calm, "a", (READ,), None, PEPPER, clock.now).row["id"]
    database = Forgetful(dsn)
    database.commits = -1  # the first one reads
    made, replaced = workflow.rotate(database, old, timedelta(0), None, PEPPER, clock.now)
    assert database.commits == 2
    assert (made.row["rotated_from"], replaced["status"]) == (old, "revoked")
    given = keys.read(made.text, PEPPER)
    found = calm.run(lambda c: store.find(c, made.row["id"]))
    assert given is not None
    assert found is not None
    assert found.belongs_to(given, PEPPER)
    assert len(calm.run(lambda c: store.newest(c, None, 10, 0, clock.now))) == 2
    database.close()
    calm.close()
