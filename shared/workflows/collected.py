"""What a collection is made from and what it says afterwards: sources, reports, progress."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from shared.core.windows import Why
from shared.store import accounts
from shared.workflows.merge import Changes

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from shared.providers.base import Balance, Provider
    from shared.store.accounts import Account
    from shared.store.database import Connection
    from shared.workflows.feed import Fed


@dataclass(frozen=True, slots=True)
class Source:
    """An account's name and origin with the provider that its credential opens.

    `account_id` is that of an account which has to be there; without it the account is made when it is missing. `bind`
    gives the provider again, with so many seconds for all of its calls; without it `provider` has its own limit.
    """

    account: str
    origin: str
    provider: Provider
    account_id: int | None = None
    # It may hold the key.
    bind: Callable[[float], Provider] | None = field(default=None, repr=False)


def opened_account(connection: Connection, source: Source) -> Account | None:
    """Return the account of a source, made where it may be; None if it was removed."""
    if source.account_id is None:
        return accounts.ensure(connection, source.account, source.provider.name, source.origin)
    found = accounts.get(connection, source.account_id)
    return found if found is not None and found.is_open else None


@dataclass(slots=True)
class StreamReport:
    """What happened to one stream: pages read in this run, the window and why that one, and what it changed.

    A feed changes no buckets; `feed` says what became of its rows. `note` says why nothing was asked for: then there is
    no window.
    """

    stream: str
    window_start: datetime | None = None
    window_end: datetime | None = None
    why: Why = Why.TRAILING
    pages: int = 0
    changes: Changes = field(default_factory=Changes)
    feed: Fed | None = None
    note: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the shape that runs store; `feed` is there for feeds, and what they gave is new or unchanged."""
        told = {name: value for name, value in asdict(self).items() if name not in {"changes", "feed"}}
        if self.feed is None:
            return {**told, **asdict(self.changes)}
        changes = Changes(new=self.feed.created, unchanged=self.feed.duplicates)
        return {**told, **asdict(changes), "feed": self.feed.as_json()}


@dataclass(slots=True)
class AccountReport:
    """What happened to one account. `status` is `succeeded`, `partial` (continues next time) or `failed`.

    `cause` is an error of ours behind a failure, for the log; `is_cut` says that only time was missing; `balances` are
    what is left of prepaid money.
    """

    account: str
    provider: str
    status: str = "succeeded"
    error: str | None = None
    streams: list[StreamReport] = field(default_factory=list)
    cause: Exception | None = None
    is_cut: bool = False
    balances: tuple[Balance, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the shape that runs store."""
        return {
            "account": self.account,
            "provider": self.provider,
            "status": self.status,
            "error": self.error,
            "streams": [stream.as_json() for stream in self.streams],
            "balances": [{"currency": one.currency, "available": one.available} for one in self.balances],
        }


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a stream's window is read: `done` of 0 to 1 by time covered."""

    account: str
    stream: str
    pages: int
    done: float
