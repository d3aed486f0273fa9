"""The fake Admin API keeps the documented contract, or every test of the collector proves nothing."""

from collections.abc import Iterator
from decimal import Decimal

import httpx
import pytest

from infra.demo.anthropic import ADMIN_KEY, FakeAnthropic, Path
from infra.demo.dataset import ApiKey, CostRow, FixedDataset, UsageRow, Workspace, stamp
from tests.fixtures.demo import DAY, HEADERS, HOUR, NOW, TODAY, Params, assert_refused, get, since


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeAnthropic]:
    with FakeAnthropic(clock=lambda: NOW) as server:
        yield server


# Credentials and routes


def test_a_missing_or_wrong_key_is_401(fake: FakeAnthropic) -> None:
    bare = httpx.get(fake.url + Path.ME, headers={"anthropic-version": "2023-06-01"}, trust_env=False)
    assert_refused(bare, 401, "authentication_error")
    assert_refused(get(fake, Path.ME, x_api_key="sk-ant-admin01-other"), 401, "authentication_error")


def test_a_workspace_key_is_403(fake: FakeAnthropic) -> None:
    assert_refused(get(fake, Path.ME, x_api_key="sk-ant-api03-whatever"), 403, "permission_error")


def test_a_missing_version_is_400(fake: FakeAnthropic) -> None:
    bare = httpx.get(fake.url + Path.ME, headers={"x-api-key": ADMIN_KEY}, trust_env=False)
    assert_refused(bare, 400, "invalid_request_error")


def test_other_paths_and_methods_are_refused(fake: FakeAnthropic) -> None:
    assert_refused(get(fake, "/v1/organizations/nothing"), 404, "not_found_error")
    posted = httpx.post(fake.url + Path.ME, headers=HEADERS, trust_env=False)
    assert_refused(posted, 405, "invalid_request_error")


def test_me_names_the_organisation(fake: FakeAnthropic) -> None:
    me = get(fake, Path.ME).json()
    assert set(me) == {"id", "name", "type"}
    assert me["type"] == "organization"


# Parameters


@pytest.mark.parametrize(
    "wrong",
    [
        [("group_by", "model")],
        [("group_by[]", "colour")],
        [("models", "claude-opus-4-6")],
        [("bucket_width", "1w")],
        [("bucket_width", "1h"), ("bucket_width", "1h")],
        [("limit[]", "3")],
        [("limit", "0")],
        [("limit", "many")],
        [("limit", "32")],
        [("bucket_width", "1h"), ("limit", "169")],
        [("bucket_width", "1m"), ("limit", "1441")],
        [("service_tiers[]", "cheap")],
        [("context_window[]", "1M")],
        [("inference_geos[]", "eu")],
        [("ending_at", "2026-11-10T00:00:00Z")],
        [("ending_at", "2026-11-20")],
        [("ending_at", "2026-13-20T00:00:00Z")],
        [("page", "page_invented")],
        [("verbose", "true")],
    ],
)
def test_the_usage_report_refuses(fake: FakeAnthropic, wrong: Params) -> None:
    assert_refused(get(fake, Path.USAGE, [*since(TODAY - 3 * DAY), *wrong]), 400, "invalid_request_error")


@pytest.mark.parametrize(
    "wrong",
    [[("bucket_width", "1h")], [("group_by[]", "model")], [("group_by[]", "api_key_id")], [("limit", "32")]],
)
def test_the_cost_report_refuses(fake: FakeAnthropic, wrong: Params) -> None:
    assert_refused(get(fake, Path.COST, [*since(TODAY - 3 * DAY), *wrong]), 400, "invalid_request_error")


@pytest.mark.parametrize("path", [Path.USAGE, Path.COST])
def test_a_report_needs_a_start(fake: FakeAnthropic, path: str) -> None:
    assert_refused(get(fake, path), 400, "invalid_request_error")


def test_speed_needs_its_beta_header(fake: FakeAnthropic) -> None:
    params = since(TODAY, ("group_by[]", "speed"))
    assert_refused(get(fake, Path.USAGE, params), 400, "invalid_request_error")
    rows = get(fake, Path.USAGE, params, anthropic_beta="fast-mode-2026-02-01").json()["data"][0]["results"]
    assert [row["speed"] for row in rows] == ["standard"]


def test_encoded_brackets_are_the_same(fake: FakeAnthropic) -> None:
    plain = f"?starting_at={stamp(TODAY - DAY)}&group_by[]=model"
    assert get(fake, Path.USAGE + plain).json() == get(fake, Path.USAGE + plain.replace("[]", "%5B%5D")).json()


# Names


def test_keys_are_paged_by_id(fake: FakeAnthropic) -> None:
    names: list[str] = []
    cursor: Params = []
    while True:
        page = get(fake, Path.API_KEYS, [("limit", "4"), *cursor]).json()
        names += [key["name"] for key in page["data"]]
        if not page["has_more"]:
            break
        cursor = [("after_id", page["last_id"])]
    everything = get(fake, Path.API_KEYS).json()["data"]
    assert names == [key["name"] for key in everything]
    back = get(fake, Path.API_KEYS, [("limit", "2"), ("before_id", everything[3]["id"])]).json()
    assert [key["id"] for key in back["data"]] == [everything[1]["id"], everything[2]["id"]]
    assert (back["has_more"], back["first_id"]) == (True, everything[1]["id"])


@pytest.mark.parametrize("wrong", [("limit", "1001"), ("status", "new"), ("after_id", "apikey_none"), ("q", "x")])
def test_lists_refuse(fake: FakeAnthropic, wrong: tuple[str, str]) -> None:
    assert_refused(get(fake, Path.API_KEYS, [wrong]), 400, "invalid_request_error")


def test_keys_have_two_shapes(fake: FakeAnthropic) -> None:
    plain = get(fake, Path.API_KEYS, [("status", "archived")]).json()["data"]
    beta = get(fake, Path.API_KEYS, [("status", "archived"), ("beta", "true")]).json()["data"]
    assert [key["name"] for key in plain] == ["trading-legacy-bot"]
    assert beta[0]["scope"] == {"type": "workspace", "workspace_id": plain[0]["workspace_id"]}
    assert "workspace_id" not in beta[0]


def test_archived_workspaces_are_listed_on_request_only(fake: FakeAnthropic) -> None:
    live = get(fake, Path.WORKSPACES).json()["data"]
    everything = get(fake, Path.WORKSPACES, [("include_archived", "true")]).json()["data"]
    assert [w["name"] for w in live] == ["Production", "Research"]
    assert [w["name"] for w in everything if w["archived_at"]] == ["Legacy Bots"]


# Own data, own clock


def test_a_fixed_dataset_is_served_and_may_be_restated() -> None:
    row = UsageRow(TODAY, "claude-opus-4-6", output_tokens=7, api_key_id="apikey_1", speed="fast")
    data = FixedDataset(
        usage_rows=[row],
        cost_rows=[CostRow(TODAY - DAY, Decimal("123.78912"), "Claude Opus 4.6 Usage - Output Tokens")],
        keys=[ApiKey("apikey_1", "shop-main")],
        workspaces=[Workspace("wrkspc_1", "Shop")],
    )
    with FakeAnthropic(data, clock=lambda: NOW) as fake:
        bucket = get(fake, Path.USAGE, since(TODAY, ("group_by[]", "api_key_id"))).json()["data"][0]
        assert [(r["api_key_id"], r["output_tokens"]) for r in bucket["results"]] == [("apikey_1", 7)]
        cost = get(fake, Path.COST, since(TODAY - DAY)).json()["data"][0]["results"]
        assert cost[0]["amount"] == "123.78912"
        data.usage_rows.clear()
        assert get(fake, Path.USAGE, since(TODAY)).json()["data"][0]["results"] == []
        assert get(fake, Path.API_KEYS).json()["data"][0]["name"] == "shop-main"
        assert get(fake, Path.WORKSPACES).json()["last_id"] == "wrkspc_1"
        assert [record.status for record in fake.requests] == [200] * 5


def test_the_clock_may_be_moved_while_serving() -> None:
    data = FixedDataset(usage_rows=[UsageRow(NOW + HOUR, "claude-opus-4-6", output_tokens=7)])
    with FakeAnthropic(data, clock=lambda: NOW) as fake:
        assert get(fake, Path.USAGE, since(TODAY)).json()["data"][0]["results"] == []
        fake.clock = lambda: NOW + 2 * HOUR
        assert len(get(fake, Path.USAGE, since(TODAY)).json()["data"][0]["results"]) == 1
