"""Every way a deployment meets the database: one answer each, the schema wholly at one version or the other."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from functions import migrate as function
from shared.store import migrate as schema
from shared.store.database import Connection, connect
from shared.store.migrate import Migration, load, version
from tests.fixtures.events import Context
from tests.fixtures.events import load as event_of
from tests.fixtures.events.answers import listening
from tests.integration.migrating import FIRST, SECOND, deploy, forwarding, url_of

ROOT = Path(__file__).parents[2]
SLOW = Migration(2, "slow", "CREATE TABLE more (id integer); SELECT pg_sleep(1.5)")


def tables(dsn: str) -> tuple[int, set[str]]:
    with connect(dsn) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        return version(connection), {row["tablename"] for row in rows} - {"schema_migrations"}


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def sleeping(connection: Connection) -> list[int]:
    rows = connection.execute(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%pg_sleep%' "
        "AND state = 'active' AND pid <> pg_backend_pid()"
    )
    return [row["pid"] for row in rows]


def test_the_whole_life_of_a_stack_by_the_handler(
    blank_dsn: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SSM_PREFIX", raising=False)
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nowhere")
    monkeypatch.setenv("DATABASE_URL_DIRECT", url_of(blank_dsn))
    newest = f"{len(load()):04}"
    told = []
    for name in ("create", "update", "rollback", "delete"):
        event = event_of(f"cloudformation_{name}")
        if event["ResourceProperties"]["SchemaHash"] == "latest":
            event["ResourceProperties"]["SchemaHash"] = schema.digest()
        with listening() as answers:
            function.handler({**event, "ResponseURL": answers.url}, Context())
        answer = answers.only()
        told.append((answer["Status"], answer["Data"].get("Version"), answer["Data"].get("Applied")))
    assert told == [
        ("SUCCESS", newest, str(len(load()))),
        ("SUCCESS", newest, "0"),
        ("SUCCESS", None, None),
        ("SUCCESS", None, None),
    ]
    assert tables(blank_dsn)[0] == len(load())


def test_newer_migrations_are_added(blank_dsn: str) -> None:
    deploy(url_of(blank_dsn), (FIRST,), event="cloudformation_create")
    answer, answers = deploy(url_of(blank_dsn), (FIRST, SECOND))
    assert answers.only()["Status"] == "SUCCESS"
    assert answer.reason == "Applied 0002 second."
    assert tables(blank_dsn) == (2, {"kept", "more"})


def test_older_code_finds_the_database_ahead_and_leaves_it(blank_dsn: str) -> None:
    deploy(url_of(blank_dsn), (FIRST, SECOND), event="cloudformation_create")
    _, answers = deploy(url_of(blank_dsn), (FIRST,))
    assert answers.only()["Status"] == "SUCCESS"
    assert "ahead" in answers.only()["Reason"]
    assert tables(blank_dsn) == (2, {"kept", "more"})


def test_a_rollback_that_comes_before_the_old_code_does_not_try_the_broken_migration_again(blank_dsn: str) -> None:
    broken = Migration(2, "broken", "CREATE TABLE half (id integer); SELECT nonsense")
    _, answers = deploy(url_of(blank_dsn), (FIRST, broken), event="cloudformation_create")
    answer = answers.only()
    assert answer["Status"] == "FAILED"
    assert answer["Reason"] == (
        'Migration 0002 broken failed: column "nonsense" does not exist; the schema stays at 0001.'
    )
    assert tables(blank_dsn) == (1, {"kept"})
    _, answers = deploy(url_of(blank_dsn), (FIRST, broken), event="cloudformation_rollback")
    assert answers.only()["Status"] == "SUCCESS"
    assert tables(blank_dsn) == (1, {"kept"})


def test_an_edited_migration_is_refused(blank_dsn: str) -> None:
    deploy(url_of(blank_dsn), (FIRST,), event="cloudformation_create")
    _, answers = deploy(url_of(blank_dsn), (Migration(1, "first", "CREATE TABLE other (id integer)"), SECOND))
    assert answers.only()["Status"] == "FAILED"
    assert "0001 was edited" in answers.only()["Reason"]
    assert tables(blank_dsn) == (1, {"kept"})


def test_a_lock_that_is_held_is_waited_for(blank_dsn: str) -> None:
    with connect(blank_dsn) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", [schema._LOCK])  # noqa: SLF001 - held as another migrator holds it
        threading.Timer(0.6, holder.execute, ["SELECT pg_advisory_unlock_all()"]).start()
        _, answers = deploy(url_of(blank_dsn), (FIRST,))
        assert answers.only()["Status"] == "SUCCESS"


def test_a_lock_that_stays_held_fails_with_a_sentence_within_the_time(blank_dsn: str) -> None:
    deploy(url_of(blank_dsn), (FIRST,), event="cloudformation_create")
    with connect(blank_dsn) as holder, holder.transaction():
        holder.execute("LOCK TABLE kept IN ACCESS SHARE MODE")
        waits = Migration(2, "waits", "ALTER TABLE kept ADD COLUMN more integer")
        _, answers = deploy(url_of(blank_dsn), (FIRST, waits), seconds=5.0)
    answer = answers.only()
    assert answer["Status"] == "FAILED"
    assert "0002 waits" in answer["Reason"]
    assert "lock" in answer["Reason"]
    assert tables(blank_dsn)[0] == 1


def test_a_migration_that_takes_too_long_fails_with_a_sentence(blank_dsn: str) -> None:
    _, answers = deploy(url_of(blank_dsn), (FIRST, SLOW), seconds=4.2)
    assert answers.only()["Status"] == "FAILED"
    assert answers.only()["Reason"] == "Migration 0002 slow did not end in the time it had; the schema stays at 0001."
    assert tables(blank_dsn) == (1, {"kept"})


def test_a_database_that_wakes_is_waited_for(blank_dsn: str) -> None:
    with forwarding(blank_dsn, delay=1.0) as (url, _):
        _, answers = deploy(url, (FIRST,))
    assert answers.only()["Status"] == "SUCCESS"
    assert tables(blank_dsn) == (1, {"kept"})


@pytest.mark.parametrize("silent", [True, False])
def test_a_database_that_does_not_wake_fails_within_the_time(blank_dsn: str, silent: bool) -> None:  # noqa: FBT001 - a case
    with forwarding(blank_dsn, delay=0.0 if silent else 60.0, silent=silent) as (url, _):
        _, answers = deploy(url, (FIRST,), seconds=5.0)
    assert answers.only()["Status"] == "FAILED"
    assert "did not" in answers.only()["Reason"]
    assert tables(blank_dsn) == (0, set())


def test_a_network_that_goes_silent_is_left_in_time(blank_dsn: str) -> None:
    with forwarding(blank_dsn) as (url, stop), connect(blank_dsn) as watcher:
        found: list[str] = []
        thread = threading.Thread(
            target=lambda: found.append(deploy(url, (FIRST, SLOW), seconds=6)[1].only()["Status"])
        )
        thread.start()
        wait_until(lambda: bool(sleeping(watcher)))
        stop()
        thread.join(10)
    assert found == ["FAILED"]
    # Postgres may still get to the end of what it was told.
    assert tables(blank_dsn) in [(1, {"kept"}), (2, {"kept", "more"})]


def test_a_connection_that_is_lost_midway_is_made_again(blank_dsn: str) -> None:
    with connect(blank_dsn) as watcher:

        def kill() -> None:
            wait_until(lambda: bool(sleeping(watcher)))
            for pid in sleeping(watcher):
                watcher.execute("SELECT pg_terminate_backend(%s)", [pid])

        killer = threading.Thread(target=kill)
        killer.start()
        _, answers = deploy(url_of(blank_dsn), (FIRST, SLOW))
        killer.join(10)
    assert answers.only()["Status"] == "SUCCESS"
    assert tables(blank_dsn) == (2, {"kept", "more"})


def test_killed_in_the_middle_and_delivered_again(blank_dsn: str) -> None:
    script = (
        "from tests.integration.migrating import FIRST, deploy\n"
        "from tests.integration.test_migrate_function import SLOW\n"
        f"deploy({url_of(blank_dsn)!r}, (FIRST, SLOW))\n"
        "print('answered')\n"
    )
    with connect(blank_dsn) as watcher:
        process = subprocess.Popen(  # noqa: S603 - this interpreter, the script above
            [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        wait_until(lambda: bool(sleeping(watcher)))
        os.kill(process.pid, signal.SIGKILL)
        said, _ = process.communicate(timeout=10)
        assert "answered" not in said
        # Postgres has not noticed yet and holds the lock: the second delivery waits for it.
        assert tables_of(watcher) == 1
    _, answers = deploy(url_of(blank_dsn), (FIRST, SLOW))
    assert answers.only()["Status"] == "SUCCESS"
    assert tables(blank_dsn) == (2, {"kept", "more"})


def tables_of(connection: Connection) -> int:
    row = connection.execute("SELECT max(version) AS version FROM schema_migrations").fetchone()
    assert row is not None
    return int(row["version"])


def test_two_deliveries_at_once_are_each_answered_and_the_schema_is_built_once(blank_dsn: str) -> None:
    statuses: list[str] = []
    threads = [
        threading.Thread(
            target=lambda: statuses.append(deploy(url_of(blank_dsn), (FIRST, SLOW), seconds=30)[1].only()["Status"])
        )
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert statuses == ["SUCCESS", "SUCCESS"]
    assert tables(blank_dsn) == (2, {"kept", "more"})


def test_a_database_that_does_not_exist_is_said_at_once(blank_dsn: str) -> None:
    url = url_of(blank_dsn).replace("/test_", "/missing_")
    started = time.monotonic()
    _, answers = deploy(url, (FIRST,))
    assert answers.only()["Status"] == "FAILED"
    assert "no such database" in answers.only()["Reason"]
    assert time.monotonic() - started < 5
