"""Store, collection, API and migrations by both ways: direct, and through PgBouncer in transaction mode."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import psycopg
import pytest

from infra.demo.anthropic import FakeAnthropic
from infra.demo.dataset import ApiKey, CostRow, FixedDataset, UsageRow
from shared.core import jsontext
from shared.store import migrate
from shared.store.database import Connection, Database, connect
from shared.workflows.verify import verify
from tests.integration.collecting import NOW, changes, provider, run, tables
from tests.integration.conftest import Api, by_way
from tests.integration.ledger_writes import WRITES, prepared
from tests.integration.pooler import POOL, Relay

DAY = timedelta(days=1)
THREADS = 8


@pytest.fixture
def data() -> FixedDataset:
    rows = [
        UsageRow(NOW - days * DAY, "claude-sonnet-4-5-20250929", 1000, output_tokens=500, api_key_id="apikey_a")
        for days in range(8)
    ]
    costs = [CostRow(NOW - 2 * DAY, Decimal("1.05"), "Code Execution Usage", cost_type="code_execution")]
    return FixedDataset(rows, costs, [ApiKey("apikey_a", "peakpaws-main")])


@pytest.fixture
def fake(data: FixedDataset) -> Iterator[FakeAnthropic]:
    with FakeAnthropic(data, clock=lambda: NOW) as server:
        yield server


@pytest.fixture
def database(way_dsn: str) -> Iterator[Database]:
    found = Database(way_dsn)
    yield found
    found.close()


def test_the_pool_is_what_neon_offers(pgbouncer: object, dsn: str, request: pytest.FixtureRequest) -> None:
    assert pgbouncer
    address = by_way("pgbouncer", dsn, request)
    with pytest.raises(psycopg.OperationalError, match="unsupported startup parameter"):
        psycopg.connect(f"{address}?options=-cstatement_timeout%3D1000")


def test_a_collection_its_repetition_and_a_restatement(
    database: Database, connection: Connection, fake: FakeAnthropic, data: FixedDataset
) -> None:
    [report] = run(database, provider(fake), backfill=9 * DAY)
    assert (report.status, report.error) == ("succeeded", None)
    assert changes(report) == (8, 0, 0, 0)
    before = tables(connection)
    run(database, provider(fake))
    assert tables(connection) == before
    data.usage_rows[0] = replace(data.usage_rows[0], output_tokens=900)
    del data.usage_rows[1]
    [report] = run(database, provider(fake))
    assert changes(report)[1::2] == (1, 1)
    assert verify(database, repair=False)["drift"] == []


def test_the_api_collects_and_reports(way_dsn: str, fake: FakeAnthropic, serve: Callable[..., Api]) -> None:
    api = serve(way_dsn, fake)
    done = api.http.post("/admin/collect", params={"wait": "20"})
    assert (done.status_code, done.json()["status"]) == (200, "succeeded")
    range_ = {"start": "2026-11-01", "end": "2026-11-20"}
    report = jsontext.loads(api.http.get("/costs/range", params=range_).content)
    assert Decimal(report["total_cost"]) == 8 * Decimal("0.0105") + Decimal("0.0105")
    for path in ("/costs/by-model", "/costs/reconciliation", "/admin/runs", "/health/ready"):
        answer = api.http.get(path, params=range_ if path.startswith("/costs") else {})
        assert answer.status_code == 200, answer.text
    assert api.http.post("/admin/verify", params={"wait": "20"}).json()["result"]["drift"] == []


@pytest.mark.parametrize("write", WRITES)
def test_every_write_of_the_ledger(write: str, database: Database, dsn: str, connection: Connection) -> None:
    reader = Database(dsn)
    world = prepared(database, reader, write, connection)
    work, _ = WRITES[write]
    work(world)
    world.check()
    reader.close()


def test_migrations_go_direct_and_the_service_by_its_way(
    way: str, blank_dsn: str, fake: FakeAnthropic, request: pytest.FixtureRequest
) -> None:
    with connect(blank_dsn) as direct:
        applied = migrate.migrate(direct)
        assert len(applied) == len(migrate.load())
        database = Database(by_way(way, blank_dsn, request))
        [report] = run(database, provider(fake), backfill=9 * DAY)
        assert report.status == "succeeded"
        database.close()
        assert migrate.migrate(direct) == []


def test_migrators_at_once_through_either_way_apply_everything_once(
    way: str, blank_dsn: str, request: pytest.FixtureRequest
) -> None:
    address = by_way(way, blank_dsn, request)

    def work(_: int) -> list[str]:
        with connect(address) as own:
            return migrate.migrate(own)

    with ThreadPoolExecutor(4) as threads:
        applied = [name for names in threads.map(work, range(4)) for name in names]
    assert len(applied) == len(set(applied)) == len(migrate.load())


def test_eight_threads_share_a_pool_of_three(
    way: str, way_dsn: str, dsn: str, connection: Connection, fake: FakeAnthropic, serve: Callable[..., Api]
) -> None:
    api = serve(way_dsn, fake)
    start = threading.Barrier(THREADS)
    backends: list[int] = []

    def work(number: int) -> list[str]:
        start.wait(10)
        states = []
        if number % 2:
            for _ in range(2):
                body = {"start": "2026-11-12", "end": "2026-11-20"}
                states.append(api.http.post("/admin/collect", params={"wait": "25"}, json=body).json()["status"])
        else:
            for _ in range(10):
                answer = api.http.get("/costs/range", params={"start": "2026-11-01", "end": "2026-11-20"})
                states.append(str(answer.status_code))
        row = connection.execute(
            "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchone()
        backends.append(row["n"] if row else 0)
        api.app.database.close()
        return states

    with ThreadPoolExecutor(THREADS) as threads:
        seen = {state for states in threads.map(work, range(THREADS)) for state in states}
    # Collections of one account supersede each other; none fails, and reads always answer.
    assert seen <= {"succeeded", "partial", "200"}
    if way == "pgbouncer":
        assert max(backends) <= POOL
    own = Database(dsn)
    run(own, provider(fake), start=NOW.replace(hour=0, minute=0) - 8 * DAY, end=NOW)
    assert connection.execute("SELECT count(*) AS n FROM ledger WHERE model LIKE 'claude%%'").fetchone() == {"n": 8}
    assert verify(own, repair=False)["drift"] == []
    own.close()


def test_no_statement_is_prepared_under_a_name(
    relayed_dsn: str, relay: Relay, fake: FakeAnthropic, serve: Callable[..., Api], connection: Connection
) -> None:
    api = serve(relayed_dsn, fake)
    for _ in range(7):  # more often than the five times after which the driver would
        api.http.post("/admin/collect", params={"wait": "20"})
        api.http.get("/costs/range", params={"start": "2026-11-01", "end": "2026-11-20"})
    database = Database(relayed_dsn)
    for write, (work, _) in WRITES.items():
        work(prepared(database, database, write, connection))
    database.close()
    assert len(relay.sent) > 200
    assert {name for name, _ in relay.sent} == {b""}
    # What a session would keep is not the pooler's to give: settings, locks, temporary tables, subscriptions.
    said = [sql.decode().strip().upper() for _, sql in relay.sent]
    kept = ("SET ", "RESET", "DISCARD", "LISTEN", "CREATE TEMP", "PREPARE", "SELECT PG_ADVISORY_LOCK")
    # A table that goes with its transaction is not the session's.
    assert [sql for sql in said if sql.startswith(kept) and not sql.endswith("ON COMMIT DROP")] == []
