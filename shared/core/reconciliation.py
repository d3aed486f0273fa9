"""Estimate against bill, per account and UTC day, with the likely reason for what is left."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from shared.core.report import change_percent

if TYPE_CHECKING:
    from datetime import date

# Providers round each line of a bill; less than this per day is rounding, not a difference.
_ROUNDING = Decimal("0.01")


@dataclass(slots=True)
class Day:
    """One account's UTC day in USD. `billed` is None while the provider has no bill for it.

    `estimated` is what its polled tokens cost by our prices plus what the bill books without tokens; `logged` what
    events of that account and day add up to. `unpriced` names models without a price; `tiers` the service tiers used.
    """

    account: str
    date: date
    estimated: Decimal = Decimal(0)
    billed: Decimal | None = None
    logged: Decimal = Decimal(0)
    unpriced: list[str] = field(default_factory=list)
    unpriced_tokens: int = 0
    tiers: set[str] = field(default_factory=set)

    @property
    def drift(self) -> Decimal | None:
        """Return estimate minus bill, None without a bill."""
        return None if self.billed is None else self.estimated - self.billed

    def as_json(self) -> dict[str, Any]:
        """Return the row that `/costs/reconciliation` answers, every digit kept."""
        return {
            "account": self.account,
            "date": self.date,
            "estimated": self.estimated,
            "billed": self.billed,
            "logged": self.logged,
            "unattributed": self.estimated - self.logged,
            "drift": self.drift,
            "drift_pct": None if self.billed is None else change_percent(self.estimated, self.billed),
            "unpriced_tokens": self.unpriced_tokens,
            "reason": reason(self),
        }


def reason(day: Day) -> str:
    """Say in one sentence why estimate and bill differ, or that they agree."""
    drift = day.drift
    if drift is None:
        return "The provider has no bill for this day yet; cost reports trail by about a day."
    if abs(drift) < _ROUNDING:
        return "The estimate and the bill agree."
    if day.unpriced and drift < 0:
        return f"{day.unpriced_tokens} tokens have no price ({', '.join(day.unpriced)}); add one and re-price."
    if drift > 0 and any(tier.startswith("priority") for tier in day.tiers):
        return "Priority tier usage is not in the provider's cost report; compare it with your commitment."
    if drift > 0:
        return "The bill is lower: credits, a negotiated discount, or requests that were counted but not billed."
    return "The bill is higher: usage that the usage report does not show, or a price that changed; check the prices."
