"""`cost-tracker export`: every ledger line, as a file that people, spreadsheets and other programs read."""

from __future__ import annotations

import sys
from contextlib import closing, nullcontext
from datetime import date  # noqa: TC003 - Typer reads the annotations
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from cost_tracker.accounting.conversions import write_metadata
from cost_tracker.connection import AsJson, Key, Url, connected, load_settings
from cost_tracker.exports import ENDINGS, FORMATS, Span, parts, spans, written
from cost_tracker.filters import Filters, Zone, filtered
from cost_tracker.options import day_option
from cost_tracker.output import ExitCode, answer, money, note, print_json

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from cost_tracker.client import Client
    from cost_tracker.exports import Format

_STDOUT = Path("-")
_DEFAULT = "csv"


def _format(text: str) -> str:
    if text not in FORMATS:
        raise typer.BadParameter(f"{text!r} is none of {', '.join(FORMATS)}.")
    return text


@filtered
def export(  # noqa: PLR0913 - the options of the command
    *,
    filters: Filters,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            parser=_format,
            metavar="FORMAT",
            help=f"{', '.join(FORMATS)}; default by the name of the file, else {_DEFAULT}.",
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Where to; default standard output.")
    ] = _STDOUT,
    start_date: Annotated[date | None, day_option("First day; default: from the beginning.")] = None,
    end_date: Annotated[date | None, day_option("Last day; default: until now.")] = None,
    tz: Zone = None,
    since_last: Annotated[
        bool, typer.Option("--since-last", help="Only what is new or corrected since the last export to the books.")
    ] = False,
    books: Annotated[
        str, typer.Option(metavar="NAME", help="Books of --since-last; they are kept in the home.")
    ] = "main",
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Write every line of the ledger, newest first, with all digits. Exit 3 if there is none.

    A file appears when it is whole: Ctrl-C leaves nothing, or the one that was there. With --json and no file the
    lines are JSON.

    With --since-last a csv or xlsx file has what is to be booked, by day, model, project and the like: the difference
    to all exports to the same books before. Exit 3 if there is none.

    Example: [bold]cost-tracker export --output november.csv --start-date 2026-11-01 --project PeakPaws[/bold]
    """
    if start_date and end_date and end_date < start_date:
        raise typer.BadParameter(f"{end_date} is before --start-date {start_date}; swap them.", param_hint="--end-date")
    is_file = output != _STDOUT
    if output.is_dir():
        raise typer.BadParameter(f"{output} is a directory; name a file in it.", param_hint="--output")
    name = form or _named(output, as_json=as_json and not is_file)
    span, asked = Span(start_date, end_date), {**filters, "tz": tz}
    with connected(url, key) as client:
        if since_last:
            _book(client, books, output, name, span, asked, as_json=as_json)
            return
        size = _write(client, FORMATS[name], output, span, asked)
        if size and is_file and FORMATS[name].has_metadata:
            write_metadata(client, output)
    if not size:
        note("No usage passes; nothing was written.")
        raise typer.Exit(ExitCode.NOTHING)
    if is_file and as_json:
        print_json({"path": str(output), "format": name, "bytes": size})
    elif is_file:
        answer(f"{output}: {name}, {_size(size)}")


def _book(
    client: Client, books: str, output: Path, name: str, span: Span, asked: Mapping[str, object], *, as_json: bool
) -> None:
    """Write and book what is new or corrected."""
    from cost_tracker.accounting import since_last  # noqa: PLC0415 - not for `--help`

    if output == _STDOUT or name not in since_last.WRITERS:
        raise typer.BadParameter("It takes --output and csv or xlsx.", param_hint="--since-last")

    def fetch(path: Path) -> None:
        with path.open("wb") as file:
            for piece in _pieces(client, FORMATS["csv"], span, asked):
                file.write(piece)

    whole = {**asked, "start": span.start, "end": span.end}
    booked = since_last.export(client, load_settings().home, books, output, name, whole, fetch)
    if booked is None:
        note("Nothing is new or changed since the last export; nothing was written.")
        raise typer.Exit(ExitCode.NOTHING)
    if as_json:
        print_json(
            {"path": str(output), "format": name, "bytes": booked.size, "books": books, "new": booked.new}
            | {"corrections": booked.corrections, "cost_usd": booked.cost}
        )
    else:
        answer(f"{output}: {booked.new} new, {booked.corrections} corrected, {money(booked.cost)} to book")


def _write(client: Client, form: Format, output: Path, span: Span, asked: Mapping[str, object]) -> int:
    """Write an export, and return how many bytes it has; no bytes, no file."""
    from cost_tracker.progress import bars, megabytes  # noqa: PLC0415 - not for `--help`

    is_stream = output == _STDOUT
    with closing(_pieces(client, form, span, asked, quiet=is_stream and sys.stdout.isatty())) as pieces:
        first = next(pieces, b"")
        if not first:
            return 0
        with nullcontext(sys.stdout.buffer) if is_stream else written(output) as file:
            if form.convert is None:
                size = file.write(first if is_stream else form.mark + first) + sum(map(file.write, pieces))
                file.flush()
                return size
            with TemporaryDirectory(prefix="cost-tracker-") as directory:
                source = Path(directory, "whole.csv")
                with source.open("wb") as whole:
                    size = sum(map(whole.write, chain((first,), pieces)))
                with bars("MB", 1, quiet=is_stream and sys.stdout.isatty()) as progress:
                    task = progress.add_task("convert", total=size, amount=0.0)
                    form.convert(
                        client, source, file, {**asked, "start": span.start, "end": span.end},
                        lambda read: progress.update(task, completed=read, amount=megabytes(read)),
                    )  # fmt: skip
            return size if is_stream else file.tell()


def _pieces(
    client: Client, form: Format, span: Span, asked: Mapping[str, object], *, quiet: bool = False
) -> Generator[bytes, None, None]:
    """Yield an export as it comes, under a bar."""
    from cost_tracker.progress import bars, megabytes  # noqa: PLC0415 - not for `--help`

    cut, size = spans(client, span, asked), 0
    with bars("MB", 1, quiet=quiet) as progress:
        task = progress.add_task("export", total=len(cut), amount=0.0)
        for piece in form.join(parts(client, form, cut, asked, lambda: progress.advance(task))):
            size += len(piece)
            progress.update(task, amount=megabytes(size))
            yield piece


def _named(output: Path, *, as_json: bool) -> str:
    name = output.suffix.lower().removeprefix(".")
    name = ENDINGS.get(name, name)
    return "json" if as_json else name if name in FORMATS else _DEFAULT


def _size(size: int) -> str:
    for unit, scale in (("MB", 1_000_000), ("kB", 1000)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} bytes"
