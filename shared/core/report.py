"""The shapes reports answer with. Printed parts add up to printed totals: rounding is apportioned, never repeated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from shared.core.money import apportion, display
from shared.core.totals import Totals, total

if TYPE_CHECKING:
    from datetime import datetime

BREAKDOWNS = ("model", "session_type", "project", "provider", "agent", "category")
Breakdowns = Mapping[str, Mapping[str, Totals]]

_SHARE_DIGITS = Decimal("0.000001")
_PERCENT_DIGITS = Decimal("0.01")


def figures(totals: Totals, breakdowns: Breakdowns, printed: Decimal | None = None) -> dict[str, Any]:
    """Return `total_cost`, a `by_<dimension>` map each, `requests` and `tokens`.

    `printed` is the total as a wider report already rounded it; without it the total is rounded here.
    """
    cost = display(totals.cost) if printed is None else printed
    return {
        "total_cost": cost,
        **{f"by_{name}": _cost_map(parts, cost) for name, parts in breakdowns.items()},
        "requests": totals.requests,
        "tokens": totals.token_map(),
    }


def ranked(parts: Mapping[str, Totals], limit: int) -> tuple[Decimal, list[dict[str, Any]]]:
    """Return the printed total and the rows of a breakdown, dearest first; past `limit` one row for all others."""
    whole = total(parts.values())
    order = sorted(parts, key=lambda key: (-parts[key].cost, -parts[key].unpriced_tokens, key))
    rows: list[tuple[str | None, Totals]] = [(key, parts[key]) for key in order[:limit]]
    if others := order[limit:]:
        rows.append((None, total(parts[key] for key in others)))
    printed = apportion({index: row.cost for index, (_, row) in enumerate(rows)}, whole.cost)
    return display(whole.cost), [
        {
            "key": key,
            **({"is_other": True} if key is None else {}),
            "cost": printed[index],
            "share": share(row.cost, whole.cost),
            "requests": row.requests,
            "tokens": row.token_map(),
            "unpriced_requests": row.unpriced_requests,
            "unpriced_tokens": row.unpriced_tokens,
        }
        for index, (key, row) in enumerate(rows)
    ]


def series(periods: Sequence[tuple[dict[str, Any], Totals, Breakdowns]]) -> tuple[Decimal, list[dict[str, Any]]]:
    """Return the printed total and one entry per period (its own heading first), which add up to it."""
    whole = total(totals for _, totals, _ in periods)
    printed = apportion({index: totals.cost for index, (_, totals, _) in enumerate(periods)}, whole.cost)
    return display(whole.cost), [
        {**heading, **figures(totals, breakdowns, printed[index])}
        for index, (heading, totals, breakdowns) in enumerate(periods)
    ]


def share(part: Decimal, whole: Decimal) -> Decimal:
    """Return part / whole, 0 to 1 at six digits; 0 of nothing."""
    return Decimal(0) if whole == 0 else (part / whole).quantize(_SHARE_DIGITS)


def change_percent(now: Decimal, before: Decimal) -> Decimal | None:
    """Return the change in percent at two digits, None where there was nothing before."""
    return None if before == 0 else ((now - before) / before * 100).quantize(_PERCENT_DIGITS)


def coverage(
    totals: Totals,
    sources: Iterable[str],
    complete_until: Iterable[datetime | None],
    held: tuple[int, Decimal] = (0, Decimal(0)),
    *,
    is_demo: bool,
) -> dict[str, Any]:
    """Say how far to trust a report: complete until when, from bills or estimates, what had no price or is held back.

    `sources` are those of the lines summed, `complete_until` the polled accounts in question (None: never collected),
    `held` the rows in quarantine that it would count, and their cost in USD as far as they have a price.
    """
    polled = list(complete_until)
    reported = {"api", "attribution"}
    seen = set(sources)
    if seen:
        basis = "reported" if seen <= reported else "mixed" if seen & reported else "estimated"
    else:
        basis = "reported" if polled else "estimated"
    return {
        "complete_until": min((at for at in polled if at), default=None) if all(polled) else None,
        "basis": basis,
        "unpriced_requests": totals.unpriced_requests,
        "unpriced_tokens": totals.unpriced_tokens,
        "quarantined_rows": held[0],
        "quarantined_cost": display(held[1]),
        **({"demo": True} if is_demo else {}),
    }


def _cost_map(parts: Mapping[str, Totals], printed: Decimal) -> dict[str, Decimal]:
    costs = apportion({key: row.cost for key, row in parts.items()}, printed)
    return {key: costs[key] for key in sorted(costs, key=lambda key: (-costs[key], key))}
