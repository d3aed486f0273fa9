"""A command that also has subcommands: `models sonnet` lists, `models price sonnet ...` sets."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

DEFAULT = "list"
_HELP = {"-h", "--help"}


class ListsByDefault(TyperGroup):
    """A group whose `list` is meant where no subcommand is named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - a class that Typer keeps to itself
        """Name the subcommand that was left out."""
        if not args or (args[0] not in self.commands and args[0] not in _HELP):
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)
