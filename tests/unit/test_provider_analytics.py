"""Anthropic's analytics pair and Claude Code's report: what is asked, what is finished, whose names are dropped."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from shared.errors import CursorRefusedError, MalformedResponseError, ProviderError
from shared.providers import anthropic
from shared.providers.anthropic_analytics import COSTS, USAGE
from shared.providers.anthropic_claude_code import STREAM
from shared.providers.base import Page, Stream, Window
from tests.fixtures.providers.anthropic_answers import DAY
from tests.fixtures.providers.recording import Recording, pages, planted, reply, scripted
from tests.fixtures.providers.wire import Time, refused

if TYPE_CHECKING:
    from shared.providers.base import Provider

RECORDING = Recording("anthropic@analytics")
HOUR, ONE_DAY = timedelta(hours=1), timedelta(days=1)
NIGHT = Window(DAY + 22 * HOUR, DAY + 26 * HOUR)
LONG = Window(DAY - 40 * ONE_DAY, DAY + 30 * ONE_DAY)


def connected(*bodies: Any) -> tuple[Provider, list[httpx.Request]]:  # noqa: ANN401 - bodies, or whole responses
    transport, requests = scripted(*(one if isinstance(one, httpx.Response) else reply(one) for one in bodies))
    return RECORDING.connect(transport, Time().budget()), requests


def empty(*, refreshed: str | None = None, more: str | None = None) -> dict[str, Any]:
    return {"data": [], "has_more": more is not None, "next_page": more, "data_refreshed_at": refreshed}


def fetched(body: object, stream: Stream = USAGE, window: Window = NIGHT) -> Page:
    provider, _ = connected(body)
    return provider.fetch(stream, window, None)


def ended(body: object) -> Page:
    """Return the page that ends the chain when both questions get this answer."""
    provider, _ = connected(body, body)
    *_, last = pages(provider, USAGE, NIGHT)
    return last


def test_what_is_asked() -> None:
    provider, requests = connected(empty(), empty(), empty())
    list(pages(provider, USAGE, NIGHT))
    provider.fetch(COSTS, Window(DAY, DAY + ONE_DAY), "page_two==")
    usage, claude_code, costs = requests
    by_token = ["messages_api", "message_batches_api", "managed_agents_api", "claude_console"]
    groups = ["model", "api_key_id", "service_tier", "context_window", "inference_geo"]
    assert usage.url.params.multi_items() == [
        ("starting_at", "2026-03-01T22:00:00Z"),
        ("ending_at", "2026-03-02T02:00:00Z"),
        ("time_bucket_width", "1h"),
        *(("group_by[]", group) for group in groups),
        *(("products[]", product) for product in by_token),
        ("order_by", "time"),
        ("order", "asc"),
        ("limit", "1000"),
    ]
    assert usage.headers["anthropic-beta"] == "analytics-usage-cost-2026-08-24"
    assert claude_code.url.params.get_list("products[]") == ["claude_code"]
    asked = usage.url.params
    assert claude_code.url.params.remove("products[]") == asked.remove("products[]")
    assert "products[]" not in costs.url.params
    groups = ["api_key_id", "workspace_id", "model", "product", "speed", "cost_type", "token_type"]
    assert costs.url.params.get_list("group_by[]") == groups
    assert (costs.url.params["time_bucket_width"], costs.url.params["page"]) == ("1d", "page_two==")


def test_a_key_has_the_workspace_that_the_list_of_keys_says() -> None:
    provider = RECORDING.connect(RECORDING.whole(), Time().budget())
    provider.names()
    buckets = [provider.parse(USAGE, row) for row in provider.fetch(USAGE, NIGHT, None).rows]
    assert [bucket.workspace_id for bucket in buckets] == ["wrkspc_01Research4Zk", "wrkspc_01Research4Zk", None]
    # The same dimensions as in the stable report.
    stable = Recording("anthropic").load("usage.expected.json")[0]
    assert buckets[0].dimensions == stable["dimensions"]


@pytest.mark.parametrize(
    ("refreshed", "end"),
    [
        (None, NIGHT.end),
        ("2026-03-09T00:00:00Z", NIGHT.end),
        ("2026-03-02T00:59:59Z", NIGHT.start + 2 * HOUR),
        ("2026-02-01T00:00:00Z", NIGHT.start),
    ],
)
def test_what_was_read_ends_where_figures_were_refreshed(refreshed: str | None, end: object) -> None:
    page = ended(empty(refreshed=refreshed))
    assert (page.next_cursor, page.listed) == (None, (NIGHT.start, end))


def test_unfinished_rows_end_the_chain() -> None:
    body = {**RECORDING.first_page("usage"), "data_refreshed_at": "2026-03-02T00:30:00Z"}
    provider, _ = connected(body, empty())
    first, last = pages(provider, USAGE, NIGHT)
    assert (len(first.rows), first.listed) == (2, None)
    assert (last.rows, last.listed) == ((), (NIGHT.start, NIGHT.start + 2 * HOUR))


def test_a_refresh_between_two_pages_does_not_move_the_end() -> None:
    first = {**empty(refreshed="2026-03-02T00:10:00Z"), "has_more": True, "next_page": "b"}
    later = {**RECORDING.first_page("usage"), "has_more": False, "data_refreshed_at": "2026-03-03T00:00:00Z"}
    provider, _ = connected(first, later, later)
    found = list(pages(provider, USAGE, NIGHT))
    assert [len(page.rows) for page in found] == [0, 2, 2]
    assert found[-1].listed == (NIGHT.start, NIGHT.start + 2 * HOUR)


def test_a_long_window_is_read_in_parts_that_meet() -> None:
    provider, requests = connected(*(empty(more=more) for more in (None, None, "b", None, None, None, None)))
    found = list(pages(provider, USAGE, LONG))
    asked = [(one.url.params["starting_at"], one.url.params.get("page")) for one in requests]
    first, second, third = "2026-01-20T00:00:00Z", "2026-02-20T00:00:00Z", "2026-03-23T00:00:00Z"
    parts = [(first, None)] * 2 + [(second, None), (second, "b"), (second, None)] + [(third, None)] * 2
    assert asked == parts
    assert [page.listed for page in found] == [None] * 6 + [(LONG.start, LONG.end)]


def test_tokens_that_are_not_valid() -> None:
    provider, _ = connected(empty())
    elsewhere = provider.fetch(USAGE, LONG, None).next_cursor
    refused(CursorRefusedError, lambda: provider.fetch(USAGE, NIGHT, elsewhere))
    gone = httpx.Response(400, json={"error": {"message": "page: Invalid page token"}})
    provider, _ = connected(gone, gone)
    refused(CursorRefusedError, lambda: provider.fetch(USAGE, NIGHT, "page_of_the_stable_report"))
    refused(ProviderError, lambda: provider.fetch(USAGE, NIGHT, None))


def test_claude_code_on_a_seat_is_no_usage_that_is_billed_by_the_token() -> None:
    body = {**RECORDING.first_page("usage"), "has_more": False, "next_page": None}
    body["data"] = [planted(row, ["group", "api_key_id"], None) for row in body["data"]]
    provider, _ = connected(body, body)
    first, second = pages(provider, USAGE, NIGHT)
    assert (len(first.rows), second.rows) == (len(body["data"]), ())


def test_rows_that_go_back_or_come_twice_are_refused() -> None:
    body = RECORDING.first_page("usage")
    one, _, last = body["data"]
    for rows, says in (([last, one], "goes back in time"), ([one, one], "dimensions of an earlier one")):
        error = refused(MalformedResponseError, lambda rows=rows: fetched({**body, "data": rows}))  # type: ignore[misc] # mypy sees no type of a default
        assert says in str(error)
    provider, _ = connected({**body, "data": [last]}, {**body, "data": [one], "has_more": False})
    cursor = provider.fetch(USAGE, NIGHT, None).next_cursor
    refused(MalformedResponseError, lambda: provider.fetch(USAGE, NIGHT, cursor))


def test_people_are_dropped_before_anything_is_kept() -> None:
    day = Window(DAY, DAY + ONE_DAY)
    for stream, window in ((USAGE, NIGHT), (STREAM, day)):
        body = RECORDING.first_page(stream.name)
        assert "lin@aurora.example" in str(body)
        rows = fetched(body, stream, window).rows
        assert rows
        assert not any(word in str(rows).lower() for word in ("lin@", "aurora.example", "user_01", "'lin'"))


def test_the_bill_keeps_both_amounts_and_knows_fast_mode() -> None:
    body = RECORDING.first_page("costs")
    provider, _ = connected(body)
    rows = provider.fetch(COSTS, Window(DAY, DAY + 2 * ONE_DAY), None).rows
    assert rows[0].raw["cost"]["list_amount"] == "51.6"
    assert [provider.parse(COSTS, row).charge for row in rows] == ["tokens", "fast_mode", "web_search"]
    euros = planted(body, ["data", 1, "cost", "currency"], "EUR")
    error = refused(MalformedResponseError, lambda: fetched(euros, COSTS, Window(DAY, DAY + 2 * ONE_DAY)))
    assert "data.1.cost.currency" in str(error)


def test_rows_of_the_other_pair_are_still_read() -> None:
    stable = Recording("anthropic")
    other = stable.connect(stable.whole(), Time().budget())
    provider, _ = connected()
    row = other.fetch(anthropic.USAGE, NIGHT, None).rows[0]
    assert provider.parse(USAGE, row) == other.parse(anthropic.USAGE, row)
    body = fetched(RECORDING.first_page("usage")).rows[0]
    assert other.parse(anthropic.USAGE, body) == provider.parse(USAGE, body)


def test_claude_code_is_asked_day_by_day() -> None:
    window = Window(DAY, DAY + 2 * ONE_DAY)
    provider, requests = connected(empty(more="b"), empty(), empty())
    cursor: str | None = None
    found: list[Page] = []
    for _ in range(3):
        found.append(provider.fetch(STREAM, window, cursor))
        cursor = found[-1].next_cursor
    assert [tuple(one.url.params.values()) for one in requests] == [
        ("2026-03-01", "1000"), ("2026-03-01", "1000", "b"), ("2026-03-02", "1000"),
    ]  # fmt: skip
    assert [page.listed for page in found] == [None, None, (window.start, window.end)]
    elsewhere = found[1].next_cursor
    refused(CursorRefusedError, lambda: provider.fetch(STREAM, Window(DAY, DAY + ONE_DAY), elsewhere))


def test_an_estimate_is_a_number_of_cents() -> None:
    body = RECORDING.first_page("claude_code")
    wrong = planted(body, ["data", 0, "model_breakdown", 0, "estimated_cost", "amount"], "71")
    refused(MalformedResponseError, lambda: fetched(wrong, STREAM, Window(DAY, DAY + ONE_DAY)))
