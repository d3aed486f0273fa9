"""The line of a prompt: what it says, whom it asks, and that it starts no database while there is another way."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cost_tracker.client import Client
from cost_tracker.statusline import FRESH_SECONDS, Figures
from infra.local import postgres, whereabouts
from infra.local.service import LocalService
from shared.config import Settings
from shared.core import jsontext
from tests.e2e.commands import Cli, local, served

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = (sys.executable, "-c", "from cost_tracker.main import main; main()", "statusline")


def store(client: Client) -> None:
    """Store 0.3 USD now, 12.50 by hand today and 5 in another project."""
    client.log_usage("sonnet", 100_000, 0)
    client.log_manual("perplexity", "12.50", datetime.now(UTC).date(), project="Office")
    client.log_usage("nobody-knows-this", 7)


@pytest.fixture
def environ(postgres_dsn: str, tmp_path: Path) -> dict[str, str]:
    return local(postgres_dsn, tmp_path / "home")


@pytest.fixture
def service(environ: dict[str, str]) -> Iterator[LocalService]:
    with served(environ) as found:
        with Client(http=found.tracker.client()) as client:
            store(client)
        yield found


@pytest.fixture
def cli(
    service: LocalService,
    environ: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Cli:
    # Without DATABASE_URL there is only the service to ask: the home has no database.
    assert service.url
    found = Cli(capsys, monkeypatch, {"COST_TRACKER_HOME": environ["COST_TRACKER_HOME"]})
    monkeypatch.chdir(tmp_path)
    return found


def forget(home: Path, seconds: float) -> None:
    """Make what is kept older."""
    for path in home.glob("statusline-*.json"):
        note = jsontext.loads(path.read_bytes())
        note["tried_at"] -= Decimal(str(seconds))
        if note["figures"]:
            note["figures"]["asked_at"] -= Decimal(str(seconds))
        path.write_text(jsontext.dumps(note))


def test_the_service_of_this_machine_is_found_and_asked_once(cli: Cli, service: LocalService, tmp_path: Path) -> None:
    found = cli.json("statusline")
    assert (found["today"], found["month"], found["unpriced_tokens"]) == (Decimal("12.8"), Decimal("12.8"), 7)
    assert (found["date"], found["demo"]) == (datetime.now(UTC).date().isoformat(), False)
    line = cli("statusline")
    assert line.out.startswith("today $12.80 | month $12.80 | $")
    assert line.out.endswith("/h | some unpriced\n")
    service.stop()
    assert whereabouts.service(tmp_path / "home") is None
    assert cli("statusline").out == line.out, "asked lately"
    forget(tmp_path / "home", 2 * 3600)
    late = cli("statusline")
    assert (late.code, late.out.endswith(" (2 h ago)\n")) == (0, True)


def test_a_project_has_a_line_of_its_own(cli: Cli) -> None:
    assert cli.json("statusline", "--project", "Office")["today"] == Decimal("12.5")
    assert cli.json("statusline", "--project", "Nobody")["month"] == 0
    assert cli.json("statusline")["today"] == Decimal("12.8")


def test_a_deployed_tracker_is_asked_by_its_key(cli: Cli, service: LocalService) -> None:
    cli.set(COST_TRACKER_URL=service.url, COST_TRACKER_KEY=service.tracker.key)
    assert cli("statusline").out.startswith("today $12.80 | ")
    refused = cli("statusline", "--key", "wrong")
    assert (refused.code, "--key" in refused.err) == (1, True)
    # It is not asked again at once, and says the same.
    assert cli("statusline", "--key", "wrong").err.splitlines()[0] == refused.err.splitlines()[0]


def test_where_nothing_answers_the_last_line_stands(cli: Cli, service: LocalService, tmp_path: Path) -> None:
    cli.set(COST_TRACKER_URL=service.url, COST_TRACKER_KEY=service.tracker.key)
    assert cli("statusline").code == 0
    service.stop()
    forget(tmp_path / "home", 60 * 60)
    assert cli("statusline").out.endswith(" (1 h ago)\n")
    silent = cli("statusline", "--project", "Office")
    assert (silent.code, silent.out, "Nothing answers" in silent.err) == (1, "", True)


def test_a_machine_without_a_tracker_gets_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cli = Cli(capsys, monkeypatch, {"COST_TRACKER_HOME": str(tmp_path / "home")})
    done = cli("statusline")
    assert (done.code, done.out, "cost-tracker init" in done.err) == (3, "", True)
    assert not (tmp_path / "home" / "postgres").exists()


def test_standard_input_is_left_alone(cli: Cli, environ: dict[str, str], tmp_path: Path) -> None:
    assert cli("statusline").code == 0
    reading, writing = os.pipe()  # Claude Code writes JSON and may keep the pipe open
    os.write(writing, b'{"model": {"display_name": "Opus"}')
    done = subprocess.run(  # noqa: S603 - our own command
        COMMAND, stdin=reading, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=True
    )
    os.close(reading)
    os.close(writing)
    assert done.stdout.startswith("today $12.80")


@pytest.fixture
def embedded() -> Iterator[Path]:
    """A home with a database of its own, stopped; short, because sockets have short paths."""
    home = Path(tempfile.mkdtemp(prefix="ct-"))
    home.chmod(0o755)
    yield home
    postgres.stop(home)
    shutil.rmtree(home, ignore_errors=True)


def test_the_database_is_started_only_for_news(
    embedded: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    cli = Cli(capsys, monkeypatch, {"COST_TRACKER_HOME": str(embedded), "PORT": "0"})
    assert cli("log", "--model", "sonnet", "--input-tokens", "100000").code == 0
    postgres.stop(embedded)
    assert not whereabouts.is_database_up(embedded)
    assert cli("statusline").out.startswith("today $0.300000 | ")  # nobody knew: it was started
    assert not whereabouts.is_database_up(embedded)
    mark = whereabouts.touched(embedded)
    forget(embedded, 3 * FRESH_SECONDS)
    assert cli("statusline").out.startswith("today $0.300000 | ")
    assert whereabouts.touched(embedded) == mark, "nothing was recorded since: nothing was started"
    assert cli("log", "--model", "sonnet", "--input-tokens", "100000").code == 0
    postgres.stop(embedded)
    forget(embedded, 3 * FRESH_SECONDS)
    assert cli("statusline").out.startswith("today $0.600000 | ")
    assert whereabouts.touched(embedded) != mark


def test_service_and_command_share_the_embedded_database(
    embedded: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {"COST_TRACKER_HOME": str(embedded), "PORT": "0"}
    cli = Cli(capsys, monkeypatch, environ)
    with LocalService(Settings.load(environ), demo=False) as service, Client(service.url, service.tracker.key) as there:
        there.log_usage("sonnet", 100_000)
        other = subprocess.run(  # noqa: S603 - our own command
            (*COMMAND[:-1], "log", "--model", "sonnet", "--input-tokens", "100000"),
            env={**os.environ, **environ}, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert (other.returncode, other.stderr) == (0, "")
        assert there.daily()["total_cost"] == cli.json("stats")["total_cost"] == Decimal("0.6")
        with Client() as here:
            here.log_usage("sonnet", 100_000)
        assert there.daily()["total_cost"] == Decimal("0.9")


def test_whoever_logs_beside_the_demo_is_told(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cli = Cli(capsys, monkeypatch, environ)
    log = ("log", "--model", "sonnet", "--input-tokens", "1")
    with LocalService(Settings.load({**environ, "COLLECTION_BACKFILL_DAYS": "1"}), demo=True):
        assert "start it again" in cli(*log).err
        assert cli.json("stats")["requests"] == 1
        assert cli("statusline").out.endswith("demo\n")
    assert cli(*log).err == ""


def figures(**changed: Any) -> Figures:  # noqa: ANN401 - fields of a dataclass
    usual: dict[str, Any] = {
        "today": Decimal("4.2"), "month": Decimal(0), "burn_per_hour": Decimal(0), "date": "2026-11-23", "tz": "UTC",
        "unpriced_tokens": 0, "demo": False, "asked_at": 0.0,
    }  # fmt: skip
    return Figures(**{**usual, **changed})


@pytest.mark.parametrize(
    ("found", "now", "line"),
    [
        (figures(), 0, "today $4.20 | month $0.00"),
        (figures(burn_per_hour=Decimal("0.5")), 60, "today $4.20 | month $0.00 | $0.500000/h"),
        (figures(demo=True, unpriced_tokens=1), 0, "today $4.20 | month $0.00 | some unpriced | demo"),
        (figures(), 61, "today $4.20 | month $0.00 (1 min ago)"),
        (figures(), 2 * 86400, "today $4.20 | month $0.00 (2 d ago)"),
    ],
)
def test_the_line(found: Figures, now: float, line: str) -> None:
    assert found.line(now) == line


def test_a_day_that_began_since_has_cost_nothing(
    embedded: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    cli = Cli(capsys, monkeypatch, {"COST_TRACKER_HOME": str(embedded), "PORT": "0"})
    assert cli("log", "--model", "sonnet", "--input-tokens", "100000").code == 0
    assert cli("statusline").code == 0
    [path] = embedded.glob("statusline-*.json")
    note = jsontext.loads(path.read_bytes())
    yesterday = (datetime.now(UTC) - timedelta(days=40)).date().isoformat()
    note["figures"] |= {"date": yesterday, "asked_at": Decimal(int(time.time()) - 40 * 86400)}
    path.write_text(jsontext.dumps(note))
    found = cli.json("statusline")
    assert (found["today"], found["month"], found["burn_per_hour"]) == (0, 0, 0)
