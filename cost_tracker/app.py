"""Every command under its name. What takes time is imported where it is used, so that `--help` is quick."""

from __future__ import annotations

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
    quarantine,
    recurring,
    report,
    reprice,
    serve,
    stats,
    statusline,
    verify,
)

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
    statusline.statusline,
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
app.add_typer(recurring.app, name="recurring")
app.add_typer(quarantine.app, name="quarantine")
