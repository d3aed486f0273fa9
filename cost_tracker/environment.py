"""What is set on this machine: the environment, over the `.env` files that are ours, in that order.

A `.env` in the working directory counts only where our code lies, which is where `make run` reads it: that of another
project names that project's database. The `.env` of COST_TRACKER_HOME counts wherever the command is started.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from shared.dotenv import default_home, read_dotenv

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.config import Settings

_HOME = "COST_TRACKER_HOME"
_FILE = ".env"
_CODE = Path(__file__).resolve().parents[1]


def environment(changed: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return every variable that is set, with some replaced by `changed`; what is set to nothing counts as set.

    Raises:
        SettingError: a `.env` is malformed or cannot be read.
    """
    beside = read_dotenv(_CODE / _FILE) if Path.cwd() == _CODE else {}
    over = {**beside, **os.environ, **(changed or {})}
    return {**read_dotenv(home(over) / _FILE), **over}


def home(given: Mapping[str, str]) -> Path:
    """Return the directory that COST_TRACKER_HOME names, or the default one."""
    return Path(given.get(_HOME, "").strip() or default_home()).expanduser().absolute()


def load_settings(**changed: str) -> Settings:
    """Return the settings of this machine, with some variables replaced.

    Raises:
        SettingError: one is malformed.
    """
    from shared.config import Settings  # noqa: PLC0415 - `--help` does without pydantic

    return Settings.load(environment(changed))
