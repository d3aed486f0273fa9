"""How the command line writes: money, counts, tables, JSON; answers on stdout, everything else on stderr."""

from __future__ import annotations

import os
import sys
from decimal import ROUND_HALF_EVEN, Context, Decimal
from enum import IntEnum
from typing import TYPE_CHECKING

from shared.core import jsontext

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console
    from rich.text import Text

    from cost_tracker.client import ApiError
    from shared.errors import CostTrackerError

_CENT, _MILLIONTH, _MOST = Decimal("0.01"), Decimal("1E-6"), Decimal("1E-10")
_SMALL_DIGITS = 6
_ROUNDING = Context(prec=60, rounding=ROUND_HALF_EVEN)
# A file or a pipe has no width; Rich would take 80 columns and break names.
_PIPED_WIDTH = 140
_UNAUTHORIZED = 401


class ExitCode(IntEnum):
    """What the process ends with; usage errors end with 2, Ctrl-C with 130."""

    DONE = 0
    FAILED = 1
    NOTHING = 3


def money(amount: Decimal | int) -> str:
    """Write USD for people: two decimals from one dollar on, below that six; below one cent all that say something.

    `$1,234.57`, `$0.031325`, `$0.009700`, `$0.0000001` (at most ten decimals), `$0.00`, `-$0.500000`.
    """
    size = abs(Decimal(amount))
    if not size:
        return "$0.00"
    if size >= 1:
        text = f"{_ROUNDING.quantize(size, _CENT):,}"
    elif size >= _CENT:
        text = format(_ROUNDING.quantize(size, _MILLIONTH), "f")
    else:
        whole, _, digits = format(_ROUNDING.quantize(size, _MOST), "f").partition(".")
        text = f"{whole}.{digits.rstrip('0').ljust(_SMALL_DIGITS, '0')}"
    return f"{'-' if amount < 0 else ''}${text}"


def count(number: int) -> str:
    """Write a count with separators: `1,234,567`."""
    return f"{number:,}"


def clean(text: object) -> Text:
    """Return a name as it is safe to print: no markup, no control characters that a terminal would obey."""
    from rich.text import Text  # noqa: PLC0415 - `--help` does without Rich's renderers

    return Text(_plain(str(text)))


def answers() -> Console:
    """Return the console that answers go to; without colour unless it is a terminal."""
    return _console(stderr=False)


def messages() -> Console:
    """Return the console of progress bars."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    from rich.console import Console  # noqa: PLC0415 - `--help` does without Rich's renderers

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else _PIPED_WIDTH
    return Console(stderr=stderr, width=width, highlight=False)


def show_table(
    console: Console, title: str, names: Sequence[str], rows: Iterable[Sequence[object]], *, text_columns: int = 1
) -> None:
    """Print a table under its title; its first columns are text, the others figures, aligned to the right.

    Without any name there is no header.
    """
    from rich import box  # noqa: PLC0415 - `--help` does without Rich's renderers
    from rich.table import Table  # noqa: PLC0415 - the same

    found = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_header=any(names))
    for index, name in enumerate(names):
        found.add_column(name, justify="left" if index < text_columns else "right", overflow="fold")
    for row in rows:
        found.add_row(*(clean(cell) for cell in row))
    heading = clean(title)
    heading.stylize("bold")
    console.print(heading)
    console.print(found)


def print_json(value: object) -> None:
    """Write one line of JSON, Decimals with all of their digits."""
    sys.stdout.write(f"{jsontext.dumps(value)}\n")


def answer(line: str) -> None:
    """Write a line of the answer to stdout."""
    sys.stdout.write(f"{_plain(line)}\n")


def note(line: str) -> None:
    """Write a line for people, not for programs: to stderr."""
    sys.stderr.write(f"{_plain(line)}\n")
    sys.stderr.flush()


def complain(error: CostTrackerError) -> None:
    """Write an error's sentence, what was wrong with each field, and what helps against a refused key."""
    note(f"cost-tracker: {error}")
    if hasattr(error, "status"):
        refused: ApiError = error  # type: ignore[assignment] # importing the class would import httpx for --help
        for detail in refused.details[1:]:
            note(f"  {detail.get('field')}: {detail.get('message')}")
        if refused.status == _UNAUTHORIZED:
            note("  Give the key with --key, or set COST_TRACKER_KEY.")


def _plain(text: str) -> str:
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
