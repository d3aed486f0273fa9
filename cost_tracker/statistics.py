"""What a period comes to in a few figures, in the shape of `cost-tracker stats --json`."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import TYPE_CHECKING, Any

from cost_tracker.output import count, money
from cost_tracker.reports import add

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cost_tracker.client import Client

_IN_ALL = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")
_DIVISION = Context(prec=60, rounding=ROUND_HALF_EVEN)
# Money in answers has at most ten decimals.
_SMALLEST = Decimal("1E-10")

Statistics = dict[str, Any]


def build(client: Client, period: str, asked: Mapping[str, object]) -> Statistics:
    """Ask for the statistics of a `period` (daily, weekly, monthly); `asked` are filters and `tz`.

    Returns:
        `{"start", "end", "requests", "tokens": {class: n}, "total_tokens", "total_cost", "average_cost",
        "counted_cost", "coverage"}`. Costs in USD. Providers that do not say how many requests there were would make
        each request look dear: `average_cost` is `counted_cost`, what the sources cost that count requests, divided by
        `requests`; None without requests.

    Raises:
        ApiError, UnreachableError: see `cost_tracker.caller`.
    """
    whole = client.get("/costs/daily" if period == "daily" else f"/costs/summary/{period}", **asked)
    start, end = whole.get("start", whole.get("date")), whole.get("end", whole.get("date"))
    sources = client.get("/costs/by-source", **asked, start=start, end=end)["data"]
    counted = add(row["cost"] for row in sources if row["requests"] > 0)
    requests = whole["requests"]
    return {
        "start": start,
        "end": end,
        "requests": requests,
        "tokens": whole["tokens"],
        "total_tokens": sum(whole["tokens"][name] for name in _IN_ALL),
        "total_cost": whole["total_cost"],
        "average_cost": _shortest(_DIVISION.divide(counted, Decimal(requests))) if requests > 0 else None,
        "counted_cost": counted,
        "coverage": whole["coverage"],
    }


def is_empty(found: Statistics) -> bool:
    """Tell whether nothing was used and nothing was charged."""
    return not (found["requests"] or found["total_cost"] or any(found["tokens"].values()))


def lines(found: Statistics) -> list[tuple[str, str]]:
    """Return what people read: `(what, figure)`."""
    tokens = found["tokens"]
    average = found["average_cost"]
    part = "" if found["counted_cost"] == found["total_cost"] else f" (of {money(found['counted_cost'])})"
    return [
        ("Requests", count(found["requests"]) if found["requests"] else "not reported"),
        ("Input tokens", count(tokens["input"])),
        ("Output tokens", count(tokens["output"])),
        ("Cache tokens", count(sum(tokens[name] for name in _IN_ALL[2:]))),
        ("Tokens in all", count(found["total_tokens"])),
        ("Total cost", money(found["total_cost"])),
        ("Average per request", "not known" if average is None else f"{money(average)}{part}"),
    ]


def _shortest(amount: Decimal) -> Decimal:
    rounded = _DIVISION.quantize(amount, _SMALLEST).normalize(_DIVISION)
    return rounded or Decimal(0)
