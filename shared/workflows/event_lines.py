"""From an event to a ledger line: account, names, project, session type, price; decided once per set of texts."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from shared.core.conventions import EventError
from shared.core.money import MAX_SCALE, plain
from shared.core.projects import Rule, assign
from shared.core.sessions import session_type
from shared.core.tariffs import Tariff, Tariffs, scaled
from shared.core.usage import PriceContext
from shared.store import events
from shared.store.accounts import defaults

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from decimal import Decimal

    from shared.core.event_fields import Call, Purpose
    from shared.core.pricing import RateCard
    from shared.core.tariffs import Amounts
    from shared.prices.book import PriceBook
    from shared.store.accounts import Account
    from shared.store.cells import Cells

UNKNOWN_PROVIDER = "unknown"
FAST = " in fast mode"
_UNASSIGNED = "unassigned"
_QUARTERS = ("00:00Z", "15:00Z", "30:00Z", "45:00Z")
_TOKENS = 5  # of the counts, the first are the disjoint token classes
_NO_COSTS = "\t".join("0" * 9)
_UNPRICED = f"{_NO_COSTS}\t{events.NULL}\t{events.NULL}"


class Sold:
    """What calls with the same texts have in common: fields for COPY, the first keys of the roll-up, prices.

    Without tariffs `problem` says why no event with these texts can be stored.
    """

    __slots__ = ("fields", "keys", "model", "model_raw", "problem", "tariffs", "title")

    def __init__(self, model_raw: str, speed: str | None = None) -> None:
        self.model = self.model_raw = model_raw
        # What has or has no price: fast mode is sold under the same id at another one.
        self.title = f"{model_raw}{FAST}" if speed == "fast" else model_raw
        self.fields = ""
        self.keys = 0
        self.tariffs: Tariffs | None = None
        self.problem = EventError("", "")


class Use:
    """The same of purposes."""

    __slots__ = ("fields", "keys")

    def __init__(self, fields: str, keys: int) -> None:
        self.fields = fields
        self.keys = keys


class EventMapper:
    """Everything that events of one batch need to become lines of one `source`."""

    def __init__(
        self,
        book: PriceBook,
        accounts: Sequence[Account],
        rules: Sequence[Rule],
        source: str,
        cells: Cells,
        known_rates: Mapping[str, int],
    ) -> None:
        """Take the prices, all accounts oldest first, rules in the order they are tried, the sums, the stored rates."""
        self.book = book
        self._known_rates = known_rates
        self._rules = rules
        self._source = source
        self._cells = cells
        self._accounts = {account.name: account for account in accounts}
        self._defaults = defaults(accounts)
        self._sold: dict[Call, Sold] = {}
        self._uses: dict[Purpose, Use] = {}
        self._tariffs: dict[tuple[str | None, str, PriceContext], Tariffs] = {}

    def sold(self, call: Call) -> Sold:
        """Return what events with this call have in common."""
        found = self._sold.get(call)
        if found is None:
            found = self._sold[call] = Sold(call.model, call.speed)
            try:
                self._fill(found, call)
            except EventError as error:
                found.problem = error
        return found

    def use(self, purpose: Purpose) -> Use:
        """Return what events with this purpose have in common."""
        found = self._uses.get(purpose)
        if found is None:
            project = purpose.project or assign(self._rules, label=purpose.session_label, agent=purpose.agent)
            kind = session_type(purpose.session_type, purpose.session_label, None, polled=False)
            fields = events.fields((
                self._source, project, purpose.project is not None, purpose.agent, purpose.user,
                purpose.session_label, kind, purpose.category, purpose.request_type,
            ))  # fmt: skip
            keys = (
                project, kind, purpose.agent or _UNASSIGNED, purpose.category or _UNASSIGNED,
                purpose.user or _UNASSIGNED, purpose.request_type or _UNASSIGNED, self._source,
            )  # fmt: skip
            found = self._uses[purpose] = Use(fields, self._cells.second_keys(keys))
        return found

    def names(self) -> dict[str, str]:
        """Return id as sent (lower case) -> canonical id of every model that was asked for and can be stored."""
        return {sold.model_raw.lower(): sold.model for sold in self._sold.values() if sold.tariffs is not None}

    def find_id(self, tariff: Tariff) -> bool:
        """Tell whether the rates of a tariff are stored, and note their id on it."""
        tariff.rates_id = self._known_rates.get(tariff.rates.fingerprint(), 0)
        return tariff.rates_id != 0

    def _fill(self, sold: Sold, call: Call) -> None:
        account = None if call.account is None else self._account(call.account)
        provider = call.provider
        if account is not None:
            if provider is not None and provider != account.provider:
                raise EventError(
                    "account",
                    f"The account {account.name} is one of {account.provider}, not of {provider}; correct one of them.",
                )
            provider = account.provider
        seller = provider or self.book.infer_provider(call.model)
        context = PriceContext(call.service_tier, call.batch, call.speed, call.inference_geo)
        sold.model = self.book.canonical(seller, call.model)
        sold.tariffs = self._tariffs.get((seller, call.model, context))
        if sold.tariffs is None:
            sold.tariffs = self._tariffs[seller, call.model, context] = Tariffs(self._card(seller, call.model, context))
        seller = seller or UNKNOWN_PROVIDER
        account_id = self._defaults.get(seller) if account is None else account.id
        sold.fields = events.fields((
            account_id, seller, sold.model, call.model, call.service_tier, call.batch, call.speed, call.inference_geo,
        ))  # fmt: skip
        sold.keys = self._cells.first_keys((seller, account_id or 0, sold.model))

    def _account(self, name: str) -> Account:
        found = self._accounts.get(name)
        if found is None:
            near = difflib.get_close_matches(name, list(self._accounts), n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else "POST /api/accounts makes one."
            raise EventError("account", f"There is no account {name[:60]!r}; {hint}")
        if found.deleting_at is not None:
            raise EventError("account", f"The account {found.name} is being deleted; name another one, or none.")
        return found

    def _card(self, seller: str | None, model: str, context: PriceContext) -> Callable[[datetime], RateCard | None]:
        return lambda at: self.book.card(seller, model, at, context)


def money(tariff: Tariff | None, counts: Sequence[int], cost: Decimal | None) -> tuple[Amounts | None, int, str]:
    """Return what an event costs: its amounts, their scale, and its fields for COPY from `input_cost` to the reported.

    Computed from tokens and price; what the sender says it cost counts only where no tokens were sent or the model has
    no price. Neither is no cost, which is not the same as none.
    """
    amounts = tariff.charge(counts) if tariff is not None and (cost is None or any(counts[:_TOKENS])) else None
    if amounts is not None and tariff is not None:
        digits = tariff.digits
        unit = f"e-{digits}"
        input_, output, read, short, long, audio, image, search, fee, whole = amounts
        if input_ and output and read and not (short or long or audio or image or search or fee):
            fields = f"{input_}{unit}\t{output}{unit}\t{read}{unit}\t0\t0\t0\t0\t0\t0\t{whole}{unit}"
        else:
            fields = "\t".join([f"{amount}{unit}" if amount else "0" for amount in amounts])
        return amounts, digits, f"{fields}\t{tariff.rates_id}\t{events.NULL if cost is None else plain(cost)}"
    if cost is None:
        return None, 0, f"{_UNPRICED}\t{events.NULL}"
    text = plain(cost)
    fields = f"{_NO_COSTS}\t{text}\t{events.NULL}\t{text}"
    return (0, 0, 0, 0, 0, 0, 0, 0, 0, scaled(cost, MAX_SCALE)), MAX_SCALE, fields


def slot_of(at: datetime, at_text: str) -> str:
    """Return the quarter hour of an instant (ISO 8601 in UTC), whose text begins `YYYY-MM-DDTHH:`."""
    return at_text[:14] + _QUARTERS[at.minute // 15]
