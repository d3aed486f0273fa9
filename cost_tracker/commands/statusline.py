"""`cost-tracker statusline`: one line for a shell prompt or Claude Code's status line."""

from __future__ import annotations

from typing import Annotated

import typer

from cost_tracker.connection import AsJson, Key, Url  # noqa: TC001 - Typer reads the annotations


def statusline(
    *,
    project: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this project; may be repeated.")
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Print what today and this month cost so far and how much an hour burns, in one line.

    Asked for at most every 30 seconds; standard input is not read. Exit 3 if there is no tracker yet.

    Example: [bold]cost-tracker statusline --project PeakPaws[/bold]
    """
    from cost_tracker.statusline import show  # noqa: PLC0415 - not for `--help`

    raise typer.Exit(show(url, key, project or (), as_json=as_json))
