"""`cost-tracker keys`: who may ask the tracker what; a key is printed once, when it is made."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from cost_tracker.connection import AsJson, Key, Url, connected
from cost_tracker.output import ExitCode, answer, answers, note, print_json, show_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cost_tracker.client import Client

_PATH = "/admin/keys"
_MOST_ROWS = 1000
_LONGEST_OVERLAP = 7 * 24 * 60

app = typer.Typer(
    help="Make, list, rotate and revoke API keys, so that each agent and workflow has one of its own.",
    no_args_is_help=True,
)


class KeyScope(StrEnum):
    """What a key may do; the API knows the same names."""

    USAGE_WRITE = "usage:write"
    USAGE_READ = "usage:read"
    CONFIG_WRITE = "config:write"
    ADMIN = "admin"


KeyId = Annotated[str, typer.Argument(metavar="ID", help="Its id, as `cost-tracker keys list` shows it.")]
Expires = Annotated[
    str | None, typer.Option("--expires", metavar="INSTANT", help="When it ends: 2027-11-23 or 2027-11-23T10:15:00Z.")
]


@app.command("list")
def list_keys(*, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Show every key, newest first, without secrets; ended ones are kept. Exit 3 if there is none.

    Example: [bold]cost-tracker keys list[/bold]
    """
    with connected(url, key) as client:
        rows = list(_every(client))
    if as_json:
        print_json(rows)
    elif rows:
        lines = [
            (
                row["id"],
                row["name"],
                " ".join(row["scopes"]),
                row["status"],
                *(_minute(row[name]) for name in ("created_at", "last_used_at", "expires_at", "revoked_at")),
            )
            for row in rows
        ]
        names = ("Id", "Name", "Scopes", "Status", "Created (UTC)", "Last used", "Expires", "Revoked")
        show_table(answers(), "Keys", names, lines, text_columns=len(names))
    if not rows:
        note("There is no key but API_KEY; make one with `cost-tracker keys create`.")
        raise typer.Exit(ExitCode.NOTHING)


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is for, such as N8N.")],
    *,
    scope: Annotated[list[KeyScope], typer.Option(metavar="SCOPE", help=f"May be repeated: {', '.join(KeyScope)}.")],
    expires: Expires = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Make a key and print it, this once.

    Example: [bold]cost-tracker keys create N8N --scope usage:read --scope usage:write[/bold]
    """
    body = {"name": name, "scopes": [item.value for item in scope], "expires_at": expires}
    with connected(url, key) as client:
        made = client.post(_PATH, body)["data"]
    _show_new(made, made, as_json=as_json)


@app.command()
def rotate(
    key_id: KeyId,
    *,
    overlap: Annotated[
        int, typer.Option(metavar="MINUTES", min=0, max=_LONGEST_OVERLAP, help="How long the old key works on.")
    ] = 0,
    expires: Expires = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Put a new key with the same name and scopes in the place of one, and print it, this once.

    Example: [bold]cost-tracker keys rotate 7k2m9x4c1p8r --overlap 60[/bold]
    """
    body = {"overlap_minutes": overlap, "expires_at": expires}
    with connected(url, key) as client:
        found = client.post(f"{_path(key_id)}/rotate", body)
    made, replaced = found["data"], found["replaced"]
    _show_new(made, {**made, "replaced": replaced}, as_json=as_json)
    note(f"The old key {replaced['id']} ends at {_minute(replaced['revoked_at'])} UTC.")


@app.command()
def revoke(key_id: KeyId, *, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """End a key for good. Its row is kept; revoking it again changes nothing.

    Example: [bold]cost-tracker keys revoke 7k2m9x4c1p8r[/bold]
    """
    with connected(url, key) as client:
        revoked = client.delete(_path(key_id))["data"]
    if as_json:
        print_json(revoked)
    else:
        answer(f"{revoked['id']} ({revoked['name']}): {revoked['status']}")
    note("A tracker that runs elsewhere accepts it for at most 60 more seconds.")


def _every(client: Client) -> Iterator[dict[str, Any]]:
    cursor = None
    while True:
        page = client.get(_PATH, limit=_MOST_ROWS, cursor=cursor)
        yield from page["data"]
        cursor = page["next_cursor"]
        if cursor is None:
            return


def _show_new(made: dict[str, Any], whole: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(whole)
    else:
        answer(made["key"])
    note(f"Keep the key {made['id']} ({made['name']}) now, in a secret store: it is not shown again.")


def _path(key_id: str) -> str:
    return f"{_PATH}/{quote(key_id, safe='')}"


def _minute(instant: str | None) -> str:
    return "never" if instant is None else instant[:16].replace("T", " ")
