"""One export to books: what is new or changed since the last one, in a file that is whole before the books say so."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from cost_tracker.accounting import postings
from cost_tracker.accounting.books import opened, sum_up
from cost_tracker.accounting.conversions import circumstances
from cost_tracker.exports import written
from shared.core.money import total

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from decimal import Decimal
    from typing import Any

    from cost_tracker.client import Client

WRITERS = {"csv": postings.to_csv, "xlsx": postings.to_workbook}


@dataclass(frozen=True, slots=True)
class Booked:
    """What an export handed out: rows that are new and rows that correct, their cost in USD, the file's bytes."""

    new: int
    corrections: int
    cost: Decimal
    size: int


def export(
    client: Client,
    home: Path,
    name: str,
    output: Path,
    form: str,
    asked: Mapping[str, Any],
    fetch: Callable[[Path], None],
) -> Booked | None:
    """Write to `output` what is to be booked under `name`, and book it; None where nothing is, and there is no file.

    Args:
        client: of the tracker in question.
        home: where books are kept.
        name: of the books.
        output: the file.
        form: one of `WRITERS`.
        asked: filters, `tz`, `start` and `end`.
        fetch: writes the CSV of the lines in question to a path.

    Raises:
        BooksError: the books are in use, or about something else.
        ExportError: the file cannot be written.
    """
    zone, about, is_demo = circumstances(client, asked)
    question = {
        "tracker": client.address if client.is_remote else "this machine",
        "demo": is_demo,
        "zone": zone.key,
        "filters": {name: values for name, values in asked.items() if isinstance(values, list)},
    }
    with opened(home, name, question) as books, TemporaryDirectory(prefix="cost-tracker-") as directory:
        source = Path(directory, "lines.csv")
        fetch(source)
        found = books.postings(sum_up(source, zone), asked["start"], asked["end"])
        if not found:
            return None
        held = io.BytesIO()
        WRITERS[form](found, held, {"Books": name, **about})
        content = held.getvalue()
        with written(output) as file:
            file.write(content)
            books.prepare(found, output, hashlib.sha256(content).hexdigest())
        books.commit()
    corrections = sum(posting.is_correction for posting in found)
    cost = total(posting.now.cost for posting in found)
    return Booked(len(found) - corrections, corrections, cost, len(content))
