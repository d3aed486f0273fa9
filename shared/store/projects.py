"""Project rules as people edit them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.core.projects import Rule, ordered

if TYPE_CHECKING:
    from shared.store.database import Connection


def rules(connection: Connection) -> tuple[Rule, ...]:
    """Return every rule in the order they are tried."""
    rows = connection.execute("SELECT id, pattern, project_name, priority FROM project_mappings")
    return ordered(Rule(row["pattern"], row["project_name"], row["priority"], row["id"]) for row in rows)
