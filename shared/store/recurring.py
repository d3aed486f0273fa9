"""Recurring entries: what they say, and which of their dates are booked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime

    from shared.store.database import Connection

# What a rule says.
COLUMNS = (
    "service", "account_id", "cost", "tokens", "model", "notes", "project", "tags", "repeat", "first_date", "until",
)  # fmt: skip
_SHOWN = f"""
    recurring_entries.id, {", ".join(f"recurring_entries.{name}" for name in COLUMNS)}, booked_until, ended_at,
    recurring_entries.created_at, recurring_entries.updated_at, coalesce(accounts.name, 'none') AS account,
    (SELECT count(*) FROM recurring_dates WHERE recurring_id = recurring_entries.id) AS booked
"""
_FROM = "FROM recurring_entries LEFT JOIN accounts ON accounts.id = recurring_entries.account_id"


def everyone(connection: Connection) -> list[dict[str, Any]]:
    """Return every rule, the ended ones included: `COLUMNS`, `account`, how many dates are `booked`; oldest first."""
    return connection.execute(f"SELECT {_SHOWN} {_FROM} ORDER BY recurring_entries.id").fetchall()


def get(connection: Connection, rule_id: int) -> dict[str, Any] | None:
    """Return one rule as `everyone` does, None if there is none."""
    return connection.execute(f"SELECT {_SHOWN} {_FROM} WHERE recurring_entries.id = %s", [rule_id]).fetchone()


def lock(connection: Connection, rule_id: int) -> dict[str, Any] | None:
    """Return one rule and keep others from booking or changing it; None if there is none."""
    return connection.execute(
        f"SELECT {_SHOWN} {_FROM} WHERE recurring_entries.id = %s FOR UPDATE OF recurring_entries", [rule_id]
    ).fetchone()


def due(connection: Connection, today: date) -> list[int]:
    """Return the ids of rules that may have a date to book up to `today`."""
    rows = connection.execute(
        """
        SELECT id FROM recurring_entries
        WHERE ended_at IS NULL AND first_date <= %(today)s
            AND (booked_until IS NULL OR booked_until < least(until, %(today)s))
        ORDER BY id
        """,
        {"today": today},
    )
    return [row["id"] for row in rows]


def draw_id(connection: Connection) -> int:
    """Return an id that no rule has."""
    row = connection.execute("SELECT nextval(pg_get_serial_sequence('recurring_entries', 'id')) AS id").fetchone()
    if row is None:
        raise AssertionError("a sequence gives a number")
    return int(row["id"])


def insert(connection: Connection, rule_id: int, rule: Mapping[str, Any], now: datetime) -> None:
    """Store a new rule (`COLUMNS`; tags as JSON text) under an id that was drawn; again changes nothing."""
    connection.execute(
        f"""
        INSERT INTO recurring_entries (id, {", ".join(COLUMNS)}, created_at, updated_at) OVERRIDING SYSTEM VALUE
        VALUES (%(id)s, {", ".join(f"%({name})s" for name in COLUMNS)}, %(now)s, %(now)s) ON CONFLICT (id) DO NOTHING
        """,
        {**rule, "id": rule_id, "now": now},
    )


def replace(connection: Connection, rule_id: int, rule: Mapping[str, Any], now: datetime) -> None:
    """Give a rule other words (`COLUMNS`)."""
    connection.execute(
        f"""
        UPDATE recurring_entries SET {", ".join(f"{name} = %({name})s" for name in COLUMNS)}, updated_at = %(now)s
        WHERE id = %(id)s
        """,
        {**rule, "id": rule_id, "now": now},
    )


def end(connection: Connection, rule_id: int, now: datetime) -> None:
    """End a rule: nothing more is booked, what was booked stays."""
    connection.execute(
        "UPDATE recurring_entries SET ended_at = %(now)s, updated_at = %(now)s WHERE id = %(id)s AND ended_at IS NULL",
        {"id": rule_id, "now": now},
    )


def take(connection: Connection, rule_id: int, day: date, line_id: int) -> bool:
    """Return whether a date is not booked yet, which it is from now on, as the line of this id."""
    row = connection.execute(
        """
        INSERT INTO recurring_dates (recurring_id, date, line_id) VALUES (%s, %s, %s)
        ON CONFLICT DO NOTHING RETURNING line_id
        """,
        [rule_id, day, line_id],
    ).fetchone()
    return row is not None


def settle(connection: Connection, rule_id: int, day: date) -> None:
    """Have no date up to this one booked any more."""
    connection.execute(
        "UPDATE recurring_entries SET booked_until = greatest(booked_until, %s) WHERE id = %s", [day, rule_id]
    )
