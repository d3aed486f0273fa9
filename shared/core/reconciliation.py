"""Estimate against bill, per account and UTC day, with the likely reason for what is left."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from shared.core.money import CONTEXT, apportion, total
from shared.core.report import change_percent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date

# Providers round each line of a bill; less than this per day is rounding, not a difference.
_ROUNDING = Decimal("0.01")
# So much of a difference may remain where two days make up for each other.
_NEARLY = Decimal("0.05")


@dataclass(slots=True)
class Day:
    """One account's UTC day in USD. `billed` is None while the provider has no bill for it.

    `estimated` is what its polled tokens cost by our prices plus what the bill books without tokens; `logged` what
    events of that account and day add up to; `unattributed` what no event explains of the estimate, negative where they
    say more. Events outside the coverage explain nothing, so inside it `logged` and `unattributed` add up to
    `estimated`. `unpriced` names models without a price; `tiers` the service tiers used, `charges` the kinds of the
    bill's lines; `provider` is ours for whose bill it is, `is_shifted` as `settle` finds; `quarantined` counts rows
    that are held back.
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
    is_shifted: bool = False
    quarantined: int = 0

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
    """Give days that lie before a day with a bill a bill of zero: their bill is written, and there is nothing on it.

    Days whose difference the day before or after makes up for are marked as shifted.
    """
    latest: dict[str, date] = {}
    for day in days:
        if day.billed is not None:
            latest[day.account] = max(latest.get(day.account, day.date), day.date)
    for day in days:
        if day.billed is None and day.account in latest and day.date < latest[day.account]:
            day.billed = Decimal(0)
    known = {(day.account, day.date): day for day in days}
    for day in days:
        beside = (known.get((day.account, day.date + timedelta(days=step))) for step in (-1, 1))
        day.is_shifted = any(_cancels(day, other) for other in beside if other is not None)


def _cancels(day: Day, other: Day) -> bool:
    """Tell whether two days differ from their bills by nearly the same, one up and one down."""
    if day.drift is None or other.drift is None or abs(day.drift) < _ROUNDING:
        return False
    return abs(CONTEXT.add(day.drift, other.drift)) <= abs(day.drift) * _NEARLY


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
    if day.quarantined:
        rows = "row is" if day.quarantined == 1 else "rows are"
        return f"{day.quarantined} {rows} in quarantine and in no figure; release or drop them, GET /admin/quarantine."
    drift = day.drift
    if drift is None:
        return _WITHOUT_BILL.get(
            day.provider, "The provider has no bill for this day yet; cost reports trail by a day."
        )
    if abs(drift) < _ROUNDING:
        return _AGREED.get(day.provider, "The estimate and the bill agree.")
    if day.unpriced and drift < 0:
        return f"{day.unpriced_tokens} tokens have no price ({', '.join(day.unpriced)}); add one and re-price."
    if day.is_shifted:
        return "A day beside it differs as much the other way: the bill has usage around midnight on the other day."
    return next(sentence for applies, sentence in (_HIGHER if drift < 0 else _LOWER) if applies(day))


_ITSELF = "What the provider reports is its bill: its amounts are booked as they are, so there is nothing to compare."
_BALANCE_ONLY = "The provider tells no bill, only what is left of a balance; an invoice can be entered by hand."
_AGREED = dict.fromkeys(("openrouter", "x-ai", "github-copilot"), _ITSELF)
_WITHOUT_BILL = {
    "litellm": "A proxy has no bill: what it logs says who used what, and the bill is that of the provider behind it.",
    "moonshotai": _BALANCE_ONLY,
    "deepseek": _BALANCE_ONLY,
    "aws": "AWS has no bill for this day yet; Cost Explorer has it one or two days later.",
}
_Rule = tuple["Callable[[Day], bool]", str]
# The first that applies; the last one always does.
_HIGHER: tuple[_Rule, ...] = (
    (
        lambda day: "long_context" in day.charges,
        "The bill is higher: it charges requests with a long context more, and usage does not tell them apart.",
    ),
    (
        lambda day: "fast_mode" in day.charges,
        "The bill is higher: it charges fast mode more, and usage does not tell it apart.",
    ),
    (
        lambda day: day.estimated == 0,
        "The bill is for traffic that the usage report does not show, such as another product, region or seat.",
    ),
    (
        lambda day: day.unattributed < 0,
        "Events say more than the usage report counted, as the bill does: the report is incomplete or still comes.",
    ),
    (
        lambda day: day.provider == "anthropic",
        "The bill is higher: fast mode, which usage does not tell apart, tax, or a new price; check the prices.",
    ),
    (
        lambda day: day.provider == "openai",
        "The bill is higher: cached audio or images, which usage does not tell apart, tax, or a new price; check it.",
    ),
    (
        lambda day: day.provider == "aws",
        "The bill is higher: regions or endpoints that are not asked for, tax, or a new price; check the prices.",
    ),
    (
        lambda _: True,
        "The bill is higher: usage that the usage report does not show, tax, or a new price; check the prices.",
    ),
)
_LOWER: tuple[_Rule, ...] = (
    (
        lambda day: day.provider == "anthropic" and any(tier.startswith("priority") for tier in day.tiers),
        "Priority tier usage is not in the provider's cost report; compare it with your commitment.",
    ),
    (
        lambda day: day.billed == 0,
        "Nothing was billed: credits or a plan paid for it, or it was counted and not charged.",
    ),
    (
        lambda day: day.provider == "aws",
        "The bill is lower: credits, a negotiated discount, provisioned throughput, or a bill that is not final yet.",
    ),
    (
        lambda _: True,
        "The bill is lower: credits, a negotiated discount, or requests that were counted but not billed.",
    ),
)
