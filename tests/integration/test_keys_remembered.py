"""How often the database is asked about a key, and how soon another process learns that one has ended."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import psycopg

from shared.core import keys
from shared.store import keys as store
from shared.store.database import Connection, Database
from shared.workflows import keys as workflow
from shared.workflows.keys import Keyring
from tests.integration.test_keys import PEPPER, READ, Clock, Counting, Process, clock, process, start

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from shared.core.keys import StoredKey

__all__ = ["clock", "process"]  # fixtures
ELSEWHERE = keys.write(keys.mint(bytes(keys.ENTROPY_BYTES)), PEPPER)


def find(process: Process, key: str) -> StoredKey | None:
    return process.app.keyring.find(process.database, key, PEPPER, process.clock())


def test_a_valid_key_is_asked_for_once_a_minute(process: Process, clock: Clock) -> None:
    made = process.makes(READ)["key"]
    asked = process.database.asked
    for _ in range(3):
        assert find(process, made) is not None
    assert process.database.asked == asked + 1
    clock.passes(seconds=59.999)
    assert find(process, made) is not None
    assert process.database.asked == asked + 1
    clock.passes(seconds=0.001)
    assert find(process, made) is not None
    assert process.database.asked == asked + 2


def test_a_clock_that_is_set_back_makes_nothing_last_longer(process: Process, clock: Clock) -> None:
    made = process.makes(READ)["key"]
    find(process, made)
    asked = process.database.asked
    clock.passes(hours=-1)
    assert find(process, made) is not None
    assert process.database.asked == asked + 1


def test_an_unknown_key_is_asked_for_every_ten_seconds(process: Process, clock: Clock) -> None:
    for _ in range(5):
        assert process.asks(ELSEWHERE) == 401
    assert process.database.asked == 1
    clock.passes(seconds=10)
    assert process.asks(ELSEWHERE) == 401
    assert process.database.asked == 2


def test_another_process_learns_within_a_minute_that_a_key_was_revoked(
    dsn: str, process: Process, clock: Clock
) -> None:
    other = start(Counting(dsn), clock)
    made = process.makes(READ)
    assert (process.asks(made["key"]), other.asks(made["key"])) == (200, 200)
    process.revokes(made["id"])
    assert process.asks(made["key"]) == 401
    clock.passes(seconds=59.999)
    assert other.asks(made["key"]) == 200
    clock.passes(seconds=0.001)
    assert other.asks(made["key"]) == 401
    other.database.close()


class Interrupted(Database):
    """A database that does something between reading and answering."""

    def __init__(self, dsn: str, then: Callable[[], object]) -> None:
        super().__init__(dsn)
        self.then = then

    def run(self, work: Callable[[Connection], Any]) -> Any:  # noqa: ANN401 - as the real one
        found = super().run(work)
        self.then()
        return found


def test_what_was_read_before_a_revocation_is_not_remembered_after_it(process: Process, dsn: str, clock: Clock) -> None:
    made = process.makes(READ)
    database = Interrupted(dsn, lambda: process.revokes(made["id"]))
    assert process.app.keyring.find(database, made["key"], PEPPER, clock()) is not None  # it was asked before
    assert find(process, made["key"]) is None
    database.close()


def test_no_more_keys_are_remembered_than_fit(dsn: str, clock: Clock) -> None:
    database = Counting(dsn)
    made = [workflow.create(database, "a", (READ,), None, PEPPER, clock.now).text for _ in range(3)]
    ring = Keyring(most=2)
    asked = database.asked
    for text in (made[0], made[1], made[0], made[2]):  # the one not seen for longest goes
        assert ring.find(database, text, PEPPER, clock.now)
    assert database.asked == asked + 3
    ring.find(database, made[0], PEPPER, clock.now)
    assert database.asked == asked + 3
    ring.find(database, made[1], PEPPER, clock.now)
    assert database.asked == asked + 4
    database.close()


def test_many_threads_share_what_is_remembered(dsn: str, clock: Clock) -> None:
    database = Counting(dsn)
    made = [workflow.create(database, "a", (READ,), None, PEPPER, clock.now).text for _ in range(4)]
    ring = Keyring(most=3)
    wrong: list[str] = []

    def use() -> None:
        for number in range(200):
            text = made[number % 4]
            found = ring.find(database, text, PEPPER, clock.now)
            if found is None or found.id != text[4:16] or ring.find(database, ELSEWHERE, PEPPER, clock.now):
                wrong.append(text)
            elif number % 10 == 0:
                ring.forget(found.id)
        database.close()

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not wrong
    database.close()


def last_used(process: Process) -> str:
    found: str = process.lists()["data"][0]["last_used_at"]
    return found


def test_use_is_noted_every_five_minutes(dsn: str, process: Process, clock: Clock) -> None:
    made = process.makes(READ)["key"]
    assert process.lists()["data"][0]["last_used_at"] is None
    process.asks(made)
    assert last_used(process) == "2026-11-20T10:30:00Z"
    other = start(Counting(dsn), clock)
    for seconds in (60, 60, 60, 119):
        clock.passes(seconds=seconds)
        assert (process.asks(made), other.asks(made)) == (200, 200)
        assert last_used(process) == "2026-11-20T10:30:00Z"
    clock.passes(seconds=1)
    asked = process.database.asked
    process.asks(made)
    process.asks(made)
    assert process.database.asked == asked + 3  # one note, and two reports
    assert last_used(process) == "2026-11-20T10:35:00Z"
    other.database.close()


def test_noting_use_waits_for_nobody(process: Process, connection: Connection) -> None:
    made = process.makes(READ)
    with connection.transaction():
        store.lock(connection, made["id"])
        assert process.asks(made["key"]) == 200
    assert process.lists()["data"][0]["last_used_at"] is None


def test_a_use_that_cannot_be_noted_is_logged_and_answered(
    process: Process, connection: Connection, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    made = process.makes(READ)
    connection.execute(
        """
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no writing here'; END $$;
        CREATE TRIGGER refuse BEFORE UPDATE ON keys FOR EACH ROW EXECUTE FUNCTION refuse();
        """
    )
    with caplog.at_level(logging.WARNING):
        assert process.asks(made["key"]) == 200
        clock.passes(minutes=1)
        assert process.asks(made["key"]) == 200
    (record,) = caplog.records
    assert record.getMessage() == "use of a key not noted"
    assert made["key"] not in str(vars(record))
    assert made["id"] in str(vars(record))


def test_a_database_that_went_away_is_503_for_an_unseen_key_only(process: Process, connection: Connection) -> None:
    made = process.makes(READ)["key"]
    process.asks(made)
    gone = start(Counting("host=127.0.0.1 port=1 user=nobody connect_timeout=1"), process.clock)
    assert gone.asks(made) == 503
    assert gone.asks(ELSEWHERE[:-1]) == 401
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid()"
    )
    assert process.asks(made) == 200


def test_forged_keys_do_not_even_open_a_connection(dsn: str, clock: Clock, connection: Connection) -> None:
    process = start(Counting(dsn), clock)
    genuine = keys.write(keys.mint(bytes(keys.ENTROPY_BYTES)), PEPPER)
    for last in "0123456789abcdefghjkmnpqrstvwxyz":
        if last != genuine[-1]:
            assert process.asks(genuine[:-1] + last) == 401
    assert process.database.asked == 0
    others = connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    ).fetchone()
    assert others == {"count": 0}


def test_a_row_that_cannot_be_a_key_is_refused(connection: Connection) -> None:
    for scopes, digest in (("{}", b"d" * 32), ("{admin}", b"d" * 31)):
        try:
            connection.execute(
                "INSERT INTO keys (id, name, scopes, digest, created_at) VALUES ('x', 'x', %s, %s, now())",
                [scopes, digest],
            )
        except psycopg.errors.CheckViolation:
            continue
        raise AssertionError(scopes)
