"""Which project a working directory means."""

from __future__ import annotations

import re
from functools import lru_cache

from shared.core.projects import Rule, assign

_SEPARATORS = re.compile(r"[/\\]+")
# Work trees that Claude Code makes inside of a project belong to it.
_INSIDE = re.compile(r"[/\\]\.claude(?=[/\\]|$)")
_ANYTHING = re.compile(r"[*?]+")


@lru_cache(maxsize=4096)
def project_of(cwd: str, root: str, rules: tuple[Rule, ...]) -> str | None:
    """Return the project of a directory: of the first rule that its name matches, else the name itself.

    A rule that accepts every name says nothing about this one and is passed over. A directory below `root`, where the
    session began, belongs to `root`. None where there is no name.

    Args:
        cwd: an absolute path of any operating system, or empty.
        root: the same.
        rules: in the order they are tried.
    """
    where = root if not cwd or (root and _is_below(cwd, root)) else cwd
    where = _INSIDE.split(where, maxsplit=1)[0]
    names = [name for name in _SEPARATORS.split(where) if name]
    if not names or (len(names) == 1 and names[0].endswith(":")):
        return None
    telling = [rule for rule in rules if not _ANYTHING.fullmatch(rule.pattern)]
    return assign((*telling, Rule("*", names[-1])), label=names[-1])


def _is_below(cwd: str, root: str) -> bool:
    return cwd.startswith(root) and (len(cwd) == len(root) or cwd[len(root)] in "/\\")
