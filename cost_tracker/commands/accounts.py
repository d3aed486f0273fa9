"""`cost-tracker accounts`: whose usage it is; polled accounts, and those that only events name."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cost_tracker.connection import AsJson, Key, Url, connected
from cost_tracker.groups import ListsByDefault
from cost_tracker.output import ExitCode, answer, answers, note, print_json, show_table

_PATH = "/api/accounts"

app = typer.Typer(
    cls=ListsByDefault,
    help="Show accounts and add those that events name, such as a subscription that nothing polls.",
)


@app.command("list")
def list_accounts(*, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Show every account, oldest first. Exit 3 if there is none.

    Events that name no account belong to the default one of their provider.

    Example: [bold]cost-tracker accounts[/bold]
    """
    with connected(url, key) as client:
        rows: list[dict[str, Any]] = client.get(_PATH)["data"]
    if as_json:
        print_json(rows)
    elif rows:
        lines = [
            (row["name"], row["provider"], row["origin"], "yes" if row["default"] else "", row["id"]) for row in rows
        ]
        show_table(answers(), "Accounts", ("Account", "Provider", "From", "Default", "Id"), lines, text_columns=4)
    if not rows:
        note("There is no account yet; collecting makes them, and so does `cost-tracker accounts add`.")
        raise typer.Exit(ExitCode.NOTHING)


@app.command()
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What events call it, such as 'Claude Max'.")],
    *,
    provider: Annotated[str, typer.Option(metavar="NAME", help="Whose models it pays for, such as anthropic.")],
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Add an account that is not polled; its events are the whole truth about it.

    Example: [bold]cost-tracker accounts add 'Claude Max' --provider anthropic[/bold]
    """
    with connected(url, key, real=True) as client:
        made = client.post(_PATH, {"name": name, "provider": provider})["data"]
    if as_json:
        print_json(made)
    else:
        answer(f"{made['id']}: {made['name']} of {made['provider']}{', its default' if made['default'] else ''}")
