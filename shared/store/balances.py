"""What is left of prepaid money, as it was seen by each collection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime, timedelta
    from decimal import Decimal

    from shared.store.database import Connection


class Seen(NamedTuple):
    """A balance as its provider stated it; see `providers.base.Balance`."""

    currency: str
    available: Decimal
    called: str
    granted: Decimal | None
    topped_up: Decimal | None


def save(connection: Connection, account_id: int, at: datetime, seen: Iterable[Seen]) -> None:
    """Keep what a collection saw at an instant, which names it: the first answer stays, and the same again is nothing.

    An account that is being deleted gets none.
    """
    found = connection.execute(
        """
        UPDATE accounts SET balances_at = greatest(balances_at, %s) WHERE id = %s AND deleting_at IS NULL RETURNING id
        """,
        [at, account_id],
    ).fetchone()
    if found is None:
        return
    with connection.cursor() as cursor:
        cursor.executemany(
            """
            INSERT INTO balances (account_id, at, currency, available, called, granted, topped_up)
            VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
            """,
            [(account_id, at, *one) for one in seen],
        )


def recent(connection: Connection, span: timedelta, account_id: int | None = None) -> list[dict[str, Any]]:
    """Return the balances of the last `span` before each account was last asked, by time.

    Of all accounts, or of one: `account_id, provider, at, currency, available, called, granted, topped_up, is_latest`.
    """
    return connection.execute(
        """
        SELECT balances.*, accounts.provider, balances.at = accounts.balances_at AS is_latest
        FROM balances JOIN accounts ON accounts.id = balances.account_id
        WHERE balances.at >= accounts.balances_at - %(span)s
            AND (%(account)s::bigint IS NULL OR account_id = %(account)s)
        ORDER BY account_id, currency, at
        """,
        {"span": span, "account": account_id},
    ).fetchall()
