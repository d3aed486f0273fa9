"""How an import is shown: a bar while it works, and what it found and did at the end."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Self

from cost_tracker.output import answer, answers, count, money, note, show_table
from cost_tracker.progress import bars, megabytes

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
    """A bar for reading and one for sending; `quiet` ones are not seen."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._bars = {"reading": bars("MB", 1, quiet=quiet), "sending": bars("events", quiet=quiet)}
        self._shown: Progress | None = None
        self._task: TaskID | None = None
        self._done = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stop()

    def begin(self, what: str, whole: int) -> None:
        """Show the bar of this part."""
        self._stop()
        self._shown, self._done = self._bars[what], 0
        self._task = self._shown.add_task(what, total=whole, amount=0)
        self._shown.start()

    def advance(self, done: int) -> None:
        """Move it on."""
        self._done += done
        if self._shown is not None and self._task is not None:
            amount = megabytes(self._done) if self._shown is self._bars["reading"] else self._done
            self._shown.update(self._task, completed=self._done, amount=amount)

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
        "rejected": report.rejected,
        "reasons": dict(report.refused) | (dict(sent.reasons) if sent else {}),
        "notes": dict(report.noted),
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
        rows += [("  of these with other words, which stay", count(sent.differing))] if sent.differing else []
        rows += [("Corrected: fuller, or moved", count(sent.revised))] if sent.revised else []
        rows += [("Without a price", count(sent.unpriced.total()))] if sent.unpriced else []
        rows += [("Cost", money(sent.cost))] if dry_run else []
    rows += [("Rejected", count(report.rejected))] if report.rejected else []
    size = megabytes(report.bytes)
    pace = f", {size / report.seconds:,.0f} MB/s" if report.seconds and size >= 1 else ""
    title = f"Import{' (dry run, nothing stored)' if dry_run else ''}: {size:,.1f} MB in {report.seconds:.1f} s{pace}"
    show_table(answers(), title, ("", ""), rows)
    _say(report)


def _say(report: Report) -> None:
    for name in report.accounts:
        answer(f"The account {name} was made for this usage; it is not polled, so its figures are estimates.")
    for name, provider in sorted(report.own):
        if provider in report.polled:
            answer(
                f"{report.polled[provider]} is polled. If its bill holds this usage, it is counted beside {name} now; "
                f"import once more with --rescan --account {report.polled[provider]}."
            )
    for what, rows in report.noted.items():
        answer(f"{what}: {count(rows)}.")
    if report.sent:
        for model, rows in report.sent.unpriced.most_common(_SHOWN):
            near = report.sent.warnings.get(model, "")
            hint = f"; did you mean {near}" if near else "; `cost-tracker models price` sets one."
            note(f"No price is known for {model} ({_some(rows, 'event')}){hint}")
    reasons = report.refused + (report.sent.reasons if report.sent else Counter())
    for reason, rows in reasons.most_common(_SHOWN):
        note(f"Rejected {count(rows)}: {reason}")
    for problem in report.unreadable[:_SHOWN]:
        note(f"Cannot be read: {problem}")
    if report.unknown:
        passed = _some(len(report.unknown), "file")
        note(f"Passed over, of no format that is known: {passed}, such as {report.unknown[0]}.")


def _some(number: int, what: str) -> str:
    return f"{count(number)} {what}{'' if number == 1 else 's'}"
