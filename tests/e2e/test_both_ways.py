"""In process or over HTTP: every command says the same, to people and to programs, and ends alike."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from cost_tracker.client import Client
from tests.e2e.commands import Cli, Done, local, served
from tests.fixtures.command_tree import leaves

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.local.service import LocalService

DAY = (datetime.now(UTC) - timedelta(days=2)).date().isoformat()
# Commands that can be given twice, and how. Those that store something say that it is there already.
GIVEN: dict[tuple[str, ...], tuple[str, ...]] = {
    ("accounts", "add"): ("Max", "--provider", "anthropic"),
    ("accounts", "list"): (),
    ("accounts", "remove"): ("Max",),
    ("accounts", "services"): (),
    ("accounts", "set"): ("Max", "--monthly-limit", "200"),
    ("accounts", "test"): ("Max",),
    ("collect",): (),
    ("export",): ("--project", "Paws"),
    ("keys", "list"): (),
    ("keys", "revoke"): ("nosuchkey",),
    ("log",): ("--model", "sonnet", "--input-tokens", "1500", "--event-id", "e-1", "--at", DAY),
    ("models", "alias"): ("gpt-4o", "best"),
    ("models", "list"): ("sonnet",),
    ("models", "price"): ("our-model", "--input", "1", "--output", "2", "--since", "2026-11-01"),
    ("models", "prices"): ("claude-opus-4-6",),
    ("projects", "add"): ("paws-*", "Paws"),
    ("projects", "apply"): (),
    ("projects", "list"): (),
    ("projects", "preview"): ("--add", "paw*=Other"),
    ("projects", "remove"): ("999999",),
    ("projects", "set"): ("999999", "--project", "Other"),
    ("push",): ("--date", DAY),
    ("quarantine", "drop"): ("999999",),
    ("quarantine", "list"): (),
    ("quarantine", "release"): ("999999",),
    ("recurring", "end"): ("999999",),
    ("recurring", "list"): (),
    ("recurring", "set"): ("999999", "--cost", "1"),
    ("report",): ("--by", "agent", "--by", "token-class"),
    ("reprice",): ("--dry-run",),
    ("stats",): ("--period", "weekly"),
    ("statusline",): (),
    ("verify",): (),
}
# Why a command is not among them.
APART = {
    ("serve",): "it is the service",
    ("init",): "it makes what is on this machine",
    ("doctor",): "it looks at what is on this machine, or at what the API tells",
    ("import",): "what it read before is remembered by tracker",
    ("keys", "create"): "it gives a secret, another one each time",
    ("keys", "rotate"): "the same",
}
# What differs between two runs of one command: numbers of runs, and when they were.
_VARYING = ((r'"id":\d+', '"id":N'), (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "INSTANT"))


@pytest.fixture(scope="module")
def environ(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return local(postgres_dsn, tmp_path_factory.mktemp("both") / "home")


@pytest.fixture(scope="module")
def service(environ: dict[str, str]) -> Iterator[LocalService]:
    with served(environ) as found:
        with Client(http=found.tracker.client()) as client:
            client.log_usage("sonnet", 1500, event_id="e-1", at=DAY)
            client.log_usage("gpt-4o", 2000, 1000, session_label="paws-one", agent="coder", at=DAY)
            client.log_usage("nobody-knows-this", 5, at=DAY)
            client.log_manual("perplexity", "12.5", DAY)
            client.post("/api/accounts", {"name": "Max", "provider": "anthropic"})
            client.log_usage("sonnet", 10, account="Max", at=DAY)
            client.post("/api/projects/rules", {"pattern": "paws-*", "project": "Paws"})
            client.run("/admin/reassign")
            client.put("/api/models/gpt-4o/aliases", {"aliases": ["best"]})
            client.post("/admin/keys", {"name": "N8N", "scopes": ["usage:read"]})
            client.put("/api/models/our-model/price", {"input_per_1m": 1, "output_per_1m": 2, "since": "2026-11-01"})
        yield found


def same(done: Done) -> Done:
    out, err = done.out, done.err
    for pattern, text in _VARYING:
        out, err = re.sub(pattern, text, out), re.sub(pattern, text, err)
    return Done(done.code, out, err)


@pytest.mark.parametrize("as_json", [False, True], ids=["people", "json"])
@pytest.mark.parametrize("command", GIVEN, ids=" ".join)
def test_a_command_says_the_same_both_ways(
    service: LocalService,
    environ: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    *,
    as_json: bool,
) -> None:
    cli = Cli(capsys, monkeypatch, environ)
    asked = (*command, *GIVEN[command], *(["--json"] if as_json else []))
    here = cli(*asked)
    cli.set(COST_TRACKER_URL=service.url, COST_TRACKER_KEY=service.tracker.key)
    there = cli(*asked)
    assert same(here) == same(there)
    assert here.code in {0, 1, 2, 3}
    assert here.out or here.err
    assert "\x1b" not in here.out + here.err, "piped: no colour"
    if as_json and here.code == 0:
        assert here.out.lstrip()[0] in "{["


def test_no_command_is_forgotten() -> None:
    assert {*GIVEN, *APART} == set(leaves())
