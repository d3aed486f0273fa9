"""The analytics pair: flat rows of the groups that were used, paged by rows, up to where figures were refreshed."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from operator import add
from typing import Any

from infra.demo.dataset import COUNTS, CostRow, Dataset, Json, UsageRow, stamp, usage_wire
from infra.demo.query import Query, detailed, floor, refuse
from infra.demo.server import Request

BETA = "analytics-usage-cost-2026-08-24"
EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)
HISTORY, LONGEST, MINUTELY = timedelta(days=365), timedelta(days=31), timedelta(hours=24)
# Batches come every few hours; what was used since is not there yet.
DELAY = timedelta(hours=2, minutes=10)
DEFAULT_WORKSPACE = "wrkspc_01DemoDefault"
WIDTHS = {"1d": timedelta(days=1), "1h": timedelta(hours=1), "1m": timedelta(minutes=1)}
DEFAULT_LIMIT, MAX_LIMIT, MOST_GROUPS = 20, 1000, 5
GROUPS = (
    "actor", "actor_type", "agent_id", "api_key_id", "claude_tag_category", "claude_tag_user_id", "context_window",
    "deployment_id", "environment_id", "inference_geo", "model", "organization_id", "product", "rbac_group_id",
    "service_tier", "session_id", "slack_channel_id", "speed", "user_profile_id", "workspace_id",
)  # fmt: skip
# Not counted among the five.
FANNED = ("cost_type", "token_type")
# Query name of each filter: the dimension it selects.
FILTERS = {
    "api_key_ids": "api_key_id",
    "context_windows": "context_window",
    "inference_geos": "inference_geo",
    "models": "model",
    "products": "product",
    "service_tiers": "service_tier",
    "speeds": "speed",
    "workspace_ids": "workspace_id",
}
NO_GEO = "not_available"


def usage(request: Request, dataset: Dataset, now: datetime) -> Json:
    """Answer `GET /v1/organizations/analytics/usage` as of `now` (aware UTC)."""
    orders = ("total_tokens", "output_tokens", "requests", "uncached_input_tokens", "time")
    asked = _Asked.of(request, now, GROUPS, orders)

    def folded(start: datetime, end: datetime) -> Iterator[Json]:
        sums: dict[tuple[Any, ...], list[int]] = {}
        for row in dataset.usage(start, min(end, now - DELAY), now):
            if asked.keeps(row):
                total = sums.setdefault(asked.key(row), [0] * (len(COUNTS) + 1))
                # The synthetic rows know no requests: each counts as one.
                total[:] = map(add, total, (*row.counts, 1))
        for key, (*counts, requests) in sums.items():
            figures = usage_wire(counts, {"total_tokens": sum(counts[:-1]), "requests": requests})
            yield {"group": asked.group(key, GROUPS), "usage": figures}

    return asked.answer(folded, lambda row: row["usage"].get(asked.order_by, 0))


def cost(request: Request, dataset: Dataset, now: datetime) -> Json:
    """Answer `GET /v1/organizations/analytics/cost` as of `now` (aware UTC)."""
    asked, known = _Asked.of(request, now, (*GROUPS, *FANNED), ("amount", "list_amount", "time")), detailed(dataset)

    def folded(start: datetime, end: datetime) -> Iterator[Json]:
        sums: dict[tuple[Any, ...], Decimal] = {}
        for row in known.costs_by_key(start, min(end, now - DELAY), now):
            if asked.keeps(row):
                key = asked.key(row)
                sums[key] = sums.get(key, Decimal()) + row.amount
        for key, amount in sums.items():
            is_fanned = any(name in FANNED for name in asked.grouped)
            figures = {
                "amount": f"{amount:f}",
                "list_amount": f"{amount * 2:f}",
                "currency": "USD",
                "requests": None if is_fanned else 1,
            }
            yield {"group": asked.group(key, (*GROUPS, *FANNED)), "cost": figures}

    return asked.answer(folded, lambda row: Decimal(row["cost"].get(asked.order_by, 0)))


@dataclass(frozen=True, slots=True)
class _Asked:
    """One question, checked."""

    query: Query
    start: datetime
    end: datetime
    width: timedelta | None
    grouped: tuple[str, ...]
    filters: dict[str, tuple[str, ...]]
    order_by: str
    limit: int
    now: datetime

    @classmethod
    def of(cls, request: Request, now: datetime, groups: Iterable[str], orders: tuple[str, ...]) -> "_Asked":
        if BETA not in request.headers.get("anthropic-beta", ""):
            raise refuse(f"anthropic-beta: this endpoint needs the header anthropic-beta: {BETA}")
        scalars = ("starting_at", "ending_at", "time_bucket_width", "limit", "page", "order", "order_by")
        query = Query(request, scalars, (*FILTERS, "group_by"))
        grouped = query.many("group_by", tuple(groups))
        if len(set(grouped) - set(FANNED)) > MOST_GROUPS:
            raise refuse(f"group_by: at most {MOST_GROUPS} dimensions may be grouped by")
        width_name = query.text("time_bucket_width", WIDTHS)
        width = None if width_name is None else WIDTHS[width_name]
        start, end = _span(query, width, now)
        query.text("order", ("asc", "desc"))
        return cls(
            query, start, end, width, grouped,
            {name: chosen for filter_, name in FILTERS.items() if (chosen := query.many(filter_))},
            query.text("order_by", orders) or orders[0],
            query.whole("limit", DEFAULT_LIMIT, MAX_LIMIT),
            now,
        )  # fmt: skip

    def keeps(self, row: UsageRow | CostRow) -> bool:
        return all(_value(row, name) in _chosen(name, values) for name, values in self.filters.items())

    def key(self, row: UsageRow | CostRow) -> tuple[Any, ...]:
        return tuple(_value(row, name) for name in self.grouped)

    def group(self, key: tuple[Any, ...], names: tuple[str, ...]) -> Json:
        return {**dict.fromkeys(names), **dict(zip(self.grouped, key, strict=True))}

    def answer(self, folded: Callable[[datetime, datetime], Iterable[Json]], size: Callable[[Json], Any]) -> Json:
        """Return the page of rows that the question asks for."""
        rows: list[Json] = []
        start = self.start
        while start < self.end:
            end = self.end if self.width is None else start + self.width
            found = [{"starting_at": stamp(start), "ending_at": stamp(end), **row} for row in folded(start, end)]
            rows.extend(sorted(found, key=lambda row: repr(row["group"])))
            start = end
        if self.order_by != "time":
            rows.sort(key=size)
        if self.query.text("order") != "asc":
            rows.reverse()
        # What cost types and token types fan out comes on top of the limit.
        units: dict[tuple[Any, ...], list[Json]] = {}
        for row in rows:
            told = (value for name, value in row["group"].items() if name not in FANNED)
            units.setdefault((row["starting_at"], *told), []).append(row)
        first = int(self.query.place() or 0)
        more = len(units) > first + self.limit
        return {
            "data": [row for unit in list(units.values())[first : first + self.limit] for row in unit],
            "has_more": more,
            "next_page": self.query.token_of(str(first + self.limit)) if more else None,
            "data_refreshed_at": stamp(self.now - DELAY),
        }


def _span(query: Query, width: timedelta | None, now: datetime) -> tuple[datetime, datetime]:
    start, ending_at = query.instant("starting_at"), query.instant("ending_at")
    if start is None:
        raise refuse("starting_at: Field required")
    if ending_at is None and width is not None:
        raise refuse("ending_at: required with time_bucket_width")
    if start < max(EARLIEST, now - HISTORY):
        raise refuse(f"starting_at: there is nothing before; earliest: {stamp(max(EARLIEST, now - HISTORY))}")
    end = min(now, start + LONGEST) if ending_at is None else ending_at
    if end <= start:
        raise refuse("ending_at: Input should be after starting_at")
    if end - start > LONGEST:
        raise refuse("date range must span at most 31 days")
    if width == WIDTHS["1m"] and end - start > MINUTELY:
        raise refuse("date range must span at most 24 hours with time_bucket_width 1m")
    grain = width or WIDTHS["1h"]
    return floor(start, grain), floor(end - timedelta(microseconds=1), grain) + grain


def _value(row: UsageRow | CostRow, name: str) -> str | None:
    value: str | None = getattr(row, name, None)
    if name == "workspace_id":
        return value or DEFAULT_WORKSPACE
    return None if value == NO_GEO else value


def _chosen(name: str, values: tuple[str, ...]) -> tuple[str | None, ...]:
    if name == "inference_geo":
        return tuple(None if value == NO_GEO else value for value in values)
    return tuple(value or None for value in values)
