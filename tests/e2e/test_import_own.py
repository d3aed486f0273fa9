"""Our own exports: events come back as they were, to the last byte, and twice is once."""

from __future__ import annotations

import csv
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from cost_tracker.client import Client
from tests.e2e.commands import Cli, local

if TYPE_CHECKING:
    from pathlib import Path

# The ledger's own words about a line: where it is stored, and since when.
OWN = ("id", "collected_at", "updated_at")
EVENTS: list[dict[str, Any]] = [
    {
        "event_id": "e-1", "model": "claude-sonnet-4-5-20250929", "tokens_in": 1200, "tokens_out": 350,
        "cache_read_tokens": 9000, "cache_write_tokens": 10, "cache_write_1h_tokens": 20, "reasoning_tokens": 5,
        "web_searches": 2, "requests": 3, "cost": "0.01", "agent": "=HYPERLINK(1)", "session_label": "nightly",
        "category": "blog", "request_type": "chat", "user": "ann", "tags": {"team": "growth", "n": 3},
        "metadata": {"pi": Decimal("3.14159265358979323846"), "deep": {"x": [1, Decimal("2.5"), None, 'é\n"q"']}},
        "description": '-- a, "b"\nc',
        "recorded_at": "2026-11-19T10:00:00.123456Z",
    },
    {
        "event_id": "e-2", "model": "gpt-4o", "tokens_in": 7, "tokens_out": 8, "batch": True,
        "recorded_at": "2026-11-19T11:00:00Z",
    },
    {
        "event_id": "e-3", "model": "claude-opus-5-5", "tokens_in": 7, "tokens_out": 8, "speed": "fast",
        "inference_geo": "us", "service_tier": "priority", "account": "Team", "recorded_at": "2026-11-19T12:00:00Z",
    },
    {
        "event_id": "e-4", "model": "nobodys-model", "tokens_in": 7, "tokens_out": 8,
        "recorded_at": "2026-11-19T13:00:00Z",
    },
    {
        "event_id": "e-5", "model": "invoice", "provider": "acme", "cost": "12.5000000000000000000001",
        "recorded_at": "2026-11-19T14:00:00Z",
    },
]  # fmt: skip


@pytest.fixture
def cli(postgres_dsn: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    made = Cli(capsys, monkeypatch, local(postgres_dsn, tmp_path / "home"))
    with Client() as client:
        client.post("/api/accounts", {"name": "Team", "provider": "anthropic"})
        assert client.post("/api/usage", EVENTS)["created"] == len(EVENTS)
        client.post("/api/usage", [{**EVENTS[1], "event_id": "i-1"}], source="import")
        client.post("/api/usage/manual", {"service": "perplexity", "date": "2026-11-19", "cost": 3})
    return made


def exported(cli: Cli, path: Path, form: str) -> bytes:
    done = cli("export", "--format", form, "--output", str(path))
    assert done.code == 0, done.err
    return path.read_bytes()


def said(data: bytes, form: str) -> list[dict[str, Any]]:
    """The lines of an export as texts, without what the ledger says of itself and what is no event."""
    if form == "csv":
        rows: list[dict[str, Any]] = list(csv.DictReader(data.decode("utf-8-sig").splitlines(keepends=True)))
    else:
        found = json.loads(data, parse_float=str) if form == "json" else map(json.loads, data.splitlines())
        rows = list(found)
    return [
        {name: row[name] for name in row if name not in OWN} for row in rows if row["source"] in {"event", "import"}
    ]


@pytest.mark.parametrize("form", ["csv", "json", "jsonl"])
def test_events_come_back_as_they_were(cli: Cli, tmp_path: Path, postgres_dsn: str, form: str) -> None:
    before = exported(cli, tmp_path / f"a.{form}", form)
    again = cli.json("import", str(tmp_path / f"a.{form}"))
    assert (again["created"], again["already_there"], again["rejected"]) == (0, 6, 0)
    assert again["skipped"] == {"manual entries": 1}
    assert exported(cli, tmp_path / f"b.{form}", form) == before
    cli.set(**local(postgres_dsn, tmp_path / "other"))
    fresh = cli.json("import", str(tmp_path / f"a.{form}"))
    assert (fresh["created"], fresh["accounts_made"]) == (6, ["Team"])
    after = exported(cli, tmp_path / f"c.{form}", form)
    assert said(after, form) == said(before, form)
    assert len(said(after, form)) == 6
    assert cli("import", str(tmp_path / f"c.{form}")).code == 3
    assert exported(cli, tmp_path / f"d.{form}", form) == after
