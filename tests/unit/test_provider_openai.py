"""OpenAI's own details: what is asked, what keys cannot tell, buckets in pieces and in any order, and its names."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.errors import CredentialError, CursorRefusedError, MalformedResponseError, ProviderError
from shared.providers.base import Stream, Window
from shared.providers.openai import COSTS, SPEC, OpenAI
from tests.fixtures.providers.openai_answers import (
    COMPLETIONS,
    DAY,
    EMPTY,
    RECORDING,
    STREAMS,
    WEEK,
    bucket,
    connected,
    page,
    row,
)
from tests.fixtures.providers.recording import pages, reply
from tests.fixtures.providers.wire import KEY, refused

ONE_DAY = timedelta(days=1)
KEYS_SINCE = datetime(2025, 12, 6, tzinfo=UTC)
ASTRIDE = Window(KEYS_SINCE - 2 * ONE_DAY, KEYS_SINCE + 2 * ONE_DAY)
WITHOUT_KEYS = ["project_id", "line_item"]
WITH_KEYS = ["project_id", "api_key_id", "line_item"]


def error(message: str, param: str | None = None, code: str = "invalid_request_error") -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


def keys_refused(since: datetime) -> dict[str, Any]:
    text = (
        "group_by=api_key_id is not available for this time range. "
        f"Try a start_time on or after {since.timestamp():.0f}."
    )
    return error(text, "start_time")


def test_what_is_asked_for_usage() -> None:
    provider, requests = connected(reply(EMPTY), reply(EMPTY))
    provider.fetch(COMPLETIONS, WEEK, None)
    provider.fetch(COMPLETIONS, WEEK, "page_two==")
    first, second = requests
    assert first.url.path == "/v1/organization/usage/completions"
    asked = [
        ("start_time", "1772323200"),
        ("end_time", "1772928000"),
        ("bucket_width", "1h"),
        ("limit", "168"),
        ("group_by[]", "project_id"),
        ("group_by[]", "api_key_id"),
        ("group_by[]", "model"),
        ("group_by[]", "batch"),
        ("group_by[]", "service_tier"),
    ]
    assert first.url.params.multi_items() == asked
    assert second.url.params.multi_items() == [*asked, ("page", "page_two==")]
    assert first.headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("stream", "groups"),
    [
        ("embeddings", ["project_id", "api_key_id", "model"]),
        ("images", ["project_id", "api_key_id", "model", "size", "source"]),
        ("vector_stores", ["project_id"]),
        ("code_interpreter_sessions", ["project_id"]),
        ("file_search_calls", ["project_id", "api_key_id", "vector_store_id"]),
        ("web_search_calls", ["project_id", "api_key_id", "model", "context_level"]),
    ],
)
def test_people_are_never_asked_for(stream: str, groups: list[str]) -> None:
    provider, requests = connected(reply(EMPTY))
    provider.fetch(STREAMS[stream], WEEK, None)
    assert requests[0].url.path == f"/v1/organization/usage/{stream}"
    assert requests[0].url.params.get_list("group_by[]") == groups


def test_costs_are_asked_at_the_size_that_is_answered() -> None:
    provider, requests = connected(reply(EMPTY))
    provider.fetch(COSTS, WEEK, None)
    params = requests[0].url.params
    assert (requests[0].url.path, params["bucket_width"], params["limit"]) == ("/v1/organization/costs", "1d", "31")
    assert params.get_list("group_by[]") == WITH_KEYS


def spans(requests: list[Any]) -> list[tuple[int, int, list[str]]]:
    asked = [request.url.params for request in requests]
    return [(int(one["start_time"]), int(one["end_time"]), one.get_list("group_by[]")) for one in asked]


def seconds(window: Window) -> tuple[int, int]:
    return int(window.start.timestamp()), int(window.end.timestamp())


def test_a_span_astride_the_day_of_keys_is_read_in_two_that_meet() -> None:
    def answer(start: datetime, token: str | None = None) -> Any:  # noqa: ANN401 - an httpx response
        return page(COSTS, (start, [row("costs")]), token=token)

    days = [ASTRIDE.start + number * ONE_DAY for number in range(4)]
    provider, requests = connected(answer(days[0], "a"), answer(days[1]), answer(days[2], "b"), answer(days[3]))
    found = [(one, provider.parse(COSTS, one)) for p in pages(provider, COSTS, ASTRIDE) for one in p.rows]
    first, last = seconds(ASTRIDE)
    middle = int(KEYS_SINCE.timestamp())
    assert spans(requests) == [
        *[(first, middle, WITHOUT_KEYS)] * 2,
        *[(middle, last, WITH_KEYS)] * 2,
    ]
    assert [request.url.params.get("page") for request in requests] == [None, "a", None, "b"]
    # What was not asked is no dimension, which is something else than a dimension without a value.
    assert ["api_key_id" in bucket.dimensions for _, bucket in found] == [False, False, True, True]
    assert [bucket.key_id for _, bucket in found][:2] == [None, None]
    assert [one.start for one, _ in found] == days


def test_usage_is_read_by_key_however_old() -> None:
    provider, requests = connected(reply(EMPTY))
    provider.fetch(COMPLETIONS, ASTRIDE, None)
    assert spans(requests)[0][2][:2] == ["project_id", "api_key_id"]


@pytest.mark.parametrize("stream", [COSTS, COMPLETIONS], ids=["costs", "completions"])
def test_a_refusal_of_keys_names_the_day_from_which_on_they_are_known(stream: Stream) -> None:
    since = DAY + 2 * ONE_DAY + timedelta(hours=5)
    # Rounded up to a bound of buckets: the one that holds the instant is read without keys.
    cut = DAY + 3 * ONE_DAY if stream is COSTS else since
    provider, requests = connected(
        reply(keys_refused(since), 400),
        page(stream, (DAY, [row(stream.name)]), token="x"),
        page(stream, (DAY + ONE_DAY, [])),
        page(stream, (cut, [row(stream.name)])),
    )
    found = [provider.parse(stream, one) for p in pages(provider, stream, WEEK) for one in p.rows]
    first, last = seconds(WEEK)
    middle = int(cut.timestamp())
    assert [span[:2] for span in spans(requests)] == [(first, last), (first, middle), (first, middle), (middle, last)]
    assert ["api_key_id" in span[2] for span in spans(requests)] == [True, False, False, True]
    assert ["api_key_id" in bucket.dimensions for bucket in found] == [False, True]


def test_a_later_part_that_is_refused_again_is_divided_again() -> None:
    later = KEYS_SINCE + ONE_DAY
    provider, requests = connected(
        page(COSTS, (ASTRIDE.start, [])),
        reply(keys_refused(later), 400),
        page(COSTS, (KEYS_SINCE, []), token="x"),
        page(COSTS, (KEYS_SINCE, [])),
        page(COSTS, (later, [])),
    )
    list(pages(provider, COSTS, ASTRIDE))
    first, last = seconds(ASTRIDE)
    middle, second = int(KEYS_SINCE.timestamp()), int(later.timestamp())
    assert spans(requests) == [
        (first, middle, WITHOUT_KEYS),
        (middle, last, WITH_KEYS),
        *[(middle, second, WITHOUT_KEYS)] * 2,
        (second, last, WITH_KEYS),
    ]


@pytest.mark.parametrize(
    "body",
    [
        error("Invalid type for 'start_time': expected an integer.", "start_time", "invalid_type"),
        error("group_by=api_key_id is not available for this time range. Try another.", "start_time"),
        keys_refused(DAY),
        {},
    ],
    ids=["bad date", "no day", "a day that changes nothing", "no words"],
)
def test_another_400_is_not_about_keys(body: dict[str, Any]) -> None:
    provider, requests = connected(reply(body, 400))
    with pytest.raises(ProviderError):
        provider.fetch(COSTS, WEEK, None)
    assert len(requests) == 1


@pytest.mark.parametrize("status", [400, 404, 410])
@pytest.mark.parametrize("cursor", ["page_x", "keyless:1764806400-1764979200:page_x"])
def test_a_token_that_is_not_accepted_any_more(status: int, cursor: str) -> None:
    provider, _ = connected(reply(error("The page token does not belong to this query.", "page"), status))
    refused(CursorRefusedError, lambda: provider.fetch(COSTS, ASTRIDE, cursor))


def test_a_cursor_of_another_window() -> None:
    provider, _ = connected()
    refused(CursorRefusedError, lambda: provider.fetch(COSTS, WEEK, "keyed:1764806400-1764979200:x"))


def test_buckets_of_a_page_come_in_any_order() -> None:
    two, one = DAY + timedelta(hours=2), DAY + timedelta(hours=1)
    provider, _ = connected(page(COMPLETIONS, (two, [row("completions")]), (DAY, [row("completions")]), (one, [])))
    found = provider.fetch(COMPLETIONS, WEEK, None)
    assert [one.start for one in found.rows] == [DAY, two]
    assert found.listed == (DAY, DAY + timedelta(hours=3))


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (DAY.timestamp(), DAY.timestamp() + 3600),
        ("1772323200", "1772326800"),
        ("2026-03-01T00:00:00Z", "2026-03-01T01:00:00Z"),
        (True, False),
        (None, None),
        (10**15, 10**15 + 3600),
        (1772323200, 1772323200),
        (1772323200, 1772326800 + 3600),
        (1772323200 + 60, 1772326800 + 60),
        (1772319600, 1772323200),
        (1772928000, 1772931600),
    ],
)
def test_bounds_that_cannot_be_right(start: object, end: object) -> None:
    wrong = {**bucket(DAY, [], COMPLETIONS.grain), "start_time": start, "end_time": end}
    provider, _ = connected(reply({**EMPTY, "data": [wrong]}))
    refused(MalformedResponseError, lambda: provider.fetch(COMPLETIONS, WEEK, None))


def test_a_bucket_twice_on_one_page() -> None:
    provider, _ = connected(page(COMPLETIONS, (DAY, []), (DAY, [])))
    told = refused(MalformedResponseError, lambda: provider.fetch(COMPLETIONS, WEEK, None))
    assert "data.1" in str(told)


def test_a_report_that_the_organisation_does_not_have() -> None:
    missing = reply(error("Invalid URL (GET /v1/organization/usage/decisions)"), 404)
    provider, _ = connected(missing)
    assert provider.fetch(STREAMS["decisions"], WEEK, None).listed is None
    provider, _ = connected(missing)
    with pytest.raises(ProviderError, match="404"):
        provider.fetch(COMPLETIONS, WEEK, None)


def test_the_sentence_says_which_key() -> None:
    provider, _ = connected(reply(error("You have insufficient permissions. Missing scopes: api.usage.read"), 403))
    told = refused(CredentialError, lambda: provider.fetch(COSTS, WEEK, None))
    assert all(word in str(told) for word in ("api.usage.read", "sk-admin-", "sk-proj-", "service accounts", "owner"))
    assert SPEC.find_key({"OPENAI_ADMIN_KEY": " sk-admin-x "}) == "sk-admin-x"


def test_the_streams() -> None:
    assert {stream.name for stream in OpenAI.streams} == set(RECORDING.load("contract.json")["streams"])
    assert [stream.name for stream in OpenAI.streams if stream.is_bill] == ["costs"]
    assert [stream.name for stream in OpenAI.streams if stream.may_be_absent] == ["decisions"]
    assert all(stream.splits_buckets for stream in OpenAI.streams)
