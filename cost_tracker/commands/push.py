"""`cost-tracker push`: send a day's summary to Context Vault now."""

from __future__ import annotations

from datetime import date  # noqa: TC003 - Typer reads the annotations
from typing import Annotated, Any

import typer

from cost_tracker.connection import AsJson, Key, Url, connected
from cost_tracker.options import parse_day
from cost_tracker.output import ExitCode, answer, count, note, print_json

_DATE = "The day to push; default yesterday, in the TIMEZONE setting."
_NOT_CONFIGURED = "Nothing was sent: set CONTEXT_VAULT_URL to the vault's address first. The summary itself is stored."


def push(
    *,
    day: Annotated[date | None, typer.Option("--date", parser=parse_day, metavar="YYYY-MM-DD", help=_DATE)] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be sent; send and store nothing.")
    ] = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Push a day's summary to Context Vault; what it has already is not sent again. Exit 3 where no vault is set.

    Example: [bold]cost-tracker push --date 2026-11-22 --dry-run[/bold]
    """
    body = {} if day is None else {"date": day}
    with connected(url, key) as client:
        found: dict[str, Any] = client.post("/admin/sync-cv", body, dry_run=dry_run)
    if as_json:
        print_json(found)
    else:
        _show(found)
    if found["status"] == "not_configured":
        note(_NOT_CONFIGURED)
        raise typer.Exit(ExitCode.NOTHING)
    if found["status"] == "failed":
        note(f"cost-tracker: {found['error']}")
        raise typer.Exit(ExitCode.FAILED)


def _show(found: dict[str, Any]) -> None:
    status, attempts = found["status"], found["attempts"]
    if status == "pushed":
        answer(f"{found['date']}: pushed, {count(attempts)} request{'' if attempts == 1 else 's'}.")
    elif status == "unchanged":
        answer(f"{found['date']}: unchanged, the vault has it.")
    elif status == "dry_run":
        print_json(found["payload"])
