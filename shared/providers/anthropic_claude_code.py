"""Anthropic's report of Claude Code: sessions, lines and commits by the day and key, with an estimate of the cost.

Source: the Claude Code Analytics API reference, platform.claude.com/docs/en/api/claude-code-analytics-api.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import PlainValidator

from shared.errors import CursorRefusedError, MalformedResponseError
from shared.providers.anthropic_rows import following, refusal
from shared.providers.base import Bucket, Page, Row, Stream, Window
from shared.providers.payload import Count, Payload, Text, check_window, instant, read, usd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.providers.http import JsonClient

_DAY = timedelta(days=1)
# Its cost is an estimate of what the usage report counts already (customers by API) or of what nobody is billed for
# by the token (subscriptions), so nothing of it is money here.
STREAM = Stream("claude_code", _DAY, lag=_DAY, is_remark=True)
PATH = "/v1/organizations/usage_report/claude_code"
_MOST_ROWS = "1000"
# A cursor of ours: the day that is being read, then the provider's token, if there is one yet.
_CURSOR = re.compile(r"day:(\d{4}-\d\d-\d\d):(.*)", re.DOTALL)
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def _day(value: object) -> datetime:
    """Return midnight UTC of a date, which is documented as such and answered as a time."""
    text = f"{value}T00:00:00Z" if isinstance(value, str) and _DATE.fullmatch(value) else value
    return instant(text)


def _number(value: object) -> Decimal:
    if isinstance(value, str):
        raise ValueError("an estimate must be a number of cents")  # noqa: TRY004 - pydantic reports ValueError
    return usd(value)


_Day = Annotated[datetime, PlainValidator(_day)]
_Cents = Annotated[Decimal, PlainValidator(_number)]


class _Actor(Payload):
    type: Text
    api_key_name: Text | None = None


class _LinesOfCode(Payload):
    added: Count
    removed: Count


class _CoreMetrics(Payload):
    num_sessions: Count
    lines_of_code: _LinesOfCode
    commits_by_claude_code: Count
    pull_requests_by_claude_code: Count


class _Tokens(Payload):
    input: Count
    output: Count
    cache_read: Count
    cache_creation: Count


class _Estimate(Payload):
    amount: _Cents
    currency: Text


class _Model(Payload):
    model: Text
    tokens: _Tokens
    estimated_cost: _Estimate


class _Action(Payload):
    accepted: Count
    rejected: Count


class _Record(Payload):
    actor: _Actor
    customer_type: Text
    subscription_type: Text | None = None
    terminal_type: Text | None = None
    core_metrics: _CoreMetrics
    tool_actions: dict[str, _Action]
    model_breakdown: list[_Model]


class _Dated(Payload):
    date: _Day


class _Report(Payload):
    data: list[dict[str, Any]]
    has_more: bool
    next_page: str | None = None


def fetch(client: JsonClient, title: str, window: Window, cursor: str | None) -> Page:
    """Read one page of one day of the window; see `Provider.fetch`. People's addresses are dropped here."""
    check_window(window, STREAM.grain)
    source, (day, token) = f"{title}'s {PATH}", _place(window, cursor)
    query = [("starting_at", f"{day:%Y-%m-%d}"), ("limit", _MOST_ROWS), *([("page", token)] if token else [])]

    report = read(_Report, client.get(PATH, query, refusal=refusal(token)), source)
    token, rows = following(report, token, source), tuple(_rows(report, day, source))
    if token is not None:
        return Page(rows, f"day:{day:%Y-%m-%d}:{token}", None)
    if day + _DAY < window.end:
        return Page(rows, f"day:{day + _DAY:%Y-%m-%d}:", None)
    return Page(rows, None, (window.start, window.end))


def parse(title: str, row: Row) -> Bucket:
    """Turn a row into a bucket, which holds no figures: they are in the raw row; see `Provider.parse`."""
    record = read(_Record, row.raw, f"{title}'s {PATH}")
    dimensions = {
        "actor_type": record.actor.type,
        "api_key_name": record.actor.api_key_name,
        "customer_type": record.customer_type,
        "subscription_type": record.subscription_type,
    }
    return Bucket(row.start, row.end, dimensions)


def _rows(report: _Report, day: datetime, source: str) -> Iterator[Row]:
    for number, raw in enumerate(report.data):
        at = f"data.{number}"
        if read(_Dated, raw, source, at).date != day:
            raise MalformedResponseError(f"{source} has a record at {at} of another day than was asked for.")
        read(_Record, raw, source, at)
        actor = {name: raw["actor"][name] for name in _Actor.model_fields if name in raw["actor"]}
        kept = {name: raw[name] for name in _Record.model_fields if name in raw}
        yield Row(day, day + _DAY, {**kept, "actor": actor})


def _place(window: Window, cursor: str | None) -> tuple[datetime, str | None]:
    found = _CURSOR.fullmatch(cursor or "")
    if found is None:
        return window.start, cursor
    day = datetime.strptime(found[1], "%Y-%m-%d").replace(tzinfo=UTC)
    if not window.start <= day < window.end:
        raise CursorRefusedError("A page token of Anthropic belongs to another window.")
    return day, found[2] or None
