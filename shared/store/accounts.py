"""Accounts, the names behind their ids, and where each stream's collection stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.core import windows
from shared.core.windows import Coverage

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from shared.store.database import Connection


@dataclass(frozen=True, slots=True)
class Account:
    """One polled account. Instants are UTC; the coverage is half-open and None before the first collection."""

    id: int
    name: str
    provider: str
    origin: str
    state: str
    error: str | None
    collected_at: datetime | None
    covered_from: datetime | None
    complete_until: datetime | None

    @property
    def is_demo(self) -> bool:
        """Return whether its figures are invented."""
        return self.origin == "demo"


_COLUMNS = "id, name, provider, origin, state, error, collected_at, covered_from, complete_until"


def ensure(connection: Connection, name: str, provider: str, origin: str) -> Account:
    """Return the account of this name, made when it is missing."""
    connection.execute(
        "INSERT INTO accounts (name, provider, origin) VALUES (%s, %s, %s) ON CONFLICT (name) DO NOTHING",
        [name, provider, origin],
    )
    return next(account for account in everyone(connection) if account.name == name)


def everyone(connection: Connection) -> list[Account]:
    """Return all accounts, oldest first."""
    return [Account(**row) for row in connection.execute(f"SELECT {_COLUMNS} FROM accounts ORDER BY id")]


def defaults(found: Iterable[Account]) -> dict[str, int]:
    """Return provider -> id of the account of events that name none: the oldest polled one, else the oldest.

    An account that only events name is for those events: as the default it would keep the others from the report that
    explains them. `found` are all accounts, oldest first.
    """
    chosen: dict[str, int] = {}
    for account in sorted(found, key=lambda account: account.origin == "stored"):
        chosen.setdefault(account.provider, account.id)
    return chosen


def claim(connection: Connection, account_id: int, owner_id: str) -> str:
    """Return whom the account belongs to: `owner_id` if it belonged to nobody yet."""
    row = connection.execute(
        "UPDATE accounts SET owner_id = coalesce(owner_id, %s) WHERE id = %s RETURNING owner_id", [owner_id, account_id]
    ).fetchone()
    return owner_id if row is None else str(row["owner_id"])


def set_health(connection: Connection, account_id: int, state: str, error: str | None, collected_at: datetime) -> None:
    """Record how a collection ended: `ok`, `credential_refused` or `failing` with its sentence."""
    connection.execute(
        """
        UPDATE accounts SET state = %(state)s, error = %(error)s,
            collected_at = CASE WHEN %(state)s = 'ok' THEN %(at)s ELSE collected_at END
        WHERE id = %(id)s
        """,
        {"id": account_id, "state": state, "error": error, "at": collected_at},
    )


def extend_coverage(
    connection: Connection,
    account_id: int,
    window: tuple[datetime, datetime],
    first_bucket: datetime | None,
    settled: datetime,
) -> tuple[Coverage, Coverage]:
    """Widen the account's coverage by a window that was read in full (see `core.windows.extend_coverage`).

    Returns the coverage before and after. The account stays locked until the end of the transaction.
    """
    row = connection.execute(
        "SELECT covered_from, complete_until FROM accounts WHERE id = %s FOR UPDATE", [account_id]
    ).fetchone()
    before = Coverage(None, None) if row is None else Coverage(**row)
    after = windows.extend_coverage(before, window, first_bucket, settled)
    connection.execute(
        "UPDATE accounts SET covered_from = %s, complete_until = %s WHERE id = %s",
        [after.covered_from, after.complete_until, account_id],
    )
    return before, after


def save_names(connection: Connection, account_id: int, names: Iterable[tuple[str, str, str, bool]]) -> None:
    """Keep (kind, id, name, archived); names that the provider stopped listing stay, old usage needs them."""
    with connection.cursor() as cursor:
        cursor.executemany(
            """
            INSERT INTO provider_names (account_id, kind, external_id, name, archived) VALUES (%s, %s, %s, %s, %s)
            ON CONFLICT (account_id, kind, external_id) DO UPDATE SET name = excluded.name, archived = excluded.archived
            WHERE (provider_names.name, provider_names.archived) <> (excluded.name, excluded.archived)
            """,
            [(account_id, *name) for name in names],
        )


def names(connection: Connection, account_id: int) -> dict[tuple[str, str], str]:
    """Return (kind, id) -> name for one account."""
    rows = connection.execute("SELECT kind, external_id, name FROM provider_names WHERE account_id = %s", [account_id])
    return {(row["kind"], row["external_id"]): row["name"] for row in rows}
