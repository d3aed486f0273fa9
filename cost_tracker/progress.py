"""Long work as people watch it: bars with rate and time left on stderr, and what Ctrl-C leaves."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from cost_tracker.caller import ApiError
from cost_tracker.output import messages, note

if TYPE_CHECKING:
    from rich.progress import Progress, Task

    from cost_tracker.client import Client, Run

_MEGABYTE = 1_000_000


def bars(unit: str, digits: int = 0, *, quiet: bool = False) -> Progress:
    """Return bars of tasks whose field `amount` says how much was done so far, in `unit`; shown while it is entered.

    Add a task with `total` and `amount=0`; `advance` and `update(..., amount=...)` move it. `quiet` bars, and those of
    a process that writes to no terminal, are not seen.
    """
    from rich.progress import (  # noqa: PLC0415 - not for `--help`
        BarColumn,
        Progress,
        ProgressColumn,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text  # noqa: PLC0415 - the same

    class Rate(ProgressColumn):
        """How much was done, and how much of it in a second."""

        def render(self, task: Task) -> Text:
            amount, seconds = task.fields["amount"], task.elapsed
            rate = f", {amount / seconds:,.{digits or 1}f}/s" if seconds else ""
            return Text(f"{amount:,.{digits}f} {unit}{rate}")

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        Rate(),
        TimeRemainingColumn(),
    )
    console = messages()
    return Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal)


def megabytes(size: int) -> float:
    """Return bytes as the megabytes that people read."""
    return size / _MEGABYTE


class Days:
    """The bar of a run that goes through the past day by day: `client.run(..., Days(progress, first, last))`."""

    def __init__(self, progress: Progress, name: str, first: date, last: date) -> None:
        self._progress = progress
        self._first = first
        self._task = progress.add_task(name, total=max(1, (last - first).days + 1), amount=0)

    def __call__(self, run: Run) -> None:
        """Move the bar to the day that the run has done."""
        at = (run["result"] or {}).get("progress")
        if at and run["status"] == "running":
            done = max(0, (date.fromisoformat(at["day"]) - self._first).days + 1)
            self._progress.update(self._task, completed=done, amount=done)


def over_days(
    client: Client, path: str, name: str, *, start: date | None = None, end: date | None = None, **params: object
) -> Run:
    """Do the run at `path`, which goes through the days from `start` to `end`, under a bar, and return it.

    Raises:
        ApiError, UnreachableError: see `cost_tracker.caller`.
        KeyboardInterrupt: Ctrl-C; what is done is kept, as the note says.
    """
    with bars("days") as progress:
        last = end or datetime.now(UTC).date()
        bar = Days(progress, name, start or _first_day(client, last), last)
        try:
            return client.run(path, None, bar, start=start, end=end, **params)
        except KeyboardInterrupt:
            kept(client)
            raise


def _first_day(client: Client, last: date) -> date:
    """Return the first day of the month in which usage begins, `last` where there is none or the key may not ask."""
    try:
        months = client.get("/api/usage/summary", group_by="month")["data"]
    except ApiError:
        return last
    return date.fromisoformat(months[-1]["period"]) if months else last


def kept(client: Client) -> None:
    """Say what becomes of a run that nobody waits for any more."""
    note(
        "It goes on in the service; look for it at /admin/runs."
        if client.is_remote
        else "Stopped. What is done is kept; the same command continues from there."
    )
