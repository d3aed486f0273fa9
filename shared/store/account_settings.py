"""What people decide about an account: name, sealed credential, options, limit, and whether it is the default."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.core import jsontext

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.store.database import Connection

# What `insert` and `update` take, each under its column's name.
COLUMNS = ("name", "provider", "credential", "options", "is_default", "monthly_limit", "owner_id")
_SHOWN = """
    id, name, provider, origin, state, error, options, is_default, monthly_limit, owner_id, covered_from,
    complete_until, collected_at, archived_at, deleting_at, created_at, credential IS NOT NULL AS has_credential,
    (
        SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) FROM account_lags WHERE account_id = accounts.id
    )::bigint AS usual_lag_seconds,
    (SELECT count(*) FROM quarantine WHERE account_id = accounts.id AND quarantine.state = 'held') AS quarantined_rows
"""


def everyone(connection: Connection) -> list[dict[str, Any]]:
    """Return every account in full but for its credential, oldest first."""
    return connection.execute(f"SELECT {_SHOWN} FROM accounts ORDER BY id").fetchall()


def get(connection: Connection, account_id: int) -> dict[str, Any] | None:
    """Return one account as `everyone` does, None if there is none."""
    return connection.execute(f"SELECT {_SHOWN} FROM accounts WHERE id = %s", [account_id]).fetchone()


def lock(connection: Connection, account_id: int) -> dict[str, Any] | None:
    """Return one account and keep others from changing it; None if there is none."""
    return connection.execute(f"SELECT {_SHOWN} FROM accounts WHERE id = %s FOR UPDATE", [account_id]).fetchone()


def id_of(connection: Connection, name: str) -> int | None:
    """Return the id of the account of this name, None if there is none."""
    row = connection.execute("SELECT id FROM accounts WHERE name = %s", [name]).fetchone()
    return None if row is None else int(row["id"])


def draw_id(connection: Connection) -> int:
    """Return an id that no account has: a credential is bound to it before the account exists."""
    row = connection.execute("SELECT nextval(pg_get_serial_sequence('accounts', 'id')) AS id").fetchone()
    if row is None:
        raise AssertionError("a sequence gives a number")
    return int(row["id"])


def insert(connection: Connection, account_id: int, values: Mapping[str, Any]) -> None:
    """Store an account of `COLUMNS` under an id that was drawn; again with the same id changes nothing."""
    connection.execute(
        f"""
        INSERT INTO accounts (id, origin, {", ".join(COLUMNS)}) OVERRIDING SYSTEM VALUE
        VALUES (%(id)s, 'stored', {", ".join(f"%({name})s" for name in COLUMNS)}) ON CONFLICT (id) DO NOTHING
        """,
        {**_bound(values), "id": account_id},
    )


def update(connection: Connection, account_id: int, changes: Mapping[str, Any]) -> None:
    """Replace some of an account's `COLUMNS`. A new credential opens an archived account again and clears its state."""
    if not changes:
        return
    sets = [f"{name} = %({name})s" for name in COLUMNS if name in changes]
    if changes.get("credential") is not None:
        sets += ["state = 'new'", "error = NULL", "archived_at = NULL"]
    connection.execute(
        f"UPDATE accounts SET {', '.join(sets)} WHERE id = %(id)s", {**_bound(changes), "id": account_id}
    )


def clear_default(connection: Connection, provider: str) -> None:
    """Take back the choice of a provider's default account."""
    connection.execute("UPDATE accounts SET is_default = false WHERE provider = %s AND is_default", [provider])


def sealed(connection: Connection, provider: str | None = None, name: str | None = None) -> list[dict[str, Any]]:
    """Return `id, name, provider, options, credential` (encrypted) of the accounts that have one, oldest first."""
    return connection.execute(
        """
        SELECT id, name, provider, options, credential FROM accounts
        WHERE credential IS NOT NULL AND (%(provider)s::text IS NULL OR provider = %(provider)s)
            AND (%(name)s::text IS NULL OR name = %(name)s)
        ORDER BY id
        """,
        {"provider": provider, "name": name},
    ).fetchall()


def _bound(values: Mapping[str, Any]) -> dict[str, Any]:
    bound = dict(values)
    if "options" in bound:
        bound["options"] = jsontext.dumps(bound["options"])
    return bound
