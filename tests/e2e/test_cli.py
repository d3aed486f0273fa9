"""The command against a real service on a free port, and in process, over a real Postgres and the demo's provider."""

import json
import signal
import socket
import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote

import httpx
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from cost_tracker.client import Client
from infra.local.service import LocalService
from infra.local.tracker import Tracker
from shared.config import Settings
from tests.e2e.processes import Cli, kept


@pytest.fixture
def environment(dsn: str, tmp_path: Path) -> dict[str, str]:
    """A tracker of this test's own: two days of history, because ninety take seconds."""
    parts = conninfo_to_dict(dsn)
    url = f"postgresql://{parts['user']}@/{parts['dbname']}?host={quote(str(parts['host']), safe='')}"
    return {
        **kept(),
        "DATABASE_URL": url,
        "COST_TRACKER_HOME": str(tmp_path / "home"),
        "COLLECTION_BACKFILL_DAYS": "2",
        "PORT": "0",
    }


@pytest.fixture
def service(environment: dict[str, str]) -> Iterator[LocalService]:
    with LocalService(Settings.load(environment)) as found:
        Client(http=found.tracker.client()).follow({"id": found.first_run, "status": "running"})
        yield found


@pytest.fixture
def cli(environment: dict[str, str], tmp_path: Path) -> Cli:
    return Cli(environment, tmp_path)


def test_the_report_is_the_same_over_http_and_in_process(service: LocalService, cli: Cli) -> None:
    in_process = cli.json("report", "--by", "provider")
    over_http = cli.json(
        "report", "--by", "provider", COST_TRACKER_URL=service.url, COST_TRACKER_KEY=service.tracker.key
    )
    assert in_process == over_http
    assert in_process["total_cost"] > 0
    assert in_process["coverage"]["demo"] is True
    for name in ("by_model", "by_category", "by_project", "by_session_type", "by_provider", "by_day"):
        assert sum(Decimal(row["cost"]) for row in in_process[name]) == in_process["total_cost"], name
    tables = [cli("report"), cli("report", "--url", service.url, "--key", service.tracker.key)]
    assert tables[0].stdout == tables[1].stdout
    assert "Total cost" in tables[0].stdout
    assert "invented" in tables[0].stdout


def test_a_filter_narrows_and_an_empty_period_ends_with_3(service: LocalService, cli: Cli) -> None:
    connection = ("--url", service.url, "--key", service.tracker.key)
    whole = cli.json("report", *connection)
    model = whole["by_model"][0]["key"]
    narrowed = cli.json("report", "--model", model, *connection)
    assert [row["key"] for row in narrowed["by_model"]] == [model]
    assert narrowed["total_cost"] == whole["by_model"][0]["cost"]
    empty = cli("report", "--end-date", "2020-01-31", *connection)
    assert (empty.returncode, empty.stdout) == (3, "")
    assert "No usage from 2018-12-28 to 2020-01-31." in empty.stderr


def test_collecting_a_closed_day_again_changes_nothing(service: LocalService, cli: Cli) -> None:
    yesterday = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
    dates = ("--start", yesterday, "--end", yesterday)
    run = cli.json("collect", *dates, "--url", service.url, "--key", service.tracker.key)
    assert run["status"] == "succeeded"
    streams = run["result"]["accounts"][0]["streams"]
    assert all(stream["unchanged"] > 0 for stream in streams)
    assert all((stream["new"], stream["changed"], stream["removed"]) == (0, 0, 0) for stream in streams)
    shown = cli("collect", "--account", "anthropic-demo")
    assert shown.returncode == 0, shown.stderr
    assert "anthropic-demo (anthropic): succeeded" in shown.stdout
    assert cli("collect", "--account", "nobody").returncode == 1


def test_drift_is_found_and_repaired(service: LocalService, cli: Cli) -> None:
    assert "no drift" in cli("verify").stdout
    with psycopg.connect(service.tracker.settings.required("database_url")) as connection:
        connection.execute(
            "UPDATE rollup_quarter SET cost = cost + 1 WHERE slot = (SELECT min(slot) FROM rollup_quarter)"
        )
    found = cli("verify")
    assert (found.returncode, "--repair" in found.stdout) == (1, True)
    repaired = cli("verify", "--repair")
    assert (repaired.returncode, "repaired" in repaired.stdout) == (0, True)
    assert cli.json("verify")["result"]["drift"] == []


def test_a_wrong_key_says_where_to_give_the_right_one(service: LocalService, cli: Cli) -> None:
    refused = cli("report", "--url", service.url, "--key", "wrong")
    assert refused.returncode == 1
    assert "--key" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_invented_figures_never_meet_real_ones(service: LocalService, environment: dict[str, str]) -> None:
    assert service.tracker.is_demo
    with Client(http=service.tracker.client()) as client:
        accounts = {account["name"] for account in client.get("/api/accounts")["data"]}
    assert accounts == {"anthropic-demo", "openai-demo", "openrouter-demo", "perplexity-demo"}
    with psycopg.connect(environment["DATABASE_URL"]) as connection:
        assert connection.execute("SELECT count(*) FROM usage_records").fetchone() == (0,)
    with Tracker.open(Settings.load(environment), demo=False) as real, Client(http=real.client()) as client:
        assert client.get("/costs/summary/monthly")["total_cost"] == 0
    with_key = Settings.load({**environment, "ANTHROPIC_ADMIN_KEY": "sk-ant-admin01-real"})
    with Tracker.open(with_key, demo=True) as demo:
        assert "sk-ant-admin01-real" not in demo.settings.credentials().values()


def test_a_command_does_not_bring_the_demo_into_being(environment: dict[str, str]) -> None:
    with Tracker.open(Settings.load(environment)) as tracker:
        assert not tracker.is_demo
        assert tracker.begin_collection() is None


def test_init_makes_everything_once(cli: Cli, tmp_path: Path) -> None:
    first = cli.json("init")
    key_file = Path(first["api_key_file"])
    assert key_file.parent == tmp_path / "home"
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    key = key_file.read_text()
    again = cli("init")
    assert "up to date" in again.stdout
    assert key_file.read_text() == key
    assert cli.json("init", API_KEY="mine")["api_key_file"] is None


def test_init_applies_migrations(cli: Cli, blank_dsn: str) -> None:
    parts = conninfo_to_dict(blank_dsn)
    url = f"postgresql://{parts['user']}@/{parts['dbname']}?host={quote(str(parts['host']), safe='')}"
    applied = cli.json("init", DATABASE_URL=url)["databases"][0]["applied"]
    assert applied[0] == "0001 ledger"
    assert cli.json("init", DATABASE_URL=url)["databases"][0]["applied"] == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_is_ready_when_it_says_so_and_stops_promptly(cli: Cli, number: signal.Signals) -> None:
    serving = cli.start("serve", "--json", API_KEY="mine-1")
    try:
        assert serving.stdout is not None
        ready = json.loads(serving.stdout.readline())
        assert ready["key"] == "mine-1"
        assert httpx.get(f"{ready['ready']}/health", trust_env=False).status_code == 200
        assert httpx.get(f"{ready['ready']}/costs/daily", trust_env=False).status_code == 401
    finally:
        asked = time.monotonic()
        serving.send_signal(number)
        _, messages = serving.communicate(timeout=20)
    assert serving.returncode == 0, messages
    assert time.monotonic() - asked < 5
    assert "Traceback" not in messages


def test_serve_tells_how_far_the_first_collection_is(cli: Cli) -> None:
    serving = cli.start("serve", "--port", "0")
    lines: list[str] = []
    try:
        assert serving.stderr is not None
        while not lines or not lines[-1].startswith("collected: $"):
            lines.append(serving.stderr.readline())
            assert lines[-1], "".join(lines)
    finally:
        serving.terminate()
        out, _ = serving.communicate(timeout=20)
    assert out.splitlines()[0].startswith("ready: http://127.0.0.1:")
    assert out.splitlines()[1].startswith("key: act_local_")
    assert any("demo: " in line for line in lines)


def test_a_busy_port_is_one_sentence(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        refused = cli("serve", PORT=str(busy.getsockname()[1]))
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "PORT" in refused.stderr


def test_a_database_that_is_away_is_one_sentence(cli: Cli) -> None:
    refused = cli("report", DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing")
    assert refused.returncode == 1
    assert "DATABASE_URL" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_stopping_closes_the_run_and_the_next_one_continues(environment: dict[str, str]) -> None:
    settings = Settings.load({**environment, "COLLECTION_BACKFILL_DAYS": "90"})
    with LocalService(settings) as stopped:
        interrupted = stopped.first_run
    with LocalService(settings) as found, Client(http=found.tracker.client()) as client:
        assert client.get(f"/admin/runs/{interrupted}")["status"] == "partial"
        run = client.follow({"id": found.first_run, "status": "running"})
        assert run["status"] == "succeeded"


def test_ctrl_c_keeps_what_was_collected(cli: Cli, environment: dict[str, str]) -> None:
    with LocalService(Settings.load(environment)) as service:
        database = service.tracker.settings.required("database_url")
    collecting = cli.start("collect", COLLECTION_BACKFILL_DAYS="90")
    with psycopg.connect(database, autocommit=True) as connection:
        begun = "SELECT count(*) FROM runs WHERE heartbeat_at > started_at"
        before = connection.execute(begun).fetchone()
        deadline = time.monotonic() + 30
        while connection.execute(begun).fetchone() == before and time.monotonic() < deadline:
            time.sleep(0.01)
        collecting.send_signal(signal.SIGINT)
        out, messages = collecting.communicate(timeout=30)
        row = connection.execute("SELECT status FROM runs ORDER BY id DESC LIMIT 1").fetchone()
    assert (collecting.returncode, out) == (130, ""), messages
    assert "What is done is kept" in messages
    assert "Traceback" not in messages
    assert row == ("partial",)
    again = cli.json("collect", COLLECTION_BACKFILL_DAYS="90")
    assert again["status"] == "succeeded"
