"""Many writers at once: each event once, no deadlock, no lost update, directly and through a pooler."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from shared.core import jsontext
from shared.store.database import Connection
from shared.workflows.verify import verify
from tests.integration.conftest import Api

WRITERS = 8
EVENT: dict[str, Any] = {"model": "claude-sonnet-4-5", "tokens_in": 1000, "tokens_out": 0}


@pytest.fixture
def api(serve: Callable[..., Api], way_dsn: str) -> Api:
    return serve(way_dsn)


def at_once(api: Api, work: Callable[[int], Any]) -> list[Any]:
    """Run `work` in one thread per writer, started together; each has a connection of its own."""
    start = threading.Barrier(WRITERS)

    def run(number: int) -> Any:  # noqa: ANN401 - what the work returns
        start.wait(10)
        try:
            return work(number)
        finally:
            api.app.database.close()

    with ThreadPoolExecutor(WRITERS) as threads:
        return list(threads.map(run, range(WRITERS)))


def send(api: Api, body: object) -> Any:  # noqa: ANN401 - JSON
    answer = api.http.post("/api/usage", content=jsontext.dumps(body))
    assert answer.status_code in {200, 201}, answer.text
    return jsontext.loads(answer.content)


def test_the_same_event_a_thousand_times_is_one_line_of_value_one(api: Api, connection: Connection) -> None:
    statuses = Counter(
        status
        for found in at_once(api, lambda _: [send(api, {**EVENT, "event_id": "one"})["status"] for _ in range(125)])
        for status in found
    )
    assert statuses == {"created": 1, "duplicate": 999}
    assert connection.execute("SELECT count(*) AS n, sum(requests) AS r FROM ledger").fetchone() == {"n": 1, "r": 1}
    assert connection.execute("SELECT lines, cost FROM rollup_quarter").fetchall() == [
        {"lines": 1, "cost": jsontext.loads("0.003")}
    ]


def test_overlapping_batches_in_opposite_orders(api: Api, connection: Connection) -> None:
    """Half of each batch is everybody's; every second writer sends it backwards."""
    shared = [{**EVENT, "event_id": f"shared-{n}"} for n in range(300)]

    def work(number: int) -> dict[str, int]:
        own = [{**EVENT, "event_id": f"own-{number}-{n}"} for n in range(300)]
        rows = [row for pair in zip(shared, own, strict=True) for row in pair]
        answer = send(api, rows if number % 2 else rows[::-1])
        return {name: answer[name] for name in ("created", "duplicates", "rejected")}

    counted = Counter[str]()
    for answer in at_once(api, work):
        counted.update(answer)
    assert counted == {"created": 300 * (WRITERS + 1), "duplicates": 300 * (WRITERS - 1), "rejected": 0}
    assert verify(api.app.database, repair=False)["drift"] == []
    assert connection.execute("SELECT sum(lines) AS n FROM rollup_quarter").fetchone() == {"n": 300 * (WRITERS + 1)}
    assert connection.execute(
        "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    ).fetchone() == {"deadlocks": 0}


def test_writers_and_voiders_of_one_cell(api: Api) -> None:
    """Everything meets in one cell of the roll-up, and nothing is lost there."""

    def work(number: int) -> int:
        for turn in range(12):
            rows = [{**EVENT, "event_id": f"{number}-{turn}-{n}"} for n in range(10)]
            ids = [row["id"] for row in send(api, rows)["results"]]
            answer = api.http.post(f"/api/usage/{ids[turn % 10]}/void", json={"reason": "test"})
            assert answer.status_code == 200, answer.text
        return number

    assert len(at_once(api, work)) == WRITERS
    assert verify(api.app.database, repair=False)["drift"] == []
    answer = api.http.get("/costs/daily", params={"date": "2026-11-20"})
    assert answer.json()["requests"] == WRITERS * 12 * 9
