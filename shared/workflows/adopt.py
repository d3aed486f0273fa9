"""Adopt: events that came before their provider had an account become those of its default account."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from shared.core import crash
from shared.errors import ConflictError, SupersededError
from shared.store import accounts, adoption
from shared.store import reprice as reprice_store
from shared.workflows.attribute import rebuild
from shared.workflows.days import Walk

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from shared.store.accounts import Account
    from shared.store.database import Connection, Database


def adopt(database: Database, account: Account, now: datetime, remaining: Callable[[], float]) -> bool:
    """Give the account all events of its provider that have none, if it is the provider's default.

    Called before its report counts, so that no event is ever counted beside the report that holds it. Each UTC day is
    one transaction with its roll-ups and balance lines; again it finds nothing to do, at the price of one look at an
    index. An event stays what was sent: sent again it is a duplicate. Returns whether all were taken before the time
    was over, which is asked for a minute before the end.

    Raises:
        DatabaseUnavailableError: Postgres is away; whole days are done.
        SupersededError: the account is being deleted.
    """

    def next_event(start: datetime, end: datetime) -> datetime | None:
        return database.run(lambda c: adoption.next_event(c, account.provider, start, end))

    def day(connection: Connection, span: tuple[datetime, datetime]) -> None:
        reprice_store.lock(connection, span[0])
        groups = adoption.move(connection, account.provider, account.id, span, now)
        crash.at("adopt:moved")
        rebuild(connection, groups)
        crash.at("adopt:balanced")

    walk = Walk()
    for span in walk.days(next_event, remaining):
        if walk.worked == 0 and not _is_default(database, account):
            return True
        try:
            database.run(partial(day, span=span))
        except ConflictError as error:
            raise SupersededError(f"The account {account.name} was deleted at this moment.") from error
        crash.at("adopt:answered")
    return walk.stopped_at is None


def _is_default(database: Database, account: Account) -> bool:
    return accounts.defaults(database.run(accounts.everyone)).get(account.provider) == account.id
