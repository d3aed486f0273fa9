"""`cost-tracker models`: what models cost, and prices and names of your own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from cost_tracker.connection import AsJson, Key, Url, connected
from cost_tracker.groups import ListsByDefault
from cost_tracker.output import ExitCode, answer, answers, money, note, print_json, show_table

if TYPE_CHECKING:
    from collections.abc import Mapping

_PATH = "/api/models"
# Option -> field of the body.
_PRICES = {
    "input": "input_per_1m",
    "output": "output_per_1m",
    "cache_read": "cache_read_per_1m",
    "cache_write": "cache_write_per_1m",
    "cache_write_1h": "cache_write_1h_per_1m",
}
_HEADINGS = ("Input", "Output", "Cache read", "Cache write", "1 hour")

app = typer.Typer(
    cls=ListsByDefault,
    help="Show what models cost per million tokens; set prices and names of your own.",
)

Model = Annotated[str, typer.Argument(metavar="MODEL", help="Its id or any other name of it.")]


def _usd(option: str, meaning: str) -> Any:  # noqa: ANN401 - what `typer.Option` is declared to return
    return typer.Option(option, metavar="USD", help=f"{meaning}, in USD per million tokens.")


@app.command("list")
def list_models(
    query: Annotated[str | None, typer.Argument(metavar="[QUERY]", help="Part of an id, name or alias.")] = None,
    *,
    provider: Annotated[str | None, typer.Option(metavar="NAME", help="Only models sold by this provider.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="The whole price catalogue.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Show the prices in force today, where they come from and since when. Exit 3 if no model is like QUERY.

    Example: [bold]cost-tracker models sonnet[/bold]
    """
    with connected(url, key) as client:
        rows = client.get(_PATH, q=query, provider=provider, all=everything or None)["data"]
    if as_json:
        print_json(rows)
    elif rows:
        lines = [
            (row["id"], row["provider"] or "", *(_price(row["pricing"], name) for name in _PRICES.values()),
             row["source"] or "no price", row["since"] or "")
            for row in rows
        ]  # fmt: skip
        names = ("Model", "Provider", *_HEADINGS, "From", "Since")
        show_table(answers(), "USD per million tokens", names, lines, text_columns=2)
    if not rows:
        note("No model is like that; `cost-tracker models --all` shows every one.")
        raise typer.Exit(ExitCode.NOTHING)


@app.command()
def price(  # noqa: PLR0913 - one argument per option of the command
    model: Model,
    *,
    input_: Annotated[str, _usd("--input", "Input")],
    output: Annotated[str, _usd("--output", "Output")],
    cache_read: Annotated[str | None, _usd("--cache-read", "Cache reads")] = None,
    cache_write: Annotated[str | None, _usd("--cache-write", "Cache writes for 5 minutes")] = None,
    cache_write_1h: Annotated[str | None, _usd("--cache-write-1h", "Cache writes for an hour")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="DATE", help="From this date or instant (UTC) on; default now.")
    ] = None,
    provider: Annotated[str | None, typer.Option(metavar="NAME", help="Only when this provider sells it.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Add a price of your own. Prices are never edited: a later one, or a newer one for the same day, takes over.

    Example: [bold]cost-tracker models price our-model --input 3 --output 15 --since 2026-11-01[/bold]
    """
    given = {
        "input_per_1m": input_,
        "output_per_1m": output,
        "cache_read_per_1m": cache_read,
        "cache_write_per_1m": cache_write,
        "cache_write_1h_per_1m": cache_write_1h,
        "since": since,
        "provider": provider,
    }
    body = {name: value for name, value in given.items() if value is not None}
    with connected(url, key) as client:
        stored = client.put(f"{_path(model)}/price", body)["data"]
    if as_json:
        print_json(stored)
    else:
        answer(f"{stored['model']}: {_per_million(stored)} from {_minute(stored['since'])} UTC on")
    note(stored["note"])


@app.command()
def prices(model: Model, *, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Show every price a model has or had: your own, the catalogue's, the built-in one.

    Example: [bold]cost-tracker models prices claude-opus-4-6[/bold]
    """
    with connected(url, key) as client:
        rows = client.get(f"{_path(model)}/prices")["data"]
    if as_json:
        print_json(rows)
        return
    lines = [
        (
            "ever" if row["since"] is None else _minute(row["since"]),
            row["hours"] or "",
            row["source"],
            "yes" if row["in_force"] else "",
            *(_price(row["pricing"], name) for name in _PRICES.values()),
        )
        for row in rows
    ]
    names = ("Since (UTC)", "Hours", "From", "In force", *_HEADINGS)
    show_table(answers(), f"{model}: USD per million tokens, latest first", names, lines, text_columns=4)


@app.command()
def alias(
    model: Model,
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Your names for it.")] = None,
    *,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Set your own names for a model; without any, remove those it has.

    Example: [bold]cost-tracker models alias claude-opus-4-6 opus best[/bold]
    """
    with connected(url, key) as client:
        stored = client.put(f"{_path(model)}/aliases", {"aliases": names or []})["data"]
    if as_json:
        print_json(stored)
    else:
        answer(f"{stored['id']}: {', '.join(stored['aliases']) or 'no names of yours'}")
    for name, before in stored["moved"].items():
        note(f"{name} was a name of {before}; `cost-tracker reprice` renames what is stored.")


def _path(model: str) -> str:
    # Twice where it matters: API Gateway decodes the path once, and a slash would then be another path.
    return f"{_PATH}/{quote(quote(model, safe='') if '/' in model else model, safe='')}"


def _price(pricing: Mapping[str, Any], name: str) -> str:
    value = pricing[name]
    return "" if value is None else money(value)


def _per_million(pricing: Mapping[str, Any]) -> str:
    shown = zip(_HEADINGS, _PRICES.values(), strict=True)
    return ", ".join(f"{title.lower()} {money(pricing[name])}" for title, name in shown if pricing[name] is not None)


def _minute(instant: str) -> str:
    return instant[:16].replace("T", " ")
