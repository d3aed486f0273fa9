"""What is left of prepaid money, and how long it lasts, as accounts show it."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from functions.api.schemas import (
    COUNT,
    INSTANT,
    INSTANT_OR_NULL,
    NUMBER,
    NUMBER_OR_NULL,
    TEXT,
    TEXT_OR_NULL,
    array,
    schema,
)
from shared.core.runway import MEMORY, Observed, Runway, runway
from shared.providers.registry import REGISTRY
from shared.store import balances as store

if TYPE_CHECKING:
    from shared.store.database import Connection

_BALANCE = ("currency", "available", "granted", "topped_up", "called", "at")
_CURRENCY = {**TEXT, "description": "ISO 4217; amounts beside it are in it, not in USD"}
SHAPES = {
    "balance": {
        **array(
            schema(
                {
                    "currency": _CURRENCY,
                    "available": NUMBER,
                    "granted": {**NUMBER_OR_NULL, "description": "Given by the provider: vouchers, promotions"},
                    "topped_up": {**NUMBER_OR_NULL, "description": "Paid in"},
                    "called": {**TEXT, "description": "What the provider calls it"},
                    "at": INSTANT,
                }
            )
        ),
        "description": "Prepaid money that was left at the last collection, a currency each; empty if none is told",
    },
    "runway": {
        **array(
            schema(
                {
                    "currency": _CURRENCY,
                    "days": {**NUMBER_OR_NULL, "description": "For how long it lasts; null with a reason"},
                    "lasts_until": INSTANT_OR_NULL,
                    "spent_per_day": NUMBER_OR_NULL,
                    "spent": {**NUMBER, "description": "What went out in days_observed"},
                    "days_observed": {**NUMBER, "description": "Without the times in which something was paid in"},
                    "top_ups": {**COUNT, "description": "Times in which something was paid in, all left out"},
                    "since": INSTANT,
                    "until": INSTANT,
                    "reason": {**TEXT_OR_NULL, "description": "Why there is no figure"},
                    "note": {**TEXT, "description": "What the figure is made of"},
                }
            )
        ),
        "description": "An estimate from what the balances of the last two weeks lost; it is in no cost",
    },
}


def read(connection: Connection, account_id: int | None = None) -> dict[int, dict[str, Any]]:
    """Return account id -> `balance` and `runway`, of all accounts or of one; those without balances are left out."""
    found: dict[int, dict[str, list[dict[str, Any]]]] = defaultdict(dict)
    for row in store.recent(connection, MEMORY, account_id):
        found[row["account_id"]].setdefault(row["currency"], []).append(row)
    return {account: _shown(by_currency) for account, by_currency in found.items()}


def _shown(by_currency: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    # A currency that the last answer did not name is gone.
    current = {currency: rows for currency, rows in by_currency.items() if rows[-1]["is_latest"]}
    return {
        "balance": [{name: rows[-1][name] for name in _BALANCE} for rows in current.values()],
        "runway": [_runway(currency, rows) for currency, rows in current.items()],
    }


def _runway(currency: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    spec = REGISTRY.get(rows[-1]["provider"])
    known = runway(
        [Observed(row["at"], row["available"], row["granted"], row["topped_up"]) for row in rows],
        posts_late=spec is not None and spec.posts_late,
    )
    return {
        "currency": currency,
        "days": known.days,
        "lasts_until": known.lasts_until,
        "spent_per_day": known.spent_per_day,
        "spent": known.spent,
        "days_observed": known.days_observed,
        "top_ups": known.top_ups,
        "since": known.since,
        "until": known.until,
        "reason": known.reason,
        "note": _note(known),
    }


def _note(known: Runway) -> str:
    left_out = ""
    if known.top_ups:
        left_out = f", {known.top_ups} with a top-up left out" if known.top_ups > 1 else ", one with a top-up left out"
    return f"Differences between balances{left_out}; an estimate that is never booked as cost."
