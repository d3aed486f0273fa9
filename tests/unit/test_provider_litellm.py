"""LiteLLM's spend logs: read by time whatever pages do, texts and addresses left out, odd rows told apart."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from shared.errors import CredentialError, CursorRefusedError, MalformedResponseError, ProviderError, TooLargeError
from shared.providers import litellm_rows
from shared.providers.base import Owner, Row, Window
from shared.providers.http import MAX_BYTES
from shared.providers.litellm import SPEC, SPEND_LOGS, LiteLLM
from tests.fixtures.providers.litellm_proxy import ADDRESS, MASTER_KEY, PROMPT, FakeProxy, request
from tests.fixtures.providers.recording import Recording, pages, reply, scripted
from tests.fixtures.providers.wire import Time, refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

AT = datetime(2026, 3, 2, 9, 15, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DAY = Window(AT, AT + timedelta(days=1))


def connect(url: str, key: str = MASTER_KEY) -> LiteLLM:
    found = SPEC.connect(key, httpx.Client(trust_env=False), Time().budget(), url)
    assert isinstance(found, LiteLLM)
    return found


def names(proxy: FakeProxy, window: Window = DAY, between: Callable[[], None] = lambda: None) -> list[str]:
    """Return the ids of all requests in the order they are read, doing something after each page."""
    found = []
    for page in pages(connect(proxy.url), SPEND_LOGS, window):
        found += [row.raw["request_id"] for row in page.rows]
        assert (page.listed is None) == (page.next_cursor is not None)
        between()
    return found


def asked(proxy: FakeProxy) -> list[tuple[str, str]]:
    """Return (page, page_size) of every request that was answered."""
    queries = [dict(one.request.query) for one in proxy.requests if one.status == 200]
    return [(query["page"], query["page_size"]) for query in queries]


def test_every_request_is_read_whatever_a_page_holds() -> None:
    # Three in each second, so that pages end inside of seconds.
    rows = [request(f"r{number}", AT + SECOND * (number // 3)) for number in range(250)]
    for most, counted in ((100, 10_000), (1000, 10_000), (100, 150)):
        with FakeProxy(rows, most=most, counted=counted) as proxy:
            assert sorted(names(proxy)) == sorted(row["request_id"] for row in rows)
            assert set(asked(proxy)) == {("1", str(most))}
            assert [one.status for one in proxy.requests].count(422) == (most == 100)


def test_a_second_with_more_requests_than_a_page_is_read_by_page() -> None:
    # Not the first second that was asked for, either.
    rows = [request(f"r{number}", AT + SECOND * 9 + timedelta(milliseconds=4 * number)) for number in range(249)]
    rows += [request("later", AT + SECOND * 10)]
    with FakeProxy(rows, most=100) as proxy:
        assert sorted(names(proxy)) == sorted(row["request_id"] for row in rows)
        assert asked(proxy) == [("1", "100"), ("2", "100"), ("3", "100")]


def test_what_arrives_between_pages_moves_nothing() -> None:
    rows = [request(f"r{number}", AT + SECOND * number) for number in range(250)]
    with FakeProxy(rows, most=100) as proxy:

        def arrive() -> None:
            number = len(proxy.rows)
            proxy.rows += [request(f"late{number}", AT), request(f"new{number}", AT + SECOND * 900)]

        found = names(proxy, between=arrive)
        assert {row["request_id"] for row in rows} < set(found)
        # What belongs before the place that was reached is for the next look back.
        assert [name for name in found if name.startswith("late")] == []
        assert [name for name in found if name.startswith("new")] == ["new250", "new252"]


def test_a_bound_belongs_to_what_is_read() -> None:
    with FakeProxy([request("first", AT), request("last", DAY.end), request("after", DAY.end + SECOND)]) as proxy:
        assert names(proxy) == ["first", "last"]


def test_who_may_see_all() -> None:
    with FakeProxy([request("a", AT), request("b", AT, user="u1")], users={"sk-of-a-user": "u1"}) as proxy:
        assert connect(proxy.url).owner() == Owner(None, f"the LiteLLM proxy at {proxy.url[7:]}")
        [mine] = connect(proxy.url, "sk-of-a-user").fetch(SPEND_LOGS, DAY, None).rows
        assert mine.raw["request_id"] == "b"
        error = refused(CredentialError, connect(proxy.url, "sk-unknown").owner)
        assert "Invalid proxy server token" in str(error)
        assert SPEC.key_needed in str(error)


def test_nothing_but_what_an_event_needs_is_kept() -> None:
    rows = [request("a", AT, metadata=json.dumps(request("a", AT)["metadata"])), request("b", AT)]
    with FakeProxy(rows) as proxy:
        page = connect(proxy.url).fetch(SPEND_LOGS, DAY, None)
    events = [litellm_rows.event(row.raw) for row in page.rows]
    assert PROMPT not in repr(page)
    assert ADDRESS not in repr(events)
    assert [{**event, "event_id": ""} for event in events if event] == [{**(events[0] or {}), "event_id": ""}] * 2


def answers(*bodies: object) -> LiteLLM:
    transport, _ = scripted(*(reply(body) for body in bodies))
    found = Recording("litellm").connect(transport, Time().budget())
    assert isinstance(found, LiteLLM)
    return found


def page_of(*rows: dict[str, Any], **changed: int) -> dict[str, Any]:
    return {"data": list(rows), "total": len(rows), "page": 1, "page_size": 1000, "total_pages": 1, **changed}


def nonsense() -> Iterator[tuple[str, dict[str, Any], str | None, str]]:
    yield "newest first", page_of(request("a", AT + SECOND), request("b", AT)), None, "data.1"
    yield "more of nothing", page_of(total=5000, total_pages=5), None, "sends nothing"
    circle = page_of(request("a", AT), total=5000, total_pages=5)
    yield "round in circles", circle, f"{AT.isoformat()} 1000 1000", "one second"
    yield "too early", page_of(request("a", AT - SECOND)), None, "data.0"
    yield "without a zone", page_of(request("a", AT, startTime="2026-03-02")), None, "data.0.startTime"


@pytest.mark.parametrize(("body", "cursor", "told"), [case[1:] for case in nonsense()], ids=[c[0] for c in nonsense()])
def test_nonsense_is_refused(body: dict[str, Any], cursor: str | None, told: str) -> None:
    error = refused(MalformedResponseError, lambda: answers(body).fetch(SPEND_LOGS, DAY, cursor))
    assert told in str(error)


def test_a_page_that_promises_more_goes_on() -> None:
    provider = answers(page_of(request("a", AT + SECOND), total=5000, total_pages=5), page_of())
    first = provider.fetch(SPEND_LOGS, DAY, None)
    assert (first.next_cursor, first.listed) == (f"{(AT + SECOND).isoformat()} 2 1000", None)
    assert provider.fetch(SPEND_LOGS, DAY, first.next_cursor).listed == (DAY.start, DAY.end)


@pytest.mark.parametrize("size", [100, 10])
def test_rows_with_prompts_come_in_smaller_pages(size: int) -> None:
    sizes = []

    def answer(question: httpx.Request) -> httpx.Response:
        sizes.append(int(question.url.params["page_size"]))
        if sizes[-1] > size:
            return httpx.Response(200, content=b" " * (MAX_BYTES + 1))
        rows = [request(f"r{number}", AT + SECOND * number) for number in range(size)]
        return httpx.Response(200, json=page_of(*rows, total=5000, page_size=size, total_pages=5))

    provider = Recording("litellm").connect(httpx.MockTransport(answer), Time().budget())
    page = provider.fetch(SPEND_LOGS, DAY, None)
    assert sizes == [tried for tried in (1000, 100, 10) if tried >= size]
    assert len(page.rows) == size - 1  # that of the last second comes again
    assert page.next_cursor == f"{(AT + SECOND * (size - 1)).isoformat()} 1 {size}"
    provider.fetch(SPEND_LOGS, DAY, page.next_cursor)
    assert sizes[-2:] == [size, size]


def test_a_page_that_is_too_large_at_its_smallest_is_told() -> None:
    sizes = []

    def answer(question: httpx.Request) -> httpx.Response:
        sizes.append(question.url.params["page_size"])
        return httpx.Response(200, content=b" " * (MAX_BYTES + 1))

    provider = Recording("litellm").connect(httpx.MockTransport(answer), Time().budget())
    error = refused(TooLargeError, lambda: provider.fetch(SPEND_LOGS, DAY, None))
    assert "more than" in str(error)
    assert sizes == ["1000", "100", "10"]


@pytest.mark.parametrize("cursor", ["", "page_2", "2026-03-02T09:15:00+00:00 one 100"])
def test_a_place_that_is_none_begins_the_window_anew(cursor: str) -> None:
    refused(CursorRefusedError, lambda: answers().fetch(SPEND_LOGS, DAY, cursor))


def test_a_proxy_that_takes_no_size_at_all_is_told_as_it_is() -> None:
    body = {"detail": [{"msg": "Input should be something else"}]}
    transport, requests = scripted(reply(body, 422), reply(body, 422))
    provider = Recording("litellm").connect(transport, Time().budget())
    refused(ProviderError, lambda: provider.fetch(SPEND_LOGS, DAY, None))
    assert [one.url.params["page_size"] for one in requests] == ["1000", "100"]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"prompt_tokens": -4}, "-4 is no count"),
        ({"completion_tokens": 1.5}, "1.5"),
        ({"prompt_tokens": "twelve"}, "twelve"),
        ({"spend": "much"}, "much"),
        ({"request_id": " "}, "no request id"),
    ],
)
def test_an_odd_row_is_told_apart(changed: dict[str, Any], reason: str) -> None:
    page = answers(page_of(request("a", AT, **changed), request("b", AT))).fetch(SPEND_LOGS, DAY, None)
    provider = answers()
    with pytest.raises(ValueError, match=reason):
        provider.event(SPEND_LOGS, page.rows[0])
    assert provider.event(SPEND_LOGS, page.rows[1]) is not None


@pytest.mark.parametrize("spend", [0.0123, Decimal("0.0123"), "0.0123", Decimal("0.012300000000000000000003")])
def test_the_same_request_says_the_same_however_its_float_was_written(spend: object) -> None:
    event = litellm_rows.event({**request("a", AT), "spend": spend})
    assert event is not None
    assert event["cost"] == Decimal("0.0123")


def test_a_request_that_failed_and_cost_something_counts() -> None:
    failed = {**request("a", AT), "status": "failure"}
    assert litellm_rows.event({**failed, "spend": 0}) is None
    provider = answers()
    assert provider.event(SPEND_LOGS, Row(AT, AT, failed)) is not None
