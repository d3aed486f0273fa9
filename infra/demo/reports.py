"""The usage report and the cost report: windows snapped to buckets, rows folded to the requested grouping, pages."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from operator import add

from infra.demo.dataset import (
    COUNTS,
    DESCRIBED,
    USAGE_DIMENSIONS,
    CostRow,
    Dataset,
    Json,
    UsageRow,
    cost_wire,
    stamp,
    usage_wire,
)
from infra.demo.query import Query, floor, refuse
from infra.demo.server import Request

DAY = timedelta(days=1)
WIDTHS = {"1d": DAY, "1h": timedelta(hours=1), "1m": timedelta(minutes=1)}
# Buckets per page: default and maximum.
LIMITS = {"1d": (7, 31), "1h": (24, 168), "1m": (60, 1440)}
WINDOW = ("starting_at", "ending_at", "bucket_width", "limit", "page")
FAST_MODE = "fast-mode-2026-02-01"
# Query name of each filter: the dimension it selects and the values it takes (empty: any id).
FILTERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "account_ids": ("account_id", ()),
    "api_key_ids": ("api_key_id", ()),
    "workspace_ids": ("workspace_id", ()),
    "models": ("model", ()),
    "service_account_ids": ("service_account_id", ()),
    "service_tiers": (
        "service_tier",
        ("standard", "batch", "priority", "priority_on_demand", "flex", "flex_discount"),
    ),
    "context_window": ("context_window", ("0-200k", "200k-1M")),
    "inference_geos": ("inference_geo", ("global", "us", "not_available")),
    "speeds": ("speed", ("standard", "fast")),
}


def usage_report(request: Request, dataset: Dataset, now: datetime) -> Json:
    """Answer `GET /v1/organizations/usage_report/messages` as of `now` (aware UTC)."""
    query = Query(request, WINDOW, (*FILTERS, "group_by"))
    grouped = query.many("group_by", USAGE_DIMENSIONS)
    chosen = {field: query.many(name, allowed) for name, (field, allowed) in FILTERS.items()}
    if ("speed" in grouped or chosen["speed"]) and FAST_MODE not in request.headers.get("anthropic-beta", ""):
        raise refuse(f"speed needs the header anthropic-beta: {FAST_MODE}")
    kept = {field: values for field, values in chosen.items() if values}
    width_name = query.text("bucket_width", WIDTHS) or "1d"
    width = WIDTHS[width_name]

    def results(start: datetime, end: datetime) -> list[Json]:
        rows = dataset.usage(start, end, now)
        billed = (r for r in rows if not r.is_of_seat and all(getattr(r, f) in kept[f] for f in kept))
        return fold_usage(billed, grouped)

    return _pages(query, width, query.whole("limit", *LIMITS[width_name]), floor(now, width) + width, results)


def cost_report(request: Request, dataset: Dataset, now: datetime) -> Json:
    """Answer `GET /v1/organizations/cost_report` as of `now` (aware UTC): days that are over, none that is not."""
    query = Query(request, WINDOW, ("group_by",))
    grouped = query.many("group_by", ("workspace_id", "description"))
    query.text("bucket_width", ("1d",))
    complete = floor(now, DAY)
    starting_at = query.instant("starting_at")
    if starting_at is not None and floor(starting_at, DAY) >= complete:
        raise refuse("starting_at: there is no complete bucket after it yet")
    return _pages(
        query,
        DAY,
        query.whole("limit", *LIMITS["1d"]),
        complete,
        lambda start, end: fold_costs(dataset.costs(start, end, now), grouped),
    )


def fold_usage(rows: Iterable[UsageRow], grouped: Iterable[str]) -> list[Json]:
    """Sum rows over every dimension that is not grouped by; those are null, `speed` is left out altogether."""
    grouped = tuple(sorted(set(grouped)))
    sums: dict[tuple[str | None, ...], tuple[int, ...]] = {}
    for row in rows:
        key = tuple(getattr(row, name) for name in grouped)
        sums[key] = tuple(map(add, sums.get(key, (0,) * len(COUNTS)), row.counts))
    blank = {name: None for name in USAGE_DIMENSIONS if name != "speed"}
    return [usage_wire(total, blank | dict(zip(grouped, key, strict=True))) for key, total in sums.items()]


def fold_costs(rows: Iterable[CostRow], grouped: Iterable[str]) -> list[Json]:
    """Sum rows over what is not grouped by; grouping by description fills everything that a description says."""
    fields = (*(DESCRIBED if "description" in grouped else ()), *(f for f in grouped if f == "workspace_id"))
    sums: dict[tuple[str | None, ...], Decimal] = {}
    for row in rows:
        key = tuple(getattr(row, name) for name in fields)
        sums[key] = sums.get(key, Decimal()) + row.amount
    blank = dict.fromkeys((*DESCRIBED, "workspace_id"))
    return [cost_wire(total, blank | dict(zip(fields, key, strict=True))) for key, total in sums.items()]


def _pages(
    query: Query,
    width: timedelta,
    limit: int,
    known_until: datetime,
    results: Callable[[datetime, datetime], list[Json]],
) -> Json:
    """Return the page that the query asks for; `known_until` is where the provider's buckets end."""
    first, ending_at = query.instant("starting_at"), query.instant("ending_at")
    if first is None:
        raise refuse("starting_at: Field required")
    first = floor(first, width)
    if ending_at is not None and ending_at <= first:
        raise refuse("ending_at: Input should be after starting_at")
    stop = min(ending_at or known_until, known_until)
    start = query.resume() or first
    data: list[Json] = []
    while start < stop and len(data) < limit:
        end = start + width
        data.append({"starting_at": stamp(start), "ending_at": stamp(end), "results": results(start, end)})
        start = end
    more = start < stop
    return {"data": data, "has_more": more, "next_page": query.token(start) if more else None}
