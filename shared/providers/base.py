"""What every provider yields to the collector: pages of buckets, and the names behind ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from shared.core.usage import PriceContext, Usage

if TYPE_CHECKING:
    from datetime import datetime, timedelta
    from decimal import Decimal

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open span of UTC time `[start, end)` that one fetch covers; `end` never moves while pages are read."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Row:
    """One provider row as it came: the bounds of its bucket in UTC and the decoded JSON (numbers as Decimal)."""

    start: datetime
    end: datetime
    raw: Json


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of one page, oldest first, and the token of the next one (None at the end).

    `listed` is the span of the intervals that the page names, empty ones included; None if it names none. What a
    provider did not list was not read, whatever was asked for.
    """

    rows: tuple[Row, ...]
    next_cursor: str | None
    listed: tuple[datetime, datetime] | None


@dataclass(frozen=True, slots=True)
class Bucket:
    """A provider's figure for one interval and one combination of dimensions.

    `dimensions` identify the bucket inside its interval; `key_id` and `workspace_id` are among them, by names of
    `core.dimensions`. Usage streams fill `usage`; bill streams fill `amount` (USD, exact). An `amount` on a usage
    bucket is what the provider charged for what is counted here: that is its cost, whatever our prices say. `charge`
    is the bill's own class (`tokens`, `web_search`, `code_execution`, ...); on a usage bucket without an amount it
    says that the bill charges what is counted here, so that it has no price.
    """

    start: datetime
    end: datetime
    dimensions: Mapping[str, str | None]
    usage: Usage = field(default_factory=Usage)
    context: PriceContext = field(default_factory=PriceContext)
    model: str | None = None
    key_id: str | None = None
    workspace_id: str | None = None
    amount: Decimal | None = None
    charge: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Owner:
    """Whom a credential belongs to, as the provider identifies and calls them.

    `id` is None where the provider does not say: nobody can then tell whether another key is of the same owner, so
    such a provider must have nothing that could be counted twice.
    """

    id: str | None
    name: str


@dataclass(frozen=True, slots=True)
class Balance:
    """Prepaid money that is left in one currency, as the provider states it at the moment; below zero it is owed.

    `currency` is an ISO 4217 code in capitals; `available` is what can be spent, exact, and `called` the provider's
    word for it. `granted` is the part that was given (vouchers, promotions) and `topped_up` the part that was paid in,
    None where the provider does not split; they need not add up to `available`.
    """

    currency: str
    available: Decimal
    called: str
    granted: Decimal | None = None
    topped_up: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Name:
    """What a provider calls an id. `kind` is `key` or `workspace`; those no longer in use are listed too.

    `archived` says that it is archived, inactive or expired; `workspace_id` is where a key belongs (None: not bound
    to one, or its provider has none).
    """

    kind: str
    id: str
    name: str
    archived: bool = False
    workspace_id: str | None = None


@dataclass(frozen=True, slots=True)
class Stream:
    """One report of a provider.

    `grain` is the bucket width that windows are aligned to; `lag` is how long after the fact the provider's figures
    are settled; `is_bill` says that its buckets carry money rather than counts; `splits_buckets` that one interval
    may go on in the next page and that pages may come in any order, where for all others a page that goes back in
    time is nonsense; `may_be_absent` that not every account has this report, which is then no failure.
    `is_final_only` says that it has no interval that is still running, so none is asked for; `history` how far back the
    provider answers, `earliest` since when there is anything: windows begin no earlier. `forgets_after` is how far back
    it names everything: what lies further back and was read is not read again, or what it has forgotten would pass for
    gone. `rest` is how far back its watermark must lie until it is asked again, because asking costs money.
    `part` is a dimension and those of its values that are asked for, where that need not be the whole account: buckets
    of others stay, for nobody asked.
    `is_feed` says that its rows are single requests, mostly to other providers, which become events (see `HasEvents`)
    and never buckets: who sold them says what they cost. Its cursors do not expire, so that a long past is read once.
    """

    name: str
    grain: timedelta
    lag: timedelta
    is_bill: bool = False
    splits_buckets: bool = False
    may_be_absent: bool = False
    is_final_only: bool = False
    is_remark: bool = False
    is_feed: bool = False
    history: timedelta | None = None
    earliest: datetime | None = None
    forgets_after: timedelta | None = None
    rest: timedelta | None = None
    part: tuple[str, frozenset[str]] | None = None

    @property
    def is_usage(self) -> bool:
        """Return whether its buckets are what was used."""
        return not (self.is_bill or self.is_remark or self.is_feed)


class Provider(Protocol):
    """A provider's usage and billing API, bound to one credential; one that knows balances only has no streams."""

    name: str
    streams: tuple[Stream, ...]

    def owner(self) -> Owner:
        """Return whom the credential belongs to, by the provider's cheapest call; raises as `fetch` does."""

    def names(self) -> tuple[Name, ...]:
        """Return the names of keys and workspaces, archived ones included, each id once; raises as `fetch` does."""

    def fetch(self, stream: Stream, window: Window, cursor: str | None) -> Page:
        """Read one page. Every row was checked against the documented shape before it is returned.

        `window` is aligned to the grain of the stream. A page that names itself as the next one is refused here;
        a chain that returns to an earlier page, or never ends, is for the caller to notice.

        Raises:
            ValueError: the window is not aligned to the grain in UTC.
            CredentialError: the credential is refused (one call, no retries).
            ProviderUnavailableError: still failing after bounded retries.
            MalformedResponseError: the answer does not have the documented shape.
            CursorRefusedError: the page token is not valid any more.
        """

    def parse(self, stream: Stream, row: Row) -> Bucket:
        """Turn a row into a bucket; pure, and never fails on a row that `fetch` returned."""


@runtime_checkable
class HasBalances(Protocol):
    """A provider that says what is left of prepaid money; it is asked once per collection, after the streams."""

    def balances(self) -> tuple[Balance, ...]:
        """Return what is left, each currency at most once, none if there is no prepaid money; raises as `fetch`.

        What goes out of a balance is never booked as cost: it says how long the money lasts.
        """


@runtime_checkable
class HasEvents(Protocol):
    """A provider with streams that are feeds: `parse` is never asked for their rows, `event` is."""

    def event(self, stream: Stream, row: Row) -> dict[str, Any] | None:
        """Return a row as `POST /api/usage` takes it, always under the same `event_id`; None if it is no usage.

        Raises:
            ValueError: this row cannot be understood, which the others are not held up for; the message says why.
        """
