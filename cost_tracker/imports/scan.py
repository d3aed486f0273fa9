"""Files read by several processes at once, because decoding is what takes the time."""

from __future__ import annotations

import multiprocessing
import os
import signal
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from cost_tracker.imports.registry import FORMATS
from cost_tracker.imports.units import Reading

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cost_tracker.imports.files import Piece
    from cost_tracker.imports.units import Terms

# Starting processes takes longer than reading less than this.
_WORTH_IT = 48 << 20
# What one process gets at a time: small enough for a progress bar, large enough that asking costs nothing.
_SHARE = 16 << 20
_MOST = 4


class Read(NamedTuple):
    """A piece with what was found in it, or why it could not be read."""

    piece: Piece
    reading: Reading
    problem: str = ""


def read_all(pieces: Sequence[Piece], terms: Terms, processes: int | None = None) -> Iterator[Read]:
    """Yield what is in each piece, in any order; a file that cannot be read is one that says so.

    `processes` is how many read; left out, as many as are worth starting.
    """
    if processes is None:
        is_worth_it = sum(piece.size for piece in pieces) >= _WORTH_IT
        processes = min(os.cpu_count() or 1, _MOST, len(pieces)) if is_worth_it else 1
    if processes < 2:  # noqa: PLR2004 - two is where several begins
        for piece in pieces:
            yield _read(piece, terms)
        return
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        shares = _shares(pieces)
        with _uninterrupted():
            waiting = {pool.submit(_read_share, share, terms) for share in [*_first(shares, processes * 2)]}
        try:
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                waiting |= {pool.submit(_read_share, share, terms) for share in [*_first(shares, len(done))]}
                for future in done:
                    yield from future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _first(shares: Iterator[list[Piece]], count: int) -> Iterator[list[Piece]]:
    for _ in range(count):
        share = next(shares, None)
        if share is None:
            return
        yield share


def _shares(pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    """Yield the pieces in portions; the largest first, so that no process is left alone with one at the end."""
    share: list[Piece] = []
    size = 0
    for piece in sorted(pieces, key=lambda piece: -piece.size):
        share.append(piece)
        size += piece.size
        if size >= _SHARE:
            yield share
            share, size = [], 0
    if share:
        yield share


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let processes be started that never see Ctrl-C, which reaches all of a terminal's: we end them ourselves."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _read_share(share: Sequence[Piece], terms: Terms) -> list[Read]:
    return [_read(piece, terms) for piece in share]


def _read(piece: Piece, terms: Terms) -> Read:
    try:
        return Read(piece, FORMATS[piece.format].read(piece.path, piece.begin, terms))
    except OSError as error:
        return Read(piece, Reading(piece.begin), f"{piece.path}: {error.strerror or error}")
