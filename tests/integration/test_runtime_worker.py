"""Runs on Lambda: handed to a worker function by an event, claimed by one worker at a time, closed whatever happens."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import inf
from typing import Any

import httpx
import pytest

from functions import jobs, runtime
from functions.api import main
from functions.runtime import App
from infra.demo.anthropic import ADMIN_KEY, FakeAnthropic
from infra.demo.faults import Fault
from infra.local.transport import HandlerTransport
from shared.config import Settings
from shared.store import claims, runs
from shared.store.database import Connection, Database
from tests.fixtures.events import API_KEY, load
from tests.integration.migrating import url_of

# The worker's processes have the real clock.
NOW = datetime.now(UTC).replace(microsecond=0)
MAIN = """
import json, sys
from functions.collector import handler
from tests.fixtures.events import Context

for event in json.loads(sys.argv[1]):
    try:
        print("ANSWER " + json.dumps(handler(event, Context(seconds=60))))
    except Exception as error:
        print("FAILED " + str(error))
"""


@pytest.fixture
def fake() -> Iterator[FakeAnthropic]:
    found = FakeAnthropic().start()
    yield found
    found.stop()


@dataclass(frozen=True)
class Worker:
    """The collector's function as Lambda runs it: a process of its own, its settings in the environment."""

    environment: dict[str, str]

    def __call__(self, *events: dict[str, Any], **settings: str) -> str:
        done = subprocess.run(  # noqa: S603 - our own code
            [sys.executable, "-c", MAIN, json.dumps(events)],
            env={**self.environment, **settings},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout

    def answers(self, *events: dict[str, Any]) -> list[dict[str, Any]]:
        return [json.loads(line[7:]) for line in self(*events).splitlines() if line.startswith("ANSWER ")]


@pytest.fixture
def worker(dsn: str, fake: FakeAnthropic) -> Worker:
    return Worker(
        {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(sys.path),
            "DATABASE_URL": url_of(dsn),
            "ANTHROPIC_ADMIN_KEY": ADMIN_KEY,
            "ANTHROPIC_BASE_URL": fake.url,
            "COLLECTION_BACKFILL_DAYS": "2",
            "NO_PROXY": "127.0.0.1",
        }
    )


def test_a_schedule_delivered_twice_and_twice_at_once_is_collected_once(worker: Worker, database: Database) -> None:
    event = load("schedule", time=NOW.isoformat())
    with ThreadPoolExecutor(2) as pool:
        printed = list(pool.map(lambda _: worker(event, event), range(2)))
    lines = [line for text in printed for line in text.splitlines()]
    answers = [json.loads(line[7:]) for line in lines if line.startswith("ANSWER ")]
    assert sorted(answer["status"] for answer in answers) == ["skipped", "skipped", "skipped", "succeeded"]
    [row] = database.run(lambda c: runs.newest(c, "collect", None, 10, 0, runtime.utc_now()))
    assert (row["job"], row["status"]) == ("collect", "succeeded")
    database.close()
    lags = [json.loads(line)["CollectorLagSeconds"][0] for line in lines if '"CollectorLagSeconds"' in line]
    assert len(lags) == 1
    finished = [json.loads(line) for line in lines if '"run finished"' in line]
    assert {line["correlation_id"] for line in finished} == {event["time"]}
    assert ADMIN_KEY not in "".join(printed)


def test_a_schedule_whose_run_failed_is_done_again_when_it_is_redriven(worker: Worker, fake: FakeAnthropic) -> None:
    fake.faults.append(Fault(path="/v1", status=403, times=None))
    assert [answer["status"] for answer in worker.answers(load("schedule", time=NOW.isoformat()))] == ["failed"]
    fake.faults.clear()
    assert [answer["status"] for answer in worker.answers(load("schedule", time=NOW.isoformat()))] == ["succeeded"]


def test_a_run_is_worked_on_by_one_worker_and_taken_over_when_that_one_died(worker: Worker, database: Database) -> None:
    run_id = database.run(lambda c: runs.start(c, "collect", {}, datetime.now(UTC)))
    assert database.run(lambda c: claims.claim(c, run_id, datetime.now(UTC))) is not None
    assert [answer["status"] for answer in worker.answers({"run": run_id})] == ["skipped"]
    dead = datetime.now(UTC) - claims.LEASE - timedelta(seconds=1)
    database.run(lambda c: c.execute("UPDATE runs SET heartbeat_at = %s WHERE id = %s", [dead, run_id]))
    assert [answer["status"] for answer in worker.answers({"run": run_id}, {"run": run_id})] == ["succeeded", "skipped"]
    database.close()


def test_a_run_that_does_not_exist_is_left_alone(worker: Worker) -> None:
    assert worker.answers({"run": 4711}) == [{"run": 4711, "status": "skipped"}]


def test_an_event_that_is_none_of_ours_fails_and_the_next_one_works(worker: Worker) -> None:
    printed = worker({"collect": "all"}, {})
    assert "FAILED EventError: Send " in printed
    assert '"status": "succeeded"' in printed


def test_a_database_that_is_away_fails_so_that_lambda_delivers_again(worker: Worker) -> None:
    away = "postgresql://owner:the-password-of-it@127.0.0.1:1/nowhere"
    printed = worker({}, DATABASE_URL=away)
    assert "FAILED DatabaseUnavailableError: " in printed
    assert "the-password-of-it" not in printed


def test_of_many_workers_one_gets_a_run(database: Database) -> None:
    run_id = database.run(lambda c: runs.start(c, "collect", {}, NOW))

    def take(_worker: int) -> bool:
        taken = database.run(lambda c: claims.claim(c, run_id, NOW))
        database.close()
        return taken is not None

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, range(24))) == 1
    database.close()


def test_a_claim_whose_commit_was_answered_by_silence_is_still_ones_own(database: Database) -> None:
    run_id = database.run(lambda c: runs.start(c, "collect", {}, NOW))
    tries: list[object] = []

    def lose(connection: Connection) -> object:
        # As a lost COMMIT leaves it: claimed by an earlier try of the same work.
        tries.append(claims.claim(connection, run_id, NOW))
        tries.append(claims.claim(connection, run_id, NOW + timedelta(seconds=1)))
        return tries[-1]

    assert database.run(lose) is not None
    assert tries[0] == tries[1]
    assert database.run(lambda c: claims.claim(c, run_id, NOW + timedelta(seconds=2))) is None
    database.close()


@dataclass
class Lambda:
    """AWS's side of an asynchronous invocation, on loopback."""

    status: int = 202
    url: str = ""
    invocations: list[dict[str, Any]] = field(default_factory=list)
    accept: Callable[[dict[str, Any]], object] = lambda _event: None


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lambda]:
    found = Lambda()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            kind = self.headers["X-Amz-Invocation-Type"]
            found.invocations.append({"path": self.path, "type": kind, "event": event})
            self.send_response(found.status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            if found.status == 202:
                threading.Thread(target=found.accept, args=(event,), daemon=True).start()

        def log_message(self, *_args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        for name, value in {
            "AWS_ENDPOINT_URL_LAMBDA": f"http://127.0.0.1:{server.server_address[1]}",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
        }.items():
            monkeypatch.setenv(name, value)
        runtime._lambda_client.cache_clear()  # noqa: SLF001 - a client keeps the address it was made with
        yield found
        server.shutdown()
    runtime._lambda_client.cache_clear()  # noqa: SLF001 - the same


@pytest.fixture
def app(dsn: str, fake: FakeAnthropic) -> Iterator[App]:
    settings = Settings.load(
        {
            "DATABASE_URL": url_of(dsn),
            "API_KEY": API_KEY,
            "ANTHROPIC_ADMIN_KEY": ADMIN_KEY,
            "ANTHROPIC_BASE_URL": fake.url,
            "COLLECTION_BACKFILL_DAYS": "2",
        }
    )
    http = httpx.Client(trust_env=False)
    found = runtime.build(settings, http, clock=lambda: NOW, dispatch=runtime.to_worker("collector-of-the-stack"))
    yield found
    found.database.close()
    http.close()


def collect(app: App, **params: str) -> httpx.Response:
    transport = HandlerTransport(main.build(lambda: app))
    with httpx.Client(transport=transport, base_url="http://local", headers={"X-API-Key": API_KEY}) as http:
        return http.post("/admin/collect", params=params)


def test_the_api_hands_a_run_to_the_worker_and_waits_for_its_end(app: App, aws: Lambda) -> None:
    def accept(event: dict[str, Any]) -> None:
        jobs.work(app, event["run"], lambda: inf)
        app.database.close()

    aws.accept = accept
    answer = collect(app, wait="20")
    assert (answer.status_code, answer.json()["status"]) == (200, "succeeded")
    assert aws.invocations == [
        {
            "path": "/2015-03-31/functions/collector-of-the-stack/invocations",
            "type": "Event",
            "event": {"run": answer.json()["id"]},
        }
    ]


@pytest.mark.parametrize("status", [403, 404, 429, 500])
def test_a_worker_that_cannot_be_started_closes_the_run_with_a_sentence(app: App, aws: Lambda, status: int) -> None:
    aws.status = status
    answer = collect(app, wait="20")
    assert answer.status_code == 200
    run = answer.json()
    assert run["status"] == "failed"
    assert run["error"] == "The worker function could not be started; try again, and see the log if it stays so."
    assert app.database.run(lambda c: claims.claim(c, run["id"], NOW)) is None


def test_lambda_gets_runs_only_where_the_template_names_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    environ = {"DATABASE_URL": "postgresql://u:pw@h/db"}
    assert runtime.Process(environ).app().dispatch is runtime.in_a_thread
    assert runtime.Process({**environ, "WORKER_FUNCTION": "collector"}).app().dispatch is not runtime.in_a_thread
