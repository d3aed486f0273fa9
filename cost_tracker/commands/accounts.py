"""`cost-tracker accounts`: whose usage it is; polled by a credential, or only named by events."""

from __future__ import annotations

import sys
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cost_tracker.connection import AsJson, Key, Url, connected
from cost_tracker.groups import ListsByDefault
from cost_tracker.options import parse_pairs, parse_usd
from cost_tracker.output import ExitCode, answer, answers, money, note, print_json, show_table

if TYPE_CHECKING:
    from cost_tracker.client import Client

_PATH = "/api/accounts"

app = typer.Typer(
    cls=ListsByDefault,
    help="Show and change accounts: those that are polled, and those that only events name, such as a subscription.",
)


class Usage(StrEnum):
    """What becomes of an account's usage when it goes."""

    KEEP = "keep"
    DELETE = "delete"


Name = Annotated[str, typer.Argument(metavar="NAME", help="Its name or id, as `cost-tracker accounts` shows them.")]
FromStdin = Annotated[
    bool,
    typer.Option("--credential-stdin", help="Poll it: read its key from standard input, where no history keeps it."),
]
Limit = Annotated[
    Decimal | None, typer.Option(parser=parse_usd, metavar="USD", help="What it may cost in a month, for budgets.")
]
Default = Annotated[
    bool | None, typer.Option("--default/--no-default", help="Events of its provider that name no account are its.")
]

Options = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        metavar="NAME=VALUE",
        help="What its provider needs to know, such as organization=acme, or base_url; may be repeated.",
    ),
]


@app.command("list")
def list_accounts(*, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Show every account with its state and how far its figures are complete. Exit 3 if there is none.

    Example: [bold]cost-tracker accounts[/bold]
    """
    with connected(url, key) as client:
        rows: list[dict[str, Any]] = client.get(_PATH)["data"]
    if as_json:
        print_json(rows)
    elif rows:
        has_options = any(row["options"] for row in rows)
        is_prepaid = any(row["balance"] for row in rows)
        lines = [
            (
                row["name"],
                row["provider"],
                row["setting"] or row["origin"],
                *([_options(row)] if has_options else []),
                row["state"].replace("_", " "),
                _minute(row["complete_until"]),
                _lag(row["lag_seconds"], row["usual_lag_seconds"]),
                "yes" if row["default"] else "",
                *([_left(row), _runway(row)] if is_prepaid else []),
                "" if row["monthly_limit"] is None else money(row["monthly_limit"]),
                row["id"],
            )
            for row in rows
        ]
        names = (
            "Account",
            "Provider",
            "From",
            *(["Options"] if has_options else []),
            "State",
            "Complete until (UTC)",
            "Lag (usual)",
            "Default",
            *(["Balance", "Lasts (estimate)"] if is_prepaid else []),
            "Monthly limit",
            "Id",
        )
        show_table(answers(), "Accounts", names, lines, text_columns=7 + has_options)
        for row in rows:
            if row["error"]:
                note(f"{row['name']}: {row['error']}")
    if not rows:
        note("There is no account yet; collecting makes them, and so does `cost-tracker accounts add`.")
        raise typer.Exit(ExitCode.NOTHING)


@app.command()
def add(  # noqa: PLR0913 - the options of the command
    name: Annotated[str, typer.Argument(metavar="NAME", help="What events call it, such as 'Claude Max'.")],
    *,
    provider: Annotated[str, typer.Option(metavar="NAME", help="Whose models it pays for, such as anthropic.")],
    credential_stdin: FromStdin = False,
    option: Options = None,
    default: Default = None,
    monthly_limit: Limit = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Add an account. Without a credential it is not polled: its events are the whole truth about it.

    Example: [bold]cost-tracker accounts add 'Claude Max' --provider anthropic[/bold]

    [bold]cost-tracker accounts add acme --provider github-copilot --option organization=acme --credential-stdin[/bold]
    """
    body = {
        "name": name,
        "provider": provider,
        **_given(credential_stdin, default=default, monthly_limit=monthly_limit),
        **({"options": parse_pairs(option, "--option")} if option else {}),
    }
    with connected(url, key, real=True) as client:
        _show(client.post(_PATH, body), as_json=as_json)


@app.command("set")
def set_account(  # noqa: PLR0913 - the options of the command
    name: Name,
    *,
    new_name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Another name.")] = None,
    credential_stdin: FromStdin = False,
    option: Options = None,
    default: Default = None,
    monthly_limit: Limit = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Change an account, or give it a new credential; what is left out stays. NAME= takes an option away.

    Example: [bold]cost-tracker accounts set 'Claude Max' --monthly-limit 200 --default[/bold]
    """
    body = _given(credential_stdin, name=new_name, default=default, monthly_limit=monthly_limit)
    changed = parse_pairs(option or (), "--option")
    if not body and not changed:
        raise typer.BadParameter(
            "Say what to change: --name, --credential-stdin, --option, --default or --monthly-limit."
        )
    with connected(url, key, real=True) as client:
        account = _account(client, name)
        if changed:
            options = {**account["options"], **changed}
            body["options"] = {what: value for what, value in options.items() if value}
        _show(client.put(f"{_PATH}/{account['id']}", body), as_json=as_json)


@app.command("test")
def try_account(name: Name, *, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Try an account's credential by its provider's cheapest call; exit 1 if it does not work.

    Example: [bold]cost-tracker accounts test anthropic[/bold]
    """
    with connected(url, key) as client:
        found = client.post(f"{_PATH}/{_id(client, name)}/test")
    if as_json:
        print_json(found)
    else:
        answer(f"{name}: {found['message']} {found['advice']}".rstrip())
    if not found["ok"]:
        raise typer.Exit(ExitCode.FAILED)


@app.command()
def remove(
    name: Name,
    *,
    usage: Annotated[
        Usage | None,
        typer.Option(metavar="keep|delete", help="Needed where there is usage: keep archives it, delete voids it."),
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Remove an account, and decide what becomes of its usage.

    Example: [bold]cost-tracker accounts remove 'Claude Max' --usage keep[/bold]
    """
    with connected(url, key, real=True) as client:
        run = client.follow(client.delete(f"{_PATH}/{_id(client, name)}", usage=usage and usage.value))
    if as_json:
        print_json(run)
    elif run["status"] == "succeeded":
        answer(f"{name}: {'archived, its figures stay' if usage is Usage.KEEP else 'removed'}")
    if run["status"] != "succeeded":
        note(f"cost-tracker: {run['error']}")
        raise typer.Exit(ExitCode.FAILED)


@app.command()
def services(*, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Show every known service, how it is tracked, and what it needs.

    Example: [bold]cost-tracker accounts services[/bold]
    """
    with connected(url, key) as client:
        rows: list[dict[str, Any]] = client.get("/api/services")["data"]
    if as_json:
        print_json(rows)
        return
    lines = [
        (row["name"], row["tracked"], ", ".join(one["name"] for one in row["accounts"]), _needs(row)) for row in rows
    ]
    show_table(answers(), "Services", ("Service", "Tracked by", "Accounts", "What it needs"), lines, text_columns=4)


def _needs(row: dict[str, Any]) -> str:
    recurs = f" Recurs {row['repeat']}, on {row['repeat_on']}: log --repeat." if row["repeat"] else ""
    return f"{row['guidance']}{recurs}"


def _left(row: dict[str, Any]) -> str:
    return ", ".join(f"{one['available']:,.2f} {one['currency']}" for one in row["balance"])


def _runway(row: dict[str, Any]) -> str:
    return ", ".join("?" if one["days"] is None else f"{int(one['days']):,} d" for one in row["runway"])


def _lag(seconds: int | None, usual: int | None) -> str:
    if seconds is None:
        return ""
    return _span(seconds) if usual is None else f"{_span(seconds)} ({_span(usual)})"


def _span(seconds: int) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h")):
        if seconds >= size * 2:
            return f"{seconds // size} {unit}"
    return f"{seconds // 60} min"


def _given(credential_stdin: bool, **fields: object) -> dict[str, object]:  # noqa: FBT001 - private
    given = {name: value for name, value in fields.items() if value is not None}
    return {**given, "credential": _credential()} if credential_stdin else given


def _credential() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("Credential", hide_input=True, err=True)).strip()
    return sys.stdin.readline().strip()


def _id(client: Client, name: str) -> int:
    return int(_account(client, name)["id"])


def _account(client: Client, name: str) -> dict[str, Any]:
    rows: list[dict[str, Any]] = client.get(_PATH)["data"]
    found = next((row for row in rows if name in {row["name"], str(row["id"])}), None)
    if found is None:
        known = ", ".join(row["name"] for row in rows) or "none yet"
        raise typer.BadParameter(f"There is no account {name!r}; there is {known}.")
    return found


def _options(row: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in row["options"].items())


def _show(found: dict[str, Any], *, as_json: bool) -> None:
    account = found["data"]
    if as_json:
        print_json(account)
    else:
        polled = "" if account["has_credential"] else ", not polled"
        default = ", its default" if account["default"] else ""
        options = f", {_options(account)}" if account["options"] else ""
        answer(f"{account['id']}: {account['name']} of {account['provider']}{options}{default}{polled}")
    if found.get("warning"):
        note(f"cost-tracker: {found['warning']}")


def _minute(instant: str | None) -> str:
    return "" if instant is None else instant[:16].replace("T", " ")
