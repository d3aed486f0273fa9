"""Loading modules makes many objects and no garbage: to walk over them as usual is a tenth of what a report takes."""

from __future__ import annotations

import gc

_RARELY = 50_000
_usual = gc.get_threshold()


def begin() -> None:
    """Let the garbage collector rest while a command loads what it needs."""
    gc.set_threshold(_RARELY)


def end() -> None:
    """Let it work as usual again, if it rests: answers of megabytes are not to wait for it."""
    if gc.get_threshold()[0] == _RARELY:
        gc.set_threshold(*_usual)
