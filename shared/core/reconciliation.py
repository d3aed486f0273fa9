"""Estimate against bill, per account and UTC day, with the likely reason for what is left."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from shared.core.money import CONTEXT, apportion, total
from shared.core.report import change_percent

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

# Providers round each line of a bill; less than this per day is rounding, not a difference.
_ROUNDING = Decimal("0.01")


@dataclass(slots=True)
class Day:
    """One account's UTC day in USD. `billed` is None while the provider has no bill for it.

    `estimated` is what its polled tokens cost by our prices plus what the bill books without tokens; `logged` what
    events of that account and day add up to; `unattributed` what no event explains of the estimate, negative where they
    say more. Events outside the coverage explain nothing, so inside it `logged` and `unattributed` add up to
    `estimated`. `unpriced` names models without a price; `tiers` the service tiers used, `charges` the kinds of the
    bill's lines; `provider` is ours for whose bill it is.
    """

    account: str
    date: date
    estimated: Decimal = Decimal(0)
    billed: Decimal | None = None
    logged: Decimal = Decimal(0)
    unattributed: Decimal = Decimal(0)
    unpriced: list[str] = field(default_factory=list)
    unpriced_tokens: int = 0
    tiers: set[str] = field(default_factory=set)
    charges: set[str] = field(default_factory=set)
    provider: str = ""

    @property
    def explained(self) -> Decimal:
        """Return how much of the estimate covered events account for."""
        return CONTEXT.subtract(self.estimated, self.unattributed)

    @property
    def drift(self) -> Decimal | None:
        """Return estimate minus bill, None without a bill."""
        return None if self.billed is None else CONTEXT.subtract(self.estimated, self.billed)


def table(days: Sequence[Day]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the totals of the days that have a bill, and one row per day, newest first.

    Printed figures are rounded together, so that the rows add up to what a reader of all of them expects.
    """
    order = sorted(days, key=lambda day: (day.date, day.account), reverse=True)
    estimated = apportion({index: day.estimated for index, day in enumerate(order)})
    logged = apportion({index: day.logged for index, day in enumerate(order)})
    billed = apportion({index: day.billed for index, day in enumerate(order) if day.billed is not None})
    rows = [_row(day, estimated[index], billed.get(index), logged[index]) for index, day in enumerate(order)]
    # Where all that was logged explains the estimate, the printed figures add up like the exact ones.
    explained = apportion({index: day.explained for index, day in enumerate(order)})
    for index, day in enumerate(order):
        taken = logged[index] if day.explained == day.logged else explained[index]
        rows[index]["unattributed"] = CONTEXT.subtract(estimated[index], taken)
    of_billed = total(estimated[index] for index in billed)
    bill = total(billed.values())
    whole = {
        "estimated": of_billed,
        "billed": bill,
        "drift": CONTEXT.subtract(of_billed, bill),
        "drift_pct": change_percent(of_billed, bill),
    }
    return whole, rows


def settle(days: Sequence[Day]) -> None:
    """Give days that lie before a day with a bill a bill of zero: their bill is written, and there is nothing on it."""
    latest: dict[str, date] = {}
    for day in days:
        if day.billed is not None:
            latest[day.account] = max(latest.get(day.account, day.date), day.date)
    for day in days:
        if day.billed is None and day.account in latest and day.date < latest[day.account]:
            day.billed = Decimal(0)


def _row(day: Day, estimated: Decimal, billed: Decimal | None, logged: Decimal) -> dict[str, Any]:
    return {
        "account": day.account,
        "date": day.date,
        "estimated": estimated,
        "billed": billed,
        "logged": logged,
        "unattributed": day.unattributed,
        "drift": None if billed is None else CONTEXT.subtract(estimated, billed),
        "drift_pct": None if billed is None else change_percent(estimated, billed),
        "unpriced_tokens": day.unpriced_tokens,
        "reason": reason(day),
    }


def reason(day: Day) -> str:
    """Say in one sentence why estimate and bill differ, or that they agree."""
    drift = day.drift
    if drift is None:
        return "The provider has no bill for this day yet; cost reports trail by about a day."
    if abs(drift) < _ROUNDING:
        return "The estimate and the bill agree."
    return _bill_is_higher(day) if drift < 0 else _bill_is_lower(day)


def _bill_is_higher(day: Day) -> str:
    if day.unpriced:
        return f"{day.unpriced_tokens} tokens have no price ({', '.join(day.unpriced)}); add one and re-price."
    if "long_context" in day.charges:
        return "The bill is higher: it charges requests with a long context more, and usage does not tell them apart."
    return "The bill is higher: usage that the usage report does not show, or a price that changed; check the prices."


def _bill_is_lower(day: Day) -> str:
    if day.provider == "anthropic" and any(tier.startswith("priority") for tier in day.tiers):
        return "Priority tier usage is not in the provider's cost report; compare it with your commitment."
    return "The bill is lower: credits, a negotiated discount, or requests that were counted but not billed."
