"""Reports of the fake Admin API: buckets, pages, groupings, and sums that equal the raw truth."""

import time
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal

import pytest

from infra.demo.anthropic import FakeAnthropic, Path
from infra.demo.dataset import stamp
from infra.demo.organisation import settled
from tests.fixtures.demo import DAY, HOUR, NOW, TODAY, assert_refused, get, pages, since


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeAnthropic]:
    with FakeAnthropic(clock=lambda: NOW) as server:
        yield server


# Windows and pages


@pytest.mark.parametrize(
    ("width", "default"),
    [("1d", 7), ("1h", 24), ("1m", 60)],
)
def test_each_width_has_its_default_page(fake: FakeAnthropic, width: str, default: int) -> None:
    page = get(fake, Path.USAGE, since(TODAY - 20 * DAY, ("bucket_width", width))).json()
    assert len(page["data"]) == default
    assert page["has_more"] is True
    assert page["next_page"]


def test_the_start_is_snapped_down_and_the_end_is_exclusive(fake: FakeAnthropic) -> None:
    start = TODAY - DAY + 9.9 * HOUR
    params = since(start, ("ending_at", stamp(TODAY - DAY + 11 * HOUR)), ("bucket_width", "1h"))
    page = get(fake, Path.USAGE, params).json()
    assert [bucket["starting_at"] for bucket in page["data"]] == ["2026-11-19T09:00:00Z", "2026-11-19T10:00:00Z"]
    assert page["data"][-1]["ending_at"] == "2026-11-19T11:00:00Z"
    assert (page["has_more"], page["next_page"]) == (False, None)


def test_an_offset_is_understood(fake: FakeAnthropic) -> None:
    params = [("starting_at", "2026-11-19T01:00:00+02:00"), ("limit", "1")]
    assert get(fake, Path.USAGE, params).json()["data"][0]["starting_at"] == "2026-11-18T00:00:00Z"


def test_no_bucket_lies_beyond_the_one_that_holds_now(fake: FakeAnthropic) -> None:
    params = since(TODAY + 8 * HOUR, ("ending_at", stamp(TODAY + 3 * DAY)), ("bucket_width", "1h"))
    data = get(fake, Path.USAGE, params).json()["data"]
    assert [bucket["starting_at"][11:13] for bucket in data] == ["08", "09", "10"]
    assert get(fake, Path.USAGE, since(NOW + DAY)).json() == {"data": [], "has_more": False, "next_page": None}


def test_empty_buckets_are_returned(fake: FakeAnthropic) -> None:
    params = since(TODAY - 7 * DAY, ("bucket_width", "1h"), ("limit", "168"))
    empty = [bucket for bucket in get(fake, Path.USAGE, params).json()["data"] if not bucket["results"]]
    assert len(empty) > 5


def test_pages_cover_the_window_once_and_in_order(fake: FakeAnthropic) -> None:
    params = since(TODAY - 3 * DAY, ("ending_at", stamp(TODAY)), ("bucket_width", "1h"), ("limit", "10"))
    starts = [bucket["starting_at"] for page in pages(fake, Path.USAGE, params) for bucket in page["data"]]
    assert starts == [stamp(TODAY - 3 * DAY + n * HOUR) for n in range(72)]


def test_a_page_token_belongs_to_its_query(fake: FakeAnthropic) -> None:
    params = since(TODAY - 9 * DAY, ("group_by[]", "model"))
    token = ("page", get(fake, Path.USAGE, params).json()["next_page"])
    assert get(fake, Path.USAGE, [*params, token]).status_code == 200
    for other in (
        since(TODAY - 9 * DAY, ("group_by[]", "workspace_id")),
        since(TODAY - 8 * DAY, ("group_by[]", "model")),
        [*params, ("limit", "3")],
        [*params, ("ending_at", stamp(NOW))],
    ):
        assert_refused(get(fake, Path.USAGE, [*other, token]), 400, "invalid_request_error")
    assert_refused(get(fake, Path.COST, since(TODAY - 9 * DAY, token)), 400, "invalid_request_error")


# Rows


def test_dimensions_are_null_unless_grouped_by(fake: FakeAnthropic) -> None:
    [row] = get(fake, Path.USAGE, since(TODAY - DAY, ("limit", "1"))).json()["data"][0]["results"]
    dimensions = {"model", "service_tier", "context_window", "inference_geo", "api_key_id", "workspace_id"}
    assert {name: row[name] for name in dimensions | {"account_id", "service_account_id"}} == dict.fromkeys(
        dimensions | {"account_id", "service_account_id"}
    )
    assert "speed" not in row
    grouped = get(fake, Path.USAGE, since(TODAY - DAY, ("limit", "1"), ("group_by[]", "model"))).json()
    rows = grouped["data"][0]["results"]
    assert len({row["model"] for row in rows}) == len(rows) == 4
    assert {row["service_tier"] for row in rows} == {None}
    assert sum(r["output_tokens"] for r in rows) == row["output_tokens"]


def test_filters_select_rows(fake: FakeAnthropic) -> None:
    params = since(TODAY - DAY, ("limit", "1"), ("group_by[]", "service_tier"), ("group_by[]", "inference_geo"))
    batch = get(fake, Path.USAGE, [*params, ("service_tiers[]", "batch")]).json()["data"][0]["results"]
    assert {row["service_tier"] for row in batch} == {"batch"}
    geos = [("inference_geos[]", "us"), ("inference_geos[]", "global")]
    rows = get(fake, Path.USAGE, [*params, *geos]).json()["data"][0]["results"]
    assert {row["inference_geo"] for row in rows} == {"us", "global"}


@pytest.mark.parametrize("grouping", [[], ["model"], ["api_key_id", "workspace_id", "model", "service_tier"]])
def test_the_report_sums_to_the_raw_truth(fake: FakeAnthropic, grouping: list[str]) -> None:
    start = TODAY - 10 * DAY
    wanted: Counter[tuple[object, ...]] = Counter()
    for at, row in fake.raw_usage(start, NOW):
        wanted[(stamp(at), *(row[name] for name in grouping))] += row["output_tokens"]
    params = since(start, ("bucket_width", "1h"), ("limit", "100"), *(("group_by[]", name) for name in grouping))
    found: Counter[tuple[object, ...]] = Counter()
    for page in pages(fake, Path.USAGE, params):
        for bucket in page["data"]:
            for row in bucket["results"]:
                key = (bucket["starting_at"], *(row[name] for name in grouping))
                assert key not in found, "one row per group and bucket"
                found[key] += row["output_tokens"]
    assert found == wanted


def test_minutes_add_up_to_the_hour_and_hours_to_the_day(fake: FakeAnthropic) -> None:
    def total(*params: tuple[str, str]) -> int:
        all_pages = pages(fake, Path.USAGE, [("ending_at", stamp(NOW)), ("group_by[]", "model"), *params])
        buckets = (bucket for page in all_pages for bucket in page["data"])
        return sum(row["uncached_input_tokens"] for bucket in buckets for row in bucket["results"])

    assert total(*since(TODAY, ("bucket_width", "1d"))) == total(*since(TODAY, ("bucket_width", "1h")))
    this_hour = since(NOW.replace(minute=0))
    by_minute = total(*this_hour, ("bucket_width", "1m"), ("limit", "1440"))
    assert by_minute == total(*this_hour, ("bucket_width", "1h")) > 0


def test_costs_are_cents_and_only_of_days_that_are_over(fake: FakeAnthropic) -> None:
    grouping = [("group_by[]", "workspace_id"), ("group_by[]", "description")]
    params = since(TODAY - 5 * DAY, ("limit", "31"), ("ending_at", stamp(TODAY + DAY)), *grouping)
    page = get(fake, Path.COST, params).json()
    assert [bucket["starting_at"] for bucket in page["data"]] == [stamp(TODAY - n * DAY) for n in range(5, 0, -1)]
    rows = [row for bucket in page["data"] for row in bucket["results"]]
    wanted = [row for _, row in fake.raw_costs(TODAY - 5 * DAY, NOW)]
    assert {row["amount"] for row in rows} == {row["amount"] for row in wanted}
    assert len(rows) == len(wanted)
    assert all(isinstance(row["amount"], str) and row["currency"] == "USD" for row in rows)
    search = next(row for row in rows if row["cost_type"] == "web_search")
    assert (search["model"], search["token_type"], search["service_tier"]) == (None, None, None)
    assert Decimal(search["amount"]) % 1 == 0, "a search is one cent"


def test_costs_without_grouping_are_one_sum_a_day(fake: FakeAnthropic) -> None:
    wanted = sum(Decimal(row["amount"]) for _, row in fake.raw_costs(TODAY - DAY, TODAY))
    [row] = get(fake, Path.COST, since(TODAY - DAY)).json()["data"][0]["results"]
    assert Decimal(row.pop("amount")) == wanted
    assert row.pop("currency") == "USD"
    assert set(row.values()) == {None}


def test_a_cost_report_without_a_complete_day_is_400(fake: FakeAnthropic) -> None:
    assert_refused(get(fake, Path.COST, since(NOW)), 400, "invalid_request_error")


def test_ninety_days_are_collected_in_seconds(fake: FakeAnthropic) -> None:
    settled.cache_clear()
    dimensions = ("api_key_id", "workspace_id", "model", "service_tier", "context_window", "inference_geo")
    grouping = [("group_by[]", name) for name in dimensions]
    window = since(TODAY - 90 * DAY, ("ending_at", stamp(NOW)), ("bucket_width", "1h"), ("limit", "168"), *grouping)
    started = time.process_time()
    assert sum(1 for _ in pages(fake, Path.USAGE, window)) == 13
    assert time.process_time() - started < 3
