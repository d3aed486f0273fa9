"""What people read: money, names, tables, exit codes of wrong options."""

import json
from decimal import Decimal
from typing import Any

import pytest

from cost_tracker.main import main
from cost_tracker.output import clean, count, money
from cost_tracker.reports import ALWAYS, is_empty
from cost_tracker.tables import bar, show, summary, trust
from tests.fixtures.command_tree import leaves


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "$0.00"),
        ("0.009700", "$0.009700"),
        ("0.021625", "$0.021625"),
        ("0.031325", "$0.031325"),
        ("0.000575", "$0.000575"),
        ("0.00057512", "$0.00057512"),
        ("0.0000001", "$0.0000001"),
        ("0.00000000004", "$0.000000"),
        ("0.5", "$0.500000"),
        ("0.62068749", "$0.620687"),
        ("1", "$1.00"),
        ("12.345", "$12.34"),
        ("12.355", "$12.36"),
        ("1234567.891", "$1,234,567.89"),
        ("-0.5", "-$0.500000"),
        ("-2500", "-$2,500.00"),
    ],
)
def test_money_keeps_the_digits_that_matter(amount: str, text: str) -> None:
    assert money(Decimal(amount)) == text


def test_whole_dollars_arrive_as_integers() -> None:
    assert (money(0), money(12)) == ("$0.00", "$12.00")


def test_counts_have_separators() -> None:
    assert (count(6350), count(0)) == ("6,350", "0")


def test_names_cannot_drive_the_terminal() -> None:
    assert clean("a\x1b[31m[bold]b\n").plain == "a\ufffd[31m[bold]b\ufffd"


@pytest.mark.parametrize(
    ("cost", "fine", "drawn"),
    [
        ("10", True, "█" * 30),
        ("5", True, "█" * 15),
        ("0.001", True, "▏"),
        ("0", True, ""),
        ("-1", True, ""),
        ("5", False, "#" * 15),
        ("0.001", False, "#"),
    ],
)
def test_a_bar_is_as_long_as_its_cost(cost: str, drawn: str, *, fine: bool) -> None:
    assert bar(Decimal(cost), Decimal(10), fine=fine) == drawn


def test_no_bar_where_nothing_was_spent() -> None:
    assert bar(Decimal(0), Decimal(0), fine=True) == ""


def tokens(**counts: int) -> dict[str, int]:
    return {"input": 0, "output": 0, "cache_read": 0, "cache_write_5m": 0, "cache_write_1h": 0, **counts}


def a_report() -> dict[str, Any]:
    sonnet = {"key": "sonnet[red]", "cost": Decimal("0.01575"), "requests": 1, "tokens": tokens(input=1500, output=750)}
    nimbus = {"key": "nimbus", "cost": 0, "requests": 1, "tokens": tokens(input=7), "unpriced_tokens": 7}
    nobody = {"key": "unassigned", "cost": Decimal("0.01575"), "requests": 2, "tokens": tokens(input=1507)}
    days = [{**sonnet, "key": "2026-11-22"}, {**nimbus, "key": "2026-11-23"}]
    return {
        "start": "2026-11-22",
        "end": "2026-11-23",
        "total_cost": Decimal("0.01575"),
        "input_cost": Decimal("0.0045"),
        "output_cost": Decimal("0.01125"),
        "cache_cost": 0,
        "requests": 2,
        "tokens": tokens(input=1507, output=750),
        "by_model": [sonnet, nimbus],
        "by_category": [nobody],
        "by_project": [nobody],
        "by_session_type": [],
        "by_day": days,
        "coverage": {
            "complete_until": "2026-11-23T01:22:07.78Z",
            "basis": "mixed",
            "unpriced_requests": 1,
            "unpriced_tokens": 7,
            "demo": True,
        },
    }


def test_the_report_prints_names_costs_and_what_has_no_price(capsys: pytest.CaptureFixture[str]) -> None:
    show(a_report())
    out = capsys.readouterr().out
    assert "sonnet[red]" in out
    assert "$0.015750" in out
    assert "no price" in out
    assert "By category" not in out  # all of it is unassigned
    assert "\x1b" not in out


def test_what_was_asked_for_is_shown_even_if_unassigned(capsys: pytest.CaptureFixture[str]) -> None:
    show(a_report(), ["category"])
    out = capsys.readouterr().out
    assert "By category" in out
    assert "By model" not in out


def test_the_summary_adds_up() -> None:
    lines = dict(summary({**a_report(), "total_cost": Decimal("0.02")}))
    assert lines["Tokens in all"] == "2,257"
    assert lines["Other cost"] == "$0.004250"
    assert "Other cost" not in dict(summary(a_report()))


def test_requests_that_nobody_counted_are_not_zero() -> None:
    assert dict(summary({**a_report(), "requests": 0}))["Requests"] == "not reported"


def test_a_long_report_has_a_row_for_all_others(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"cost": Decimal("0.1"), "requests": 1, "tokens": tokens()}
    rows = [{"key": f"model-{number}", **row} for number in range(20)]
    show({**a_report(), "by_model": rows, "total_cost": Decimal(2)}, ["model"])
    out = capsys.readouterr().out
    assert "5 others" in out
    assert "$0.500000" in out


def test_many_days_become_weeks(capsys: pytest.CaptureFixture[str]) -> None:
    day = {"cost": Decimal(1), "requests": 1, "tokens": tokens()}
    days = [{"key": f"2026-{month:02}-{number:02}", **day} for month in (1, 2, 3) for number in range(1, 29)]
    show({**a_report(), "by_day": days})
    out = capsys.readouterr().out
    assert "By week" in out
    assert "2025-12-29" in out  # the Monday before the first of January
    assert "$4.00" in out


def test_a_reader_is_told_what_not_to_trust() -> None:
    figures, unpriced, demo = trust(a_report()["coverage"])
    assert figures.startswith("Figures: reported by providers, and estimated")
    assert figures.endswith(", complete until 2026-11-23 01:22 UTC.")
    assert unpriced == "Not in the costs: 7 tokens of 1 request, whose price is not known."
    assert demo == "Demo: the organisation and its figures are invented."


def test_an_unpriced_report_is_not_empty() -> None:
    nothing = {**a_report(), "requests": 0, "total_cost": 0, "by_model": [], "tokens": tokens()}
    assert is_empty(nothing)
    assert not is_empty({**nothing, "tokens": tokens(input=1)})


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    return int(end.value.code or 0)


@pytest.mark.parametrize(
    "arguments",
    [
        ("report", "--end-date", "2026-02-30"),
        ("report", "--start-date", "yesterday"),
        ("report", "--start-date", "2026-11-02", "--end-date", "2026-11-01"),
        ("report", "--by", "colour"),
        ("report", "--period", "yearly"),
        ("report", "--unknown"),
        ("serve", "--port", "99999"),
        ("collect", "--start", "1999-01-01"),
        ("nonsense",),
    ],
)
def test_wrong_options_are_usage_errors(arguments: tuple[str, ...]) -> None:
    assert run(*arguments) == 2


@pytest.mark.parametrize("words", leaves(), ids=" ".join)
def test_help_has_an_example_and_json(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*words, "--help") == 0
    out = " ".join(capsys.readouterr().out.replace("│", " ").split())
    # `list` may be left out, and is where it says the same.
    names = {" ".join(words), " ".join(word for word in words if word != "list")}
    assert any(f"Example: cost-tracker {name}" in out for name in names)
    assert "--json" in out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_can_complete(shell: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    # Which shell asks is not what is tested here.
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    assert run("--show-completion", shell) == 0
    assert "COMPLETE" in capsys.readouterr().out


def test_an_address_that_is_none_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("report", "--url", "costs.example.com") == 1
    assert "costs.example.com" in capsys.readouterr().err


def test_a_malformed_setting_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TIMEZONE", "Mars/Olympus")
    assert run("report") == 1
    assert "TIMEZONE" in capsys.readouterr().err


def test_the_breakdowns_of_every_report_are_those_of_the_contract() -> None:
    assert json.dumps([f"by_{name.replace('-', '_')}" for name in ALWAYS]) == (
        '["by_model", "by_category", "by_project", "by_session_type"]'
    )
