"""The command in this process: its exit code and what it wrote, over HTTP or over the database."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from cost_tracker.main import main
from infra.local import postgres
from infra.local.service import LocalService
from shared.config import Settings, names
from shared.core import jsontext

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


class Cli:
    """Runs commands; `environ` are the variables of the tracker they ask, all others of ours are unset."""

    def __init__(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, environ: Mapping[str, str]
    ) -> None:
        self._capsys = capsys
        self._monkeypatch = monkeypatch
        for name in (*names().values(), "COST_TRACKER_URL", "COST_TRACKER_KEY"):
            monkeypatch.delenv(name, raising=False)
        # A narrow terminal folds tables, and the workers of a test run report one.
        self.set(**environ, COLUMNS="200")

    def set(self, **environ: str) -> None:
        """Set variables for the commands to come."""
        for name, value in environ.items():
            self._monkeypatch.setenv(name, value)

    def __call__(self, *arguments: str) -> Done:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        written = self._capsys.readouterr()
        return Done(int(ended.value.code or 0), written.out, written.err)

    def json(self, *arguments: str) -> Any:  # noqa: ANN401 - decoded JSON
        """Run a command that has to succeed, and return what it answers as JSON."""
        done = self(*arguments, "--json")
        assert done.code == 0, done.err
        return jsontext.loads(done.out)


def new_database(postgres_dsn: str) -> str:
    """Make an empty database and return its URL, as DATABASE_URL takes it."""
    name = f"cli_{uuid.uuid4().hex[:12]}"
    postgres.create_database(postgres_dsn, name)
    return f"postgresql://postgres@/{name}?host={httpx.URL(postgres_dsn).params['host']}"


def local(postgres_dsn: str, home: Path) -> dict[str, str]:
    """Return the environment of a tracker of its own, with nothing in it."""
    return {"DATABASE_URL": new_database(postgres_dsn), "COST_TRACKER_HOME": str(home), "PORT": "0"}


def served(environ: Mapping[str, str]) -> LocalService:
    """Return a service over the same database, not started yet; without the demo."""
    return LocalService(Settings.load(environ), demo=False)
