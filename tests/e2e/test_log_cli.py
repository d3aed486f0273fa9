"""`cost-tracker log`, `stats` and `accounts`, and the figures that reports make of what was logged."""

from __future__ import annotations

import io
import os
import re
import shlex
from decimal import Decimal
from pathlib import Path

import pytest

from shared.store.database import connect
from tests.e2e.commands import Cli, local

README = (Path(__file__).parents[2] / "README.md").read_text()
SONNET = ("log", "--model", "sonnet", "--input-tokens", "1500", "--output-tokens", "750", "--category", "planning")
GPT = ("log", "--model", "gpt-4o", "--input-tokens", "2000", "--output-tokens", "1000", "--category", "analysis")
HAIKU = ("log", "--model", "haiku", "--input-tokens", "800", "--output-tokens", "300", "--category", "technical")


@pytest.fixture
def cli(postgres_dsn: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    return Cli(capsys, monkeypatch, local(postgres_dsn, tmp_path / "home"))


def test_the_case_that_everybody_can_add_up(cli: Cli) -> None:
    assert cli(*SONNET, "--description", "a plan").out == (
        "logged 1: claude-3-5-sonnet, 1,500 input, 750 output, $0.015750\n"
    )
    assert cli(*GPT).out == "logged 2: gpt-4o, 2,000 input, 1,000 output, $0.015000\n"
    assert cli(*HAIKU).out == "logged 3: claude-3-haiku, 800 input, 300 output, $0.000575\n"
    found = cli.json("report", "--period", "daily")
    assert (found["requests"], found["tokens"]["input"], found["tokens"]["output"]) == (3, 4300, 2050)
    assert [found[f"{name}_cost"] for name in ("input", "output", "cache", "total")] == [
        Decimal("0.0097"), Decimal("0.021625"), 0, Decimal("0.031325"),
    ]  # fmt: skip
    assert [(row["key"], row["cost"]) for row in found["by_model"]] == [
        ("claude-3-5-sonnet", Decimal("0.01575")),
        ("gpt-4o", Decimal("0.015")),
        ("claude-3-haiku", Decimal("0.000575")),
    ]
    assert [row["key"] for row in found["by_category"]] == ["planning", "analysis", "technical"]
    shown = [" ".join(line.split()) for line in cli("report").out.splitlines()]
    assert {
        "Requests 3", "Input tokens 4,300", "Output tokens 2,050", "Tokens in all 6,350", "Input cost $0.009700",
        "Output cost $0.021625", "Total cost $0.031325",
    } <= set(shown)  # fmt: skip
    assert "claude-3-5-sonnet $0.015750 50.3% 1 1,500 750 0" in shown
    assert "gpt-4o $0.015000 47.9% 1 2,000 1,000 0" in shown
    assert "claude-3-haiku $0.000575 1.8% 1 800 300 0" in shown


def test_the_examples_of_the_manual(cli: Cli) -> None:
    [block] = re.findall(r"## The command line\n.*?```sh\n(.*?)```", README, flags=re.DOTALL)
    lines = block.splitlines()
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if not line.startswith("#"):
            done = cli(*shlex.split(line)[1:])
            assert done.code == 0, (line, done)
            if following.startswith("# "):
                assert done.out == f"{following[2:]}\n"


def test_everything_that_can_be_said_of_a_call_is_stored(cli: Cli) -> None:
    record = cli.json(
        *("log", "--model", "claude-opus-4-6", "--input-tokens", "10", "--output-tokens", "20"),
        *("--cache-read-tokens", "30", "--cache-write-tokens", "40", "--cache-write-1h-tokens", "50"),
        *("--project", "Paws", "--agent", "coder", "--user", "ann", "--session-label", "fix-it"),
        *("--session-type", "cron", "--tag", "team=web", "--tag", "run=7", "--metadata", '{"n": 1.50}'),
        *("--at", "2026-11-01T12:00:00+02:00", "--event-id", "e-1", "--cost", "0.5", "--description", "words"),
    )["data"]
    assert record["recorded_at"] == "2026-11-01T10:00:00Z"
    counts = [f"{name}_tokens" for name in ("input", "output", "cache_read", "cache_write", "cache_write_1h")]
    assert [record[name] for name in counts] == [10, 20, 30, 40, 50]
    names = ("project", "agent", "user", "session_label", "session_type", "event_id", "description")
    assert [record[name] for name in names] == ["Paws", "coder", "ann", "fix-it", "cron", "e-1", "words"]
    assert (record["tags"], record["metadata"]) == ({"team": "web", "run": "7"}, {"n": Decimal("1.50")})
    assert record["reported_cost"] == Decimal("0.5")


def test_an_event_id_makes_logging_twice_harmless(cli: Cli) -> None:
    assert cli(*SONNET, "--event-id", "e-1", "--at", "2026-11-01").out.startswith("logged 1: ")
    assert cli(*SONNET, "--event-id", "e-1", "--at", "2026-11-01").out.startswith("logged before as 1: ")
    conflict = cli(*GPT, "--event-id", "e-1")
    assert (conflict.code, "e-1" in conflict.err) == (1, True)
    assert cli.json("stats")["requests"] == 1


def test_a_model_without_a_price_is_kept_and_said_so(cli: Cli) -> None:
    done = cli("log", "--model", "claude-sonet-4-5", "--input-tokens", "7")
    assert (done.code, done.out) == (0, "logged 1: claude-sonet-4-5, 7 input, 0 output, no price\n")
    assert "did you mean claude-sonnet-4-5 or" in done.err
    assert cli.json("stats")["coverage"]["unpriced_tokens"] == 7


def test_a_dry_run_prices_and_stores_nothing(cli: Cli) -> None:
    assert cli(*SONNET, "--dry-run").out == "claude-3-5-sonnet, 1,500 input, 750 output: $0.015750\n"
    assert cli("report").code == 3


def test_a_cost_by_hand(cli: Cli) -> None:
    entry = ("log", "--service", "perplexity", "--cost", "12.50", "--notes", "subscription", "--tag", "team=web")
    assert cli(*entry, "--date", "2026-11-02").out == "logged 1: perplexity on 2026-11-02, $12.50\n"
    today = cli.json(*entry)["data"]
    assert (today["source"], today["description"], today["tags"]) == ("manual", "subscription", {"team": "web"})
    assert cli.json("report", "--start-date", "2026-11-02", "--end-date", "2026-11-02")["total_cost"] == Decimal("12.5")
    assert cli.json("report", "--period", "daily")["total_cost"] == Decimal("12.5")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--model", "sonnet", "--input-tokens", "-1"), "--input-tokens"),
        (("--model", "sonnet", "--input-tokens", "many"), "--input-tokens"),
        (("--model", "sonnet"), "--input-tokens"),
        (("--input-tokens", "1"), "--model"),
        (("--model", "sonnet", "--cost", "-1"), "--cost"),
        (("--model", "sonnet", "--cost", "NaN"), "--cost"),
        (("--model", "sonnet", "--cost", "1", "--at", "yesterday"), "--at"),
        (("--model", "sonnet", "--cost", "1", "--tag", "web"), "--tag"),
        (("--model", "sonnet", "--cost", "1", "--metadata", "[1]"), "--metadata"),
        (("--model", "sonnet", "--cost", "1", "--metadata", "{"), "--metadata"),
        (("--model", "sonnet", "--cost", "1", "--date", "2026-11-02"), "--at"),
        (("--service", "perplexity"), "--cost"),
        (("--service", "perplexity", "--cost", "1", "--dry-run"), "--dry-run"),
        (("--service", "perplexity", "--cost", "1", "--input-tokens", "1"), "--model"),
    ],
)
def test_options_that_do_not_go_together(cli: Cli, arguments: tuple[str, ...], word: str) -> None:
    done = cli("log", *arguments)
    assert (done.code, done.out) == (2, "")
    assert word in done.err


def test_statistics_average_only_over_what_was_counted(cli: Cli) -> None:
    assert cli("stats").code == 3
    cli(*SONNET)
    cli(*GPT)
    assert cli.json("stats")["average_cost"] == Decimal("0.015375")
    cli("log", "--service", "perplexity", "--cost", "20")
    found = cli.json("stats", "--period", "weekly")
    assert (found["total_cost"], found["counted_cost"], found["requests"]) == (
        Decimal("20.03075"), Decimal("0.03075"), 2,
    )  # fmt: skip
    assert found["average_cost"] == Decimal("0.015375")
    assert "$0.015375 (of $0.030750)" in cli("stats").out
    narrowed = cli.json("stats", "--period", "daily", "--model", "sonnet")
    assert (narrowed["requests"], narrowed["total_tokens"], narrowed["total_cost"]) == (1, 2250, Decimal("0.01575"))
    assert cli("stats", "--model", "claude-opus-4-6").code == 3


def test_accounts_are_made_changed_and_removed(cli: Cli) -> None:
    assert cli("accounts").code == 3
    assert cli("accounts", "add", "Max", "--provider", "Claude").out == "1: Max of anthropic, its default, not polled\n"
    assert cli("accounts", "add", "Max", "--provider", "anthropic").code == 1
    assert cli.json(*SONNET, "--account", "Max")["data"]["account"] == "Max"
    changed = cli.json("accounts", "set", "Max", "--name", "Claude Max", "--monthly-limit", "200")
    assert (changed["name"], changed["monthly_limit"]) == ("Claude Max", 200)
    second = ("accounts", "add", "Work", "--provider", "anthropic", "--default")
    assert cli(*second).out.endswith(": Work of anthropic, its default, not polled\n")
    assert [row["default"] for row in cli.json("accounts")] == [False, True]
    assert "$200.00" in cli("accounts", "list").out
    assert cli("accounts", "set", "Nobody", "--default").code == 2
    assert cli("accounts", "set", "Work").code == 2
    assert cli("accounts", "test", "Work").code == 1
    assert cli("accounts", "remove", "Claude Max").code == 1, "there is usage: somebody has to say what becomes of it"
    assert cli("accounts", "remove", "1", "--usage", "keep").out == "1: archived, its figures stay\n"
    assert cli("accounts", "remove", "Work").out == "Work: removed\n"
    assert "anthropic" in {row["id"] for row in cli.json("accounts", "services")}
    assert "Tracked by" in cli("accounts", "services").out


def test_what_recurs_is_booked_listed_and_ended(cli: Cli) -> None:
    assert cli("recurring").code == 3
    plan = ("log", "--service", "claude-max", "--cost", "100", "--repeat", "monthly")
    past = cli(*plan, "--date", "2026-01-31", "--until", "2026-04-30", "--notes", "Max 5x")
    assert past.out == "recurring 1: claude-max, $100.00 monthly, 4 booked, ended\n"
    coming = cli.json(*plan[:-1], "yearly", "--date", "2190-02-01")["data"]
    assert (coming["id"], coming["next"], coming["booked"]) == (2, "2190-02-01", 0)
    days = [row["recorded_at"][:10] for row in cli.json("export", "--source", "manual", "--format", "json")]
    assert sorted(days) == ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30"]
    assert cli("recurring", "set", "2", "--cost", "120").out == (
        "2: claude-max, $120.00 yearly, 0 booked, next 2190-02-01\n"
    )
    assert cli("recurring", "end", "2").out == "2: claude-max, $120.00 yearly, 0 booked, ended\n"
    assert [row["active"] for row in cli.json("recurring")] == [False, False]
    assert "$120.00" in cli("recurring", "list").out
    assert cli("recurring", "set", "2", "--cost", "1").code == 1
    assert cli("recurring", "set", "2").code == 2
    assert cli("log", "--service", "x", "--cost", "1", "--until", "2026-04-30").code == 2
    assert cli("log", "--model", "sonnet", "--cost", "1", "--repeat", "weekly").code == 2


def test_a_balance_is_shown_with_how_long_it_lasts(cli: Cli) -> None:
    cli("accounts", "add", "chat", "--provider", "deepseek")
    assert "Balance" not in cli("accounts").out
    with connect(os.environ["DATABASE_URL"]) as connection:
        connection.execute("UPDATE accounts SET balances_at = '2026-11-03Z'")
        for day, left in ((1, "30"), (3, "24.5")):
            connection.execute(
                "INSERT INTO balances (account_id, at, currency, available, called) "
                "SELECT id, make_timestamptz(2026, 11, %s, 0, 0, 0, 'UTC'), 'CNY', %s::numeric, 'total' FROM accounts",
                [day, left],
            )
    shown = cli("accounts").out
    assert "24.50 CNY" in shown
    assert "8 d" in shown
    [account] = cli.json("accounts")
    assert (account["runway"][0]["spent_per_day"], account["runway"][0]["days"]) == (Decimal("2.75"), Decimal("8.9"))


def test_a_credential_comes_from_standard_input(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("not a key\n"))
    refused = cli("accounts", "add", "Work", "--provider", "anthropic", "--credential-stdin")
    assert (refused.code, "no key has" in refused.err, "not a key" in refused.err) == (1, True, False)
