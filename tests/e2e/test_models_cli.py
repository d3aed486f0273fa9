"""`cost-tracker models`, `projects` and `reprice` against a served tracker."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from cost_tracker.main import main
from shared.core import jsontext
from tests.e2e.conftest import API_KEY, Service

if TYPE_CHECKING:
    from collections.abc import Callable


class Cli:
    """The command in this process: its exit code and what it wrote."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        written = self._capsys.readouterr()
        return int(ended.value.code or 0), written.out, written.err

    def json(self, *arguments: str) -> Any:  # noqa: ANN401 - decoded JSON
        code, out, err = self(*arguments, "--json")
        assert code == 0, err
        return jsontext.loads(out)


@pytest.fixture(scope="module")
def service(serve: Callable[..., Service]) -> Service:
    found = serve(COLLECTION_BACKFILL_DAYS="3")
    assert found.post("/admin/collect", wait="28")["status"] == "succeeded"
    return found


@pytest.fixture
def cli(service: Service, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.setenv("COST_TRACKER_URL", str(service.http.base_url))
    monkeypatch.setenv("COST_TRACKER_KEY", API_KEY)
    # A narrow terminal folds tables, and the workers of a test run report one.
    monkeypatch.setenv("COLUMNS", "200")
    return Cli(capsys)


def test_models_are_listed_and_looked_for(cli: Cli) -> None:
    code, out, _ = cli("models", "kimi")
    assert code == 0
    assert "kimi-k1-5" in out
    assert "$2.00" in out
    assert "2025-01-20" in out
    assert "gpt-4o" in cli("models")[1]
    assert {row["id"] for row in cli.json("models", "kimi-k1")} == {"kimi-k1-5"}
    assert len(cli.json("models", "--all", "--provider", "openai")) > 50
    code, _, err = cli("models", "no-such-thing")
    assert (code, "--all" in err) == (3, True)


def test_a_price_is_set_and_its_history_shown(cli: Cli) -> None:
    asked = ("models", "price", "claude-opus-4-6", "--input", "4", "--output", "20", "--since", "2026-11-18")
    code, out, err = cli(*asked)
    assert (code, out) == (0, "claude-opus-4-6: input $4.00, output $20.00 from 2026-11-18 00:00 UTC on\n")
    assert "POST /admin/reprice" in err
    assert cli.json(*asked)["input_per_1m"] == 4
    code, out, _ = cli("models", "prices", "claude-opus-4-6")
    assert (code, "override" in out, "catalogue" in out) == (0, True, True)
    assert cli.json("models", "price", "us/model x", "--input", "1", "--output", "2")["model"] == "us/model x"
    assert cli.json("models", "prices", "us/model x")[0]["source"] == "override"
    code, _, err = cli("models", "price", "claude-opus-4-6", "--input", "-4", "--output", "20")
    assert (code, "input_per_1m" in err) == (1, True)
    assert cli("models", "price", "claude-opus-4-6", "--input", "4")[0] == 2


def test_aliases_are_set(cli: Cli) -> None:
    code, out, _ = cli("models", "alias", "claude-opus-4-6", "opus", "best")
    assert (code, out) == (0, "claude-opus-4-6: best, opus\n")
    _, _, err = cli("models", "alias", "claude-sonnet-4-5", "best")
    assert "best was a name of claude-opus-4-6" in err
    assert cli("models", "alias", "claude-sonnet-4-5")[1] == "claude-sonnet-4-5: no names of yours\n"


def test_the_past_is_repriced_after_a_look(cli: Cli) -> None:
    cli("models", "price", "claude-sonnet-4-5", "--input", "6", "--output", "30", "--since", "2026-11-18")
    span = ("--start", "2026-11-18", "--end", "2026-11-18")
    code, out, _ = cli("reprice", *span, "--dry-run")
    assert (code, "would change" in out, "claude-sonnet-4-5" in out) == (0, True, True)
    dry = cli.json("reprice", *span, "--dry-run")["result"]
    done = cli.json("reprice", *span)
    assert (done["status"], done["result"]["changes"]) == ("succeeded", dry["changes"])
    assert cli("reprice", *span)[1] == "1 day looked at: every line has today's price.\n"
    assert cli("reprice", "--start", "2026-11-19", "--end", "2026-11-18")[0] == 2


def test_rules_are_listed_previewed_added_applied_and_removed(cli: Cli) -> None:
    code, out, _ = cli("projects")
    assert (code, "peakpaws-*" in out, "PeakPaws" in out) == (0, True, True)
    [peakpaws] = [rule for rule in cli.json("projects") if rule["project"] == "PeakPaws"]
    code, out, _ = cli("projects", "preview", "--add", "peakpaws-m*=Paws")
    assert (code, "PeakPaws" in out, "Paws" in out) == (0, True, True)
    assert cli("projects", "preview")[0] == 3
    assert cli("projects", "preview", "--add", "peakpaws")[0] == 2
    added = cli.json("projects", "add", "peakpaws-m*", "Paws", "--priority", "20")
    assert (added["pattern"], added["priority"]) == ("peakpaws-m*", 20)
    code, _, err = cli("projects", "add", "PEAKPAWS-M*", "Paws")
    assert (code, "already" in err) == (1, True)
    foreseen = cli.json("projects", "apply", "--dry-run")["result"]
    code, out, _ = cli("projects", "apply", "--start", "2026-11-01")
    assert (code, " moved, " in out) == (0, True)
    assert foreseen["moves"][0]["to"] == "Paws"
    assert cli("projects", "apply")[1] == "Nothing moves.\n"
    assert cli.json("projects", "set", str(added["id"]), "--project", "PeakPaws")["project"] == "PeakPaws"
    assert cli("projects", "set", str(added["id"]))[0] == 2
    assert cli("projects", "remove", str(added["id"]))[0] == 0
    assert cli("projects", "remove", str(added["id"]))[0] == 1
    back = cli.json("projects", "apply")["result"]
    assert [(move["from"], move["to"], move["cost"]) for move in back["moves"]] == [
        ("Paws", "PeakPaws", foreseen["cost"])
    ]
    assert peakpaws["priority"] == 10
    assert isinstance(back["cost"], Decimal)
