"""The cost report: what a few questions to the API add up to, in the shape of `cost-tracker report --json`."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from shared.core.money import total

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cost_tracker.client import Client

# The breakdowns that every report has, by the suffix of their path.
ALWAYS = ("model", "category", "project", "session-type")
_SHOWN = ("key", "is_other", "cost", "requests", "tokens")
# Shown where it is not zero: a row without a price is not a row that was free.
_UNPRICED = ("unpriced_requests", "unpriced_tokens")
_CACHE = ("cache_read", "cache_write_5m", "cache_write_1h")
# What one answer may have: rows of a breakdown, days of a range.
_MOST_ROWS = 1000
_MOST_DAYS = 400

Report = dict[str, Any]


def build(
    client: Client,
    *,
    period: str = "monthly",
    start: date | None = None,
    end: date | None = None,
    tz: str | None = None,
    dimensions: Sequence[str] = (),
    filters: Mapping[str, Sequence[str]] | None = None,
) -> Report:
    """Ask for a report.

    Args:
        client: the tracker to ask.
        period: `daily` (today), `weekly` or `monthly` (today and the 6 or 29 days before); dates override it.
        start: first day; alone, the report goes on until today.
        end: last day, inclusive; alone, the report begins 400 days before, as far back as one report goes.
        tz: IANA zone of the days; default the service's own.
        dimensions: more breakdowns than the usual ones: `agent`, `provider`, `session`, ...
        filters: values allowed by parameter: `{"project": ["PeakPaws"], "session_type": ["main"]}`.

    Returns:
        `{"start", "end", "total_cost", "input_cost", "output_cost", "cache_cost", "requests", "tokens": {class: n},
        "by_model": [{"key", "cost", "requests", "tokens"}], "by_category", "by_project", "by_session_type",
        "by_<dimension asked for>"..., "by_day", "coverage"}`, costs in USD, Decimal or int. Costs that are neither of
        input nor output nor cache (searches, sessions, cost without tokens) are the rest of `total_cost`. Rows that
        hold usage without a price say how much: `unpriced_requests`, `unpriced_tokens`.

    Raises:
        ApiError, UnreachableError: see `cost_tracker.client`.
    """
    narrowed = {"tz": tz, **(filters or {})}
    first, last = _bounds(client, period, start, end, narrowed)
    asked = {**narrowed, "start": first, "end": last}
    whole = client.get("/costs/range", **asked, group_by="day")
    days = whole["periods"]
    classes = {row["key"]: row["cost"] for row in client.get("/costs/by-token-class", **asked)["data"]}
    wanted = [*ALWAYS, *(name for name in dimensions if name not in ALWAYS)]
    return {
        "start": whole["start"],
        "end": whole["end"],
        "total_cost": whole["total_cost"],
        "input_cost": classes.get("input", 0),
        "output_cost": classes.get("output", 0),
        "cache_cost": add(classes.get(name, 0) for name in _CACHE),
        "requests": sum(day["requests"] for day in days),
        "tokens": add_tokens(day["tokens"] for day in days),
        **{f"by_{name.replace('-', '_')}": _breakdown(client, name, asked) for name in wanted},
        "by_day": [_row({"key": day["date"], "cost": day["total_cost"], **day}) for day in days],
        "coverage": whole["coverage"],
    }


def is_empty(report: Report) -> bool:
    """Tell whether nothing was used and nothing was charged."""
    return not (report["requests"] or report["total_cost"] or report["by_model"] or any(report["tokens"].values()))


def add(costs: Iterable[Decimal | int]) -> Decimal:
    """Add costs exactly."""
    return total(Decimal(cost) for cost in costs)


def add_tokens(maps: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Add tokens class by class."""
    found: dict[str, int] = {}
    for tokens in maps:
        for name, count in tokens.items():
            found[name] = found.get(name, 0) + count
    return found


def _bounds(
    client: Client, period: str, start: date | None, end: date | None, narrowed: Mapping[str, object]
) -> tuple[object, object]:
    """Return the first and the last day. Which day today is, the service knows: its zone may not be ours."""
    if start is not None:
        return start, end  # without an end the service takes today
    if end is not None:
        return end - timedelta(days=_MOST_DAYS - 1), end
    if period == "daily":
        today = client.get("/costs/daily", **narrowed)["date"]
        return today, today
    summary = client.get(f"/costs/summary/{period}", **narrowed)
    return summary["start"], summary["end"]


def _breakdown(client: Client, name: str, asked: Mapping[str, object]) -> list[dict[str, Any]]:
    return [_row(row) for row in client.get(f"/costs/by-{name}", **asked, limit=_MOST_ROWS)["data"]]


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    unpriced = {name: row[name] for name in _UNPRICED if row.get(name)}
    return {**{name: row[name] for name in _SHOWN if name in row}, **unpriced}
