"""`cost-tracker recurring`: what is paid every week, month or year, as `cost-tracker log --repeat` recorded it."""

from __future__ import annotations

from datetime import date  # noqa: TC003 - Typer reads the annotations
from decimal import Decimal  # noqa: TC003 - the same
from typing import Annotated, Any

import typer

from cost_tracker.connection import AsJson, Key, Url, connected
from cost_tracker.groups import ListsByDefault
from cost_tracker.options import day_option, parse_usd
from cost_tracker.output import ExitCode, answer, answers, count, money, note, print_json, show_table

_PATH = "/api/usage/manual/recurring"

app = typer.Typer(
    cls=ListsByDefault,
    help="Show, change and end what is paid every week, month or year; `cost-tracker log --repeat` adds to it.",
)

EntryId = Annotated[int, typer.Argument(metavar="ID", min=1, help="Its id, as `cost-tracker recurring` shows it.")]


@app.command("list")
def list_recurring(*, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Show every recurring entry, and when it is booked next. Exit 3 if there is none.

    Example: [bold]cost-tracker recurring[/bold]
    """
    with connected(url, key) as client:
        rows: list[dict[str, Any]] = client.get(_PATH)["data"]
    if as_json:
        print_json(rows)
    elif rows:
        lines = [
            (
                row["service"],
                row["account"],
                row["repeat"],
                row["date"],
                row["until"] or "",
                row["next"] or "ended",
                money(row["cost"]),
                count(row["booked"]),
                row["id"],
            )
            for row in rows
        ]
        names = ("Service", "Account", "Repeats", "Since", "Until", "Next", "Cost", "Booked", "Id")
        show_table(answers(), "Recurring entries", names, lines, text_columns=6)
    if not rows:
        note("Nothing recurs yet: `cost-tracker log --service NAME --cost USD --date DAY --repeat monthly` adds one.")
        raise typer.Exit(ExitCode.NOTHING)


@app.command("set")
def set_recurring(
    entry_id: EntryId,
    *,
    cost: Annotated[
        Decimal | None, typer.Option(parser=parse_usd, metavar="USD", help="What it costs from tomorrow on.")
    ] = None,
    until: Annotated[date | None, day_option("The last day it may have.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Change a recurring entry from tomorrow on; what was booked stays as it is.

    Example: [bold]cost-tracker recurring set 3 --cost 120[/bold]
    """
    given = {name: value for name, value in {"cost": cost, "until": until}.items() if value is not None}
    if not given:
        raise typer.BadParameter("Say what to change: --cost or --until.")
    with connected(url, key, real=True) as client:
        _show(client.put(f"{_PATH}/{entry_id}", given)["data"], as_json=as_json)


@app.command()
def end(entry_id: EntryId, *, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """End a recurring entry; what was booked stays.

    Example: [bold]cost-tracker recurring end 3[/bold]
    """
    with connected(url, key, real=True) as client:
        _show(client.delete(f"{_PATH}/{entry_id}")["data"], as_json=as_json)


def _show(entry: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(entry)
    else:
        answer(sentence(entry))


def sentence(entry: dict[str, Any]) -> str:
    """Return a recurring entry in a line: `3: claude-max, $100.00 monthly, 1 booked, next 2026-12-02`."""
    following = f"next {entry['next']}" if entry["active"] else "ended"
    what = f"{entry['service']}, {money(entry['cost'])} {entry['repeat']}"
    return f"{entry['id']}: {what}, {count(entry['booked'])} booked, {following}"
