"""The `cost-tracker` command: signals, exit codes, and the short way to what a shell prompt asks for."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

from cost_tracker import loading
from cost_tracker.output import ExitCode, complain
from shared.errors import CostTrackerError

if TYPE_CHECKING:
    from collections.abc import Sequence

_PROMPT = "statusline"


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line, by default this process's own; never returns.

    Exit codes: 0 done, 1 failed, 2 usage error, 3 nothing to do or no data, 130 interrupted.
    """
    if arguments is None:
        loading.begin()
    # Postgres stops when its last process ends in order; being killed by a signal is no order.
    for number in (signal.SIGTERM, signal.SIGHUP):
        # nohup ignores one of them on purpose; and the signals of a process that calls us are not ours.
        if arguments is None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        if given == [_PROMPT]:
            _prompt()
        _run(given)
    except CostTrackerError as error:
        complain(error)
        sys.exit(ExitCode.FAILED)
    sys.exit(ExitCode.DONE)


def _run(given: list[str]) -> None:
    from cost_tracker.app import app  # noqa: PLC0415 - a prompt does without reading options

    app(args=given)


def _prompt() -> NoReturn:
    """Print the line of a prompt, which is drawn after every command: what reads options takes longer than the answer.

    The same as the command without options, which has them for everybody else.
    """
    from cost_tracker.statusline import show  # noqa: PLC0415 - every other command does without

    sys.exit(show(os.environ.get("COST_TRACKER_URL"), os.environ.get("COST_TRACKER_KEY")))
