"""Which project a line belongs to: glob rules over the names that came with it, most specific first."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

DEFAULT_PROJECT = "General"

_WILDCARD = re.compile(r"[*?[]")


@dataclass(frozen=True, slots=True)
class Rule:
    """A glob over names, upper and lower case alike: `*`, `?`, `[abc]`, `[!abc]`.

    `id` grows with age: of two rules that are otherwise equal, the lower (older) one is tried first.
    """

    pattern: str
    project: str
    priority: int = 0
    id: int = 0

    @property
    def literal_prefix(self) -> str:
        """What a name must begin with: the pattern up to its first wildcard."""
        return _WILDCARD.split(self.pattern, maxsplit=1)[0]


DEFAULT_RULES = (
    Rule("peakpaws-*", "PeakPaws", 10, 1),
    Rule("kanban-*", "Kanban Board", 10, 2),
    Rule("trading-*", "Trading Tools", 10, 3),
    Rule("cost-tracker-*", "Cost Tracker", 10, 4),
    Rule("context-vault-*", "Context Vault", 10, 5),
    Rule("*", DEFAULT_PROJECT, 0, 6),
)


def ordered(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Return rules in the order they are tried: higher priority, then longer literal prefix, then older."""
    return tuple(sorted(rules, key=lambda rule: (-rule.priority, -len(rule.literal_prefix), rule.id)))


def assign(
    rules: Sequence[Rule],
    *,
    label: str | None = None,
    agent: str | None = None,
    key_name: str | None = None,
    workspace_name: str | None = None,
) -> str:
    """Return the project of a line, given rules as `ordered` returns them.

    Rules are the outer loop: the first rule that matches any name wins, and a rule tries the session label, the
    agent, the provider key's name and the workspace's name. Missing names are skipped; a line without any name is
    matched as the empty name, which only patterns such as `*` accept. Without a match it is `General`.
    """
    names = [name for name in (label, agent, key_name, workspace_name) if name] or [""]
    for rule in rules:
        match = _compiled(rule.pattern).match
        if any(match(name) for name in names):
            return rule.project
    return DEFAULT_PROJECT


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(pattern), re.IGNORECASE)
