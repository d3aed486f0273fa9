"""`cost-tracker projects`: which names belong to which project, and what a change of that would move."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

import typer

from cost_tracker.connection import AsJson, Key, Url, connected
from cost_tracker.groups import ListsByDefault
from cost_tracker.options import day_option
from cost_tracker.output import ExitCode, answer, answers, count, money, note, print_json, show_table

_PATH = "/api/projects/rules"
_MOST = 1000

app = typer.Typer(
    cls=ListsByDefault,
    help="Show and change the rules that say which project usage belongs to, and apply them to the past.",
)

RuleId = Annotated[int, typer.Argument(metavar="ID", min=1, help="Its id, as `cost-tracker projects` shows it.")]
Pattern = Annotated[str, typer.Argument(metavar="PATTERN", help="A glob over names, such as 'billing-*'.")]
Priority = Annotated[
    int | None,
    typer.Option(metavar="N", min=-_MOST, max=_MOST, help="Higher is tried first; default 10, the catch-all has 0."),
]
Start = Annotated[date | None, day_option("First day; default: from the beginning.")]
End = Annotated[date | None, day_option("Last day; default: until now.")]


@app.command("list")
def list_rules(*, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Show every rule in the order they are tried. Exit 3 if there is none.

    Example: [bold]cost-tracker projects[/bold]
    """
    with connected(url, key) as client:
        rows = client.get(_PATH)["data"]
    if as_json:
        print_json(rows)
    elif rows:
        lines = [(row["pattern"], row["project"], count(row["priority"]), row["id"]) for row in rows]
        show_table(answers(), "Project rules", ("Pattern", "Project", "Priority", "Id"), lines, text_columns=2)
    if not rows:
        note("There is no rule: everything without a project of its own is General.")
        raise typer.Exit(ExitCode.NOTHING)


@app.command()
def add(
    pattern: Pattern,
    project: Annotated[str, typer.Argument(metavar="PROJECT", help="The project of what matches.")],
    *,
    priority: Priority = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Add a rule. It holds from now on; `cost-tracker projects apply` applies the rules to the past.

    Example: [bold]cost-tracker projects add 'billing-*' Billing[/bold]
    """
    body = _given(pattern=pattern, project=project, priority=priority)
    with connected(url, key) as client:
        _show(client.post(_PATH, body)["data"], as_json=as_json)


@app.command("set")
def set_rule(
    rule_id: RuleId,
    *,
    pattern: Annotated[str | None, typer.Option(metavar="PATTERN", help="Another pattern.")] = None,
    project: Annotated[str | None, typer.Option(metavar="PROJECT", help="Another project.")] = None,
    priority: Priority = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Change a rule; what is left out stays.

    Example: [bold]cost-tracker projects set 7 --project Billing[/bold]
    """
    body = _given(pattern=pattern, project=project, priority=priority)
    if not body:
        raise typer.BadParameter("Say what to change: --pattern, --project or --priority.")
    with connected(url, key) as client:
        _show(client.put(f"{_PATH}/{rule_id}", body)["data"], as_json=as_json)


@app.command()
def remove(rule_id: RuleId, *, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Remove a rule; what it matched stays where it is until the rules are applied to the past.

    Example: [bold]cost-tracker projects remove 7[/bold]
    """
    with connected(url, key) as client:
        _show(client.delete(f"{_PATH}/{rule_id}")["data"], as_json=as_json)


@app.command()
def preview(
    *,
    add_rule: Annotated[
        list[str] | None, typer.Option("--add", metavar="PATTERN=PROJECT", help="As if this rule were added.")
    ] = None,
    remove_rule: Annotated[list[int] | None, typer.Option("--remove", metavar="ID", help="As if it were gone.")] = None,
    start: Start = None,
    end: End = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Show what rules would move over the past; without options those in force. Exit 3 if nothing would.

    Example: [bold]cost-tracker projects preview --add 'billing-*=Billing'[/bold]
    """
    body = {"add": [_rule(text) for text in add_rule or ()], "remove": remove_rule or []}
    with connected(url, key) as client:
        found = client.post(f"{_PATH}/preview", body, start=start, end=end)
    if as_json:
        print_json(found)
    else:
        _show_moves(found, "would move")
    if not found["moves"]:
        raise typer.Exit(ExitCode.NOTHING)


@app.command()
def apply(
    *,
    start: Start = None,
    end: End = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would move; change nothing.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Apply the rules to the past. Usage that came with a project keeps it; applying twice changes nothing.

    Example: [bold]cost-tracker projects apply --start 2026-11-01 --dry-run[/bold]
    """
    from cost_tracker.progress import over_days  # noqa: PLC0415 - not for `--help`

    with connected(url, key) as client:
        run = over_days(client, "/admin/reassign", "projects", start=start, end=end, dry_run=dry_run or None)
    if as_json:
        print_json(run)
    elif run["status"] != "failed":
        _show_moves(run["result"], "would move" if dry_run else "moved")
    if run["status"] != "succeeded":
        note(f"cost-tracker: {run['error']}")
        raise typer.Exit(ExitCode.FAILED)


def _given(**fields: object) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


def _rule(text: str) -> dict[str, str]:
    pattern, equals, project = text.rpartition("=")
    if not equals:
        raise typer.BadParameter(f"{text!r} is not PATTERN=PROJECT.", param_hint="--add")
    return {"pattern": pattern, "project": project}


def _show(rule: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(rule)
    else:
        answer(f"{rule['id']}: {rule['pattern']} is {rule['project']}, priority {rule['priority']}")


def _show_moves(found: dict[str, Any], verb: str) -> None:
    if not found["moves"]:
        answer("Nothing moves.")
        return
    rows = [
        (row["from"], row["to"], count(row["lines"]), count(row["requests"]), count(row["tokens"]), money(row["cost"]))
        for row in found["moves"]
    ]
    names = ("From", "To", "Lines", "Requests", "Tokens", "Cost")
    title = f"{count(found['lines'])} lines {verb}, {money(found['cost'])}"
    show_table(answers(), title, names, rows, text_columns=2)
