"""Anthropic's usage and cost reports for an organisation, read with an Admin key: the stable or the analytics pair.

Source: the Usage and Cost Admin API reference, platform.claude.com/docs/en/api/usage-cost-api.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared.errors import MalformedResponseError
from shared.providers import anthropic_analytics, anthropic_claude_code
from shared.providers.anthropic_analytics import Analytics
from shared.providers.anthropic_rows import (
    CostRow,
    UsageRow,
    UsageRowWithSpeed,
    charged,
    counted,
    following,
    refusal,
    rfc3339,
)
from shared.providers.base import Bucket, Name, Owner, Page, Row, Stream, Window
from shared.providers.http import Budget, JsonClient, Service
from shared.providers.listing import listed
from shared.providers.payload import Instant, Payload, Text, bucket_fault, check_window, read
from shared.providers.spec import KeySetting, Option, ProviderSpec, WrongKey

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import httpx

API_VERSION = "2023-06-01"
SPEED_BETA = "fast-mode-2026-02-01"
# Which pair of reports is read, and whether the one of Claude Code is read beside it.
REPORTS = ("stable", "analytics", "stable+claude-code", "analytics+claude-code")

# Usage trails by about 5 minutes, costs by up to a day (the report's own pages).
USAGE = Stream("usage", grain=timedelta(hours=1), lag=timedelta(minutes=10))
COSTS = Stream("costs", grain=timedelta(days=1), lag=timedelta(days=1), is_bill=True)

_PATHS = {USAGE.name: "/v1/organizations/usage_report/messages", COSTS.name: "/v1/organizations/cost_report"}
# Bucket width, and the most buckets that one page may hold at that width.
_WIDTHS = {USAGE.name: ("1h", 168), COSTS.name: ("1d", 31)}
_USAGE_GROUPS = ("model", "api_key_id", "workspace_id", "service_tier", "context_window", "inference_geo")
_COST_GROUPS = ("workspace_id", "description")


class _Interval(Payload):
    starting_at: Instant
    ending_at: Instant
    results: list[dict[str, Any]]


class _Report(Payload):
    data: list[_Interval]
    has_more: bool
    next_page: str | None = None


class _Named(Payload):
    """A workspace, or a key: the reference documents `workspace_id`, the SDK's answers carry `scope` instead."""

    id: Text
    name: Text
    status: Text | None = None
    archived_at: Text | None = None
    workspace_id: Text | None = None
    scope: dict[str, Any] | None = None


class _NameList(Payload):
    data: list[_Named]
    has_more: bool
    last_id: Text | None = None


class _Organization(Payload):
    id: Text
    name: Text


class Anthropic:
    """One organisation; `reports` is one of `REPORTS`. With `speed`, stable usage is also split by it.

    Both pairs have the same streams, so that what is read again of a span replaces what the other pair said of it.
    `speed` needs a beta of the API and changes the identity of buckets: collect a span again after switching it.
    """

    name = "anthropic"
    streams: tuple[Stream, ...] = (USAGE, COSTS)

    def __init__(
        self,
        key: str,
        base_url: str,
        http: httpx.Client,
        budget: Budget,
        *,
        speed: bool = False,
        reports: str = REPORTS[0],
    ) -> None:
        service = Service(
            title=SPEC.title,
            base_url=base_url,
            setting=SPEC.base_url_setting,
            key_needed=SPEC.key_needed,
            key=key,
            headers={"x-api-key": key, "anthropic-version": API_VERSION},
        )
        self._client = JsonClient(service, http, budget)
        pair, _, remarks = reports.partition("+")
        self._is_stable = pair == REPORTS[0]
        self._analytics = Analytics(self._client, SPEC.title)
        if not self._is_stable:
            self.streams = (anthropic_analytics.USAGE, anthropic_analytics.COSTS)
        if remarks:
            self.streams = (*self.streams, anthropic_claude_code.STREAM)
        self._speed = speed
        self._usage_row = UsageRowWithSpeed if speed else UsageRow
        self._usage_groups = (*_USAGE_GROUPS, "speed") if speed else _USAGE_GROUPS

    def owner(self) -> Owner:
        """Return the organisation; raises as `Provider.fetch` does."""
        path = "/v1/organizations/me"
        found = read(_Organization, self._client.get(path), _source(path))
        return Owner(found.id, found.name)

    def names(self) -> tuple[Name, ...]:
        """Return every key and workspace, whatever its status; raises as `Provider.fetch` does.

        The default workspace has no id in the reports and is not listed.
        """
        found: dict[tuple[str, str], Name] = {}
        for key in self._listed("/v1/organizations/api_keys"):
            archived = key.status in {"inactive", "archived", "expired"}
            home = _workspace_of(key)
            found["key", key.id] = Name("key", key.id, key.name, archived, home)
            if home is not None:
                self._analytics.homes[key.id] = home
        for space in self._listed("/v1/organizations/workspaces", ("include_archived", "true")):
            found["workspace", space.id] = Name("workspace", space.id, space.name, space.archived_at is not None)
        return tuple(found.values())

    def _listed(self, path: str, *options: tuple[str, str]) -> Iterator[_Named]:
        def page(last: str | None) -> _NameList:
            after = [] if last is None else [("after_id", last)]
            return read(_NameList, self._client.get(path, [("limit", "1000"), *options, *after]), _source(path))

        return listed(page, _source(path))

    def fetch(self, stream: Stream, window: Window, cursor: str | None) -> Page:
        """Read one page of a report; see `Provider.fetch`."""
        if stream.is_remark:
            return anthropic_claude_code.fetch(self._client, SPEC.title, window, cursor)
        if not self._is_stable:
            return self._analytics.fetch(stream, window, cursor)
        check_window(window, stream.grain)
        path = _PATHS[stream.name]
        width, limit = _WIDTHS[stream.name]
        groups = _COST_GROUPS if stream.is_bill else self._usage_groups
        query = [
            ("starting_at", rfc3339(window.start)),
            ("ending_at", rfc3339(window.end)),
            ("bucket_width", width),
            ("limit", str(limit)),
            *(("group_by[]", group) for group in groups),
            *([("page", cursor)] if cursor is not None else []),
        ]
        headers = {"anthropic-beta": SPEED_BETA} if self._speed and not stream.is_bill else {}

        report = read(_Report, self._client.get(path, query, headers, refusal(cursor)), _source(path))
        rows = tuple(self._rows(stream, window, report))
        span = (report.data[0].starting_at, report.data[-1].ending_at) if report.data else None
        return Page(rows, following(report, cursor, _source(path)), span)

    def _rows(self, stream: Stream, window: Window, report: _Report) -> Iterator[Row]:
        source = _source(_PATHS[stream.name])
        earlier: datetime | None = None
        for number, interval in enumerate(report.data):
            start, end = interval.starting_at, interval.ending_at
            fault = bucket_fault(start, end, window, stream.grain)
            if fault is None and earlier is not None and start <= earlier:
                fault = "it does not follow the bucket before it"
            if fault is not None:
                raise MalformedResponseError(f"{source} has a bucket at data.{number} that cannot be right: {fault}.")
            earlier = start
            for index, raw in enumerate(interval.results):
                self._check(stream, raw, source, f"data.{number}.results.{index}")
                yield Row(start, end, raw)

    def _check(self, stream: Stream, raw: Mapping[str, Any], source: str, at: str) -> None:
        if not stream.is_bill:
            read(self._usage_row, raw, source, at)
        elif read(CostRow, raw, source, at).currency != "USD":
            raise MalformedResponseError(f"{source} has a currency other than USD at {at}.currency.")

    def parse(self, stream: Stream, row: Row) -> Bucket:
        """Turn a row into a bucket; see `Provider.parse`.

        Rows that were read before the account went over to the other pair are still what they were.
        """
        if stream.is_remark:
            return anthropic_claude_code.parse(SPEC.title, row)
        if "group" in row.raw:
            return self._analytics.parse(stream, row)
        source = _source(_PATHS[stream.name])
        if stream.is_bill:
            return charged(row, read(CostRow, row.raw, source))
        return counted(row, read(self._usage_row, row.raw, source), self._usage_groups)


def _workspace_of(key: _Named) -> str | None:
    found = key.workspace_id or (key.scope or {}).get("workspace_id")
    return found if isinstance(found, str) else None


def _source(path: str) -> str:
    return f"{SPEC.title}'s {path}"


SPEC = ProviderSpec(
    name=Anthropic.name,
    title="Anthropic",
    make=Anthropic,
    base_url="https://api.anthropic.com",
    key_settings=(
        KeySetting("ANTHROPIC_ADMIN_KEY"),
        KeySetting("ANTHROPIC_ADMIN_API_KEY"),
        KeySetting("ANTHROPIC_API_KEY", prefix="sk-ant-admin"),
    ),
    key_needed=(
        "Anthropic's reports need an Admin key (sk-ant-admin01-...), which an admin of the organisation creates in the "
        "Console; ordinary keys (sk-ant-api03-...) and personal accounts are refused."
    ),
    wrong_keys=(
        WrongKey("sk-ant-api", "an ordinary API key of Anthropic"),
        WrongKey("sk-ant-oat", "the token of a Claude subscription"),
        WrongKey("sk-or-", "a key of OpenRouter"),
        WrongKey("sk-proj-", "a project key of OpenAI"),
        WrongKey("sk-admin-", "an Admin key of OpenAI"),
    ),
    options=(
        Option(
            "reports",
            "Which reports are read: the stable pair, or analytics (a beta, from 2026 on) with the bill by key and "
            "product; with +claude-code, what Claude Code did as well. Default: stable.",
            choices=REPORTS,
            setting="ANTHROPIC_REPORTS",
        ),
    ),
)
