"""The fake of OpenAI is strict where the real one is: spellings, limits, tokens, refusals, money as text, restating."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from infra.demo.openai.data import REPORTS, CostRow, FixedDataset, Key, Project, UsageRow, decimal128
from infra.demo.openai.fake import ADMIN_KEY, FakeOpenAI
from infra.demo.openai.team import Team, is_restated
from shared.core.usage import Usage

NOW = datetime(2026, 11, 20, 10, 30, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
TODAY = NOW.replace(hour=0, minute=0)
Params = list[tuple[str, str]]
COMPLETIONS, COSTS = "/usage/completions", "/costs"


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeOpenAI]:
    with FakeOpenAI(clock=lambda: NOW) as server:
        yield server


def ask(fake: FakeOpenAI, path: str, params: Params | None = None, key: str | None = ADMIN_KEY) -> httpx.Response:
    url = httpx.URL(f"{fake.base_url}/organization{path}")
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    return httpx.get(url.copy_with(params=params) if params else url, headers=headers, trust_env=False)


def since(start: datetime, *more: tuple[str, str]) -> Params:
    return [("start_time", str(int(start.timestamp()))), *more]


def walk(fake: FakeOpenAI, path: str, params: Params) -> Iterator[dict[str, Any]]:
    page = ask(fake, path, params).json()
    yield page
    while page["has_more"]:
        page = ask(fake, path, [*params, ("page", page["next_page"])]).json()
        yield page


@pytest.mark.parametrize(
    ("key", "status"), [(None, 401), ("sk-admin-wrong", 401), ("sk-proj-x", 403), ("sk-svcacct-x", 403)]
)
def test_only_the_admin_key_is_let_in(fake: FakeOpenAI, key: str | None, status: int) -> None:
    answer = ask(fake, COSTS, since(TODAY), key)
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_an_array_has_three_spellings(fake: FakeOpenAI) -> None:
    spellings: list[Params] = [
        [("group_by", "model"), ("group_by", "project_id")],
        [("group_by[]", "model"), ("group_by[]", "project_id")],
        [("group_by", "model,project_id")],
    ]
    answers = [ask(fake, COMPLETIONS, since(TODAY - DAY, *one)).json() for one in spellings]
    assert answers[0]["data"] == answers[1]["data"] == answers[2]["data"]
    assert answers[0]["data"][0]["results"][0]["model"]
    assert answers[0]["data"][0]["results"][0]["api_key_id"] is None


@pytest.mark.parametrize(
    ("path", "params", "param"),
    [
        (COMPLETIONS, [], "start_time"),
        (COMPLETIONS, [("start_time", "2026-11-01")], "start_time"),
        (COSTS, [("start_time", "2026-11-01T00:00:00Z")], "start_time"),
        (COMPLETIONS, since(TODAY, ("end_time", "5")), "end_time"),
        (COMPLETIONS, since(TODAY, ("limit", "32")), None),
        (COMPLETIONS, since(TODAY, ("bucket_width", "1h"), ("limit", "169")), None),
        (COMPLETIONS, since(TODAY, ("bucket_width", "1w")), "bucket_width"),
        (COMPLETIONS, since(TODAY, ("group_by", "line_item")), "group_by"),
        (COMPLETIONS, since(TODAY, ("page", "page_invented")), "page"),
        ("/usage/vector_stores", since(TODAY, ("group_by", "model")), "group_by"),
        (COSTS, since(TODAY, ("bucket_width", "1h")), "bucket_width"),
        (COSTS, since(TODAY, ("limit", "181")), None),
        (COSTS, since(TODAY, ("batch", "true")), "batch"),
        (COSTS, since(datetime(2025, 12, 5, tzinfo=UTC), ("group_by", "api_key_id,line_item")), "start_time"),
    ],
)
def test_what_is_refused(fake: FakeOpenAI, path: str, params: Params, param: str | None) -> None:
    answer = ask(fake, path, params)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_the_refusal_of_keys_is_not_that_of_a_date(fake: FakeOpenAI) -> None:
    old = since(datetime(2025, 12, 5, tzinfo=UTC))
    assert ask(fake, COSTS, [*old, ("group_by", "line_item")]).status_code == 200
    by_key = ask(fake, COSTS, [*old, ("group_by", "api_key_id")]).json()["error"]
    by_date = ask(fake, COSTS, [("start_time", "yesterday")]).json()["error"]
    assert "1764979200" in by_key["message"]
    assert (by_key["code"], by_date["code"]) == ("invalid_request_error", "invalid_type")


@pytest.mark.parametrize(
    ("path", "more", "buckets"),
    [
        (COMPLETIONS, [], 7),
        (COMPLETIONS, [("bucket_width", "1h")], 24),
        (COSTS, [], 7),
        (COSTS, [("limit", "31")], 31),
        (COSTS, [("limit", "90")], 31),
        (COSTS, [("limit", "180")], 31),
    ],
)
def test_how_many_buckets_a_page_has(fake: FakeOpenAI, path: str, more: Params, buckets: int) -> None:
    page = ask(fake, path, since(TODAY - 80 * DAY, *more)).json()
    assert (len(page["data"]), page["has_more"]) == (buckets, True)


def test_the_first_bucket_is_aligned_down(fake: FakeOpenAI) -> None:
    end = ("end_time", str(int(NOW.timestamp())))
    page = ask(fake, COSTS, since(NOW - 7 * DAY, end, ("limit", "31"))).json()
    assert len(page["data"]) == 8
    assert page["data"][0]["start_time"] == int((TODAY - 7 * DAY).timestamp())


def test_a_token_belongs_to_its_query(fake: FakeOpenAI) -> None:
    query = since(TODAY - 80 * DAY, ("group_by", "model"))
    token = ("page", ask(fake, COMPLETIONS, query).json()["next_page"])
    assert ask(fake, COMPLETIONS, [*query, token]).status_code == 200
    for other in ([*query, ("limit", "3")], since(TODAY - 79 * DAY, ("group_by", "model"))):
        assert ask(fake, COMPLETIONS, [*other, token]).status_code == 400
    assert ask(fake, COSTS, [*since(TODAY - 80 * DAY), token]).status_code == 400


def test_a_bucket_goes_on_in_the_next_page() -> None:
    with FakeOpenAI(clock=lambda: NOW, rows_per_page=7) as pieces, FakeOpenAI(clock=lambda: NOW) as whole:
        query = since(TODAY - 3 * DAY, ("group_by", "line_item,project_id"))
        found: dict[int, list[Any]] = {}
        parts = [one for page in walk(pieces, COSTS, query) for one in page["data"]]
        for part in parts:
            found.setdefault(part["start_time"], []).extend(part["results"])
        assert len(parts) > len(found)
        assert found == {one["start_time"]: one["results"] for p in walk(whole, COSTS, query) for one in p["data"]}


@pytest.mark.parametrize("report", REPORTS)
def test_reports_sum_to_the_raw_truth(fake: FakeOpenAI, report: str) -> None:
    start = TODAY - 30 * DAY
    raw = [row for row in fake.raw_usage(start, NOW) if row.report == report]
    for grouped in REPORTS[report].groups[:1], REPORTS[report].groups:
        query = since(start, ("limit", "31"), *(("group_by[]", name) for name in grouped))
        rows = [row for page in walk(fake, f"/usage/{report}", query) for one in page["data"] for row in one["results"]]
        assert rows
        for count in REPORTS[report].counts:
            assert sum(row.get(count, 0) for row in rows) == sum(row.counts.get(count, 0) for row in raw), count


def test_the_parts_of_tokens_add_up(fake: FakeOpenAI) -> None:
    for row in (one.wire() for one in fake.raw_usage(TODAY - 5 * DAY, NOW) if one.report == "completions"):
        parts = row["input_uncached_tokens"] + row["input_cached_tokens"] + row["input_cache_write_tokens"]
        assert parts == row["input_tokens"] == Usage(input=parts).total_input
        plain = row["input_text_tokens"] + row["input_audio_tokens"] + row["input_image_tokens"]
        assert plain == row["input_uncached_tokens"]
        out = row["output_text_tokens"] + row["output_audio_tokens"] + row["output_image_tokens"]
        assert out == row["output_tokens"]
        assert min(row[name] for name in row if name.endswith("_tokens")) >= 0


def test_rows_may_lack_what_is_optional_and_have_what_is_not_documented(fake: FakeOpenAI) -> None:
    query = since(TODAY - 4 * DAY, ("group_by", "model"))
    days = ask(fake, COMPLETIONS, query).json()["data"]
    keys = [set().union(*(row.keys() for row in day["results"])) for day in days]
    assert any("input_audio_tokens" not in one for one in [set(row) for day in days for row in day["results"]])
    assert all("input_tokens" in one for one in keys)
    assert {"start_time_iso", "end_time_iso"} <= days[0].keys()
    cost = ask(fake, COSTS, since(TODAY - DAY, ("group_by", "project_id,user_id,line_item"))).json()
    assert {"organization_id", "project_name", "user_email"} <= cost["data"][0]["results"][0].keys()


def test_the_bill_is_what_the_usage_costs_in_text_of_34_digits(fake: FakeOpenAI) -> None:
    query = since(TODAY - 5 * DAY, ("group_by", "line_item"))
    rows = [row for page in walk(fake, COSTS, query) for one in page["data"] for row in one["results"]]
    values = [row["amount"]["value"] for row in rows]
    assert {len(value.replace(".", "").lstrip("0")) for value in values if value != "0E-6176"} == {34}
    assert "0E-6176" in values
    assert sum(map(Decimal, values)) == sum(row.amount for row in fake.raw_costs(TODAY - 5 * DAY, NOW))


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("2.19395", "2.193950000000000000000000000000000"),
        ("0.0004", "0.0004000000000000000000000000000000000"),
        ("120", "120.0000000000000000000000000000000"),
        ("-1.5", "-1.500000000000000000000000000000000"),
        ("0", "0E-6176"),
    ],
)
def test_decimal128(amount: str, text: str) -> None:
    assert decimal128(Decimal(amount)) == text


def test_amounts_may_be_numbers() -> None:
    data = FixedDataset(cost_rows=[CostRow(NOW, Decimal("0.0025945"), "Vector storage")])
    with FakeOpenAI(data, clock=lambda: NOW, as_numbers=True) as numbers:
        page = ask(numbers, COSTS, since(TODAY)).json()
    assert page["data"][0]["results"][0]["amount"] == {"value": 0.0025945, "currency": "usd"}


def test_young_hours_are_restated_and_old_ones_never() -> None:
    team = Team(NOW)
    hour = datetime(2026, 11, 19, 9, tzinfo=UTC)
    assert is_restated(hour)

    def tokens(start: datetime, now: datetime) -> int:
        return sum(row.counts["input_tokens"] for row in team.usage("completions", start, start + HOUR, now))

    assert 0 < tokens(hour, hour + 2 * HOUR) < tokens(hour, hour + DAY) == tokens(hour, hour + 9 * DAY)
    assert tokens(hour + HOUR, hour + 3 * HOUR) == tokens(hour + HOUR, hour + 9 * DAY) > 0


def test_lists_are_paged_and_hide_archived_projects() -> None:
    data = FixedDataset(
        projects=[Project("proj_a", "A"), Project("proj_b", "B", archived_at=TODAY)],
        keys=[Key(f"key_{number}", "proj_a", "k") for number in range(3)],
    )
    with FakeOpenAI(data, clock=lambda: NOW) as server:
        assert [one["id"] for one in ask(server, "/projects").json()["data"]] == ["proj_a"]
        everything = ask(server, "/projects", [("include_archived", "true"), ("limit", "1")]).json()
        assert (everything["has_more"], everything["last_id"]) == (True, "proj_a")
        keys = ask(server, "/projects/proj_a/api_keys", [("limit", "2"), ("after", "key_0")]).json()
        assert ([one["id"] for one in keys["data"]], keys["has_more"]) == (["key_1", "key_2"], False)
        assert ask(server, "/projects/proj_c/api_keys").status_code == 404
        assert ask(server, "/projects", [("limit", "101")]).status_code == 400


def test_a_key_of_the_usage_is_in_no_list(fake: FakeOpenAI) -> None:
    listed = {key.id for key in fake.dataset.keys}
    used = {row.dimensions.get("api_key_id") for row in fake.raw_usage(TODAY - 80 * DAY, NOW)}
    assert used - listed - {None} == {"key_DemoDeleted"}
    assert None in used


def test_fixed_rows_are_not_in_the_future() -> None:
    rows = [UsageRow(NOW + HOUR, "embeddings", {"input_tokens": 1}, {})]
    assert FixedDataset(rows).usage("embeddings", TODAY, TODAY + DAY, NOW) == []
