"""Anthropic's analytics pair (a beta): usage by the hour, and what it cost by the day, key and product.

Source: the types of the official Python SDK, `client.beta.organization.analytics`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared.core.windows import floor
from shared.errors import MalformedResponseError
from shared.providers.anthropic_place import Place
from shared.providers.anthropic_rows import Tokens, context_of, following, refusal, rfc3339
from shared.providers.base import Bucket, Page, Row, Stream, Window
from shared.providers.payload import Count, Instant, Payload, Text, UsdFromCents, bucket_fault, check_window, read

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shared.providers.http import JsonClient

BETA = "analytics-usage-cost-2026-08-24"
EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)
# A day less than the 365 that are answered: windows begin at midnight, up to a day before that.
_HISTORY = timedelta(days=364)
# Figures come in batches about every three hours and may be revised by the next one.
USAGE = Stream(
    "usage", timedelta(hours=1), lag=timedelta(hours=3), splits_buckets=True, history=_HISTORY, earliest=EARLIEST
)
COSTS = Stream(
    "costs",
    timedelta(days=1),
    lag=timedelta(days=1),
    is_bill=True,
    is_final_only=True,
    history=_HISTORY,
    earliest=EARLIEST,
)
# The same tokens at another price, which usage does not tell apart: five dimensions are all that can be asked for.
FAST_MODE = "fast_mode"

_PATHS = {USAGE.name: "/v1/organizations/analytics/usage", COSTS.name: "/v1/organizations/analytics/cost"}
_WIDTHS = {USAGE.name: "1h", COSTS.name: "1d"}
# Usage by what the stable report prices it by, and by key, which has one workspace; so both give the same costs.
_GROUPS = {
    USAGE.name: ("model", "api_key_id", "service_tier", "context_window", "inference_geo"),
    # The last two do not count among the five.
    COSTS.name: ("api_key_id", "workspace_id", "model", "product", "speed", "cost_type", "token_type"),
}
# Usage of a seat is paid for by the seat, and a price by the token would invent its cost. Product is not among the five
# dimensions, so what is billed by the token is asked for, and then Claude Code, where it is as far as it has a key.
_BY_TOKEN = ("messages_api", "message_batches_api", "managed_agents_api", "claude_console")
_BY_TOKEN_WITH_KEY = ("claude_code",)
_PRODUCTS = {USAGE.name: (_BY_TOKEN, _BY_TOKEN_WITH_KEY), COSTS.name: ((),)}
_MOST_ROWS = "1000"


class _UsageGroup(Payload):
    """A dimension that is null says something (no `api_key_id`: the Console), so one that is missing is refused."""

    model: Text | None
    api_key_id: Text | None
    service_tier: Text | None
    context_window: Text | None
    inference_geo: Text | None
    # Not asked for: where the key belongs, filled in here.
    workspace_id: Text | None = None


class _Counts(Tokens):
    requests: Count


class _UsageRow(Payload):
    group: _UsageGroup
    usage: _Counts


class _CostGroup(Payload):
    api_key_id: Text | None
    workspace_id: Text | None
    model: Text | None
    product: Text | None
    speed: Text | None
    cost_type: Text | None
    token_type: Text | None


class _Cost(Payload):
    """`amount` is after discounts and before credits; `list_amount`, before both, stays in the raw row."""

    amount: UsdFromCents
    currency: Text


class _CostRow(Payload):
    group: _CostGroup
    cost: _Cost


class _Bounds(Payload):
    starting_at: Instant
    ending_at: Instant
    group: dict[str, Any]


class _Report(Payload):
    data: list[dict[str, Any]]
    has_more: bool
    next_page: str | None = None
    data_refreshed_at: Instant | None = None


@dataclass(slots=True)
class Analytics:
    """The two reports of one organisation. `homes` are the workspaces of its keys, as far as they are known."""

    client: JsonClient
    title: str
    homes: dict[str, str] = field(default_factory=dict)

    def fetch(self, stream: Stream, window: Window, cursor: str | None) -> Page:
        """Read one page; see `Provider.fetch`.

        Combinations without usage are not listed, so what was read is the window up to the bucket in which the
        figures were refreshed: it and what follows is unfinished and left for the next time.
        """
        check_window(window, stream.grain)
        products = _PRODUCTS[stream.name]
        place = Place.read(window, cursor, len(products))
        source = self._source(stream)
        report = read(_Report, self._ask(stream, place), source)
        token = following(report, place.token, source)
        until = place.until or _finished(report, window, stream.grain)
        found = tuple(self._rows(stream, place, report))
        finished = tuple(row for row in found if row.end <= until)
        if len(finished) < len(found):  # rows come in the order of time
            token = None
        last = found[-1].start if found else place.last
        cursor = place.following(window, until, last, token, len(products))
        rows = tuple(row for row in finished if products[place.question] != _BY_TOKEN_WITH_KEY or _key(row))
        return Page(rows, cursor, (window.start, until) if cursor is None else None)

    def parse(self, stream: Stream, row: Row) -> Bucket:
        """Turn a row into a bucket; see `Provider.parse`."""
        if stream.is_bill:
            return _charged(row, read(_CostRow, row.raw, self._source(stream)))
        return _counted(row, read(_UsageRow, row.raw, self._source(stream)))

    def _ask(self, stream: Stream, place: Place) -> object:
        query = [
            ("starting_at", rfc3339(place.window.start)),
            ("ending_at", rfc3339(place.window.end)),
            ("time_bucket_width", _WIDTHS[stream.name]),
            *(("group_by[]", group) for group in _GROUPS[stream.name]),
            *(("products[]", product) for product in _PRODUCTS[stream.name][place.question]),
            ("order_by", "time"),
            ("order", "asc"),
            ("limit", _MOST_ROWS),
            *([("page", place.token)] if place.token is not None else []),
        ]
        return self.client.get(_PATHS[stream.name], query, {"anthropic-beta": BETA}, refusal(place.token))

    def _rows(self, stream: Stream, place: Place, report: _Report) -> Iterator[Row]:
        source, before, seen = self._source(stream), place.last, set()
        for number, raw in enumerate(report.data):
            at = f"data.{number}"
            bounds = read(_Bounds, raw, source, at)
            start, end = bounds.starting_at, bounds.ending_at
            self._check(stream, raw, source, at)
            # What else is in the group may be somebody's name.
            group = {name: bounds.group[name] for name in _GROUPS[stream.name]}
            fault = bucket_fault(start, end, place.window, stream.grain)
            if fault is None and before is not None and start < before:
                fault = "it goes back in time"
            if fault is None and (start, *group.values()) in seen:
                fault = "it has the dimensions of an earlier one"
            if fault is not None:
                raise MalformedResponseError(f"{source} has a row at {at} that cannot be right: {fault}.")
            seen.add((start, *group.values()))
            before = start
            if stream.is_bill:
                yield Row(start, end, {"group": group, "cost": raw["cost"]})
            else:
                home = self.homes.get(group["api_key_id"] or "")
                yield Row(start, end, {"group": {**group, "workspace_id": home}, "usage": raw["usage"]})

    def _check(self, stream: Stream, raw: Mapping[str, Any], source: str, at: str) -> None:
        if not stream.is_bill:
            read(_UsageRow, raw, source, at)
        elif read(_CostRow, raw, source, at).cost.currency != "USD":
            raise MalformedResponseError(f"{source} has a currency other than USD at {at}.cost.currency.")

    def _source(self, stream: Stream) -> str:
        return f"{self.title}'s {_PATHS[stream.name]}"


def _key(row: Row) -> str | None:
    key: str | None = row.raw["group"]["api_key_id"]
    return key


def _finished(report: _Report, window: Window, grain: timedelta) -> datetime:
    """Return where the part of the window ends whose figures are finished; it may be where it begins."""
    if report.data_refreshed_at is None:
        return window.end
    return max(window.start, min(window.end, floor(report.data_refreshed_at, grain)))


def _counted(row: Row, told: _UsageRow) -> Bucket:
    dimensions = told.group.model_dump()
    return Bucket(
        row.start,
        row.end,
        dimensions,
        usage=told.usage.usage(told.usage.requests),
        context=context_of(dimensions),
        model=told.group.model,
        key_id=told.group.api_key_id,
        workspace_id=told.group.workspace_id,
    )


def _charged(row: Row, told: _CostRow) -> Bucket:
    group = told.group
    is_fast = group.cost_type == "tokens" and group.speed not in {None, "standard"}
    return Bucket(
        row.start,
        row.end,
        group.model_dump(),
        model=group.model,
        key_id=group.api_key_id,
        workspace_id=group.workspace_id,
        amount=told.cost.amount,
        charge=FAST_MODE if is_fast else group.cost_type,
        description=group.product,
    )
