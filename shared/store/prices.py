"""What people set about prices: dated overrides and aliases of models. Overrides are added, never edited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from decimal import Decimal

    from shared.store.database import Connection

# Class of tokens -> column of its price, USD per million.
COLUMNS = {
    "input": "input_per_1m",
    "output": "output_per_1m",
    "cache_read": "cache_read_per_1m",
    "cache_write_5m": "cache_write_per_1m",
    "cache_write_1h": "cache_write_1h_per_1m",
}
_OVERRIDE = f"id, model, provider, since, {', '.join(COLUMNS.values())}, created_at"


def overrides(connection: Connection) -> list[dict[str, Any]]:
    """Return every override: `id, model, provider, since`, prices in USD per million tokens, `created_at`."""
    return connection.execute(f"SELECT {_OVERRIDE} FROM price_overrides ORDER BY id").fetchall()


def lock_overrides(connection: Connection) -> None:
    """Let nobody else add an override until this transaction ends; reading goes on."""
    connection.execute("LOCK TABLE price_overrides IN SHARE ROW EXCLUSIVE MODE")


def latest_override(connection: Connection, model: str, provider: str | None, since: datetime) -> dict[str, Any] | None:
    """Return what was last said of a model (at a provider, or at any) from exactly `since` on."""
    return connection.execute(
        f"""
        SELECT {_OVERRIDE} FROM price_overrides
        WHERE lower(model) = lower(%s) AND provider IS NOT DISTINCT FROM %s AND since = %s ORDER BY id DESC LIMIT 1
        """,
        [model, provider, since],
    ).fetchone()


def override_in_force(connection: Connection, model: str, provider: str | None, at: datetime) -> dict[str, Any] | None:
    """Return the override of a model (at a provider, or at any) that holds at an instant."""
    return connection.execute(
        f"""
        SELECT {_OVERRIDE} FROM price_overrides
        WHERE lower(model) = lower(%s) AND provider IS NOT DISTINCT FROM %s AND since <= %s
        ORDER BY since DESC, id DESC LIMIT 1
        """,
        [model, provider, at],
    ).fetchone()


def add_override(
    connection: Connection, model: str, provider: str | None, since: datetime, figures: Mapping[str, Decimal | None]
) -> dict[str, Any]:
    """Store an override and return it; `figures` are prices by class."""
    row = connection.execute(
        f"""
        INSERT INTO price_overrides (model, provider, since, {", ".join(COLUMNS.values())})
        VALUES (%(model)s, %(provider)s, %(since)s, {", ".join(f"%({name})s" for name in COLUMNS)})
        RETURNING {_OVERRIDE}
        """,
        {"model": model, "provider": provider, "since": since, **{name: figures.get(name) for name in COLUMNS}},
    ).fetchone()
    if row is None:
        raise AssertionError("RETURNING gives a row")
    return row


def aliases(connection: Connection) -> dict[str, str]:
    """Return every alias of the users' (lower case) -> canonical id."""
    rows = connection.execute("SELECT alias, model FROM model_aliases ORDER BY alias")
    return {row["alias"]: row["model"] for row in rows}


def set_aliases(connection: Connection, model: str, wanted: list[str]) -> dict[str, str]:
    """Make `wanted` (lower case) the aliases of a model and no others; return those that were another model's."""
    connection.execute("LOCK TABLE model_aliases IN SHARE ROW EXCLUSIVE MODE")
    moved = connection.execute(
        "SELECT alias, model FROM model_aliases WHERE alias = ANY(%s) AND model <> %s ORDER BY alias", [wanted, model]
    ).fetchall()
    connection.execute("DELETE FROM model_aliases WHERE model = %s AND alias <> ALL(%s)", [model, wanted])
    connection.execute(
        """
        INSERT INTO model_aliases (alias, model) SELECT unnest(%s::text[]), %s
        ON CONFLICT (alias) DO UPDATE SET model = excluded.model WHERE model_aliases.model <> excluded.model
        """,
        [wanted, model],
    )
    return {row["alias"]: row["model"] for row in moved}
