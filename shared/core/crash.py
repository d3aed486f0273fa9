"""Named places where a process may die: no-ops, until a test asks for what happens there.

    crash.at("merge:balanced")

Each name is used once and listed in `POINTS`; a test compares the two, and kills and replays at every one of them.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# In the order they are passed. Those named `answered` lie behind the COMMIT: the work is done, and nobody was told.
POINTS = (
    "ingest:lines", "ingest:balanced", "ingest:answered",
    "void:rolled-up", "void:marked", "void:answered",
    "merge:buckets", "merge:coverage", "merge:balanced", "merge:closed", "merge:answered",
    "manual:stored", "manual:answered", "manual:kept", "manual:edited", "manual:deleted",
    "recurring:booked", "recurring:answered",
    # Of a day: re-pricing and the automatic pricing pass the same ones.
    "reprice:priced", "reprice:applied", "reprice:balanced", "reprice:noted", "reprice:answered",
    "reassign:moved", "reassign:applied", "reassign:balanced", "reassign:noted", "reassign:answered",
    "refresh:checked", "refresh:stored", "refresh:answered",
    "remove:marked", "remove:begun", "remove:lines", "remove:counted", "remove:answered",
    "adopt:moved", "adopt:balanced", "adopt:answered",
    "quarantine:counted", "quarantine:balanced", "quarantine:noted", "quarantine:answered",
)  # fmt: skip

_hook: ContextVar[Callable[[str], None] | None] = ContextVar("crash", default=None)


def at(point: str) -> None:
    """Pass this point."""
    hook = _hook.get()
    if hook is not None:
        hook(point)


@contextmanager
def watched(hook: Callable[[str], None]) -> Iterator[None]:
    """Have `hook` called with each point that this thread passes; what it raises ends the work there."""
    token = _hook.set(hook)
    try:
        yield
    finally:
        _hook.reset(token)
