"""Project rules as people change them: no two with the same pattern, every change with its author."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from shared.core.projects import Rule
from shared.errors import ConflictError, NotFoundError
from shared.store import audit, projects

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.store.audit import Author
    from shared.store.database import Connection, Database


def add(database: Database, rule: Rule, author: Author) -> dict[str, Any]:
    """Store a new rule (its id is ignored) and return it; lines that are written from now on follow it.

    Raises:
        ConflictError: there is one with this pattern.
    """

    def work(connection: Connection) -> dict[str, Any]:
        projects.lock_rules(connection)
        rule_id = projects.draw_id(connection)
        # Only there when the COMMIT of an earlier try was not answered.
        stored = projects.get(connection, rule_id)
        if stored is not None:
            return stored
        _check_pattern(connection, rule.pattern, rule_id)
        added = projects.save(connection, replace(rule, id=rule_id))
        audit.write(connection, author, "rule added", {"after": added})
        return added

    return database.run(work)


def change(database: Database, rule_id: int, changes: Mapping[str, Any], author: Author) -> dict[str, Any]:
    """Give a rule another `pattern`, `project` or `priority`, and return it.

    Raises:
        NotFoundError: there is no such rule.
        ConflictError: another one has this pattern.
    """

    def work(connection: Connection) -> dict[str, Any]:
        projects.lock_rules(connection)
        before = projects.get(connection, rule_id)
        if before is None:
            raise no_rule(rule_id)
        wanted = {name: changes.get(name, before[name]) for name in ("pattern", "project", "priority")}
        if all(before[name] == value for name, value in wanted.items()):
            return before
        _check_pattern(connection, wanted["pattern"], rule_id)
        after = projects.save(connection, Rule(**wanted, id=rule_id))
        audit.write(connection, author, "rule changed", {"before": before, "after": after})
        return after

    return database.run(work)


def remove(database: Database, rule_id: int, author: Author) -> dict[str, Any]:
    """Delete a rule and return what it was.

    Raises:
        NotFoundError: there is no such rule.
    """

    def work(connection: Connection) -> dict[str, Any]:
        was_there = projects.get(connection, rule_id) is not None
        removed = projects.delete(connection, rule_id)
        if removed is None:
            raise no_rule(rule_id)
        if was_there:
            audit.write(connection, author, "rule removed", {"before": removed})
        return removed

    return database.run(work)


def no_rule(rule_id: int) -> NotFoundError:
    """Return the error for a rule that does not exist."""
    return NotFoundError(f"There is no project rule {rule_id}; GET /api/projects/rules lists them.")


def _check_pattern(connection: Connection, pattern: str, rule_id: int) -> None:
    namesake = projects.namesake(connection, pattern)
    if namesake is not None and namesake["id"] != rule_id:
        raise ConflictError(
            f"The rule {namesake['id']} has the pattern {namesake['pattern']!r} already; change that one instead."
        )
