"""Accounts, the names behind their ids, and where each stream's collection stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from shared.core import windows
from shared.core.windows import Coverage

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from shared.store.database import Connection


@dataclass(frozen=True, slots=True)
class Account:
    """One account. Instants are UTC; the coverage is half-open and None before the first collection.

    `is_default` is the user's choice; see `defaults`. `archived_at` ended its polling, `deleting_at` ends it.
    """

    id: int
    name: str
    provider: str
    origin: str
    state: str
    error: str | None
    collected_at: datetime | None
    covered_from: datetime | None
    complete_until: datetime | None
    has_credential: bool = False
    is_default: bool = False
    archived_at: datetime | None = None
    deleting_at: datetime | None = None

    @property
    def is_reported(self) -> bool:
        """Return whether its provider's report is its figures, or was until it was archived; else only events are."""
        return self.origin != "stored" or self.has_credential or self.covered_from is not None

    @property
    def is_open(self) -> bool:
        """Return whether it is neither archived nor about to be deleted."""
        return self.archived_at is None and self.deleting_at is None

    @property
    def is_demo(self) -> bool:
        """Return whether its figures are invented."""
        return self.origin == "demo"


_COLUMNS = (
    "id, name, provider, origin, state, error, collected_at, covered_from, complete_until, "
    "credential IS NOT NULL AS has_credential, is_default, archived_at, deleting_at"
)
# So many collections say what lag is usual.
LAGS_KEPT = 20


def ensure(connection: Connection, name: str, provider: str, origin: str) -> Account:
    """Return the account of this name, made when it is missing and opened again when it was archived."""
    connection.execute(
        """
        INSERT INTO accounts (name, provider, origin) VALUES (%s, %s, %s) ON CONFLICT (name) DO UPDATE
        SET archived_at = NULL WHERE accounts.archived_at IS NOT NULL AND accounts.deleting_at IS NULL
        """,
        [name, provider, origin],
    )
    return next(account for account in everyone(connection) if account.name == name)


def everyone(connection: Connection) -> list[Account]:
    """Return all accounts, oldest first."""
    return [Account(**row) for row in connection.execute(f"SELECT {_COLUMNS} FROM accounts ORDER BY id")]


def get(connection: Connection, account_id: int) -> Account | None:
    """Return the account of this id, None if there is none."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM accounts WHERE id = %s", [account_id]).fetchone()
    return None if row is None else Account(**row)


def defaults(found: Iterable[Account]) -> dict[str, int]:
    """Return provider -> id of the account of events that name none: the chosen, the oldest polled, or the oldest one.

    An archived account takes no new events. One that only events name is for those events: as the default it would keep
    the others from the report that explains them. `found` are all accounts, oldest first.
    """
    chosen: dict[str, int] = {}
    for account in sorted(found, key=lambda account: (not account.is_default, not account.is_reported)):
        if account.is_open:
            chosen.setdefault(account.provider, account.id)
    return chosen


def hold(connection: Connection, account_id: int) -> bool:
    """Keep an account from being deleted before this transaction ends; False where that has begun."""
    row = connection.execute(
        "SELECT 1 FROM accounts WHERE id = %s AND deleting_at IS NULL FOR SHARE", [account_id]
    ).fetchone()
    return row is not None


class OwnedError(Exception):
    """Another account of the provider belongs to this owner: `name` says which."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def claim(connection: Connection, account_id: int, owner_id: str) -> str:
    """Return whom the account belongs to: `owner_id` if it belonged to nobody yet.

    Raises:
        OwnedError: another account does; the same usage would count twice.
    """
    try:
        with connection.transaction():
            row = connection.execute(
                "UPDATE accounts SET owner_id = coalesce(owner_id, %s) WHERE id = %s RETURNING owner_id",
                [owner_id, account_id],
            ).fetchone()
    except psycopg.errors.UniqueViolation as error:
        found = connection.execute("SELECT provider FROM accounts WHERE id = %s", [account_id]).fetchone()
        provider = "" if found is None else found["provider"]
        raise OwnedError(owned_by(connection, provider, owner_id, besides=account_id) or "another one") from error
    return owner_id if row is None else str(row["owner_id"])


def owned_by(connection: Connection, provider: str, owner_id: str, *, besides: int | None) -> str | None:
    """Return the name of the account of a provider that belongs to this owner, None if there is no other."""
    row = connection.execute(
        "SELECT name FROM accounts WHERE provider = %s AND owner_id = %s AND id IS DISTINCT FROM %s",
        [provider, owner_id, besides],
    ).fetchone()
    return None if row is None else str(row["name"])


def set_health(connection: Connection, account_id: int, state: str, error: str | None, collected_at: datetime) -> None:
    """Record how a collection ended: `ok` (then its lag too), `credential_refused` or `failing` with its sentence.

    `collected_at` names the collection: recording it again changes nothing.
    """
    connection.execute(
        """
        UPDATE accounts SET state = %(state)s, error = %(error)s,
            collected_at = CASE WHEN %(state)s = 'ok' THEN %(at)s ELSE collected_at END
        WHERE id = %(id)s
        """,
        {"id": account_id, "state": state, "error": error, "at": collected_at},
    )
    if state == "ok":
        connection.execute(
            """
            INSERT INTO account_lags (account_id, at, seconds)
            SELECT id, %(at)s, greatest(0, extract(epoch FROM %(at)s - complete_until))::bigint FROM accounts
            WHERE id = %(id)s AND complete_until IS NOT NULL
            ON CONFLICT (account_id, at) DO UPDATE SET seconds = excluded.seconds
            """,
            {"id": account_id, "at": collected_at},
        )
        connection.execute(
            """
            DELETE FROM account_lags WHERE account_id = %(id)s AND at <= (
                SELECT at FROM account_lags WHERE account_id = %(id)s ORDER BY at DESC LIMIT 1 OFFSET %(kept)s
            )
            """,
            {"id": account_id, "kept": LAGS_KEPT},
        )


def extend_coverage(
    connection: Connection,
    account_id: int,
    window: tuple[datetime, datetime],
    first_bucket: datetime | None,
    settled: datetime,
    since: datetime,
) -> tuple[Coverage, Coverage]:
    """Widen the account's coverage by a window that was read in full (see `core.windows.extend_coverage`).

    What it steps over is kept apart: events of that span are the total there. Returns the coverage before and after.
    The account stays locked until the end of the transaction.
    """
    row = connection.execute(
        "SELECT covered_from, complete_until FROM accounts WHERE id = %s FOR UPDATE", [account_id]
    ).fetchone()
    before = Coverage(None, None) if row is None else Coverage(**row)
    after = windows.extend_coverage(before, window, first_bucket, settled, since)
    # From an instant to itself there is nothing.
    start, end = windows.gap(before, after, window) or (window[0], window[0])
    connection.execute(
        """
        UPDATE accounts SET covered_from = %s, complete_until = %s,
            never_read = never_read + tstzmultirange(tstzrange(%s, %s))
        WHERE id = %s
        """,
        [after.covered_from, after.complete_until, start, end, account_id],
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
