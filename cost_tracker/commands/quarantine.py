"""`cost-tracker quarantine`: rows of reports that look absurd, and what becomes of them."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cost_tracker.connection import AsJson, Key, Url, connected
from cost_tracker.groups import ListsByDefault
from cost_tracker.output import ExitCode, answer, answers, count, money, note, print_json, show_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cost_tracker.client import Client

_PATH = "/admin/quarantine"
_MOST_ROWS = 1000

app = typer.Typer(
    cls=ListsByDefault,
    help="Show the rows that were held back because they look absurd beside their account's usual day; release or "
    "drop them.",
)


class State(StrEnum):
    """What became of a row."""

    HELD = "held"
    RELEASED = "released"
    DROPPED = "dropped"
    ALL = "all"


RowId = Annotated[list[int], typer.Argument(metavar="ID...", help="As `cost-tracker quarantine` shows them.")]
Reason = Annotated[str | None, typer.Option(metavar="TEXT", help="Why, for the audit log.")]


@app.command("list")
def list_rows(
    *,
    state: Annotated[State, typer.Option(metavar="held|released|dropped|all", help="Which rows.")] = State.HELD,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Show what is held back, newest first. Exit 3 if there is nothing.

    Example: [bold]cost-tracker quarantine[/bold]
    """
    with connected(url, key) as client:
        rows = list(_every(client, state.value))
    if as_json:
        print_json(rows)
    elif rows:
        lines = [
            (
                str(row["id"]),
                row["account"],
                row["recorded_at"][:16].replace("T", " "),
                row["model"],
                row["state"],
                "no price" if row["cost"] is None else money(row["cost"]),
                money(row["usual_cost"]),
                count(row["tokens"]),
                count(row["usual_tokens"]),
            )
            for row in rows
        ]
        names = ("Id", "Account", "Time (UTC)", "Model", "State", "Cost", "Usual day", "Tokens", "Usual day")
        show_table(answers(), "Quarantine", names, lines, text_columns=5)
    if not rows:
        note("Nothing is held back.")
        raise typer.Exit(ExitCode.NOTHING)


@app.command()
def release(ids: RowId, *, reason: Reason = None, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Count rows after all: they really were that large.

    Example: [bold]cost-tracker quarantine release 7 --reason 'the migration'[/bold]
    """
    _decide("release", ids, reason, as_json=as_json, url=url, key=key)


@app.command()
def drop(ids: RowId, *, reason: Reason = None, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Leave rows out for good, or until their provider restates them.

    Example: [bold]cost-tracker quarantine drop 7 8[/bold]
    """
    _decide("drop", ids, reason, as_json=as_json, url=url, key=key)


def _decide(
    action: str, ids: list[int], reason: str | None, *, as_json: bool, url: str | None, key: str | None
) -> None:
    with connected(url, key) as client:
        rows: list[dict[str, Any]] = [
            client.post(f"{_PATH}/{row_id}", {"action": action, "reason": reason})["data"] for row_id in ids
        ]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        cost = "no price" if row["cost"] is None else money(row["cost"])
        answer(f"{row['id']}: {row['model']} of {row['account']}, {cost}: {row['state']}")


def _every(client: Client, state: str) -> Iterator[dict[str, Any]]:
    cursor = None
    while True:
        page = client.get(_PATH, state=state, limit=_MOST_ROWS, cursor=cursor)
        yield from page["data"]
        cursor = page["next_cursor"]
        if cursor is None:
            return
