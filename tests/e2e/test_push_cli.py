"""`cost-tracker push`, and the local service that pushes by itself."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cost_tracker.client import Client
from infra.demo.faults import Fault
from infra.demo.vault import KEY, FakeVault
from infra.local.service import LocalService
from shared.config import Settings
from tests.e2e.processes import Cli
from tests.e2e.test_cli import environment

__all__ = ["environment"]  # a fixture
PATIENCE_SECONDS = 20


@pytest.fixture
def vault() -> Iterator[FakeVault]:
    with FakeVault() as found:
        yield found


@pytest.fixture
def cli(environment: dict[str, str], vault: FakeVault, tmp_path: Path) -> Cli:
    """A command that talks to a collected tracker in process, with a vault."""
    with LocalService(Settings.load(environment)) as service:
        Client(http=service.tracker.client()).follow({"id": service.first_run, "status": "running"})
    more = {"CONTEXT_VAULT_URL": vault.url, "CONTEXT_VAULT_API_KEY": KEY, "NO_PROXY": "127.0.0.1"}
    return Cli({**environment, **more}, tmp_path)


def test_push(cli: Cli, vault: FakeVault) -> None:
    preview = cli("push", "--dry-run")
    assert (preview.returncode, vault.requests) == (0, [])
    day = json.loads(preview.stdout)["content"]["date"]
    pushed = cli("push")
    assert (pushed.returncode, pushed.stdout) == (0, f"{day}: pushed, 1 request.\n")
    assert vault.memories[0].content["content"]["date"] == day
    again = cli("push", "--date", day)
    assert (again.returncode, again.stdout) == (0, f"{day}: unchanged, the vault has it.\n")
    assert cli.json("push")["status"] == "unchanged"
    assert len(vault.requests) == 1


def test_exit_codes(cli: Cli, vault: FakeVault) -> None:
    vault.faults.append(Fault(status=401, payload={"error": f"not {KEY}"}))
    failed = cli("push", "--json")
    assert (failed.returncode, json.loads(failed.stdout)["status"]) == (1, "failed")
    assert "CONTEXT_VAULT_API_KEY" in failed.stderr
    assert KEY not in failed.stdout + failed.stderr
    unset = cli("push", CONTEXT_VAULT_URL="")
    assert (unset.returncode, unset.stdout) == (3, "")
    assert "set CONTEXT_VAULT_URL" in unset.stderr
    today = cli("push", "--date", "2199-01-01")
    assert today.returncode == 1
    assert "is not over yet" in today.stderr
    assert cli("push", "--date", "yesterday").returncode == 2


def test_the_local_service_pushes_the_day_that_ended_after_its_first_collection(
    environment: dict[str, str],
    vault: FakeVault,
) -> None:
    settings = Settings.load({**environment, "CONTEXT_VAULT_URL": vault.url, "CONTEXT_VAULT_API_KEY": KEY})
    today = datetime.now(UTC).date()
    for _ in range(2):  # a second start finds nothing to do
        with LocalService(settings) as service, Client(http=service.tracker.client()) as client:
            assert client.follow(_push_run(client))["status"] == "succeeded"
            yesterday = f"{today - timedelta(days=1)}"
            report = client.get("/costs/daily", date=yesterday)
    assert {memory.content["content"]["date"] for memory in vault.memories} == {yesterday}
    assert abs(vault.memories[-1].content["content"]["total_cost"] - report["total_cost"]) < Decimal("0.0001")
    # One, unless midnight has just passed and the demo's provider corrected its last hour between the two starts.
    assert len(vault.requests) == len(vault.memories)


def _push_run(client: Client) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        found = [run for run in client.get("/admin/runs")["data"] if run["job"] == "push"]
        if found and found[0]["status"] != "running":
            first: dict[str, Any] = found[0]
            return first
        time.sleep(0.05)
    raise AssertionError("no push ended")


def test_invented_figures_go_to_no_strangers_vault(environment: dict[str, str]) -> None:
    said: list[str] = []
    settings = Settings.load({**environment, "CONTEXT_VAULT_URL": "https://vault.example.com"})
    with LocalService(settings, say=said.append) as service:
        Client(http=service.tracker.client()).follow({"id": service.first_run, "status": "running"})
        time.sleep(0.5)
        with psycopg.connect(service.tracker.settings.required("database_url")) as connection:
            assert connection.execute("SELECT count(*) FROM runs WHERE job = 'push'").fetchone() == (0,)
            assert connection.execute("SELECT count(*) > 0 FROM daily_summaries").fetchone() == (True,)
    assert any("not pushed" in line for line in said)
