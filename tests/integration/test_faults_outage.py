"""Postgres restarted, the pooler frozen or gone, two writers in each other's way: success or a 503, nothing lost."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta

import pytest

from infra.demo.anthropic import FakeAnthropic
from infra.demo.dataset import FixedDataset, UsageRow
from shared.core import crash
from shared.errors import DatabaseUnavailableError
from shared.store import ledger
from shared.store.database import Connection, Database, connect, ping
from shared.store.migrate import migrate
from shared.workflows.verify import verify
from tests.integration.collecting import NOW, provider, run, tables
from tests.integration.conftest import WAYS, Api, Cluster, in_front_of, part, unavailable
from tests.integration.ledger_writes import WRITES, prepared
from tests.integration.pooler import PgBouncer

BACKFILL = timedelta(days=20)  # three pages
ROWS = [
    UsageRow(NOW - timedelta(hours=hours), "claude-sonnet-4-5-20250929", hours + 1, output_tokens=7)
    for hours in range(0, 19 * 24, 13)
]
RANGE = {"start": "2026-11-01", "end": "2026-11-20"}
FROZEN_SECONDS = 5


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeAnthropic]:
    with FakeAnthropic(FixedDataset(ROWS), clock=lambda: NOW) as server:
        yield server


@pytest.fixture(scope="module")
def own(cluster: Cluster) -> Iterator[dict[str, str]]:
    """The addresses of a migrated database in a cluster that may be stopped, by way."""
    with connect(cluster.dsn) as connection:
        migrate(connection)
    found = {"direct": f"postgresql://postgres@/cost_tracker?host={part(cluster.dsn, 'host')}"}
    with suppress(pytest.skip.Exception):
        for pooler in in_front_of(part(cluster.dsn, "host"), 5432, cluster.dsn):
            found["pgbouncer"] = pooler.dsn("cost_tracker")
            yield found
        return
    yield found


@pytest.fixture(params=WAYS)
def address(own: dict[str, str], request: pytest.FixtureRequest) -> str:
    if request.param not in own:
        request.getfixturevalue("pgbouncer")  # skips, and says why
    return own[request.param]


def lasting(seconds: float) -> Callable[[], float]:
    """The time that remains of so many seconds from now."""
    end = time.monotonic() + seconds
    return lambda: end - time.monotonic()


def wipe(dsn: str) -> None:
    with connect(dsn) as connection:
        for table in ("accounts", "rates", "rollup_quarter", "rollup_day", "model_names", "runs"):
            connection.execute(f"DELETE FROM {table}")  # noqa: S608 - names of the line above


def stored(dsn: str) -> dict[str, list[str]]:
    with connect(dsn) as connection:
        [row] = connection.execute("SELECT id FROM accounts").fetchall()
        known, made = f"('account_id', {row['id']})", "('account_id', 1)"
        return {name: [text.replace(known, made) for text in rows] for name, rows in tables(connection).items()}


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_postgres_restarted_in_the_middle_of_a_collection(
    mode: str, address: str, cluster: Cluster, fake: FakeAnthropic
) -> None:
    wipe(cluster.dsn)
    database = Database(address)
    run(database, provider(fake), backfill=BACKFILL)
    undisturbed = stored(cluster.dsn)
    wipe(cluster.dsn)
    restarts = iter([mode])

    def restart(_: object) -> None:
        for how in restarts:
            cluster.control("restart", "-m", how)

    [report] = run(database, provider(fake), backfill=BACKFILL, progress=restart)
    assert (report.status, report.error) == ("succeeded", None)
    assert stored(cluster.dsn) == undisturbed
    database.close()


@pytest.mark.parametrize(
    ("point", "write", "mode"),
    [
        ("ingest:lines", "an event", "fast"),
        ("void:rolled-up", "a void", "immediate"),
        ("merge:balanced", "a restatement", "fast"),
        ("manual:edited", "its edit", "immediate"),
        ("reprice:applied", "a re-pricing", "fast"),
        ("reassign:applied", "a re-mapping", "immediate"),
    ],
)
def test_postgres_restarted_in_the_middle_of_a_write(
    point: str, write: str, mode: str, address: str, cluster: Cluster
) -> None:
    database, reader = Database(address), Database(cluster.dsn)
    with connect(cluster.dsn) as connection:
        world = prepared(database, reader, write, connection)
    restarts = iter([mode])

    def restart(passed: str) -> None:
        if passed == point:
            for how in restarts:
                cluster.control("restart", "-m", how)

    with crash.watched(restart):
        WRITES[write][0](world)
    assert list(restarts) == []
    world.check()
    reader.close()
    database.close()


def test_postgres_gone_is_a_503_and_when_it_is_back_the_collection_goes_on(
    address: str, cluster: Cluster, fake: FakeAnthropic, serve: Callable[..., Api]
) -> None:
    wipe(cluster.dsn)
    database = Database(address)
    run(database, provider(fake), backfill=BACKFILL)
    undisturbed = stored(cluster.dsn)
    wipe(cluster.dsn)
    api = serve(address, fake)
    assert api.http.get("/costs/range", params=RANGE).status_code == 200
    stops = iter(["fast"])

    def stop(_: object) -> None:
        for how in stops:
            cluster.control("stop", "-m", how)

    # A pooler lets a query wait two minutes for a server: only the time that remains makes an end of it.
    with database.within(lasting(2)), pytest.raises(DatabaseUnavailableError, match=r"try again in a few seconds\.$"):
        run(database, provider(fake), backfill=BACKFILL, progress=stop)
    try:
        with api.app.database.within(lasting(2)):
            unavailable(api.http.get("/costs/range", params=RANGE))
            unavailable(api.http.post("/admin/collect", params={"wait": "1"}))
            unavailable(api.http.get("/health/ready"))
        assert api.http.get("/health").status_code == 200
    finally:
        cluster.control("start")
    time.sleep(1.1)  # for so long PgBouncer does not try a server that refused it
    answer = api.http.get("/costs/range", params=RANGE)
    assert answer.status_code == 200, answer.text
    before = len(fake.requests)
    [report] = run(database, provider(fake), backfill=BACKFILL)
    assert report.status == "succeeded"
    assert stored(cluster.dsn) == undisturbed
    assert len(fake.requests) > before
    database.close()


@pytest.fixture
def pooler(postgres_dsn: str) -> Iterator[PgBouncer]:
    yield from in_front_of(part(postgres_dsn, "host"), 5432, postgres_dsn)


def test_a_pooler_that_hangs_for_five_seconds_delays_who_has_time_and_is_a_503_for_who_has_not(
    pooler: PgBouncer, dsn: str, connection: Connection, fake: FakeAnthropic, serve: Callable[..., Api]
) -> None:
    api = serve(pooler.dsn(part(dsn, "dbname")))
    assert api.http.get("/costs/range", params=RANGE).status_code == 200
    database = Database(pooler.dsn(part(dsn, "dbname")))
    frozen: list[float] = []

    def freeze(_: object) -> None:
        if frozen:
            return
        frozen.append(time.monotonic())
        pooler.freeze()
        threading.Timer(FROZEN_SECONDS, pooler.thaw).start()
        with api.app.database.within(lasting(2)):
            unavailable(api.http.get("/costs/range", params=RANGE))
            unavailable(api.http.get("/health/ready"))
        assert time.monotonic() - frozen[0] < 2 + 2  # a new connection is not given up before two seconds

    began = time.monotonic()
    [report] = run(database, provider(fake), backfill=BACKFILL, progress=freeze)
    assert (report.status, report.error) == ("succeeded", None)
    assert time.monotonic() - began >= FROZEN_SECONDS
    assert connection.execute("SELECT count(*) AS n FROM ledger").fetchone() == {"n": len(ROWS)}
    assert api.http.get("/costs/range", params=RANGE).status_code == 200
    database.close()


def test_a_pooler_that_is_restarted_is_a_503_in_between(pooler: PgBouncer, dsn: str, serve: Callable[..., Api]) -> None:
    api = serve(pooler.dsn(part(dsn, "dbname")))
    assert api.http.get("/costs/range", params=RANGE).status_code == 200
    pooler.stop()
    unavailable(api.http.get("/costs/range", params=RANGE))
    unavailable(api.http.post("/admin/verify", params={"wait": "1"}))
    pooler.start()
    assert api.http.get("/costs/range", params=RANGE).status_code == 200
    assert api.http.post("/admin/verify", params={"wait": "10"}).json()["status"] == "succeeded"


def test_two_writers_in_a_deadlock_both_get_through_once(
    way_dsn: str, connection: Connection, fake: FakeAnthropic, dsn: str
) -> None:
    name = part(dsn, "dbname")
    connection.execute(f"ALTER DATABASE {name} SET deadlock_timeout = '20ms'")
    database = Database(way_dsn)
    run(database, provider(fake), backfill=BACKFILL)
    [early, late] = connection.execute("SELECT * FROM ledger ORDER BY recorded_at LIMIT 2").fetchall()
    lines = [{**row, "source": "import", "bucket_id": None, "rates_id": None} for row in (early, late)]
    met = threading.Barrier(2)
    tries: list[int] = []

    def write(order: list[dict[str, object]]) -> None:
        mine = len(order)

        def work(c: Connection) -> None:
            tries.append(mine)
            ping(c)
            ledger.insert(c, order[:1])
            if len(tries) <= 2:  # the third try is the loser's second
                met.wait(10)
            ledger.insert(c, order[1:])

        database.run(work)
        database.close()

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(write, [lines, lines[::-1]]))
    assert len(tries) == 3
    assert connection.execute("SELECT count(*) AS n FROM ledger WHERE source = 'import'").fetchone() == {"n": 4}
    assert connection.execute("SELECT sum(lines) AS n FROM rollup_quarter WHERE source = 'import'").fetchone() == {
        "n": 4
    }
    assert verify(database, repair=False)["drift"] == []
    database.close()
