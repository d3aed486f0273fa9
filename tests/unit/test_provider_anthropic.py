"""Anthropic's own details: what is asked, what the dimensions mean, and that cents never pass for dollars."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from shared.errors import CursorRefusedError, MalformedResponseError, ProviderError
from shared.providers.anthropic import COSTS, USAGE, Anthropic
from shared.providers.base import Stream, Window
from shared.providers.listing import MAX_NAME_PAGES
from tests.fixtures.providers.anthropic_answers import (
    DAY,
    EMPTY,
    RECORDING,
    WEEK,
    connected,
    counted,
    report,
    usage_row,
)
from tests.fixtures.providers.recording import reply
from tests.fixtures.providers.wire import KEY, refused

if TYPE_CHECKING:
    import httpx


def test_what_is_asked_for_usage() -> None:
    provider, requests = connected(reply(EMPTY), reply(EMPTY))
    provider.fetch(USAGE, WEEK, None)
    provider.fetch(USAGE, WEEK, "page_two==")
    first, second = requests
    assert first.url.path == "/v1/organizations/usage_report/messages"
    asked = [
        ("starting_at", "2026-03-01T00:00:00Z"),
        ("ending_at", "2026-03-08T00:00:00Z"),
        ("bucket_width", "1h"),
        ("limit", "168"),
        ("group_by[]", "model"),
        ("group_by[]", "api_key_id"),
        ("group_by[]", "workspace_id"),
        ("group_by[]", "service_tier"),
        ("group_by[]", "context_window"),
        ("group_by[]", "inference_geo"),
    ]
    assert first.url.params.multi_items() == asked
    assert second.url.params.multi_items() == [*asked, ("page", "page_two==")]
    assert (first.headers["x-api-key"], first.headers["anthropic-version"]) == (KEY, "2023-06-01")
    assert first.headers["user-agent"].startswith("AICostTracker/")
    assert "anthropic-beta" not in first.headers


def test_what_is_asked_for_costs() -> None:
    provider, requests = connected(reply(EMPTY), speed=True)
    provider.fetch(COSTS, WEEK, None)
    assert requests[0].url.path == "/v1/organizations/cost_report"
    assert requests[0].url.params.multi_items() == [
        ("starting_at", "2026-03-01T00:00:00Z"),
        ("ending_at", "2026-03-08T00:00:00Z"),
        ("bucket_width", "1d"),
        ("limit", "31"),
        ("group_by[]", "workspace_id"),
        ("group_by[]", "description"),
    ]
    assert "anthropic-beta" not in requests[0].headers


def test_speed_is_asked_only_on_demand() -> None:
    provider, requests = connected(report(usage_row(speed="fast")), speed=True)
    (row,) = provider.fetch(USAGE, WEEK, None).rows
    assert requests[0].url.params.get_list("group_by[]")[-1] == "speed"
    assert requests[0].headers["anthropic-beta"] == "fast-mode-2026-02-01"
    bucket = provider.parse(USAGE, row)
    assert (bucket.dimensions["speed"], bucket.context.speed) == ("fast", "fast")
    assert counted(speed="standard").context.speed is None
    assert "speed" not in counted().dimensions


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-03-01T00:30:00Z", "2026-03-01T01:30:00Z"),
        ("2026-03-01T00:00:00Z", "2026-03-01T02:00:00Z"),
        ("2026-03-01T01:00:00Z", "2026-03-01T00:00:00Z"),
        ("2026-03-01T01:00:00Z", "2026-03-01T01:00:00Z"),
        ("2026-02-28T23:00:00Z", "2026-03-01T00:00:00Z"),
        ("2026-03-08T00:00:00Z", "2026-03-08T01:00:00Z"),
        ("2026-03-01T00:00:00", "2026-03-01T01:00:00"),
        ("0001-01-01T00:00:00+14:00", "2026-03-01T01:00:00Z"),
        ("yesterday", "today"),
        (1772323200, 1772326800),
        (None, None),
    ],
)
def test_bounds_that_cannot_be_right(start: object, end: object) -> None:
    bucket = {"starting_at": start, "ending_at": end, "results": []}
    provider, _ = connected(reply({**EMPTY, "data": [bucket]}))
    refused(MalformedResponseError, lambda: provider.fetch(USAGE, WEEK, None))


@pytest.mark.parametrize("order", [(1, 0), (0, 0)])
def test_buckets_follow_each_other(order: tuple[int, int]) -> None:
    data = RECORDING.first_page("usage")["data"]
    provider, _ = connected(reply({**EMPTY, "data": [data[place] for place in order]}))
    error = refused(MalformedResponseError, lambda: provider.fetch(USAGE, WEEK, None))
    assert "data.1" in str(error)


def test_other_zones_are_converted() -> None:
    bucket = {
        "starting_at": "2026-03-01T05:30:00+05:30",
        "ending_at": "2026-03-01T06:30:00+05:30",
        "results": [usage_row()],
    }
    provider, _ = connected(reply({**EMPTY, "data": [bucket]}))
    (row,) = provider.fetch(USAGE, WEEK, None).rows
    assert (row.start, row.start.utcoffset()) == (DAY, timedelta(0))


@pytest.mark.parametrize("stream", [USAGE, COSTS])
def test_windows_that_the_provider_would_snap_are_not_asked(stream: Stream) -> None:
    provider, requests = connected()
    crooked = timedelta(minutes=1)
    for window in (
        Window(DAY + crooked, WEEK.end),
        Window(DAY, WEEK.end + crooked),
        Window(DAY, DAY),
        Window(DAY.replace(tzinfo=None), WEEK.end),
    ):
        with pytest.raises(ValueError, match="window"):
            provider.fetch(stream, window, None)
    assert requests == []


@pytest.mark.parametrize(
    ("status", "message", "cursor", "kind"),
    [
        (400, "page: token was issued for other parameters", "abc", CursorRefusedError),
        (400, "Invalid next_page token", "abc", CursorRefusedError),
        (400, "cursor expired", "abc", CursorRefusedError),  # whatever its words: the first page had the same query
        (404, "No such page", "abc", CursorRefusedError),
        (400, "page: invalid", None, ProviderError),
        (422, "limit: must be at most 168", "abc", ProviderError),
    ],
)
def test_a_refused_page_token(status: int, message: str, cursor: str | None, kind: type[ProviderError]) -> None:
    said = {"type": "error", "error": {"type": "invalid_request_error", "message": message}}
    provider, requests = connected(reply(said, status))
    error = refused(kind, lambda: provider.fetch(USAGE, WEEK, cursor))
    assert message in str(error)
    assert len(requests) == 1


def test_the_streams() -> None:
    assert (USAGE.name, USAGE.grain, USAGE.is_bill) == ("usage", timedelta(hours=1), False)
    assert (COSTS.name, COSTS.grain, COSTS.lag, COSTS.is_bill) == ("costs", timedelta(days=1), timedelta(days=1), True)
    assert Anthropic.streams == (USAGE, COSTS)


def test_names_are_asked_whatever_their_status() -> None:
    names = RECORDING.load("names.json")
    keys, spaces = names["/v1/organizations/api_keys"], names["/v1/organizations/workspaces"]
    provider, requests = connected(reply(keys[""]), reply(keys["apikey_01Old5Tb"]), reply(spaces[""]))
    provider.names()
    assert [request.url.query.decode() for request in requests] == [
        "limit=1000",
        "limit=1000&after_id=apikey_01Old5Tb",
        "limit=1000&include_archived=true",
    ]


def listing(number: int, last: str | None, *, more: bool = True) -> httpx.Response:
    return reply({"data": [{"id": f"apikey_{number}", "name": "n"}], "has_more": more, "last_id": last})


@pytest.mark.parametrize("last", [None, ""])
def test_a_list_with_more_and_no_last_id(last: str | None) -> None:
    provider, _ = connected(listing(1, last))
    refused(MalformedResponseError, provider.names)


def test_a_list_that_returns_to_an_earlier_page() -> None:
    provider, requests = connected(listing(1, "a"), listing(2, "b"), listing(1, "a"))
    refused(MalformedResponseError, provider.names)
    assert len(requests) == 3


def test_a_list_without_an_end() -> None:
    provider, requests = connected(*(listing(number, f"id{number}") for number in range(MAX_NAME_PAGES)))
    refused(MalformedResponseError, provider.names)
    assert len(requests) == MAX_NAME_PAGES


def test_an_id_listed_twice_is_one_name() -> None:
    empty = reply({"data": [], "has_more": False})
    provider, _ = connected(listing(1, "a"), listing(1, "b", more=False), empty)
    assert [(name.id, name.archived) for name in provider.names()] == [("apikey_1", False)]


@pytest.mark.parametrize("scope", [5, "wrkspc_1", []])
def test_a_scope_that_is_no_object(scope: object) -> None:
    page = {"data": [{"id": "apikey_1", "name": "n", "scope": scope}], "has_more": False}
    provider, _ = connected(reply(page))
    refused(MalformedResponseError, provider.names)
