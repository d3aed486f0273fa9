"""The command in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.core import jsontext

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

COMMAND = (sys.executable, "-c", "from cost_tracker.main import main; main()")


def kept() -> dict[str, str]:
    """The variables of this process that a command cannot do without."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}


@dataclass(frozen=True)
class Cli:
    """Runs commands in `home`, all of which begin with `words`."""

    environment: Mapping[str, str]
    home: Path
    words: tuple[str, ...] = ()

    def __call__(self, *arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - our own command
            [*COMMAND, *self.words, *arguments],
            env={**self.environment, **changed},
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def json(self, *arguments: str, **changed: str) -> Any:  # noqa: ANN401 - JSON is any shape
        """Run a command that has to succeed, and return what it answers as JSON."""
        done = self(*arguments, "--json", **changed)
        assert done.returncode == 0, done.stderr
        return jsontext.loads(done.stdout)

    def start(self, *arguments: str, **changed: str) -> subprocess.Popen[str]:
        """Start a command and leave it running."""
        return subprocess.Popen(  # noqa: S603 - our own command
            [*COMMAND, *self.words, *arguments],
            env={**self.environment, **changed},
            cwd=self.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
