"""The filters that reports, statistics and exports share: options of a command, and parameters of the API."""

from __future__ import annotations

import inspect
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, get_type_hints

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

# Parameter of the API -> values, of which any counts.
Filters: TypeAlias = dict[str, list[str]]

_NAME = "NAME"
# Parameter of the API -> what a line has to have, and how its value is written.
_KNOWN = {
    "provider": ("this provider", _NAME),
    "account": ("this account", _NAME),
    "model": ("this model, by id or alias", _NAME),
    "project": ("this project", _NAME),
    "session_type": ("this type: main, subagent, heartbeat, cron", _NAME),
    "session_label": ("this session label", _NAME),
    "agent": ("this agent", _NAME),
    "category": ("this category", _NAME),
    "user": ("this user", _NAME),
    "request_type": ("this request type", _NAME),
    "source": ("this source: api, event, manual, import, attribution", _NAME),
    "tag": ("events with this tag", "KEY:VALUE"),
}
Zone = Annotated[str | None, typer.Option("--tz", metavar="ZONE", help="IANA zone of the days, such as Asia/Tokyo.")]


def filtered(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option per filter; it gets those that were given as its argument `filters`."""

    @wraps(command)
    def run(**given: Any) -> None:  # noqa: ANN401 - whatever options the command has
        narrowed = {name: given.pop(name) for name in _KNOWN}
        command(filters={name: values for name, values in narrowed.items() if values}, **given)

    hints = get_type_hints(command, include_extras=True)
    own = inspect.signature(command).parameters
    options = [own[name].replace(annotation=hints[name]) for name in own if name != "filters"]
    run.__signature__ = inspect.Signature([*options, *map(_option, _KNOWN)])  # type: ignore[attr-defined] # inspect's
    run.__annotations__ = {option.name: option.annotation for option in options} | {
        name: _option(name).annotation for name in _KNOWN
    }
    return run


def _option(name: str) -> inspect.Parameter:
    meaning, metavar = _KNOWN[name]
    option = typer.Option(metavar=metavar, help=f"Only {meaning}; may be repeated.", rich_help_panel="Filters")
    annotation = Annotated[list[str] | None, option]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
