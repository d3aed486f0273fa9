"""The function as Lambda runs it: a process of its own with its settings in the environment, and all that it prints."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from infra.demo.faults import Fault
from infra.demo.vault import KEY, FakeVault
from shared.store.database import Connection
from tests.integration.test_push import use

# These processes have the real clock. Noon belongs to one date in UTC, whenever this runs.
TODAY = datetime.now(UTC).date()
YESTERDAY = TODAY - timedelta(days=1)
MAIN = """
import json, sys
from functions.vault_push import handler

class Context:
    function_name = memory_limit_in_mb = invoked_function_arn = aws_request_id = "x"

    def get_remaining_time_in_millis(self):
        return 15_000

for event in json.loads(sys.argv[1]):
    try:
        answer = handler(event, Context())
    except Exception as error:
        answer = {"raised": f"{type(error).__name__}: {error}"}
    print("ANSWER " + json.dumps(answer))
"""


class Function:
    def __init__(self, connection: Connection, fake: FakeVault) -> None:
        info = connection.info
        host = quote(info.host, safe="")
        self.connection = connection
        self.fake = fake
        self.printed = ""
        self.environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(sys.path),
            "DATABASE_URL": f"postgresql://{info.user}@/{info.dbname}?host={host}",
            "CONTEXT_VAULT_URL": fake.url,
            "CONTEXT_VAULT_API_KEY": KEY,
            "LOG_LEVEL": "DEBUG",
            "NO_PROXY": "127.0.0.1",
        }

    def __call__(self, *events: dict[str, str], **settings: str) -> list[dict[str, Any]]:
        done = subprocess.run(  # noqa: S603 - our own code
            [sys.executable, "-c", MAIN, json.dumps(events)],
            env={**self.environment, **settings},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.printed += done.stdout + done.stderr
        return [json.loads(line[7:]) for line in done.stdout.splitlines() if line.startswith("ANSWER ")]

    def last_run(self) -> dict[str, Any]:
        row = self.connection.execute("SELECT * FROM runs ORDER BY id DESC LIMIT 1").fetchone()
        assert row is not None
        return row

    def result(self, run: int) -> dict[str, Any]:
        row = self.connection.execute("SELECT result, error FROM runs WHERE id = %s", [run]).fetchone()
        assert row is not None
        return row

    def metric(self, name: str) -> list[int]:
        lines = [line for line in self.printed.splitlines() if f'"{name}"' in line and "_aws" in line]
        return [json.loads(line)[name][0] for line in lines]


@pytest.fixture
def fake() -> Iterator[FakeVault]:
    with FakeVault() as found:
        yield found


@pytest.fixture
def function(connection: Connection, fake: FakeVault) -> Function:
    use(connection, YESTERDAY, "1.25")
    return Function(connection, fake)


def scheduled(day: date = TODAY) -> dict[str, str]:
    return {"time": f"{day}T00:00:37Z"}


def test_delivered_twice_and_twice_at_once_it_pushes_once(function: Function) -> None:
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: function(scheduled(), scheduled()), range(2)))
    assert {answer["status"] for answers in found for answer in answers} <= {"succeeded", "skipped"}, found
    assert len(function.fake.requests) == 1
    assert function.metric("SummariesPending")[0] == 0


def test_by_hand_it_pushes_yesterday(function: Function) -> None:
    (answer,) = function({})
    assert function.result(answer["run"])["result"] == {
        "days": [{"date": f"{YESTERDAY}", "status": "pushed", "http_status": 201, "attempts": 1, "error": None}],
        "pending": 0,
    }


def test_a_retry_of_yesterdays_event_works_on_the_day_it_was_meant_for(function: Function) -> None:
    use(function.connection, YESTERDAY - timedelta(days=1), "1")
    function(scheduled(YESTERDAY))
    assert [memory.content["content"]["date"] for memory in function.fake.memories] == [f"{TODAY - timedelta(days=2)}"]


def test_what_failed_is_pushed_when_the_event_comes_again(function: Function) -> None:
    function.fake.faults.append(Fault(status=422))
    (first,) = function(scheduled())
    run = function.last_run()
    assert (run["status"], run["result"]["pending"]) == ("failed", 1)
    assert run["error"].startswith(f"{YESTERDAY}: Context Vault refused the summary")
    # Lambda tries again what raises.
    assert first["raised"].startswith("FunctionFailedError: PushUnfinishedError: Run ")
    assert run["error"] in first["raised"]
    (second,) = function(scheduled())
    assert (second["run"] != run["id"], second["status"]) == (True, "succeeded")
    assert function.metric("SummariesPending") == [1, 0]


def test_a_day_that_another_push_is_sending_has_lambda_look_again(function: Function) -> None:
    function(scheduled(), CONTEXT_VAULT_URL="")
    function.connection.execute("DELETE FROM runs")
    function.connection.execute("UPDATE daily_summaries SET leased_by = 'x', leased_until = now() + interval '1 hour'")
    (answer,) = function(scheduled())
    run = function.last_run()
    assert (run["status"], run["result"]["pending"]) == ("partial", 1)
    assert f"{YESTERDAY}: Another push is sending this day" in answer["raised"]
    function.connection.execute("UPDATE daily_summaries SET leased_until = now()")
    (again,) = function(scheduled())
    assert (again["run"] != run["id"], again["status"]) == (True, "succeeded")
    assert len(function.fake.requests) == 1


def test_one_day_that_failed_makes_the_run_partial(function: Function) -> None:
    use(function.connection, YESTERDAY - timedelta(days=1), "1")
    function(scheduled(YESTERDAY), CONTEXT_VAULT_URL="")
    function.fake.faults.append(Fault(status=422))
    function.connection.execute("UPDATE summary_state SET push_from = %s", [YESTERDAY - timedelta(days=1)])
    (answer,) = function(scheduled())
    assert "raised" in answer
    assert (function.last_run()["status"], function.last_run()["result"]["pending"]) == ("partial", 1)
    assert len(function.fake.memories) == 1


def test_without_a_vault_summaries_are_written_and_no_alarm_is_fed(function: Function) -> None:
    (answer,) = function(scheduled(), CONTEXT_VAULT_URL="")
    assert answer["status"] == "succeeded"
    assert function.connection.execute("SELECT count(*) AS n FROM daily_summaries").fetchone() == {"n": 1}
    assert function.metric("SummariesPending") == []


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=401, payload={"error": {"message": f"unknown key {KEY}"}}),
        Fault(status=500, payload={"message": f"traceback with {KEY}"}, times=None),
        Fault(status=400, text=KEY, cut=True),
        Fault(status=302, headers={"location": f"/?key={KEY}"}),
        None,
    ],
)
def test_the_vaults_key_is_printed_and_stored_nowhere(function: Function, fault: Fault | None) -> None:
    if fault is not None:
        function.fake.faults.append(fault)
    (answer,) = function(scheduled())
    assert ("raised" in answer) == (fault is not None)
    rows = [
        str(row)
        for table in ("daily_summaries", "runs")
        for row in function.connection.execute(f"SELECT * FROM {table}")  # noqa: S608 - the two of this line
    ]
    assert "run finished" in function.printed
    assert not any(KEY in text for text in (*rows, function.printed))
