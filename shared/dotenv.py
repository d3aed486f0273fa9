"""Settings files on this machine, and where its tracker lives; light, because a shell prompt reads them too."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from shared.errors import SettingError

if TYPE_CHECKING:
    from pathlib import Path

_DOTENV_LINE = re.compile(r"""(?:export\s+)?(\w+)\s*=\s*(?:"([^"]*)"|'([^']*)'|(.*?))\s*(?:(?<=\s)#.*)?""")


def read_dotenv(path: Path) -> dict[str, str]:
    """Return the `NAME=value` lines of a file, {} if there is none. Quotes, `export` and `# comments` are understood.

    Raises:
        SettingError: a line is neither a setting nor a comment, or the file cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines() if path.exists() else []
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"The settings file {path} cannot be read as text; check its permissions.") from error
    found = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _DOTENV_LINE.fullmatch(line.strip())
        if match is None:
            raise SettingError(f"Line {number} of {path} is not NAME=value; correct it or begin it with #.")
        found[match[1]] = next(group for group in (*match.groups()[1:], "") if group is not None)
    return found


def default_home() -> str:
    """Return where a local tracker keeps its data unless COST_TRACKER_HOME says otherwise."""
    # The embedded Postgres opens every parent of its data to others when root starts it: not under /root.
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    return "/var/lib/ai-cost-tracker" if is_root else "~/.ai-cost-tracker"
