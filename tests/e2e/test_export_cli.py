"""`cost-tracker export`: what it writes is what the API answers, in parts and by links, in process and over HTTP."""

from __future__ import annotations

import csv
import io
import os
import signal
import subprocess
import sys
import time
from codecs import BOM_UTF8
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from cost_tracker.client import Client
from shared.core import jsontext
from tests.e2e.commands import Cli, local, served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from infra.local.service import LocalService

TODAY = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)


def an_event(number: int, days_ago: int, **fields: object) -> dict[str, Any]:
    return {
        "model": "sonnet", "tokens_in": number, "tokens_out": 1, "event_id": f"e-{days_ago}-{number}",
        "recorded_at": TODAY - timedelta(days=days_ago, seconds=number), **fields,
    }  # fmt: skip


@pytest.fixture(scope="module")
def environ(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return local(postgres_dsn, tmp_path_factory.mktemp("exports") / "home")


@pytest.fixture(scope="module")
def service(environ: dict[str, str]) -> Iterator[LocalService]:
    with served(environ) as found:
        with Client(http=found.tracker.client()) as client:
            client.post(
                "/api/usage",
                [an_event(number, ago, description='a\r\nb,"c"\n]\n') for number in (1, 2) for ago in (1, 9, 60, 700)],
            )
            # More than fits into an answer, all in one week.
            for first in (0, 2250):
                rows = [an_event(first + number, 30, description="x" * 1300) for number in range(2250)]
                client.post("/api/usage", rows)
            client.log_manual("perplexity", 12.5, (TODAY - timedelta(days=400)).date())
        yield found


@pytest.fixture(params=["in process", "over http"])
def cli(
    request: pytest.FixtureRequest,
    service: LocalService,
    environ: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Cli:
    found = Cli(capsys, monkeypatch, environ)
    if request.param == "over http":
        found.set(COST_TRACKER_URL=service.url, COST_TRACKER_KEY=service.tracker.key)
    return found


@pytest.mark.parametrize("form", ["csv", "json", "jsonl"])
def test_a_file_is_what_the_api_answers(cli: Cli, service: LocalService, tmp_path: Path, form: str) -> None:
    path = tmp_path / f"usage.{form}"
    done = cli("export", "--output", str(path))
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"{path}: {form}, ")
    with Client(http=service.tracker.client()) as client:
        whole = b"".join(client.download("/api/usage/export", format=form))
        total = client.range(TODAY.date() - timedelta(days=399))["total_cost"]
        old = client.range(TODAY.date() - timedelta(days=799), TODAY.date() - timedelta(days=400))["total_cost"]
    # A spreadsheet needs the mark to read UTF-8; programs that read a pipe do not.
    assert path.read_bytes() == (BOM_UTF8 if form == "csv" else b"") + whole
    if form == "csv":
        rows = list(csv.DictReader(io.StringIO(whole.decode(), newline="")))
        assert sum(Decimal(row["cost_usd"]) for row in rows) == total + old


def test_standard_output_and_filters(cli: Cli) -> None:
    done = cli("export", "--json", "--start-date", (TODAY - timedelta(days=10)).date().isoformat())
    assert [row["event_id"] for row in jsontext.loads(done.out)] == ["e-1-1", "e-1-2", "e-9-1", "e-9-2"]
    assert done.err == ""
    assert len(cli("export", "--source", "manual", "--format", "jsonl").out.splitlines()) == 1


def test_nothing_is_not_a_file(cli: Cli, tmp_path: Path) -> None:
    done = cli("export", "--project", "Nobody", "--output", str(tmp_path / "x.csv"))
    assert (done.code, done.out, list(tmp_path.iterdir())) == (3, "", [])
    assert cli("export", "--format", "xml").code == 2
    assert cli("export", "--output", str(tmp_path)).code == 2
    summary = cli.json("export", "--output", str(tmp_path / "x"), "--source", "manual")
    assert (summary["format"], summary["bytes"]) == ("csv", (tmp_path / "x").stat().st_size)


@pytest.mark.usefixtures("service")
def test_ctrl_c_leaves_the_file_that_was_there(environ: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "usage.csv"
    path.write_text("before")
    command = (sys.executable, "-c", "from cost_tracker.main import main; main()", "export", "--output", str(path))
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    running = subprocess.Popen(  # noqa: S603 - our own command
        command, env={**kept, **environ}, cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 30
    while len(list(tmp_path.iterdir())) == 1 and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=30)
    # Where the machine was faster than we, the file is whole.
    assert [found.name for found in tmp_path.iterdir()] == ["usage.csv"]
    if running.returncode:
        assert path.read_text() == "before"
