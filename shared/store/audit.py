"""Who changed what, and when: one row per change, never edited."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.core import jsontext

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from shared.store.database import Connection


@dataclass(frozen=True, slots=True)
class Author:
    """Who changes something: the name of a key, or of the job that did it by itself; when (UTC), and in which run."""

    name: str
    at: datetime
    run_id: int | None = None


def write(connection: Connection, author: Author, action: str, detail: Mapping[str, object]) -> None:
    """Note a change in the transaction that makes it; `detail` is JSON."""
    connection.execute(
        "INSERT INTO audit_log (at, actor, action, run_id, detail) VALUES (%s, %s, %s, %s, %s::jsonb)",
        [author.at, author.name, action, author.run_id, jsontext.dumps(detail)],
    )
