"""What is new in files: appended, replaced, truncated, renamed, and what a run remembers."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

import pytest

from cost_tracker.imports.dedupe import Stored
from cost_tracker.imports.files import Plan, Target, plan, state_of
from cost_tracker.imports.folders import project_of
from cost_tracker.imports.scan import read_all
from cost_tracker.imports.state import State
from cost_tracker.imports.units import DIRECT, Terms, Unit
from shared.core.projects import Rule
from tests.fixtures.claude_lines import answer, append, usage, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    found = State(tmp_path / "home" / "imports" / "x.sqlite")
    yield found
    found.close()


def look(state: State, path: Path, since: str = "") -> Plan:
    return plan([Target(path, None)], state.files(), since)


def settle(state: State, found: Plan, since: str = "") -> list[int]:
    """Read what there is, remember it, and return the tokens of each response."""
    read = list(read_all(found.pieces, Terms(since=since)))
    states = [state_of(each.piece, each.reading.end, since, is_held=each.reading.is_held) for each in read]
    state.save_files([each for each in states if each is not None])
    return sorted(unit.total for each in read for unit in each.reading.units)


def test_only_what_was_appended_is_read(state: State, tmp_path: Path) -> None:
    log = write(tmp_path / "logs" / "a.jsonl", answer("a", "r", usage(1)))
    write(tmp_path / "logs" / "b.jsonl", answer("b", "r", usage(2)))
    (tmp_path / "logs" / "notes.txt").write_text("not a log")
    assert settle(state, look(state, tmp_path / "logs")) == [1, 2]
    again = look(state, tmp_path / "logs")
    assert (again.pieces, again.unchanged, again.unknown) == ([], 2, [])
    size = log.stat().st_size
    write(tmp_path / "more.jsonl", answer("c", "r", usage(3)))
    append(log, (tmp_path / "more.jsonl").read_text())
    found = look(state, tmp_path / "logs")
    assert [(piece.begin, piece.path) for piece in found.pieces] == [(size, str(log))]
    assert settle(state, found) == [3]


def test_a_file_that_became_another_is_read_whole(state: State, tmp_path: Path) -> None:
    log = write(tmp_path / "a.jsonl", answer("a", "r", usage(1)), answer("b", "r", usage(2)))
    settle(state, look(state, log))
    # Written anew in place, and longer than before.
    write(log, *(answer(name, "r", usage(5)) for name in "xyz"))
    assert settle(state, look(state, log)) == [5, 5, 5]
    # Truncated.
    write(log, answer("x", "r", usage(5)))
    assert settle(state, look(state, log)) == [5]
    # Replaced by another one of the same length.
    other = write(tmp_path / "new", answer("q", "r", usage(6)))
    os.replace(other, log)  # noqa: PTH105 - what editors do
    assert settle(state, look(state, log)) == [6]


def test_a_renamed_file_is_known(state: State, tmp_path: Path) -> None:
    log = write(tmp_path / "logs" / "a.jsonl", answer("a", "r", usage(1)))
    settle(state, look(state, tmp_path / "logs"))
    log.rename(tmp_path / "logs" / "b.jsonl")
    assert look(state, tmp_path / "logs").unchanged == 1


def test_what_was_left_out_then_is_read_when_asked_for(state: State, tmp_path: Path) -> None:
    log = write(
        tmp_path / "a.jsonl", answer("a", "r", usage(1)), answer("b", "r", usage(2), at="2026-11-20T10:00:00.000Z")
    )
    late, early = "2026-11-20T00:00:00.000Z", "2026-11-19T00:00:00.000Z"
    assert settle(state, look(state, log, late), late) == [2]
    assert look(state, log, late).unchanged == 1
    assert settle(state, look(state, log, early), early) == [1, 2]
    assert settle(state, look(state, log)) == [1, 2]


def test_a_file_is_read_once_however_often_it_is_named(state: State, tmp_path: Path) -> None:
    log = write(tmp_path / "a.jsonl", answer("a", "r", usage(1)))
    (tmp_path / "link.jsonl").symlink_to(log)
    found = plan([Target(tmp_path, None), Target(log, None)], state.files(), "")
    assert len(found.pieces) == 1


def test_a_file_that_is_gone_is_said_so(tmp_path: Path) -> None:
    log = write(tmp_path / "a.jsonl", answer("a", "r", usage(1)))
    found = plan([Target(log, None)], {}, "")
    log.unlink()
    [read] = read_all(found.pieces, Terms())
    assert "No such file" in read.problem


def test_processes_find_what_one_finds(tmp_path: Path) -> None:
    for number in range(6):
        write(tmp_path / f"{number}.jsonl", *(answer(f"m{number}-{n}", "r", usage(n)) for n in range(50)))
    found = plan([Target(tmp_path, None)], {}, "")
    whole = [
        sorted(u for read in read_all(found.pieces, Terms(), count) for u in read.reading.units) for count in (1, 2)
    ]
    assert whole[0] == whole[1]
    assert len(whole[0]) == 300


def test_what_the_ledger_answered_is_kept(state: State) -> None:
    unit = Unit(b"g", b"p", DIRECT, 5, "2026-11-19T10:00:00.000Z", b'{"event_id":"e"}', 1)
    state.save_units([], [], [unit])
    assert (state.refused(), state.stored([b"g"])) == ([unit], {})
    state.save_units([(unit, (7, 8))], [], [])
    stored = Stored(b"g", b"p", DIRECT, 5, (7, 8))
    assert (state.refused(), state.stored([b"g", b"h"])) == ([], {b"g": [stored]})
    state.save_note("witness", "7 e")
    state.save_units([], [stored], [])
    assert state.stored([b"g"]) == {}
    assert (state.note("witness"), state.note("other")) == ("7 e", "")
    state.forget()
    assert state.note("witness") == ""


def test_a_broken_state_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    path.write_bytes(b"this is no database" * 100)
    state = State(path)
    assert state.files() == {}
    state.close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    state = State(path)
    assert state.stored([b"g"]) == {}
    state.close()


@pytest.mark.parametrize(
    ("cwd", "root", "project"),
    [
        ("/home/me/atlas", "", "atlas"),
        ("/home/me/atlas/web", "/home/me/atlas", "atlas"),
        ("/home/me/atlas-2", "/home/me/atlas", "atlas-2"),
        ("", "/home/me/atlas", "atlas"),
        ("/home/me/atlas/.claude/worktrees/fix-1", "", "atlas"),
        ("C:\\Users\\me\\beacon", "", "beacon"),
        ("C:\\", "", None),
        ("/", "", None),
        ("", "", None),
        ("/srv/peakpaws-api", "", "PeakPaws"),
        ("/srv/general-store", "", "General"),
    ],
)
def test_which_project_a_folder_is(cwd: str, root: str, project: str | None) -> None:
    rules = (Rule("peakpaws-*", "PeakPaws", 10, 1), Rule("general-*", "General", 10, 2), Rule("*", "Rest", 0, 3))
    assert project_of(cwd, root, rules) == project
