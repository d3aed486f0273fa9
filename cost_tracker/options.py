"""What options mean: days, periods, dimensions, filters."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from datetime import date


def parse_day(text: str) -> date:
    """Return the date of `YYYY-MM-DD`.

    Raises:
        BadParameter: another form; the process then ends with 2.
    """
    from shared.core.periods import PeriodError, parse_date  # noqa: PLC0415 - `--help` does without zones

    try:
        return parse_date(text)
    except PeriodError as error:
        raise typer.BadParameter(str(error)) from error


class Period(StrEnum):
    """How far back a report goes from today."""

    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"


class Dimension(StrEnum):
    """What a report can be broken down by; `/costs/by-<dimension>` answers it."""

    MODEL = "model"
    CATEGORY = "category"
    PROJECT = "project"
    SESSION_TYPE = "session-type"
    PROVIDER = "provider"
    ACCOUNT = "account"
    AGENT = "agent"
    USER = "user"
    SESSION = "session"
    SOURCE = "source"
    TOKEN_CLASS = "token-class"  # noqa: S105 - tokens of a model, not a password


def day_option(meaning: str) -> Any:  # noqa: ANN401 - what `typer.Option` is declared to return
    """Return an option that takes a day; a day that does not exist is a usage error."""
    return typer.Option(parser=parse_day, metavar="YYYY-MM-DD", help=meaning)


def filter_option(meaning: str, metavar: str = "NAME") -> Any:  # noqa: ANN401 - what `typer.Option` is declared to return
    """Return a repeatable option that narrows a report."""
    return typer.Option(metavar=metavar, help=f"Only {meaning}; may be repeated.", rich_help_panel="Filters")


def by_option() -> Any:  # noqa: ANN401 - what `typer.Option` is declared to return
    """Return the option that asks for breakdowns."""
    known = ", ".join(Dimension)
    return typer.Option("--by", metavar="DIM", help=f"Break down by this only; may be repeated: {known}.")
