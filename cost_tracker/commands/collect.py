"""`cost-tracker collect`: fetch usage from the providers now, and see what it changed."""

from __future__ import annotations

from datetime import date  # noqa: TC003 - Typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cost_tracker.connection import AsJson, Key, Url, connected
from cost_tracker.options import day_option
from cost_tracker.output import ExitCode, answers, clean, count, note, print_json, show_table

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from cost_tracker.client import Client, Run


def collect(
    *,
    provider: Annotated[str | None, typer.Option(metavar="NAME", help="Only this provider, such as anthropic.")] = None,
    account: Annotated[str | None, typer.Option(metavar="NAME", help="Only this account.")] = None,
    start: Annotated[date | None, day_option("Read again from this day on; default: what is new.")] = None,
    end: Annotated[date | None, day_option("The last day to read, with --start.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Collect usage and bills from every provider whose key is set. Collecting twice changes nothing.

    Example: [bold]cost-tracker collect --provider anthropic --start 2026-11-01[/bold]
    """
    given = {"provider": provider, "account": account, "start": start, "end": end}
    body: dict[str, object] = {name: value for name, value in given.items() if value is not None}
    with connected(url, key) as client:
        run = _follow(client, body)
    if as_json:
        print_json(run)
    else:
        _show(run)
    if run["status"] == "failed":
        note(f"cost-tracker: {run['error']}")
        raise typer.Exit(ExitCode.FAILED)
    if not any((run["result"] or {}).get(part) for part in ("accounts", "recurring")):
        note(f"cost-tracker: {run['error']}")
        raise typer.Exit(ExitCode.NOTHING)
    if run["status"] == "partial":
        note("Not everything was read; what was is kept. Run `cost-tracker collect` again to continue.")


def _follow(client: Client, body: dict[str, object]) -> Run:
    from cost_tracker.progress import bars, kept  # noqa: PLC0415 - not for `--help`

    with bars("pages") as progress:
        try:
            return client.run("/admin/collect", body, _Bars(progress))
        except KeyboardInterrupt:
            kept(client)
            raise


class _Bars:
    """One bar per account and stream; a stream is done when the next one of its account begins."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[tuple[str, str], TaskID] = {}

    def __call__(self, run: Run) -> None:
        at: dict[str, Any] | None = (run["result"] or {}).get("progress")
        if at is None:
            return
        name = (at["account"], at["stream"])
        if name not in self._tasks:
            for (account, _), task in self._tasks.items():
                if account == at["account"]:
                    self._progress.update(task, completed=100)
            self._tasks[name] = self._progress.add_task(clean(" ".join(name)).plain, total=100, amount=0)
        self._progress.update(self._tasks[name], completed=at["done"], amount=at["pages"])


def _show(run: Run) -> None:
    console = answers()
    for account in (run["result"] or {}).get("accounts", ()):
        names = ("Stream", "Window (UTC)", "Why", "Pages", "New", "Changed", "Unchanged", "Removed")
        rows = [
            (
                stream["stream"],
                "none"
                if stream.get("note")
                else f"{_minute(stream['window_start'])} to {_minute(stream['window_end'])}",
                stream["why"],
                *(count(stream[name]) for name in ("pages", "new", "changed", "unchanged", "removed")),
            )
            for stream in account["streams"]
        ]
        title = f"{account['account']} ({account['provider']}): {account['status']}"
        if rows:
            show_table(console, title, names, rows, text_columns=3)
        else:
            console.print(clean(title))
        if held := sum(stream["held"] for stream in account["streams"]):
            console.print(f"Held back as absurd: {count(held)}; `cost-tracker quarantine` shows and releases them.")
        for stream in account["streams"]:
            if note := stream.get("note"):
                console.print(clean(f"{stream['stream']}: {note}"))
            for one in stream.get("feed", {}).get("reasons", ()):
                when = _minute(one["first_at"])
                console.print(clean(f"Not taken: {count(one['count'])}, the first of {when}. {one['reason']}"))
        for one in account.get("balances", ()):
            console.print(clean(f"Balance: {one['available']:,.2f} {one['currency']}"))
        if account["error"]:
            console.print(clean(account["error"]))
    if recurring := (run["result"] or {}).get("recurring"):
        console.print(f"Recurring entries booked: {count(recurring['entries'])}")


def _minute(instant: str | None) -> str:
    return "?" if instant is None else instant[:16].replace("T", " ")
