"""How an import is shown: a bar while it works, and what it found and did at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from cost_tracker.output import answer, answers, count, messages, money, note, show_table

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from cost_tracker.imports.work import Report

_DROPPED = {
    "streamed": "streamed: the same response, written block by block",
    "nested": "inside of progress lines of the parent",
    "replayed": "side chains that repeat their parent",
    "copied": "copied by resumed or forked sessions",
    "imported before": "imported before",
}
_SHOWN = 5


class Bars:
    """A bar for reading and one for sending, with rate and time left; nothing where stderr is no terminal."""

    def __init__(self) -> None:
        from rich.progress import (  # noqa: PLC0415 - not for `--help`
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        columns = (
            TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
            TimeRemainingColumn(),
        )  # fmt: skip
        rows = (
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,.0f} of {task.total:,.0f}"),
            TextColumn("{task.fields[rate]} events/s"), TimeRemainingColumn(),
        )  # fmt: skip
        self._bars: dict[str, Progress] = {
            "reading": Progress(*columns, console=messages(), transient=True),
            "sending": Progress(*rows, console=messages(), transient=True),
        }
        self._shown: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stop()

    def begin(self, what: str, whole: int) -> None:
        """Show the bar of this part."""
        self._stop()
        self._shown = self._bars[what]
        self._task = self._shown.add_task(what, total=whole, rate="?")
        self._shown.start()

    def advance(self, done: int) -> None:
        """Move it on."""
        if self._shown is not None and self._task is not None:
            self._shown.advance(self._task, done)
            speed = self._shown.tasks[-1].speed
            self._shown.update(self._task, rate="?" if speed is None else count(int(speed)))

    def _stop(self) -> None:
        if self._shown is not None:
            self._shown.stop()
            self._shown = None


def as_json(report: Report, *, dry_run: bool) -> dict[str, Any]:
    """Return the report as `--json` prints it: counts of files, lines and events; `cost` (USD) only of a dry run."""
    sent = report.sent
    found: dict[str, Any] = {
        "dry_run": dry_run,
        "files": report.files,
        "unchanged_files": report.unchanged,
        "unknown_files": report.unknown,
        "unreadable_files": report.unreadable,
        "bytes": report.bytes,
        "lines": report.lines,
        "kept": report.kept,
        "dropped": dict(report.dropped),
        "skipped": dict(report.skipped),
        "created": sent.created if sent else 0,
        "already_there": sent.already if sent else 0,
        "revised": sent.revised if sent else 0,
        "rejected": sent.rejected if sent else 0,
        "reasons": dict(sent.reasons) if sent else {},
        "unpriced": dict(sent.unpriced) if sent else {},
        "accounts_made": report.accounts,
    }
    return found | ({"cost": sent.cost} if dry_run and sent else {})


def show(report: Report, *, dry_run: bool) -> None:
    """Print the report for people."""
    sent = report.sent
    rows: list[tuple[str, str]] = [
        ("Files read", count(report.files)),
        ("Files without anything new", count(report.unchanged)),
        ("Lines", count(report.lines)),
        ("Events kept", count(report.kept)),
    ]
    rows += [(f"Dropped, {_DROPPED.get(name, name)}", count(n)) for name, n in report.dropped.items() if n]
    rows += [(f"Left out, {name}", count(n)) for name, n in report.skipped.items()]
    if sent:
        rows += [
            ("Would be created" if dry_run else "Created", count(sent.created)),
            ("Already there", count(sent.already)),
        ]
        rows += [("Replaced by a fuller version", count(sent.revised))] if sent.revised else []
        rows += [("Without a price", count(sent.unpriced.total()))] if sent.unpriced else []
        rows += [("Rejected", count(sent.rejected))] if sent.rejected else []
        rows += [("Cost", money(sent.cost))] if dry_run else []
    megabytes = report.bytes / 1e6
    pace = f", {megabytes / report.seconds:,.0f} MB/s" if report.seconds and megabytes >= 1 else ""
    title = (
        f"Import{' (dry run, nothing stored)' if dry_run else ''}: {megabytes:,.1f} MB in {report.seconds:.1f} s{pace}"
    )
    show_table(answers(), title, ("", ""), rows)
    _say(report)


def _say(report: Report) -> None:
    for name in report.accounts:
        answer(f"The account {name} was made for this usage; it is not polled, so its figures are estimates.")
    for line in report.notes:
        answer(line)
    if report.sent:
        for model, rows in report.sent.unpriced.most_common(_SHOWN):
            near = report.sent.warnings.get(model, "")
            hint = f"; did you mean {near}" if near else "; `cost-tracker models price` sets one."
            note(f"No price is known for {model} ({count(rows)} events){hint}")
        for reason, rows in report.sent.reasons.most_common(_SHOWN):
            note(f"Rejected {count(rows)}: {reason}")
    for problem in report.unreadable[:_SHOWN]:
        note(f"Cannot be read: {problem}")
    if report.unknown:
        listed = ", ".join(report.unknown[:_SHOWN])
        note(f"Of no format that is known, {count(len(report.unknown))}: {listed}. --format names one.")
