"""Books: whatever happens to the ledger and to the exports, every dollar is handed out once."""

from __future__ import annotations

import hashlib
import tempfile
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cost_tracker.accounting.books import KEYS, BooksError, Figures, Key, opened, sum_up
from tests.unit.test_accounting import line_file

if TYPE_CHECKING:
    from collections.abc import Mapping

QUESTION = {"tracker": "this machine", "zone": "UTC", "filters": {"project": ["P"]}}
DAYS = [date(2026, 11, day) for day in range(1, 6)]
LEDGER = st.dictionaries(
    st.tuples(st.sampled_from(DAYS), st.sampled_from("ab")).map(lambda found: key(*found)),
    st.builds(Figures, cost=st.decimals(-1, 9, places=2), tokens=st.integers(0, 3)),
    max_size=6,
)
SPANS = st.tuples(st.none() | st.sampled_from(DAYS), st.none() | st.sampled_from(DAYS))


def key(day: date, project: str = "a") -> Key:
    return (day.isoformat(), *(project if name == "project" else "x" for name in KEYS[1:]))


def figures(cost: str, tokens: int = 0) -> Figures:
    return Figures(Decimal(cost), tokens=tokens)


def booked(home: Path, ledger: Mapping[Key, Figures], *span: date | None, name: str = "main") -> dict[Key, Figures]:
    """Export a ledger to books and return what was handed out."""
    start, end = span or (None, None)
    output = home / "out.csv"
    with opened(home, name, QUESTION) as books:
        inside = {
            key: found for key, found in ledger.items()
            if (start is None or key[0] >= start.isoformat()) and (end is None or key[0] <= end.isoformat())
        }  # fmt: skip
        postings = books.postings(inside, start, end)
        if postings:
            books.prepare(postings, output, "0")
            books.commit()
    return {posting.key: posting.now for posting in postings}


@given(st.lists(st.tuples(LEDGER, SPANS), max_size=6), LEDGER)
def test_all_exports_together_are_the_ledger(before: list[tuple[dict[Key, Figures], tuple[date | None, date | None]]],
                                             last: dict[Key, Figures]) -> None:  # fmt: skip
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        handed: dict[Key, Figures] = {}
        for ledger, span in [*before, (last, (None, None))]:
            for name, now in booked(home, ledger, *span).items():
                handed[name] = handed.get(name, Figures()).less(Figures().less(now))
        assert {name: found for name, found in handed.items() if found != Figures()} == {
            name: found for name, found in last.items() if found != Figures()
        }
        assert booked(home, last) == {}


def test_late_and_removed_usage_corrects_what_was_booked(tmp_path: Path) -> None:
    first, second = key(DAYS[0]), key(DAYS[1])
    assert booked(tmp_path, {first: figures("5"), second: figures("2")}) == {first: figures("5"), second: figures("2")}
    assert booked(tmp_path, {first: figures("5.5"), key(DAYS[0], "b"): figures("1")}) == {
        first: figures("0.5"), key(DAYS[0], "b"): figures("1"), second: figures("-2")
    }  # fmt: skip


def test_a_day_that_was_booked_is_corrected_and_another_is_new(tmp_path: Path) -> None:
    booked(tmp_path, {key(DAYS[0]): figures("5")})
    with opened(tmp_path, "main", QUESTION) as books:
        postings = books.postings({key(DAYS[0], "b"): figures("1"), key(DAYS[1]): figures("1")}, None, None)
    assert [(posting.key[0][-2:], posting.is_correction) for posting in postings] == [
        ("01", True), ("01", True), ("02", False)
    ]  # fmt: skip


def test_days_that_were_not_asked_for_stay_as_they_are(tmp_path: Path) -> None:
    booked(tmp_path, {key(day): figures("1") for day in DAYS})
    assert booked(tmp_path, {key(day): figures("2") for day in DAYS}, DAYS[1], DAYS[2]) == {
        key(DAYS[1]): figures("1"), key(DAYS[2]): figures("1")
    }  # fmt: skip
    assert len(booked(tmp_path, {key(day): figures("2") for day in DAYS})) == 3


def prepared(home: Path, output: Path, content: bytes) -> None:
    """Leave the books as a crash does: a file is promised, and nothing was committed."""
    with opened(home, "main", QUESTION) as books:
        postings = books.postings({key(DAYS[0]): figures("5")}, None, None)
        books.prepare(postings, output, hashlib.sha256(content).hexdigest())


def test_a_crash_before_the_file_is_complete_books_nothing(tmp_path: Path) -> None:
    prepared(tmp_path, tmp_path / "never-written.csv", b"rows")
    assert booked(tmp_path, {key(DAYS[0]): figures("5")}) == {key(DAYS[0]): figures("5")}
    (tmp_path / "older.csv").write_bytes(b"what was there before")
    prepared(tmp_path, tmp_path / "older.csv", b"rows")
    assert booked(tmp_path, {key(DAYS[0]): figures("5")}) == {}
    assert booked(tmp_path, {key(DAYS[0]): figures("6")}) == {key(DAYS[0]): figures("1")}


def test_a_crash_after_the_file_is_complete_books_it(tmp_path: Path) -> None:
    (tmp_path / "november.csv").write_bytes(b"rows")
    prepared(tmp_path, tmp_path / "november.csv", b"rows")
    assert booked(tmp_path, {key(DAYS[0]): figures("5")}) == {}


def test_what_held_before_is_kept(tmp_path: Path) -> None:
    booked(tmp_path, {key(DAYS[0]): figures("5")})
    booked(tmp_path, {key(DAYS[0]): figures("6")})
    folder = tmp_path / "books"
    (folder / "main.before.json").replace(folder / "main.json")
    assert booked(tmp_path, {key(DAYS[0]): figures("6")}) == {key(DAYS[0]): figures("1")}


def test_books_are_about_one_question_and_one_process(tmp_path: Path) -> None:
    booked(tmp_path, {key(DAYS[0]): figures("5")})
    with pytest.raises(BooksError, match="other books"), opened(tmp_path, "main", {**QUESTION, "zone": "Asia/Tokyo"}):
        pass
    with opened(tmp_path, "main", QUESTION), pytest.raises(BooksError, match="under way"):
        booked(tmp_path, {})
    assert booked(tmp_path, {}, name="others") == {}
    for name in ("", "../x", "a.pending", "a" * 61):
        with pytest.raises(BooksError, match="no name"), opened(tmp_path, name, QUESTION):
            pass


def test_a_home_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "books").write_text("a file")
    with pytest.raises(BooksError, match="COST_TRACKER_HOME"), opened(tmp_path, "main", QUESTION):
        pass


def test_lines_are_summed_by_day_in_the_zone(tmp_path: Path) -> None:
    source = line_file(tmp_path / "lines.csv", 3, recorded_at="2026-11-20T20:30:00Z", agent="'=x")
    found = sum_up(source, ZoneInfo("Asia/Tokyo"))
    [(name, sums)] = found.items()
    assert dict(zip(KEYS, name, strict=True)) | {"date": "2026-11-21", "agent": "'=x", "project": "P"} == dict(
        zip(KEYS, name, strict=True)
    )
    assert (sums.cost, sums.requests, sums.tokens) == (Decimal("0.3"), 3, 75)
