"""`cost-tracker report`: what it cost, by whatever one asks."""

from __future__ import annotations

from datetime import date  # noqa: TC003 - Typer reads the annotations
from typing import Annotated

import typer

from cost_tracker.connection import AsJson, Key, Url, connected
from cost_tracker.filters import Filters, Zone, filtered
from cost_tracker.options import Dimension, Period, by_option, day_option
from cost_tracker.output import ExitCode, note, print_json


@filtered
def report(  # noqa: PLR0913 - the options of the command
    *,
    filters: Filters,
    period: Annotated[Period, typer.Option(help="Today, or today and the 6 or 29 days before.")] = Period.MONTHLY,
    start_date: Annotated[date | None, day_option("First day; alone, the report goes on until today.")] = None,
    end_date: Annotated[date | None, day_option("Last day; alone, the report covers the 400 days up to it.")] = None,
    by: Annotated[list[Dimension] | None, by_option()] = None,
    tz: Zone = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Show costs: in total, by model, category, project and session type, and by day. Exit 3 if there were none.

    Example: [bold]cost-tracker report --period weekly --project PeakPaws --by agent[/bold]
    """
    from cost_tracker import reports, tables  # noqa: PLC0415 - not for `--help`

    if start_date and end_date and end_date < start_date:
        raise typer.BadParameter(f"{end_date} is before --start-date {start_date}; swap them.", param_hint="--end-date")
    with connected(url, key) as client:
        found = reports.build(
            client,
            period=period,
            start=start_date,
            end=end_date,
            tz=tz,
            dimensions=by or (),
            filters=filters,
        )
    is_empty = reports.is_empty(found)
    if as_json:
        print_json(found)
    elif not is_empty:
        tables.show(found, by)
    if is_empty:
        note(f"No usage from {found['start']} to {found['end']}.")
        for line in tables.held_back(found["coverage"]):
            note(line)
        raise typer.Exit(ExitCode.NOTHING)
