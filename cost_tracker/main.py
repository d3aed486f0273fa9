"""The `cost-tracker` command. Modules that take time are imported where they are used, so that `--help` is quick."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, NoReturn

import typer

from cost_tracker.commands import (
    accounts,
    collect,
    doctor,
    export,
    import_,
    init,
    keys,
    log,
    models,
    projects,
    push,
    report,
    reprice,
    serve,
    stats,
    verify,
)
from cost_tracker.output import ExitCode, complain
from shared.errors import CostTrackerError

if TYPE_CHECKING:
    from collections.abc import Sequence

app = typer.Typer(
    name="cost-tracker",
    help="What your AI agents cost: to the cent, by day, model, session type, project and agent.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # its frames would show local variables, keys among them
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _command in (
    serve.serve,
    init.init,
    doctor.doctor,
    collect.collect,
    push.push,
    log.log,
    report.report,
    stats.stats,
    export.export,
    reprice.reprice,
    verify.verify,
):
    app.command()(_command)
app.command("import")(import_.import_)
app.add_typer(keys.app, name="keys")
app.add_typer(models.app, name="models")
app.add_typer(projects.app, name="projects")
app.add_typer(accounts.app, name="accounts")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line, by default this process's own; never returns.

    Exit codes: 0 done, 1 failed, 2 usage error, 3 nothing to do or no data, 130 interrupted.
    """
    # Postgres stops when its last process ends in order; being killed by a signal is no order.
    for number in (signal.SIGTERM, signal.SIGHUP):
        # nohup ignores one of them on purpose; and the signals of a process that calls us are not ours.
        if arguments is None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
    try:
        app(args=None if arguments is None else list(arguments))
    except CostTrackerError as error:
        complain(error)
        sys.exit(ExitCode.FAILED)
    sys.exit(ExitCode.DONE)
