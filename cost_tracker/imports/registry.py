"""The formats that can be imported, by name. A format is one file here and one line below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cost_tracker.imports import claude_code, codex, litellm, openclaw, own, sqlite_log, tabular

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from cost_tracker.imports.units import Reading, Terms


@dataclass(frozen=True, slots=True)
class Format:
    """How a format's files are found, recognised and read.

    Args:
        name: what `--format` takes.
        title: what people call it.
        is_named: tells by its path whether a file may be of this format; others of a folder are passed over.
        is_ours: tells by path and first bytes whether a file is of this format.
        read: reads the file from a byte on; a format that does not `grow` is always read from its beginning.
        find: returns where this machine keeps such files, None for formats without a usual place.
        grows: lines are appended and each can be understood without those before it.
        unpolled: name and provider of the account that events belong to unless the caller names one; it is made where
            it is missing and never polled.
    """

    name: str
    title: str
    is_named: Callable[[str], bool]
    is_ours: Callable[[str, bytes], bool]
    read: Callable[[str, int, Terms], Reading]
    find: Callable[[], Sequence[Path]] | None = None
    grows: bool = False
    unpolled: tuple[str, str] | None = None


FORMATS: dict[str, Format] = {
    made.name: made
    for made in (
        Format(
            claude_code.NAME, "Claude Code", claude_code.is_named, claude_code.is_ours, claude_code.read,
            claude_code.find, grows=True, unpolled=claude_code.UNPOLLED,
        ),
        Format(openclaw.NAME, "OpenClaw", openclaw.is_named, openclaw.is_ours, openclaw.read, openclaw.find),
        Format(codex.NAME, "Codex", codex.is_named, codex.is_ours, codex.read, codex.find, unpolled=codex.UNPOLLED),
        Format(own.NAME, "an export of ours", own.is_named, own.is_ours, own.read),
        Format(litellm.NAME, "LiteLLM", litellm.is_named, litellm.is_ours, litellm.read),
        Format(sqlite_log.NAME, "usage_log", sqlite_log.is_named, sqlite_log.is_ours, sqlite_log.read),
        # Last, because it takes any table with columns it knows.
        Format(tabular.NAME, "a table", tabular.is_named, tabular.is_ours, tabular.read),
    )
}  # fmt: skip
