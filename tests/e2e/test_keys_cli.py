"""`cost-tracker keys` against a served tracker and against this machine's own."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx
import pytest
from psycopg.conninfo import conninfo_to_dict

from cost_tracker.commands.keys import KeyScope
from functions import runtime
from functions.api import main
from functions.api.routing import KEY_SCOPES
from infra.local.gateway import Gateway
from shared.config import Settings
from shared.core import keys
from tests.e2e.processes import Cli, kept

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BOOTSTRAP = "bootstrap-of-the-tests"


@pytest.fixture
def address(dsn: str) -> str:
    parts = conninfo_to_dict(dsn)
    return f"postgresql://{parts['user']}@/{parts['dbname']}?host={quote(str(parts['host']), safe='')}"


@pytest.fixture
def local(address: str, tmp_path: Path) -> Cli:
    """The command on this machine's own tracker, in process."""
    return Cli({**kept(), "DATABASE_URL": address, "COST_TRACKER_HOME": str(tmp_path / "home")}, tmp_path, ("keys",))


@pytest.fixture
def served(address: str, local: Cli) -> Iterator[tuple[Cli, httpx.Client]]:
    """The command on a tracker that is served, and a client without a key of the same."""
    settings = Settings.load({"DATABASE_URL": address, "API_KEY": BOOTSTRAP, "KEY_PEPPER": "pepper-of-the-tests"})
    app = runtime.build(settings, httpx.Client(), dispatch=runtime.in_a_thread)
    gateway = Gateway(main.build(lambda: app), at_worker_end=app.database.close)
    gateway.start()
    environment = {**local.environment, "COST_TRACKER_URL": gateway.url, "COST_TRACKER_KEY": BOOTSTRAP}
    with httpx.Client(base_url=gateway.url, trust_env=False) as http:
        yield Cli(environment, local.home, local.words), http
    gateway.stop()


def test_a_key_of_a_served_tracker_is_made_rotated_and_revoked(served: tuple[Cli, httpx.Client]) -> None:
    cli, http = served

    def asks(key: str) -> int:
        return http.get("/costs/daily", headers={"X-API-Key": key}).status_code

    made = cli("create", "N8N [bold]", "--scope", "usage:read", "--scope", "usage:write", "--expires", "2199-01-01")
    assert made.returncode == 0, made.stderr
    key = made.stdout.strip()
    assert (len(key), made.stdout.count("\n")) == (keys.LENGTH, 1)
    assert "not shown again" in made.stderr
    assert key not in made.stderr
    assert asks(key) == 200

    rotated = cli.json("rotate", key[4:16])
    assert rotated["replaced"]["status"] == "revoked"
    assert rotated["scopes"] == ["usage:write", "usage:read"]
    assert (asks(key), asks(rotated["key"])) == (401, 200)

    table = cli("list")
    assert "N8N [bold]" in table.stdout
    assert rotated["key"] not in table.stdout
    assert [row["status"] for row in cli.json("list")] == ["active", "revoked"]

    revoked = cli("revoke", rotated["id"])
    assert revoked.stdout == f"{rotated['id']} (N8N [bold]): revoked\n"
    assert "60 more seconds" in revoked.stderr
    assert cli.json("revoke", rotated["id"])["status"] == "revoked"
    assert asks(rotated["key"]) == 401


def test_a_key_of_this_machine_s_own_tracker(local: Cli) -> None:
    empty = local("list")
    assert (empty.returncode, empty.stdout) == (3, "")
    made = local.json("create", "agent", "--scope", "usage:read")
    rotated = local("rotate", made["id"], "--overlap", "5")
    assert rotated.stdout.strip() != made["key"]
    assert f"The old key {made['id']} ends at" in rotated.stderr
    assert {row["name"] for row in local.json("list")} == {"agent"}


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("create", "N8N", "--scope", "usage:raed"), "usage:read"),
        (("create", "N8N"), "--scope"),
        (("rotate", "0123456789ab", "--overlap", "-1"), "--overlap"),
    ],
)
def test_usage_errors_end_with_2(local: Cli, arguments: tuple[str, ...], part: str) -> None:
    refused = local(*arguments)
    assert refused.returncode == 2
    assert part in refused.stderr


@pytest.mark.parametrize("command", ["revoke", "rotate"])
def test_an_id_that_no_key_has_is_one_sentence(local: Cli, command: str) -> None:
    refused = local(command, "0123456789ab")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "There is no key 0123456789ab" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_command_knows_the_scopes_of_the_api() -> None:
    assert {scope.value for scope in KeyScope} == {scope.value for scope in KEY_SCOPES}
