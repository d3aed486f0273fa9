"""A backend killed before, during and at COMMIT of what events write, by both ways: nothing lost, nothing doubled."""

from collections.abc import Callable
from typing import Any

import pytest

from shared.core import jsontext
from shared.store.database import Connection
from shared.workflows.verify import verify
from tests.integration.conftest import Api, unavailable
from tests.integration.pooler import Fault, Moment, Relay

WRITES = {
    "the lines": b"COPY ledger",
    "the rates": b"INSERT INTO rates",
    "the names": b"INSERT INTO model_names",
    "the roll-up": b"INSERT INTO rollup_quarter",
}
EVENT: dict[str, Any] = {"model": "claude-sonnet-4-5", "tokens_in": 1000, "tokens_out": 100}
# One with an id of its own, two that nothing but the try itself can recognise, one bad.
ROWS = [{**EVENT, "event_id": "a"}, EVENT, EVENT, {"model": "x"}]


@pytest.fixture(autouse=True)
def no_fault(relay: Relay) -> None:
    relay.fault = None


@pytest.fixture(scope="module")
def dsn(module_dsn: str) -> str:
    return module_dsn


def wipe(connection: Connection) -> None:
    connection.execute("TRUNCATE ledger, quarantine, rates, rollup_quarter, rollup_day, model_names")


def figures(connection: Connection) -> dict[str, Any] | None:
    return connection.execute(
        """
        SELECT count(*) AS lines, sum(cost) AS cost, count(event_id) AS ids, (SELECT sum(lines) FROM rollup_quarter)
            AS rolled_up, (SELECT count(*) FROM rates) AS rates, (SELECT count(*) FROM model_names) AS names FROM ledger
        """
    ).fetchone()


@pytest.mark.parametrize("write", WRITES)
def test_a_killed_backend_is_not_noticed_in_the_figures(
    write: str, relayed_dsn: str, relay: Relay, connection: Connection, serve: Callable[..., Api]
) -> None:
    api = serve(relayed_dsn)
    for moment in Moment:
        wipe(connection)
        relay.fault = Fault(WRITES[write], moment)
        answer = api.http.post("/api/usage", content=jsontext.dumps(ROWS))
        assert relay.fault.struck == 1, moment
        assert answer.status_code == 200, (moment, answer.text)
        statuses = [row["status"] for row in answer.json()["results"]]
        # A row whose line the lost COMMIT wrote is what this request created, not somebody's duplicate.
        assert statuses == ["created", "created", "created", "rejected"], moment
        expected = {"lines": 3, "cost": jsontext.loads("0.0135"), "ids": 1, "rolled_up": 3, "rates": 1, "names": 1}
        assert figures(connection) == expected, moment
        ids = {row["id"] for row in answer.json()["results"]} - {None}
        assert {row["id"] for row in connection.execute("SELECT id FROM ledger")} == ids, moment
        assert verify(api.app.database, repair=False)["drift"] == []


@pytest.mark.parametrize("moment", Moment)
def test_a_void_is_done_once(
    moment: Moment, relayed_dsn: str, relay: Relay, connection: Connection, serve: Callable[..., Api]
) -> None:
    api = serve(relayed_dsn)
    wipe(connection)
    ids = [row["id"] for row in api.http.post("/api/usage", content=jsontext.dumps(ROWS)).json()["results"]]
    relay.fault = Fault(b"UPDATE ledger SET voided_at", moment)
    answer = api.http.post(f"/api/usage/{ids[1]}/void", json={"reason": "wrong"})
    assert relay.fault.struck == 1
    assert (answer.status_code, answer.json()["voided"]["reason"]) == (200, "wrong")
    assert connection.execute("SELECT lines, cost FROM rollup_quarter").fetchall() == [
        {"lines": 2, "cost": jsontext.loads("0.009")}
    ]
    assert verify(api.app.database, repair=False)["drift"] == []


def test_a_database_that_stays_away_is_a_503_and_the_events_can_be_sent_again(
    relayed_dsn: str, relay: Relay, connection: Connection, serve: Callable[..., Api]
) -> None:
    api = serve(relayed_dsn)
    wipe(connection)
    rows = [{**EVENT, "event_id": str(number)} for number in range(5)]
    relay.fault = Fault(b"INSERT INTO rollup_quarter", Moment.INSTEAD_OF_COMMIT, times=3)
    unavailable(api.http.post("/api/usage", content=jsontext.dumps(rows)))
    again = api.http.post("/api/usage", content=jsontext.dumps(rows)).json()
    assert (again["created"], again["duplicates"]) == (5, 0)
    assert connection.execute("SELECT sum(lines) AS n FROM rollup_quarter").fetchone() == {"n": 5}
