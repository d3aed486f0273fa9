"""The ids of key and workspace of a stored bucket, as SQL over `buckets`; NULL where the provider names none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.core.dimensions import KEY, WORKSPACE

if TYPE_CHECKING:
    from collections.abc import Iterable


def _first(names: Iterable[str]) -> str:
    told = ", ".join(f"buckets.dimensions ->> '{name}'" for name in names)
    return f"coalesce({told})"


KEY_ID, WORKSPACE_ID = _first(KEY), _first(WORKSPACE)
