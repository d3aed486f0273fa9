"""Where the service of this machine answers, and whether its database runs: notes in the home, read without any driver.

For those who would rather not start a database to be told a figure, such as a shell prompt.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_NOTE = "service.json"
_POSTGRES = "postgres"


def announce(home: Path, url: str, *, demo: bool) -> None:
    """Note that this process answers at `url`, perhaps with the demo; the last one that says so is believed."""
    draft = home / f".{_NOTE}.{os.getpid()}"
    draft.write_text(json.dumps({"url": url, "pid": os.getpid(), "demo": demo}), encoding="utf-8")
    draft.replace(home / _NOTE)


def retire(home: Path, url: str) -> None:
    """Take the note back, if it is still ours."""
    if _read(home)[:2] == (url, os.getpid()):
        (home / _NOTE).unlink(missing_ok=True)


def service(home: Path) -> str | None:
    """Return the address of the service that runs over this home, None if there is none."""
    url, pid, _ = _read(home)
    return url if _is_alive(pid) else None


def is_demo_served(home: Path) -> bool:
    """Tell whether a service runs that shows invented figures, so that real ones are not seen there."""
    _, pid, is_demo = _read(home)
    return is_demo and _is_alive(pid)


def has_database(home: Path) -> bool:
    """Tell whether there is an embedded database."""
    return (home / _POSTGRES).is_dir()


def is_database_up(home: Path) -> bool:
    """Tell whether the embedded database runs, so that joining it starts nothing."""
    try:
        pid = int((home / _POSTGRES / "postmaster.pid").read_text(encoding="utf-8").partition("\n")[0])
    except (OSError, ValueError):
        return False
    return _is_alive(pid)


def touched(home: Path) -> float | None:
    """Return a mark that changes whenever the embedded database was stopped after use; None without one."""
    try:
        return (home / _POSTGRES / "global" / "pg_control").stat().st_mtime
    except OSError:
        return None


def _read(home: Path) -> tuple[str, int, bool]:
    """Return address, process and whether it is the demo; process 0 where there is no note."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        note = json.loads((home / _NOTE).read_text(encoding="utf-8"))
        return str(note["url"]), int(note["pid"]), bool(note["demo"])
    return "", 0, False


def _is_alive(pid: int) -> bool:
    if pid <= 0:  # to a signal that would be a group
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's, and alive
        return True
    return True
