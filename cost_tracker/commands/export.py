"""`cost-tracker export`: every ledger line, as a file that people, spreadsheets and other programs read."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from datetime import date  # noqa: TC003 - Typer reads the annotations
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from cost_tracker.accounting.conversions import write_metadata
from cost_tracker.connection import AsJson, Key, Url, connected
from cost_tracker.exports import ENDINGS, FORMATS, Span, parts, spans, written
from cost_tracker.filters import Filters, Zone, filtered
from cost_tracker.options import day_option
from cost_tracker.output import ExitCode, answer, note, print_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import BinaryIO

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
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Write every line of the ledger, newest first, with all digits. Exit 3 if there is none.

    A file appears when it is whole: Ctrl-C leaves nothing, or the one that was there. With --json and no file the
    lines are JSON.

    Example: [bold]cost-tracker export --output november.csv --start-date 2026-11-01 --project PeakPaws[/bold]
    """
    if start_date and end_date and end_date < start_date:
        raise typer.BadParameter(f"{end_date} is before --start-date {start_date}; swap them.", param_hint="--end-date")
    is_file = output != _STDOUT
    if output.is_dir():
        raise typer.BadParameter(f"{output} is a directory; name a file in it.", param_hint="--output")
    name = form or _named(output, as_json=as_json and not is_file)
    with connected(url, key) as client:
        size = _write(client, FORMATS[name], output, Span(start_date, end_date), {**filters, "tz": tz})
        if size and is_file and FORMATS[name].has_metadata:
            write_metadata(client, output)
    if not size:
        note("No usage passes; nothing was written.")
        raise typer.Exit(ExitCode.NOTHING)
    if is_file and as_json:
        print_json({"path": str(output), "format": name, "bytes": size})
    elif is_file:
        answer(f"{output}: {name}, {_size(size)}")


def _write(client: Client, form: Format, output: Path, whole: Span, asked: Mapping[str, object]) -> int:
    """Write the joined parts as they come, with a bar, and return how many bytes they have; no bytes, no file."""
    from cost_tracker.progress import bars, megabytes  # noqa: PLC0415 - not for `--help`

    cut = spans(client, whole, asked)
    with bars("MB", 1, quiet=output == _STDOUT and sys.stdout.isatty()) as progress:
        task = progress.add_task("export", total=len(cut), amount=0.0)
        pieces = form.join(parts(client, form, cut, asked, lambda: progress.advance(task)))
        first = next(pieces, b"")
        if not first:
            return 0

        def copy(file: BinaryIO) -> int:
            size = 0
            for piece in chain((first,), pieces):
                size += file.write(piece)
                progress.update(task, amount=megabytes(size))
            file.flush()
            return size

        with nullcontext(sys.stdout.buffer) if output == _STDOUT else written(output) as file:
            if form.convert is None:
                mark = b"" if output == _STDOUT else form.mark
                return file.write(mark) + copy(file)
            with TemporaryDirectory(prefix="cost-tracker-") as directory:
                source = Path(directory, "lines.csv")
                with source.open("wb") as lines:
                    size = copy(lines)
                form.convert(client, source, file, {**asked, "start": whole.start, "end": whole.end})
            return size if output == _STDOUT else file.tell()


def _named(output: Path, *, as_json: bool) -> str:
    name = output.suffix.lower().removeprefix(".")
    name = ENDINGS.get(name, name)
    return "json" if as_json else name if name in FORMATS else _DEFAULT


def _size(size: int) -> str:
    for unit, scale in (("MB", 1_000_000), ("kB", 1000)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} bytes"
