"""A backend killed before, during and at COMMIT of every kind of write, by both ways: nothing lost, nothing doubled."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from infra.demo.anthropic import FakeAnthropic
from infra.demo.dataset import ApiKey, CostRow, FixedDataset, UsageRow
from shared.store.database import Connection, Database
from shared.workflows.verify import verify
from tests.integration.collecting import NOW, provider, run, tables
from tests.integration.conftest import Api, unavailable
from tests.integration.pooler import Fault, Moment, Relay

HOUR = timedelta(hours=1)
ROWS = [
    UsageRow(NOW - hours * HOUR, "claude-sonnet-4-5-20250929", hours, output_tokens=7, api_key_id="apikey_a")
    for hours in range(1, 9 * 24, 9)
]
# What the provider says an hour later: a bucket restated, one gone, one more.
LATER = [replace(ROWS[0], output_tokens=900), *ROWS[2:], replace(ROWS[1], api_key_id="apikey_b")]
WRITES = {
    "the fence": b"INSERT INTO collection_state",
    "a window": b"SET window_start = $1",
    "a page": b"COPY staged_rows",
    "a merge": b"INSERT INTO rollup_quarter",
    "a restatement": b"INSERT INTO bucket_versions",
    "health": b"UPDATE accounts SET state",
}
RUNS = {
    "the start of a run": b"INSERT INTO runs",
    "taking it": b"UPDATE runs SET heartbeat_at = greatest",
    "its end": b"UPDATE runs SET status = $1",
}


@pytest.fixture(scope="module")
def data() -> FixedDataset:
    costs = [CostRow(NOW - day * 24 * HOUR, Decimal("1.5"), "Code", "code_execution") for day in range(1, 9)]
    return FixedDataset([], costs, [ApiKey("apikey_a", "peakpaws-main")])


@pytest.fixture(scope="module")
def fake(data: FixedDataset) -> Iterator[FakeAnthropic]:
    with FakeAnthropic(data, clock=lambda: NOW + HOUR) as server:
        yield server


def history(database: Database, fake: FakeAnthropic, data: FixedDataset) -> None:
    """Collect, and an hour later again: new, unchanged, restated and vanished buckets."""
    data.usage_rows[:] = ROWS
    [first] = run(database, provider(fake), backfill=timedelta(days=9))
    data.usage_rows[:] = LATER
    [second] = run(database, provider(fake), now=NOW + HOUR)
    assert [(first.status, first.error), (second.status, second.error)] == [("succeeded", None)] * 2


def figures(connection: Connection) -> dict[str, list[str]]:
    """What is stored, the only account's id made 1: a rolled back insert uses one up."""
    [row] = connection.execute("SELECT id FROM accounts").fetchall()
    known, made = f"('account_id', {row['id']})", "('account_id', 1)"
    return {name: [text.replace(known, made) for text in rows] for name, rows in tables(connection).items()}


def wipe(connection: Connection) -> None:
    for table in ("accounts", "rates", "rollup_quarter", "rollup_day", "model_names", "runs"):
        connection.execute(f"DELETE FROM {table}")  # noqa: S608 - names of this line above; faster than TRUNCATE


@pytest.fixture(scope="module")
def dsn(module_dsn: str) -> str:
    return module_dsn


@pytest.fixture(autouse=True)
def empty(relay: Relay, connection: Connection) -> None:
    relay.fault = None
    wipe(connection)


@pytest.fixture(scope="module")
def remembered() -> dict[str, list[str]]:
    """What an undisturbed history leaves, once a test has seen it."""
    return {}


@pytest.mark.parametrize("write", WRITES)
def test_a_killed_backend_is_not_noticed_in_the_figures(
    write: str, relayed_dsn: str, relay: Relay, connection: Connection, fake: FakeAnthropic, data: FixedDataset,
    remembered: dict[str, list[str]],
) -> None:  # fmt: skip
    database = Database(relayed_dsn, sleep=lambda _: None)
    if not remembered:
        history(database, fake, data)
        remembered |= figures(connection)
        assert all(remembered[name] for name in ("ledger", "bucket_versions", "rollup_quarter"))
    for moment in Moment:
        wipe(connection)
        relay.fault = Fault(WRITES[write], moment)
        history(database, fake, data)
        assert relay.fault.struck == 1, moment
        assert figures(connection) == remembered, moment
        [again] = run(database, provider(fake), now=NOW + HOUR)
        assert again.status == "succeeded"
        assert figures(connection) == remembered, moment
    assert verify(database, repair=False)["drift"] == []
    database.close()


@pytest.mark.parametrize("write", RUNS)
def test_a_run_that_is_started_over_http_is_one_run(
    write: str, relayed_dsn: str, relay: Relay, connection: Connection, fake: FakeAnthropic, data: FixedDataset,
    serve: Callable[..., Api],
) -> None:  # fmt: skip
    data.usage_rows[:] = ROWS
    api = serve(relayed_dsn, fake)
    for moment in Moment:
        wipe(connection)
        relay.fault = Fault(RUNS[write], moment)
        answer = api.http.post("/admin/collect", params={"wait": "20"})
        assert relay.fault.struck == 1, moment
        assert (answer.status_code, answer.json()["status"]) == (200, "succeeded"), (moment, answer.text)
        rows = connection.execute("SELECT status, error FROM runs").fetchall()
        assert rows == [{"status": "succeeded", "error": None}], moment
        assert connection.execute("SELECT count(*) AS n FROM ledger").fetchone() == {"n": len(ROWS) + 8}, moment


@pytest.mark.parametrize("moment", [Moment.INSTEAD_OF_COMMIT, Moment.AFTER_COMMIT])
def test_backends_killed_at_every_try_are_a_503_and_the_next_request_succeeds(
    moment: Moment, relayed_dsn: str, relay: Relay, connection: Connection, fake: FakeAnthropic, data: FixedDataset,
    serve: Callable[..., Api],
) -> None:  # fmt: skip
    data.usage_rows[:] = ROWS
    api = serve(relayed_dsn, fake)
    relay.fault = Fault(b"INSERT INTO runs", moment, times=3)
    unavailable(api.http.post("/admin/collect", params={"wait": "20"}))
    assert relay.fault.struck == 3
    started = connection.execute("SELECT count(*) AS n FROM runs").fetchone()
    # Three lost answers of one run leave that run, which nobody works on: it is closed when it has been silent.
    assert started == {"n": 1 if moment is Moment.AFTER_COMMIT else 0}
    answer = api.http.post("/admin/collect", params={"wait": "20"})
    assert (answer.status_code, answer.json()["status"]) == (200, "succeeded")


@pytest.mark.parametrize("moment", [Moment.DURING, Moment.INSTEAD_OF_COMMIT])
def test_a_report_is_read_again_or_is_a_503(
    moment: Moment, relayed_dsn: str, relay: Relay, serve: Callable[..., Api]
) -> None:
    api = serve(relayed_dsn)
    range_ = {"start": "2026-11-01", "end": "2026-11-20"}
    whole = api.http.get("/costs/range", params=range_)
    assert whole.status_code == 200
    relay.fault = Fault(b"FROM rollup_day", moment, times=2)
    again = api.http.get("/costs/range", params=range_)
    assert (again.status_code, again.content) == (200, whole.content)
    relay.fault = Fault(b"FROM rollup_day", moment, times=3)
    unavailable(api.http.get("/costs/range", params=range_))
    # Without its three tries, a connection lost while nobody used it is found by the next request.
    relay.fault = None
    assert api.http.get("/costs/range", params=range_).status_code == 200
    relay.cut()
    assert api.http.get("/costs/range", params=range_).status_code == 200
