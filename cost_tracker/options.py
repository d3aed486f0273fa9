"""What options mean: days, instants, amounts, tags, periods, dimensions."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime
    from decimal import Decimal


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


def parse_instant(text: str) -> datetime:
    """Return the instant of an ISO 8601 text, UTC where it has no offset.

    Raises:
        BadParameter: another form.
    """
    from shared.core import periods  # noqa: PLC0415 - `--help` does without zones

    try:
        return periods.parse_instant(text)
    except periods.PeriodError as error:
        raise typer.BadParameter(str(error)) from error


def parse_usd(text: str) -> Decimal:
    """Return an amount in USD, zero or more, written as `12.50`.

    Raises:
        BadParameter: another form.
    """
    from shared.core.money import parse_money  # noqa: PLC0415 - the same

    try:
        amount = parse_money(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if amount < 0:
        raise typer.BadParameter(f"{text} is below zero.")
    return amount


def parse_pairs(pairs: Sequence[str], flag: str) -> dict[str, str]:
    """Return what `KEY=VALUE` texts say; `flag` is how they are given.

    Raises:
        BadParameter: another form, or a key twice.
    """
    found: dict[str, str] = {}
    for text in pairs:
        key, equals, value = text.partition("=")
        if not equals or not key.strip() or key.strip() in found:
            raise typer.BadParameter(f"{text!r} is not KEY=VALUE with a key of its own.", param_hint=flag)
        found[key.strip()] = value
    return found


def parse_object(text: str) -> dict[str, Any]:
    """Return a JSON object, numbers with all of their digits.

    Raises:
        BadParameter: it is none.
    """
    from shared.core import jsontext  # noqa: PLC0415 - the same

    try:
        found = jsontext.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"It is not JSON: {error}.") from error
    if not isinstance(found, dict):
        raise typer.BadParameter("It is not a JSON object, such as '{\"run\": 7}'.")
    return found


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


def day_option(meaning: str, *names: str, panel: str | None = None) -> Any:  # noqa: ANN401 - as `typer.Option`
    """Return an option that takes a day; a day that does not exist is a usage error."""
    return typer.Option(*names, parser=parse_day, metavar="YYYY-MM-DD", help=meaning, rich_help_panel=panel)


def by_option() -> Any:  # noqa: ANN401 - what `typer.Option` is declared to return
    """Return the option that asks for breakdowns."""
    known = ", ".join(Dimension)
    return typer.Option("--by", metavar="DIM", help=f"Break down by this only; may be repeated: {known}.")
