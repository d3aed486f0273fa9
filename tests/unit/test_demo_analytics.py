"""The fake's analytics pair and its report of Claude Code keep the documented contract."""

from collections.abc import Iterator
from decimal import Decimal

import httpx
import pytest

from infra.demo.analytics import BETA, DEFAULT_WORKSPACE
from infra.demo.anthropic import FakeAnthropic, Path
from infra.demo.dataset import stamp
from tests.fixtures.demo import DAY, HOUR, NOW, TODAY, Params, assert_refused, get

PAIR = [Path.ANALYTICS_USAGE, Path.ANALYTICS_COST]
DAILY: Params = [("time_bucket_width", "1d"), ("starting_at", stamp(TODAY - 2 * DAY)), ("ending_at", stamp(TODAY))]


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeAnthropic]:
    with FakeAnthropic(clock=lambda: NOW) as server:
        yield server


def ask(fake: FakeAnthropic, path: str, params: Params) -> httpx.Response:
    return get(fake, path, params, anthropic_beta=BETA)


def grouped(*names: str) -> Params:
    return [("group_by[]", name) for name in names]


def since(start: str, *more: tuple[str, str]) -> Params:
    return [("starting_at", start), *more]


@pytest.mark.parametrize("path", PAIR)
def test_the_beta_header_is_needed(fake: FakeAnthropic, path: str) -> None:
    assert_refused(get(fake, path, DAILY), 400, "invalid_request_error")
    assert ask(fake, path, DAILY).status_code == 200


@pytest.mark.parametrize("path", PAIR)
@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ([], "starting_at"),
        (since(stamp(TODAY), ("time_bucket_width", "1h")), "ending_at: required"),
        (since("2025-12-31T00:00:00Z"), "earliest: 2026-01-01T00:00:00Z"),
        (since(stamp(TODAY - 32 * DAY), ("ending_at", stamp(TODAY))), "at most 31 days"),
        ([*DAILY, *grouped("model", "speed", "product", "service_tier", "workspace_id", "api_key_id")], "at most 5"),
        ([*DAILY, *grouped("colour")], "group_by"),
        ([*DAILY, ("bucket_width", "1d")], "bucket_width"),
        ([*DAILY, ("limit", "1001")], "limit"),
        ([*DAILY, ("order", "up")], "order"),
        ([*DAILY, ("page", "page_invented")], "page"),
    ],
)
def test_it_refuses(fake: FakeAnthropic, path: str, wrong: Params, says: str) -> None:
    answer = ask(fake, path, wrong)
    assert_refused(answer, 400, "invalid_request_error")
    assert says in answer.text


def test_minutes_have_a_span_of_their_own(fake: FakeAnthropic) -> None:
    span = since(stamp(TODAY - 2 * DAY), ("ending_at", stamp(TODAY)), ("time_bucket_width", "1m"))
    assert "24 hours" in ask(fake, Path.ANALYTICS_USAGE, span).text


def test_rows_are_paged_by_twenty_largest_first_and_all_keys_are_there(fake: FakeAnthropic) -> None:
    params = [*DAILY, *grouped("model", "api_key_id", "workspace_id", "inference_geo")]
    page = ask(fake, Path.ANALYTICS_USAGE, params).json()
    assert (len(page["data"]), page["has_more"]) == (20, True)
    sizes = [row["usage"]["total_tokens"] for row in page["data"]]
    assert sizes == sorted(sizes, reverse=True)
    group = page["data"][0]["group"]
    assert len(group) == 20
    assert group["product"] is None
    geos = {row["group"]["inference_geo"] for row in page["data"]}
    assert {"global", None} <= geos
    assert "not_available" not in geos
    rest = ask(fake, Path.ANALYTICS_USAGE, [*params, ("page", page["next_page"])]).json()
    assert not {str(row) for row in rest["data"]} & {str(row) for row in page["data"]}
    changed = [*params, ("order", "asc"), ("page", page["next_page"])]
    assert_refused(ask(fake, Path.ANALYTICS_USAGE, changed), 400, "invalid_request_error")
    spaces = {row["group"]["workspace_id"] for row in [*page["data"], *rest["data"]]}
    assert DEFAULT_WORKSPACE in spaces
    assert None not in spaces


def test_figures_end_where_they_were_refreshed(fake: FakeAnthropic) -> None:
    hours = since(stamp(TODAY), ("ending_at", stamp(TODAY + DAY)), ("time_bucket_width", "1h"), ("limit", "1000"))
    page = ask(fake, Path.ANALYTICS_USAGE, hours).json()
    assert page["data_refreshed_at"] == "2026-11-20T08:20:00Z"
    assert max(row["starting_at"] for row in page["data"]) == "2026-11-20T08:00:00Z"


def test_without_a_width_there_is_one_row_per_group(fake: FakeAnthropic) -> None:
    [row] = ask(fake, Path.ANALYTICS_USAGE, since(stamp(TODAY - DAY + HOUR / 2))).json()["data"]
    assert row["starting_at"] == stamp(TODAY - DAY)
    assert not any(row["group"].values())


def test_costs_are_the_bill_by_key(fake: FakeAnthropic) -> None:
    params = [*DAILY, *grouped("api_key_id", "product", "cost_type", "token_type"), ("limit", "1000")]
    rows = ask(fake, Path.ANALYTICS_COST, params).json()["data"]
    billed = sum(Decimal(row["amount"]) for _, row in fake.raw_costs(TODAY - 2 * DAY, TODAY))
    assert sum(Decimal(row["cost"]["amount"]) for row in rows) == billed
    assert sum(Decimal(row["cost"]["list_amount"]) for row in rows) == 2 * billed
    assert {row["cost"]["requests"] for row in rows} == {None}
    assert {row["group"]["cost_type"] for row in rows} >= {"tokens", "web_search"}
    first = ask(fake, Path.ANALYTICS_COST, [*params[:-1], ("limit", "2")]).json()
    told = {(row["starting_at"], row["group"]["api_key_id"], row["group"]["product"]) for row in first["data"]}
    assert (len(told), first["has_more"]) == (2, True)
    assert len(first["data"]) > 2  # token types come on top of the limit
    one = [row for row in rows if row["group"]["api_key_id"] == "apikey_01DemoPeakpawsMain"]
    filtered = ask(fake, Path.ANALYTICS_COST, [*params, ("api_key_ids[]", "apikey_01DemoPeakpawsMain")]).json()["data"]
    assert filtered == one
    assert one


def test_claude_code_answers_a_day_at_a_time(fake: FakeAnthropic) -> None:
    first = get(fake, Path.CLAUDE_CODE, [("starting_at", "2026-11-19"), ("limit", "2")]).json()
    assert (len(first["data"]), first["has_more"]) == (2, True)
    more: Params = [("starting_at", "2026-11-19"), ("limit", "2"), ("page", first["next_page"])]
    last = get(fake, Path.CLAUDE_CODE, more).json()
    assert (len(last["data"]), last["has_more"], last["next_page"]) == (1, False, None)
    actors = [row["actor"]["type"] for row in [*first["data"], *last["data"]]]
    assert actors == ["api_actor", "user_actor", "user_actor"]
    assert get(fake, Path.CLAUDE_CODE, [("starting_at", "2026-11-21")]).json()["data"] == []
    for wrong in ([], [("starting_at", "2026-11-19T00:00:00Z")], [("starting_at", "2026-11-19"), ("limit", "1001")]):
        assert_refused(get(fake, Path.CLAUDE_CODE, wrong), 400, "invalid_request_error")
