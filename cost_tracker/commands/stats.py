"""`cost-tracker stats`: requests, tokens, cost and the average of a request, in a few lines."""

from __future__ import annotations

from typing import Annotated

import typer

from cost_tracker.connection import AsJson, Key, Url, connected
from cost_tracker.filters import Filters, Zone, filtered
from cost_tracker.options import Period
from cost_tracker.output import ExitCode, answers, clean, note, print_json, show_table


@filtered
def stats(
    *,
    filters: Filters,
    period: Annotated[Period, typer.Option(help="Today, or today and the 6 or 29 days before.")] = Period.MONTHLY,
    tz: Zone = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Show requests, tokens, cost and the average per request. Exit 3 if there was no usage.

    Example: [bold]cost-tracker stats --period weekly --model sonnet[/bold]
    """
    from cost_tracker import statistics  # noqa: PLC0415 - not for `--help`
    from cost_tracker.tables import trust  # noqa: PLC0415 - the same

    with connected(url, key) as client:
        found = statistics.build(client, period, {**filters, "tz": tz})
    if as_json:
        print_json(found)
    elif not statistics.is_empty(found):
        console = answers()
        demo = " (demo: an invented organisation)" if found["coverage"].get("demo") else ""
        show_table(console, f"Usage from {found['start']} to {found['end']}{demo}", ("", ""), statistics.lines(found))
        for line in trust(found["coverage"]):
            console.print(clean(line))
    if statistics.is_empty(found):
        note(f"No usage from {found['start']} to {found['end']}.")
        raise typer.Exit(ExitCode.NOTHING)
