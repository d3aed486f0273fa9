"""Connections against a real server: checked after idling, tried again by SQLSTATE, ended by the time, in UTC."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from infra.demo.anthropic import FakeAnthropic
from infra.demo.dataset import ApiKey, FixedDataset, UsageRow
from shared.errors import DatabaseUnavailableError
from shared.store.connection import notes_of
from shared.store.database import ATTEMPTS, Connection, Database, connect
from tests.integration.collecting import NOW, changes, provider, run, tables
from tests.integration.conftest import part
from tests.integration.pooler import Relay

RETRIED = ("57P01", "57P02", "57P03", "08000", "08006", "08P01", "53300", "40001", "40P01")
NOT_RETRIED = ("23505", "57014", "42P01", "22003", "53100", "XX000")
# Latin, an emoji outside the basic plane, right to left, combining marks, a ligature that normalising would change.
TEXTS = ("Größe", "\U0001f43e paws", "مفتاح", "Z\u0351\u036balgo", "\ufb01")


@pytest.fixture(scope="module")
def dsn(module_dsn: str) -> str:
    return module_dsn


def ask(connection: Connection) -> int:
    row = connection.execute("SELECT pg_backend_pid() AS pid").fetchone()
    return int(row["pid"]) if row else 0


def test_a_connection_is_asked_for_a_sign_of_life_only_after_a_minute_of_rest(relay: Relay, dsn: str) -> None:
    now = [1000.0]
    slept: list[float] = []
    address = f"postgresql://postgres@127.0.0.1:{relay.port}/{part(dsn, 'dbname')}"
    database = Database(address, clock=lambda: now[0], sleep=slept.append)
    first = database.run(ask)
    checks = 0
    # Also when the clock was set back: nobody knows how long it rested then.
    for seconds, is_checked in (
        (0, False),
        (59, False),
        (60, False),
        (61, True),
        (60, False),
        (3600, True),
        (-5, True),
    ):
        now[0] += seconds
        before = len(relay.sent)
        assert database.run(ask) == first
        said = [sql for _, sql in relay.sent[before:]]
        checks += is_checked
        assert said.count(b"SELECT 1") == is_checked, seconds
    assert checks == 3
    # A connection that died in its sleep is replaced without using up a try.
    relay.cut()
    now[0] += 100
    assert database.run(ask) != first
    assert slept == []
    database.close()


@pytest.mark.parametrize("code", RETRIED + NOT_RETRIED)
def test_what_is_tried_again_is_decided_by_the_sqlstate(code: str, way_dsn: str) -> None:
    database = Database(way_dsn, sleep=lambda _: None)
    pids: list[int] = []

    def work(connection: Connection) -> None:
        pids.append(ask(connection))
        connection.execute(f"DO $$ BEGIN RAISE EXCEPTION 'planted' USING ERRCODE = '{code}'; END $$")

    expected = DatabaseUnavailableError if code in RETRIED else psycopg.Error
    with pytest.raises(expected):
        database.run(work)
    assert len(pids) == (ATTEMPTS if code in RETRIED else 1)
    assert isinstance(database.run(ask), int)
    database.close()


def test_a_statement_ends_with_the_time_and_the_next_one_works(way_dsn: str) -> None:
    database = Database(way_dsn)
    end = time.monotonic() + 1.5
    with database.within(lambda: end - time.monotonic()), pytest.raises(DatabaseUnavailableError):
        database.run(lambda c: c.execute("SELECT pg_sleep(60)"))
    assert time.monotonic() < end  # a second is kept back to answer in
    assert isinstance(database.run(ask), int)
    # Also where nothing is tried again: an answer that comes late is nobody's.
    end = time.monotonic() + 1.2
    with (
        database.within(lambda: end - time.monotonic()),
        pytest.raises(psycopg.OperationalError),
        database.transaction() as connection,
    ):
        connection.execute("SELECT pg_sleep(60)")
    assert connection.closed
    with database.within(lambda: 30.0):
        assert isinstance(database.run(ask), int)
    database.close()


def test_tries_of_the_same_work_find_each_others_notes(dsn: str) -> None:
    database = Database(dsn, sleep=lambda _: None)
    seen: list[dict[str, object]] = []

    def work(connection: Connection) -> None:
        notes = notes_of(connection)
        seen.append(dict(notes))
        notes["tries"] = len(seen)
        if len(seen) == 1:
            connection.execute("DO $$ BEGIN RAISE EXCEPTION 'planted' USING ERRCODE = '57P01'; END $$")

    database.run(work)
    database.run(work)
    assert seen == [{}, {"tries": 1}, {}]
    database.close()


@pytest.fixture
def fake() -> Iterator[FakeAnthropic]:
    rows = [
        UsageRow(NOW - timedelta(hours=hours), "claude-sonnet-4-5-20250929", hours, api_key_id=f"apikey_{hours % 5}")
        for hours in range(1, 70, 3)
    ]
    keys = [ApiKey(f"apikey_{number}", text) for number, text in enumerate(TEXTS)]
    with FakeAnthropic(FixedDataset(rows, [], keys), clock=lambda: NOW) as server:
        yield server


@pytest.fixture
def in_zone(module_dsn: str) -> Iterator[Callable[[str, str], None]]:
    """Set what the server gives its sessions from now on, and take it back at the end."""
    name = part(module_dsn, "dbname")

    def say(setting: str, value: str) -> None:
        with connect(module_dsn) as admin:
            admin.execute(f"ALTER DATABASE {name} SET {setting} = '{value}'")

    yield say
    with connect(module_dsn) as admin:
        admin.execute(f"ALTER DATABASE {name} RESET ALL")


def test_instants_are_utc_and_equal_whatever_the_servers_zone(
    dsn: str, in_zone: Callable[[str, str], None], fake: FakeAnthropic
) -> None:
    database = Database(dsn)
    run(database, provider(fake))
    with connect(dsn) as connection:
        before = tables(connection)
    database.close()
    for zone in ("Asia/Kathmandu", "America/St_Johns", "Pacific/Apia", "Etc/UTC"):
        in_zone("timezone", zone)
        [report] = run(database, provider(fake))
        assert changes(report)[1::2] == (0, 0)  # nothing looks restated for having been read in another zone
        with connect(dsn) as connection:
            assert connection.info.parameter_status("TimeZone") == zone
            assert tables(connection) == before
            row = connection.execute("SELECT timestamptz '2026-03-29 01:30Z' AS at, now() AS now").fetchone()
        assert row is not None
        assert row["at"] == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
        assert {value.tzinfo for value in row.values()} == {UTC}
        database.close()


def test_every_text_comes_back_as_it_went_whatever_the_servers_encoding_for_clients(
    way_dsn: str, in_zone: Callable[[str, str], None], fake: FakeAnthropic
) -> None:
    in_zone("client_encoding", "LATIN1")
    database = Database(way_dsn)
    run(database, provider(fake))
    rows = database.run(lambda c: c.execute("SELECT DISTINCT session_label AS text FROM usage_records").fetchall())
    assert {row["text"] for row in rows} == set(TEXTS)
    [row] = database.run(
        lambda c: c.execute("SELECT %s::text AS a, %s::jsonb AS b", [TEXTS[1], '"\\ud83d\\udc3e"'])
    ).fetchall()
    assert (row["a"], row["b"]) == (TEXTS[1], "\U0001f43e")
    database.close()
