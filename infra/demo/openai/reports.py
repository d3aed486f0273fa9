"""The usage reports and the costs: spans aligned down to buckets, rows folded to the grouping, pages cut by rows."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from operator import add

from infra.demo.dataset import Json
from infra.demo.openai.data import (
    COST_GROUPS,
    REPORTS,
    CostRow,
    Dataset,
    UsageRow,
    cost_wire,
    decimal128,
    usage_wire,
)
from infra.demo.openai.query import Query, refuse
from infra.demo.query import floor
from infra.demo.server import Request

DAY = timedelta(days=1)
WIDTHS = {"1d": DAY, "1h": timedelta(hours=1), "1m": timedelta(minutes=1)}
# Buckets per page: default and maximum.
LIMITS = {"1d": (7, 31), "1h": (24, 168), "1m": (60, 1440)}
COST_LIMIT, COST_MAXIMUM, COST_CLAMP = 7, 180, 31
WINDOW = ("start_time", "end_time", "bucket_width", "limit", "page")
KEYS_SINCE = 1_764_979_200
IDS = {"project_ids": "project_id", "user_ids": "user_id", "api_key_ids": "api_key_id", "models": "model"}
ORGANISATION = {"organization_id": "org-DemoPeakPine", "organization_name": "Peak & Pine (demo)"}


def usage_report(name: str, request: Request, dataset: Dataset, now: datetime, rows_per_page: int) -> Json:
    """Answer `GET /organization/usage/{name}` as of `now` (aware UTC)."""
    report = REPORTS[name]
    filters = {key: dimension for key, dimension in IDS.items() if dimension in report.groups}
    query = Query(request, (*WINDOW, *(["batch"] if "batch" in report.groups else [])), (*filters, "group_by"))
    grouped = query.many("group_by", report.groups)
    chosen: dict[str, Iterable[object]] = {field: query.many(key) for key, field in filters.items()}
    if (batch := query.text("batch", ("true", "false"))) is not None:
        chosen["batch"] = (batch == "true",)
    kept = {field: values for field, values in chosen.items() if values}
    width_name = query.text("bucket_width", WIDTHS) or "1d"
    width = WIDTHS[width_name]

    def results(start: datetime, end: datetime) -> list[Json]:
        rows = dataset.usage(name, start, end, now)
        return fold_usage(name, (r for r in rows if all(r.dimensions.get(f) in kept[f] for f in kept)), grouped)

    limits = query.whole("limit", *LIMITS[width_name]), rows_per_page
    return _pages(query, width, limits, floor(now, width) + width, results)


def costs(request: Request, dataset: Dataset, now: datetime, rows_per_page: int, *, as_numbers: bool) -> Json:
    """Answer `GET /organization/costs` as of `now` (aware UTC), the day that is not over included."""
    query = Query(request, WINDOW, ("project_ids", "user_ids", "api_key_ids", "line_items", "group_by"))
    grouped = query.many("group_by", COST_GROUPS)
    query.text("bucket_width", ("1d",))
    limit = min(query.whole("limit", COST_LIMIT, COST_MAXIMUM), COST_CLAMP)
    start = query.second("start_time")
    if "api_key_id" in grouped and start is not None and start.timestamp() < KEYS_SINCE:
        raise refuse(
            f"group_by=api_key_id is not available for this time range. Try a start_time on or after {KEYS_SINCE}.",
            "start_time",
        )
    chosen = {
        "project_id": query.many("project_ids"),
        "user_id": query.many("user_ids"),
        "api_key_id": query.many("api_key_ids"),
        "line_item": query.many("line_items"),
    }
    kept = {field: values for field, values in chosen.items() if values}
    names = {project.id: project.name for project in dataset.projects}

    def results(start: datetime, end: datetime) -> list[Json]:
        rows = (row for row in dataset.costs(start, end, now) if all(getattr(row, f) in kept[f] for f in kept))
        return fold_costs(rows, grouped, names, as_numbers=as_numbers)

    return _pages(query, DAY, (limit, rows_per_page), floor(now, DAY) + DAY, results)


def fold_usage(name: str, rows: Iterable[UsageRow], grouped: Iterable[str]) -> list[Json]:
    """Sum rows over every dimension that is not grouped by; those are null. On odd days zero parts are left out."""
    report, grouped = REPORTS[name], tuple(dict.fromkeys(grouped))
    sums: dict[tuple[str | bool | None, ...], tuple[int, ...]] = {}
    bare = False
    for row in rows:
        bare = row.at.toordinal() % 2 == 1
        key = tuple(row.dimensions.get(dimension) for dimension in grouped)
        counts = tuple(row.counts.get(count, 0) for count in report.counts)
        sums[key] = tuple(map(add, sums[key], counts)) if key in sums else counts
    blank: Json = dict.fromkeys(report.groups)
    return [
        usage_wire(name, total, blank | dict(zip(grouped, key, strict=True)), bare=bare) for key, total in sums.items()
    ]


def fold_costs(
    rows: Iterable[CostRow], grouped: Iterable[str], project_names: dict[str, str], *, as_numbers: bool
) -> list[Json]:
    """Sum rows over what is not grouped by; a quantity is told where lines of one kind are added."""
    grouped = tuple(dict.fromkeys(grouped))
    sums: dict[tuple[str | None, ...], Decimal] = {}
    quantities: dict[tuple[str | None, ...], tuple[Decimal | None, str | None]] = {}
    for row in rows:
        key = tuple(getattr(row, name) for name in grouped)
        before = quantities.get(key)
        known = row.quantity is not None and (before is None or before[0] is not None)
        quantities[key] = (
            ((before[0] if before and before[0] else Decimal(0)) + (row.quantity or 0), row.quantity_unit)
            if known and "line_item" in grouped
            else (None, None)
        )
        sums[key] = sums.get(key, Decimal(0)) + row.amount
    blank: Json = dict.fromkeys(COST_GROUPS)
    found = []
    for key, total in sums.items():
        groups = blank | dict(zip(grouped, key, strict=True))
        value: object = float(total) if as_numbers else decimal128(total)
        extra = {
            **ORGANISATION,
            "project_name": project_names.get(groups["project_id"] or ""),
            "user_email": "mira@peakandpine.example" if groups["user_id"] else None,
        }
        found.append(cost_wire(value, groups, *quantities[key]) | extra)
    return found


def _pages(
    query: Query,
    width: timedelta,
    limits: tuple[int, int],
    known_until: datetime,
    results: Callable[[datetime, datetime], list[Json]],
) -> Json:
    """Return the page that the query asks for, of at most so many buckets and rows.

    `known_until` is where the provider's buckets end.
    """
    first, end_time = query.second("start_time"), query.second("end_time")
    if first is None:
        raise refuse("Missing required parameter: 'start_time'.", "start_time", "missing_required_parameter")
    first = floor(first, width)
    if end_time is not None and end_time <= first:
        raise refuse("end_time must be after start_time.", "end_time", "invalid_value")
    stop = min(end_time or known_until, known_until)
    start, skipped = query.resume() or (first, 0)
    data: list[Json] = []
    limit, room = limits
    while start < stop and len(data) < limit and room > 0:
        found = results(start, start + width)[skipped:]
        data.append(_bucket(start, start + width, found[:room]))
        if len(found) > room:
            skipped += room
            break
        room -= len(found)
        start, skipped = start + width, 0
    more = start < stop
    return {
        "object": "page",
        "data": data,
        "has_more": more,
        "next_page": query.token(start, skipped) if more else None,
    }


def _bucket(start: datetime, end: datetime, results: list[Json]) -> Json:
    return {
        "object": "bucket",
        "start_time": int(start.timestamp()),
        "end_time": int(end.timestamp()),
        # Undocumented, and without a zone.
        "start_time_iso": start.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        "end_time_iso": end.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        "results": results,
    }
