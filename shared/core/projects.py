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


def ordered(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Return rules in the order they are tried: higher priority, then longer literal prefix, then older."""
    return tuple(sorted(rules, key=lambda rule: (-rule.priority, -len(rule.literal_prefix), rule.id)))


def fault(pattern: str) -> str | None:
    """Say in a sentence what is wrong with a pattern, None if it can be matched as it reads.

    A bracket that is not closed, or holds nothing, would silently be taken as text.
    """
    if not pattern.strip():
        return "Write a glob such as peakpaws-*."
    if pattern != pattern.strip():
        return "Remove the blanks around the pattern."
    at = 0
    while (at := pattern.find("[", at)) >= 0:
        # As fnmatch reads it: a `]` right after the bracket (or after `[!`) is a member, not the end.
        first = at + 2 if pattern[at + 1 : at + 2] == "!" else at + 1
        end = pattern.find("]", first + 1)
        if end < 0:
            return "Close the bracket: [abc] is one of a, b and c; [[] is the bracket itself."
        at = end + 1
    return None


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
