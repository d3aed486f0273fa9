"""From a report's query parameters to what the store understands: bounds, filters, accounts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from functions import sources
from functions.api.errors import nearest
from functions.api.parameters import FILTERS
from shared.core.naming import provider_id
from shared.core.periods import local_date
from shared.core.report import coverage
from shared.core.totals import Totals
from shared.errors import InvalidInputError
from shared.prices.names import names
from shared.store import accounts, ledger, prices, quarantine, reports
from shared.store.reports import DIMENSIONS, Filters

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from functions.api.query import Param
    from functions.api.routing import Request
    from functions.runtime import App
    from shared.core.naming import Names
    from shared.store.accounts import Account
    from shared.store.database import Connection

NO_ACCOUNT = "none"
_NO_ACCOUNT_ID = 0


@dataclass(frozen=True, slots=True)
class Question:
    """A report's circumstances: the zone and its today, the filters, and the accounts they leave."""

    zone: ZoneInfo
    today: date
    filters: Filters
    accounts: Sequence[Account]
    everyone: Sequence[Account]
    is_demo: bool

    def key(self, dimension: str, value: Any) -> str:  # noqa: ANN401 - whatever the column holds
        """Return the name that answers show for a stored key."""
        if dimension == "account":
            found = {account.id: account.name for account in self.everyone}
            return found.get(value, NO_ACCOUNT)
        return reports.UNASSIGNED if value is None else str(value)

    def coverage(
        self, connection: Connection, span: tuple[datetime, datetime], totals: Totals, seen: Sequence[str]
    ) -> dict[str, Any]:
        """Return the coverage block of a report over these totals of `[start, end)`; its lines' sources are `seen`."""
        held = quarantine.touching(connection, *span, self.filters)
        return coverage(
            totals,
            seen,
            [one.complete_until for one in self.accounts if sources.is_awaited(one)],
            (held["rows"], held["cost"]),
            is_demo=self.is_demo,
        )


def ask(
    request: Request,
    app: App,
    connection: Connection,
    zone: ZoneInfo | None = None,
    params: Sequence[Param] = FILTERS,
) -> Question:
    """Read the filters `params` of a request, and its zone unless that is given.

    Raises:
        InvalidInputError: a tag is not key:value, or there is no account of that name.
    """
    zone = zone or request.query.get("tz", ZoneInfo) or app.settings.zone
    everyone = accounts.everyone(connection)
    filters = _filters(request, connection, everyone, params)
    asked = _in_question(filters, everyone)
    return Question(zone, local_date(request.now, zone), filters, asked, everyone, app.is_demo)


def _filters(request: Request, connection: Connection, everyone: Sequence[Account], params: Sequence[Param]) -> Filters:
    columns: dict[str, Sequence[Any]] = {}
    tags: dict[str, str] = {}
    for param in params:
        wanted = request.query.all(param.name)
        if not wanted:
            continue
        if param.name == "tag":
            tags = dict(_tag(text) for text in wanted)
            continue
        if param.name == "model":
            named = names().with_aliases(prices.aliases(connection))
            columns["model"] = _models(wanted, named, ledger.model_names(connection))
        elif param.name == "account":
            columns["account_id"] = [_account_id(name, everyone) for name in wanted]
        elif param.name == "provider":
            columns["provider"] = [provider_id(name) for name in wanted]
        else:
            columns[DIMENSIONS[param.name]] = wanted
    return Filters(columns, tags)


def _models(wanted: Sequence[str], named: Names, seen: dict[str, str]) -> list[str]:
    by_any_name = {**{model.lower(): model for model in seen.values()}, **seen}
    # A name that was given to another model since says nothing any more about the lines it came with.
    own = {text.strip().lower() for text in wanted} & named.aliases.keys()
    ids = {by_any_name.get(name, name) for text in wanted for name in named.filter_ids(text) if name not in own}
    return sorted(ids | set(wanted))


def _account_id(name: str, everyone: Sequence[Account]) -> int:
    if name == NO_ACCOUNT:
        return _NO_ACCOUNT_ID
    for account in everyone:
        if name in {account.name, str(account.id)}:
            return account.id
    near = nearest(name, [account.name for account in everyone])
    hint = f"; did you mean {near}?" if near else ", GET /costs/by-account lists them."
    raise InvalidInputError(
        f"There is no account {name!r}{hint}", [{"field": "account", "message": "It is not the name of an account."}]
    )


def _tag(text: str) -> tuple[str, str]:
    key, colon, value = text.partition(":")
    if not colon or not key:
        raise InvalidInputError(
            f"The tag {text!r} is not key:value.", [{"field": "tag", "message": "Write it as key:value."}]
        )
    return key, value


def _in_question(filters: Filters, everyone: Sequence[Account]) -> list[Account]:
    ids, providers = filters.columns.get("account_id"), filters.columns.get("provider")
    return [
        account
        for account in everyone
        if (ids is None or account.id in ids) and (providers is None or account.provider in providers)
    ]


@dataclass(slots=True)
class Slice:
    """The sums of one period: the whole and, per dimension, key as shown -> totals."""

    totals: Totals = field(default_factory=Totals)
    parts: dict[str, dict[str, Totals]] = field(default_factory=dict)


def breakdowns(question: Question, rows: Sequence[reports.Sums], dimensions: Sequence[str]) -> dict[int, Slice]:
    """Sort sums by period; periods without lines are left out."""
    found: dict[int, Slice] = {}
    for row in rows:
        slice_ = found.get(row.period)
        if slice_ is None:
            slice_ = found[row.period] = Slice(parts={name: {} for name in dimensions})
        if row.dimension is None:
            slice_.totals = row.totals
        else:
            part, key = slice_.parts[row.dimension], question.key(row.dimension, row.key)
            if key in part:
                # Two stored keys may be shown under one name; no line may be lost by that.
                part[key].add(row.totals)
            else:
                part[key] = row.totals
    return found
