"""`cost-tracker verify`: are the sums that reports read still those of the ledger?"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cost_tracker.connection import AsJson, Key, Url, connected
from cost_tracker.output import ExitCode, answer, answers, count, money, note, print_json, show_table


def verify(
    *,
    repair: Annotated[bool, typer.Option("--repair", help="Replace what differs by what the ledger says.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Recompute every roll-up from the ledger and show each day that differs; exit 1 if any is left so.

    Example: [bold]cost-tracker verify --repair[/bold]
    """
    with connected(url, key) as client:
        run = client.run("/admin/verify", repair=repair)
    result: dict[str, Any] = run["result"] or {}
    if as_json:
        print_json(run)
    elif run["status"] != "failed":
        _show(result)
    if run["status"] == "failed":
        note(f"cost-tracker: {run['error']}")
    if run["status"] == "failed" or (result["drift"] and not result["repaired"]):
        raise typer.Exit(ExitCode.FAILED)


def _show(result: dict[str, Any]) -> None:
    drift = result["drift"]
    if not drift:
        answer(f"{count(result['days_checked'])} days checked, no drift.")
        return
    rows = [
        (
            day["date"],
            count(day["slots"]),
            money(day["rolled_up_cost"]),
            money(day["ledger_cost"]),
            money(day["rolled_up_cost"] - day["ledger_cost"]),
        )
        for day in drift
    ]
    names = ("Day (UTC)", "Slots", "Rolled up", "Ledger", "Difference")
    show_table(answers(), f"Drift on {len(drift)} of {count(result['days_checked'])} days", names, rows)
    verdict = "repaired." if result["repaired"] else "run `cost-tracker verify --repair` to replace the roll-ups."
    answer(f"{len(drift)} days differ: {verdict}")
