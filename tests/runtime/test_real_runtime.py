"""The built artefact under Lambda's own runtime on Python 3.13, called with the events that AWS sends."""

import json
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from psycopg.conninfo import make_conninfo

from infra.demo.anthropic import ADMIN_KEY, FakeAnthropic
from infra.local import postgres
from shared.core import jsontext
from shared.store import runs
from shared.store.database import connect
from shared.store.migrate import digest, load, migrate, version
from tests.fixtures.events import API_KEY
from tests.fixtures.events import load as event_of
from tests.fixtures.events.answers import SIGNATURE, Answers, listening
from tests.integration.migrating import url_of
from tests.runtime import machine
from tests.runtime.function import Function, Machine

PEPPER = "pepper-that-must-not-be-seen"


@pytest.fixture(scope="module")
def lambda_machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    try:
        python, emulator, libraries = machine.find_python(), machine.find_emulator(), machine.runtime_libraries()
        return Machine(python, machine.build(tmp_path_factory.mktemp("artefact")), libraries, emulator)
    except machine.MissingError as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def new_database(postgres_dsn: str) -> Callable[[str], str]:
    """Make a database, `migrated` or `blank`; return its address."""

    def make(kind: str) -> str:
        name = f"runtime_{uuid.uuid4().hex[:12]}"
        postgres.create_database(postgres_dsn, name)
        dsn = make_conninfo(postgres_dsn, dbname=name)
        if kind == "migrated":
            with connect(dsn) as connection:
                migrate(connection)
        return url_of(dsn)

    return make


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeAnthropic]:
    found = FakeAnthropic().start()
    yield found
    found.stop()


@pytest.fixture(scope="module")
def start(lambda_machine: Machine) -> Iterator[Callable[..., Function]]:
    """Start a function; what it prints holds no secret, whatever the tests did with it."""
    with ExitStack() as stack:
        started: list[Function] = []

        def one(handler: str, seconds: int = 30, **environment: str) -> Function:
            function = Function(lambda_machine, f"functions.{handler}.handler", environment, seconds)
            started.append(stack.enter_context(function))
            return function

        yield one
    for function in started:
        for secret in (API_KEY, ADMIN_KEY, PEPPER, SIGNATURE):
            assert secret not in function.printed, f"{function.name} printed a secret"


@dataclass(frozen=True)
class Stack:
    """The API and its worker on one database, as the template wires them."""

    api: Function
    worker: Function
    dsn: str

    def get(self, name: str) -> tuple[int, Any]:
        answer = self.api.invoke(event_of(name))
        return answer["statusCode"], jsontext.loads(answer["body"])


@pytest.fixture(scope="module")
def deployed(
    start: Callable[..., Function], new_database: Callable[[str], str], fake: FakeAnthropic
) -> Iterator[Stack]:
    dsn = new_database("migrated")
    shared = {"DATABASE_URL": dsn, "API_KEY": API_KEY, "KEY_PEPPER": PEPPER, "ENVIRONMENT": "test"}
    provider = {
        "ANTHROPIC_ADMIN_KEY": ADMIN_KEY,
        "ANTHROPIC_BASE_URL": fake.url,
        "COLLECTION_BACKFILL_DAYS": "3",
    }
    # More than the time at which a collection ends by itself to leave Lambda room.
    worker = start("collector", 120, **shared, **provider)
    with _accepting(worker.invoke) as url:
        api = start("api.main", 28, **shared, WORKER_FUNCTION="collector", AWS_ENDPOINT_URL_LAMBDA=url)
        yield Stack(api, worker, dsn)


class _accepting:  # noqa: N801 - used as a function
    """Lambda's API on loopback: an asynchronous invocation is accepted and then made."""

    def __init__(self, invoke: Callable[[object], object]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()
                threading.Thread(target=invoke, args=(event,), daemon=True).start()

            def log_message(self, *_args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self) -> str:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def test_the_api_answers_and_its_worker_collects(deployed: Stack) -> None:
    status, health = deployed.get("api_health")
    assert (status, health["status"], health["environment"]) == (200, "ok", "test")
    status, before = deployed.get("api_monthly")
    assert (status, before["total_cost"]) == (200, 0)
    status, run = deployed.get("api_collect")
    assert (status, run["status"]) == (200, "succeeded"), run
    status, after = deployed.get("api_monthly")
    assert status == 200
    assert after["total_cost"] > 0
    assert after["total_cost"] == sum(after["by_model"].values())
    names = {name for line in deployed.worker.logged() if "_aws" in line for name in line}
    assert {"CollectorLagSeconds", "AccountsFailed", "RunsFailed"} <= names


def test_a_request_without_a_key_is_refused_as_anywhere(deployed: Stack) -> None:
    event = event_of("api_monthly")
    del event["headers"]["x-api-key"]
    answer = deployed.api.invoke(event)
    assert answer["statusCode"] == 401
    assert jsontext.loads(answer["body"])["error"]["code"] == "unauthorized"


def test_the_schedule_and_a_run_by_its_number(deployed: Stack) -> None:
    due = datetime.now(UTC).isoformat(timespec="seconds")
    first = deployed.worker.invoke(event_of("schedule", time=due))
    assert first["status"] == "succeeded"
    assert deployed.worker.invoke(event_of("schedule", time=due)) == {"run": first["run"], "status": "skipped"}
    finished = [line for line in deployed.worker.logged() if line.get("message") == "run finished"]
    assert [line["correlation_id"] for line in finished[-2:]] == [due, due]
    with connect(deployed.dsn) as connection:
        run_id = runs.start(connection, "verify", {}, datetime.now(UTC))
    assert deployed.worker.invoke(event_of("worker", run=run_id)) == {"run": run_id, "status": "succeeded"}
    assert any("RollupDriftDays" in line for line in deployed.worker.logged())


def test_a_handler_that_crashes_leaves_the_next_invocation_healthy(deployed: Stack) -> None:
    failure = deployed.worker.invoke({"collect": "everything"})
    assert failure["errorType"] == "FunctionFailedError"
    assert "EventError: Send " in failure["errorMessage"]
    assert deployed.worker.invoke(event_of("worker", run=4711)) == {"run": 4711, "status": "skipped"}


def test_a_frozen_function_whose_connection_was_killed_answers_the_next_request(deployed: Stack) -> None:
    assert deployed.get("api_monthly")[0] == 200
    deployed.api.signal(signal.SIGSTOP)
    with connect(deployed.dsn) as connection:
        killed = connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) AS done FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchall()
    assert killed
    time.sleep(0.2)
    deployed.api.signal(signal.SIGCONT)
    assert deployed.get("api_monthly")[0] == 200


def test_a_runtime_that_was_killed_is_started_again(deployed: Stack) -> None:
    [before] = deployed.worker.children()
    deployed.worker.signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while (answer := deployed.worker.invoke(event_of("worker", run=4711))) != {"run": 4711, "status": "skipped"}:
        assert time.monotonic() < deadline, answer
        time.sleep(0.2)
    assert deployed.worker.children() != [before]


def test_the_life_of_a_stack(start: Callable[..., Function], new_database: Callable[[str], str]) -> None:
    dsn = new_database("blank")
    function = start("migrate", 60, DATABASE_URL_DIRECT=dsn)

    def deploy(name: str) -> Answers:
        event = event_of(f"cloudformation_{name}")
        properties = event["ResourceProperties"]
        properties["SchemaHash"] = properties["SchemaHash"].replace("latest", digest())
        with listening() as answers:
            function.invoke({**event, "ResponseURL": answers.url})
        return answers

    told = [deploy(name).only() for name in ("create", "update", "rollback", "delete")]
    assert [answer["Status"] for answer in told] == ["SUCCESS"] * 4
    assert [answer["Data"].get("Applied") for answer in told] == [str(len(load())), "0", None, None]
    with connect(dsn) as connection:
        assert version(connection) == len(load())
    assert "ResponseURL" not in function.printed


def test_the_push_without_a_vault(start: Callable[..., Function], new_database: Callable[[str], str]) -> None:
    function = start("vault_push", DATABASE_URL=new_database("migrated"))
    answer = function.invoke(event_of("schedule"))
    assert answer["status"] == "succeeded", answer
