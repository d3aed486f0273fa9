"""`cost-tracker reprice`: price the past by today's prices, or see what that would change."""

from __future__ import annotations

from datetime import date  # noqa: TC003 - Typer reads the annotations
from typing import Annotated, Any

import typer

from cost_tracker.connection import AsJson, Key, Url, connected
from cost_tracker.options import day_option
from cost_tracker.output import ExitCode, answer, answers, count, money, note, print_json, show_table


def reprice(
    *,
    start: Annotated[date | None, day_option("First day; default: from the beginning.")] = None,
    end: Annotated[date | None, day_option("Last day; default: until now.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change; change nothing.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Price every line at the price of its own instant, by the prices known today. Doing it twice changes nothing.

    Example: [bold]cost-tracker reprice --start 2026-11-01 --dry-run[/bold]
    """
    from cost_tracker.progress import over_days  # noqa: PLC0415 - not for `--help`

    if start and end and end < start:
        raise typer.BadParameter(f"{end} is before --start {start}; swap them.", param_hint="--end")
    with connected(url, key) as client:
        run = over_days(client, "/admin/reprice", "reprice", start=start, end=end, dry_run=dry_run or None)
    if as_json:
        print_json(run)
    elif run["status"] != "failed":
        _show(run["result"])
    if run["status"] != "succeeded":
        note(f"cost-tracker: {run['error']}")
        raise typer.Exit(ExitCode.FAILED)


def _show(result: dict[str, Any]) -> None:
    days = f"{count(result['days'])} day{'' if result['days'] == 1 else 's'}"
    if not result["changes"]:
        answer(f"{days} looked at: every line has today's price.")
        return
    rows = [
        (
            row["month"],
            row["model"] if row["renamed_from"] is None else f"{row['model']} (was {row['renamed_from']})",
            count(row["lines"]),
            count(row["requests"]),
            count(row["tokens"]),
            _cost(row, "before"),
            _cost(row, "after"),
            money(row["cost_after"] - row["cost_before"]),
        )
        for row in result["changes"]
    ]
    names = ("Month", "Model", "Lines", "Requests", "Tokens", "Before", "After", "Difference")
    verb = "would change" if result["dry_run"] else "changed"
    title = (
        f"{count(result['lines'])} lines on {days} {verb}: {money(result['cost_before'])} is now "
        f"{money(result['cost_after'])}"
    )
    show_table(answers(), title, names, rows, text_columns=2)
    if result["unpriced_after"]:
        answer(f"{count(result['unpriced_after'])} of these lines have no price.")


def _cost(row: dict[str, Any], when: str) -> str:
    return "no price" if row[f"unpriced_{when}"] == row["lines"] else money(row[f"cost_{when}"])
