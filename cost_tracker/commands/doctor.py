"""`cost-tracker doctor`: is everything set up, and if not, what to do next?"""

from __future__ import annotations

from dataclasses import asdict

import typer

from cost_tracker.connection import AsJson, Key, Url, load_settings
from cost_tracker.output import ExitCode, answer, print_json

_MARKS = {"ok": "ok  ", "off": "-   ", "failed": "FAIL"}


def doctor(*, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Check database, migrations, pooler, keys, provider access, vault and clock; exit 1 if any is not well.

    Example: [bold]cost-tracker doctor[/bold]
    """
    from cost_tracker import checks  # noqa: PLC0415 - `--help` does without the drivers
    from cost_tracker.client import Client  # noqa: PLC0415 - the same

    if url:
        with Client(url, key) as client:
            found = checks.collected(lambda: checks.there(client))
    else:
        settings = load_settings()
        found = checks.collected(lambda: checks.here(settings))
    if as_json:
        print_json([asdict(finding) for finding in found])
    else:
        for finding in found:
            advice = f" {finding.advice}" if finding.advice else ""
            answer(f"{_MARKS[finding.state]}  {finding.part}: {finding.what.rstrip('.')}.{advice}")
    if any(finding.state == "failed" for finding in found):
        raise typer.Exit(ExitCode.FAILED)
