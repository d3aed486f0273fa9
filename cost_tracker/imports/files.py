"""Which files to read, and from where on: what is named, what is new in it, and what was replaced."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from cost_tracker.imports import heads
from cost_tracker.imports.registry import FORMATS
from cost_tracker.imports.state import FileState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

_MARK = 4096


class Target(NamedTuple):
    """A file or folder to import; without a `format` each file is recognised."""

    path: Path
    format: str | None


class Piece(NamedTuple):
    """A file to read from the byte `begin` on, with what `stat` said of it before."""

    path: str
    format: str
    begin: int
    stat: os.stat_result

    @property
    def size(self) -> int:
        """How many bytes are to be read."""
        return max(0, self.stat.st_size - self.begin)


@dataclass(slots=True)
class Plan:
    """What a run has to read. `unknown` are files whose format nobody knows, `unchanged` counts those read before."""

    pieces: list[Piece] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    unchanged: int = 0

    @property
    def files(self) -> int:
        """How many files were recognised."""
        return len(self.pieces) + self.unchanged


def plan(targets: Iterable[Target], known: Mapping[str, FileState], since: str) -> Plan:
    """Return what there is to read, given what was read before; each file once, in the order of their paths."""
    found = Plan()
    inodes = {(state.device, state.inode): state for state in known.values()}
    seen: set[tuple[int, int]] = set()
    for target in targets:
        is_named = FORMATS[target.format].is_named if target.format else _is_named
        for path, stat in sorted(_walk(str(target.path), is_named), key=lambda entry: entry[0]):
            if (stat.st_dev, stat.st_ino) in seen:
                continue
            seen.add((stat.st_dev, stat.st_ino))
            before = known.get(path) or inodes.get((stat.st_dev, stat.st_ino))
            try:
                _consider(found, target, path, stat, before, since)
            except OSError as error:
                found.unreadable.append(f"{path}: {error.strerror}")
    return found


def state_of(piece: Piece, end: int, since: str, *, is_held: bool) -> FileState | None:
    """Return what to remember of a file that was read up to the byte `end`, None where it is gone by now.

    A held one is looked at again.
    """
    stat = piece.stat
    try:
        mark = _mark(piece.path, end)
    except OSError:
        return None
    return FileState(
        piece.path, piece.format, stat.st_dev, stat.st_ino, end if is_held else stat.st_size, stat.st_mtime_ns, end,
        mark, since,
    )  # fmt: skip


def _consider(
    found: Plan, target: Target, path: str, stat: os.stat_result, before: FileState | None, since: str
) -> None:
    name = target.format or (before.format if before else None)
    # What was left out then may be asked for now.
    is_usable = before is not None and before.format == name and before.since <= since
    if before is not None and is_usable and _is_untouched(before, stat):
        found.unchanged += 1
        return
    if name is None:
        with open(path, "rb") as file:  # noqa: PTH123 - thousands of files, whose paths are texts
            head = file.read(heads.SIZE)
        name = next((form.name for form in FORMATS.values() if form.is_ours(path, head)), None)
        if name is None:
            found.unknown.append(path)
            return
    begin = 0
    if before is not None and is_usable and FORMATS[name].grows and stat.st_size >= before.end:
        begin = before.end if _mark(path, before.end) == before.mark else 0
    found.pieces.append(Piece(path, name, begin, stat))


def _is_untouched(before: FileState, stat: os.stat_result) -> bool:
    return (before.device, before.inode, before.size, before.modified) == (
        stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns,
    )  # fmt: skip


def _mark(path: str, end: int) -> bytes:
    """Return a digest of the first bytes of a file and of those before `end`: another file has others."""
    found = blake2b(digest_size=16)
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - as above
        found.update(file.read(min(_MARK, end)))
        file.seek(max(0, end - _MARK))
        found.update(file.read(min(_MARK, end)))
    return found.digest()


def _is_named(path: str) -> bool:
    return any(form.is_named(path) for form in FORMATS.values())


def _walk(path: str, is_named: Callable[[str], bool]) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the file at a path, or those below it that may be of a format; links to folders are not followed."""
    if not os.path.isdir(path):  # noqa: PTH112 - as above
        yield path, os.stat(path)  # noqa: PTH116 - as above
        return
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path, is_named)
            elif is_named(entry.path) and entry.is_file():
                yield entry.path, entry.stat()
