"""`cost-tracker log`: record what a call used, or by hand what a service cost."""

from __future__ import annotations

from datetime import date, datetime  # noqa: TC003 - Typer reads the annotations
from decimal import Decimal  # noqa: TC003 - the same
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cost_tracker.commands.recurring import sentence
from cost_tracker.connection import AsJson, Key, Url, connected
from cost_tracker.options import day_option, parse_instant, parse_object, parse_pairs, parse_usd
from cost_tracker.output import answer, count, money, note, print_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cost_tracker.client import Client

_TOKENS = "Tokens"
_MANUAL = "By hand"
# What is said of an event, and what of an entry by hand; the rest is said of both.
_OF_EVENTS = (
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens", "provider",
    "category", "description", "agent", "user", "session_label", "session_type", "metadata", "recorded_at", "event_id",
)  # fmt: skip
_OF_ENTRIES = ("date", "notes", "repeat", "until")
_SHOWN = {"input_tokens": "input", "output_tokens": "output", "cache_read_tokens": "cache read"}
_WRITTEN = ("cache_write_tokens", "cache_write_1h_tokens")


class Repeat(StrEnum):
    """How often a cost by hand recurs."""

    WEEKLY = "weekly"
    MONTHLY = "monthly"
    YEARLY = "yearly"


Count = int | None
Text = str | None


def _tokens(meaning: str) -> Any:  # noqa: ANN401 - what `typer.Option` is declared to return
    return typer.Option(metavar="N", min=0, help=f"{meaning}.", rich_help_panel=_TOKENS)


def _name(meaning: str) -> Any:  # noqa: ANN401 - the same
    return typer.Option(metavar="NAME", help=f"{meaning}.")


def log(  # noqa: PLR0913 - the options of the command
    *,
    model: Annotated[Text, _name("The model that was called, by any of its names")] = None,
    input_tokens: Annotated[Count, _tokens("Input without cache reads and writes")] = None,
    output_tokens: Annotated[Count, _tokens("Output, reasoning included")] = None,
    cache_read_tokens: Annotated[Count, _tokens("Read from the cache")] = None,
    cache_write_tokens: Annotated[Count, _tokens("Written to the cache for 5 minutes")] = None,
    cache_write_1h_tokens: Annotated[Count, _tokens("Written to the cache for an hour")] = None,
    cost: Annotated[
        Decimal | None,
        typer.Option(parser=parse_usd, metavar="USD", help="What it cost: counts where tokens or a price are missing."),
    ] = None,
    category: Annotated[Text, _name("What it was for, such as planning")] = None,
    description: Annotated[Text, typer.Option(metavar="TEXT", help="In your words.")] = None,
    project: Annotated[Text, _name("Its project; default by the project rules")] = None,
    agent: Annotated[Text, _name("Which agent called")] = None,
    user: Annotated[Text, _name("On whose behalf")] = None,
    account: Annotated[Text, _name("Whose usage it is; default the provider's default account")] = None,
    provider: Annotated[Text, _name("Who was paid; default who makes the model")] = None,
    session_label: Annotated[Text, _name("The session it belongs to")] = None,
    session_type: Annotated[Text, _name("main, subagent, heartbeat, cron; default by the label")] = None,
    tag: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="May be repeated.")] = None,
    metadata: Annotated[
        dict[str, Any] | None, typer.Option(parser=parse_object, metavar="JSON", help="An object of your own, 2 KB.")
    ] = None,
    at: Annotated[
        datetime | None, typer.Option(parser=parse_instant, metavar="INSTANT", help="When, ISO 8601; default now.")
    ] = None,
    event_id: Annotated[
        Text, typer.Option(metavar="ID", help="Makes it harmless to log it twice: the second time nothing is stored.")
    ] = None,
    service: Annotated[
        Text,
        typer.Option(metavar="NAME", help="A service without tokens to count: needs --cost.", rich_help_panel=_MANUAL),
    ] = None,
    day: Annotated[date | None, day_option("The day of the cost, default today.", "--date", panel=_MANUAL)] = None,
    notes: Annotated[Text, typer.Option(metavar="TEXT", help="In your words.", rich_help_panel=_MANUAL)] = None,
    repeat: Annotated[
        Repeat | None,
        typer.Option(
            metavar="weekly|monthly|yearly",
            help="It recurs from --date on, and is booked by itself.",
            rich_help_panel=_MANUAL,
        ),
    ] = None,
    until: Annotated[date | None, day_option("With --repeat: the last day it may have.", panel=_MANUAL)] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Price it; store nothing.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Record what a call used and print its id, tokens and cost; or, with --service, a cost by hand.

    With --repeat that is booked again on every such day; `cost-tracker recurring` shows and ends it.
    A model without a known price is recorded without a cost, which re-pricing fills in later.

    Example: [bold]cost-tracker log --model sonnet --input-tokens 1500 --output-tokens 750 --category planning[/bold]
    """
    fields: dict[str, Any] = {
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "cache_read_tokens": cache_read_tokens,
        "cache_write_tokens": cache_write_tokens,
        "cache_write_1h_tokens": cache_write_1h_tokens,
        "cost": cost,
        "category": category,
        "description": description,
        "project": project,
        "agent": agent,
        "user": user,
        "account": account,
        "provider": provider,
        "session_label": session_label,
        "session_type": session_type,
        "tags": parse_pairs(tag or (), "--tag") or None,
        "metadata": metadata,
        "recorded_at": at,
        "event_id": event_id,
        "date": day,
        "notes": notes,
        "repeat": repeat and repeat.value,
        "until": until,
    }
    given = {name: value for name, value in fields.items() if value is not None}
    _check(model, service, given, dry_run=dry_run)
    with connected(url, key, real=not dry_run) as client:
        found = (
            _event(client, model or "", given, dry_run=dry_run)
            if service is None
            else _entry(client, service, {**given, **({"model": model} if model else {})})
        )
    if as_json:
        print_json(found)
    else:
        answer(_sentence(found, dry_run=dry_run))
    for warning in found.get("warnings", ()):
        note(f"cost-tracker: {warning}")


def _check(model: str | None, service: str | None, given: Mapping[str, object], *, dry_run: bool) -> None:
    """End with a usage error where options do not go together."""
    if service is None:
        if model is None:
            raise typer.BadParameter("Say which: --model for a call, or --service for a cost by hand.")
        if not any(name == "cost" or name.endswith("_tokens") for name in given):
            raise typer.BadParameter("Say how much: --input-tokens and --output-tokens, or --cost.")
        _refuse(given, _OF_ENTRIES, "--service")
    else:
        if "cost" not in given:
            raise typer.BadParameter("A cost by hand needs --cost.")
        if dry_run:
            raise typer.BadParameter("--dry-run prices tokens; a cost by hand has its price already.")
        if "until" in given and "repeat" not in given:
            raise typer.BadParameter("--until goes with --repeat only.")
        _refuse(given, _OF_EVENTS, "--model")


def _refuse(given: Mapping[str, object], names: tuple[str, ...], needed: str) -> None:
    if wrong := next((name for name in names if name in given), None):
        option = {"recorded_at": "at"}.get(wrong, wrong).replace("_", "-")
        other = "it has a --date" if needed == "--model" else "it has an --at"
        hint = f"; {other}" if wrong in {"recorded_at", "date"} else ""
        raise typer.BadParameter(f"--{option} goes with {needed} only{hint}.")


def _event(client: Client, model: str, given: dict[str, Any], *, dry_run: bool) -> dict[str, Any]:
    counts = given.pop("input_tokens", None), given.pop("output_tokens", None)
    return client.log_usage(model, *counts, at=given.pop("recorded_at", None), dry_run=dry_run, **given)


def _entry(client: Client, service: str, given: dict[str, Any]) -> dict[str, Any]:
    # Which day today is, the tracker knows: its zone may not be ours.
    day = given.pop("date", None) or client.daily()["date"]
    if "repeat" in given:
        return client.log_recurring(service, given.pop("cost"), day, given.pop("repeat"), **given)
    return client.log_manual(service, given.pop("cost"), day, **given)


def _sentence(found: dict[str, Any], *, dry_run: bool) -> str:
    record = found["data"]
    if "repeat" in record:
        return f"recurring {sentence(record)}"
    cost = "no price" if record["cost_usd"] is None else money(record["cost_usd"])
    what = ", ".join(_parts(record))
    if dry_run:
        return f"{what}: {cost}"
    verb = "logged before as" if found["status"] == "duplicate" else "logged"
    return f"{verb} {record['id']}: {what}, {cost}"


def _parts(record: Mapping[str, Any]) -> Iterator[str]:
    is_manual = record["source"] == "manual"
    yield f"{record['provider']} on {record['recorded_at'][:10]}" if is_manual else record["model"]
    for name, title in _SHOWN.items():
        if record[name] or (not is_manual and name in {"input_tokens", "output_tokens"}):
            yield f"{count(record[name])} {title}"
    if written := sum(record[name] for name in _WRITTEN):
        yield f"{count(written)} cache write"
