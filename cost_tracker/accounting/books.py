"""Books: what was exported for accounting before, so that every dollar is handed out once.

What is kept is not a time but the figures themselves, by day and everything an accountant tells apart. An export is the
difference between the ledger and the books: usage that is new, and corrections of what was booked, whatever they come
from (late events, restated reports, new prices, voids, edits, other projects). All exports to the same books together
are the ledger, exactly. Times would lose what is removed and what is committed late.

An export is recorded in two steps around the moment its file appears under its name. Whoever opens the books after a
crash sees by the file's digest on which side of that moment it was.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from cost_tracker.accounting.lines import Sums, instant, read
from shared.core import jsontext
from shared.core.money import CONTEXT
from shared.errors import CostTrackerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date
    from zoneinfo import ZoneInfo

# What postings are told apart by, the day first.
KEYS = ("date", "provider", "account", "model", "project", "agent", "user", "category", "session_type")
Key: TypeAlias = tuple[str, ...]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}", re.ASCII)
_FOLDER = "books"


class BooksError(CostTrackerError):
    """Use other books, or ask what these were begun with."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What is booked under one key: USD, requests, tokens of every class, and those of them that had no price."""

    cost: Decimal = Decimal(0)
    requests: int = 0
    tokens: int = 0
    unpriced_tokens: int = 0

    def less(self, other: Figures) -> Figures:
        """Return the difference."""
        return Figures(
            CONTEXT.subtract(self.cost, other.cost),
            self.requests - other.requests,
            self.tokens - other.tokens,
            self.unpriced_tokens - other.unpriced_tokens,
        )


_NOTHING = Figures()


@dataclass(frozen=True, slots=True)
class Posting:
    """One row to book: `now` is the difference to what was booked `before`."""

    key: Key
    now: Figures
    before: Figures
    is_correction: bool


class Books:
    """The books of one name, while they are open; `opened` gives them."""

    def __init__(self, path: Path, question: Mapping[str, Any], booked: dict[Key, Figures]) -> None:
        self._path = path
        self._question = question
        self._booked = booked

    def postings(self, found: Mapping[Key, Figures], start: date | None, end: date | None) -> list[Posting]:
        """Return what is to be booked so that the books say of `[start, end]` what was found there, by day."""
        days = {key[0] for key in self._booked}
        inside = {key for key in self._booked if _is_inside(key[0], start, end)}
        return [
            Posting(key, now, before, key[0] in days)
            for key in sorted({*found, *inside})
            if (now := found.get(key, _NOTHING).less(before := self._booked.get(key, _NOTHING))) != _NOTHING
        ]

    def prepare(self, postings: list[Posting], output: Path, digest: str) -> None:
        """Note what the books say once a file with that SHA-256 is there; before it is."""
        after = dict(self._booked)
        for posting in postings:
            total = posting.now.less(_NOTHING.less(posting.before))
            if total == _NOTHING:
                after.pop(posting.key, None)
            else:
                after[posting.key] = total
        content = {
            "question": self._question,
            "output": str(output.resolve()),
            "sha256": digest,
            "booked": [
                [*key, figures.cost, figures.requests, figures.tokens, figures.unpriced_tokens]
                for key, figures in sorted(after.items())
            ],
        }
        with _pending(self._path).open("w", encoding="utf-8") as file:
            file.write(jsontext.dumps(content))
            file.flush()
            os.fsync(file.fileno())

    def commit(self) -> None:
        """Make what was prepared hold; what held before is kept beside it, for whoever has to take an export back."""
        if self._path.exists():
            self._path.replace(self._path.with_suffix(".before.json"))
        _pending(self._path).replace(self._path)


@contextmanager
def opened(home: Path, name: str, question: Mapping[str, Any]) -> Iterator[Books]:
    """Yield the books of that name, begun where there are none, and keep other processes out of them.

    `question` is what they are about: tracker, zone, filters.

    Raises:
        BooksError: no name, another question than they were begun with, or another process has them open.
    """
    if not _NAME.fullmatch(name):
        raise BooksError(f"{name!r} is no name for books; use letters, digits and dashes.")
    path = home / _FOLDER / f"{name}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with path.with_suffix(".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BooksError(f"Another export to the books {name} is under way; wait for it.") from None
            _recover(path)
            yield _load(path, name, question)
    except OSError as error:
        raise BooksError(f"{path.parent} cannot be written ({error.strerror}); set COST_TRACKER_HOME.") from error


def sum_up(source: Path, zone: ZoneInfo) -> dict[Key, Figures]:
    """Sum the lines of a CSV export by `KEYS`, days in `zone`."""
    found: dict[Key, Sums] = {}
    for line in read(source):
        key = (instant(line, zone).date().isoformat(), *(line[name] for name in KEYS[1:]))
        found.setdefault(key, Sums()).add(line)
    return {
        key: Figures(sums.cost, sums.requests, sum(sums.tokens), sums.unpriced_tokens) for key, sums in found.items()
    }


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _recover(path: Path) -> None:
    """Finish an export whose file was complete, forget one whose file was not."""
    pending = _pending(path)
    if not pending.exists():
        return
    try:
        said = jsontext.loads(pending.read_bytes())
        is_complete = digest_of(Path(said["output"])) == said["sha256"]
    except (OSError, ValueError, KeyError):
        is_complete = False
    if is_complete:
        pending.replace(path)
    else:
        pending.unlink()


def _load(path: Path, name: str, question: Mapping[str, Any]) -> Books:
    if not path.exists():
        return Books(path, question, {})
    said = jsontext.loads(path.read_bytes())
    if said["question"] != jsontext.loads(jsontext.dumps(question)):
        begun = jsontext.dumps(said["question"])
        raise BooksError(f"The books {name} are about {begun}; ask for the same again, or name other books.")
    keys = len(KEYS)
    booked = {tuple(row[:keys]): Figures(Decimal(row[keys]), *row[keys + 1 :]) for row in said["booked"]}
    return Books(path, question, booked)


def _pending(path: Path) -> Path:
    return path.with_suffix(".pending.json")


def _is_inside(day: str, start: date | None, end: date | None) -> bool:
    return (start is None or day >= start.isoformat()) and (end is None or day <= end.isoformat())
