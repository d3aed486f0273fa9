"""Reading back: pages that stay in place while rows arrive, filters, flat rows, sums per period, voids."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from shared.core import jsontext
from shared.store.database import Connection
from shared.workflows.verify import verify
from tests.integration.conftest import Api, by_way

EVENT: dict[str, Any] = {"model": "claude-sonnet-4-5-20250929", "tokens_in": 1000, "tokens_out": 100}


@pytest.fixture
def api(serve: Callable[..., Api], dsn: str, request: pytest.FixtureRequest) -> Api:
    return serve(by_way("direct", dsn, request))


def post(api: Api, *rows: dict[str, Any]) -> list[int]:
    answer = api.http.post("/api/usage", content=jsontext.dumps([{**EVENT, **row} for row in rows])).json()
    assert answer["created"] == len(rows), answer
    return [row["id"] for row in answer["results"]]


def get(api: Api, path: str, status: int = 200, **params: Any) -> Any:  # noqa: ANN401 - JSON, and whatever httpx takes
    answer = api.http.get(path, params=params)
    assert answer.status_code == status, answer.text
    return jsontext.loads(answer.content)


def walk(api: Api, **params: Any) -> list[int]:  # noqa: ANN401 - whatever httpx takes
    """The ids of every page, following `next`."""
    found: list[int] = []
    page = get(api, "/api/usage", **params)
    while True:
        assert page["count"] == len(page["data"])
        found += [row["id"] for row in page["data"]]
        if not page["has_more"]:
            assert page["next"] is page["next_cursor"] is None
            return found
        page = jsontext.loads(api.http.get(page["next"]).content)


def test_pages_are_newest_first_with_the_id_as_tie_break(api: Api) -> None:
    times = ["2026-11-18T10:00:00Z", "2026-11-19T10:00:00.000001Z", "2026-11-19T10:00:00Z", "2026-11-18T10:00:00Z"]
    a, b, c, d = post(api, *({"recorded_at": at} for at in times))
    for limit in (1, 2, 3, 4, 100):
        assert walk(api, limit=limit) == [b, c, d, a]
    assert [row["id"] for row in get(api, "/api/usage", offset=1, limit=2)["data"]] == [c, d]
    assert get(api, "/api/usage", offset=9)["data"] == []


def test_a_cursor_stays_in_place_while_rows_arrive(api: Api) -> None:
    before = post(api, *({"recorded_at": f"2026-11-18T10:00:{second:02}Z"} for second in range(10)))
    first = get(api, "/api/usage", limit=4)
    post(api, {}, {"recorded_at": "2026-11-18T10:00:06.5Z"}, {"recorded_at": "2026-11-18T10:00:30Z"})
    seen = [row["id"] for row in first["data"]]
    page = first
    while page["has_more"]:
        page = jsontext.loads(api.http.get(page["next"]).content)
        seen += [row["id"] for row in page["data"]]
    assert seen == before[::-1], "nothing twice, nothing left out, nothing new in between"


@pytest.mark.parametrize("cursor", ["x", "20261118T100000.000000Z", "20261318T100000.000000Z-1", "-1", f"{'9' * 30}-1",
                                    "20261118T100000.000000Z-9999999999999999999"])  # fmt: skip
def test_cursors_that_are_not_ours(api: Api, cursor: str) -> None:
    assert "next_cursor" in get(api, "/api/usage", 400, cursor=cursor)["error"]["message"]


@pytest.mark.parametrize("limit", ["0", "1001", "x"])
def test_limits(api: Api, limit: str) -> None:
    get(api, "/api/usage", 400, limit=limit)


FILTERED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "provider": ({"model": "gpt-4o"}, {"provider": "ChatGPT"}),
    "model, by its other name": ({"model": "gpt-4o-2024-11-20"}, {"model": "GPT-4o"}),
    "project": ({"project": "P"}, {"project": "P"}),
    "session type": ({"session_type": "cron"}, {"session_type": "cron"}),
    "session label": ({"session_label": "l"}, {"session_label": "l"}),
    "agent": ({"agent": "a"}, {"agent": "a"}),
    "user": ({"user": "u"}, {"user": "u"}),
    "category": ({"category": "c"}, {"category": "c"}),
    "request type": ({"request_type": "r"}, {"request_type": "r"}),
    "tag": ({"tags": {"k": "v:w", "x": 1}}, {"tag": "k:v:w"}),
    "two tags": ({"tags": {"k": "v", "x": 1}}, {"tag": ["k:v", "x:1"]}),
    "dates": ({"recorded_at": "2026-11-10T23:59:59.999999Z"}, {"start": "2026-11-10", "end": "2026-11-10"}),
    "dates of a zone": (
        {"recorded_at": "2026-11-10T23:30:00Z"},
        {"start": "2026-11-11", "end": "2026-11-11", "tz": "Europe/Berlin"},
    ),
    "an end alone": ({"recorded_at": "2026-11-10T23:30:00Z"}, {"end": "2026-11-11"}),
}


@pytest.mark.parametrize("name", FILTERED)
def test_filters(api: Api, name: str) -> None:
    row, params = FILTERED[name]
    _, wanted, _ = post(api, {}, row, {})
    assert walk(api, **params) == [wanted]


def test_a_name_that_was_given_to_another_model_means_that_one(api: Api) -> None:
    [before] = post(api, {"model": "sonnet"})
    assert walk(api, model="sonnet") == [before]
    api.http.put("/api/models/claude-opus-4-6/aliases", json={"aliases": ["sonnet", "Best"]}).raise_for_status()
    [after, best] = post(api, {"model": "sonnet"}, {"model": "best"})
    assert walk(api, model="Sonnet") == walk(api, model="best") == [best, after]
    assert walk(api, model=["sonnet", "claude-3-5-sonnet"]) == [best, after, before]


def test_filters_of_accounts_and_sources(api: Api) -> None:
    [none] = post(api, {})
    api.http.post("/api/accounts", json={"name": "work", "provider": "anthropic"})
    [some] = post(api, {})
    assert walk(api, account="work") == [some]
    assert walk(api, account="none") == [none]
    assert walk(api, source="event") == [some, none]
    assert walk(api, source="api") == []
    assert walk(api, agent="unassigned") == [some, none]
    get(api, "/api/usage", 400, account="wrok")


def test_flat_rows_are_scalars_with_links(api: Api) -> None:
    post(api, {"tags": {"b": 1, "a": "x"}, "metadata": {"m": [Decimal("1.50")]}}, {})
    answer = api.http.get("/api/usage", params={"shape": "flat", "limit": "1"})
    assert 'rel="next"' in answer.headers["link"]
    [row] = jsontext.loads(answer.content)
    assert not any(isinstance(value, (dict, list)) for value in row.values())
    [last] = jsontext.loads(api.http.get(answer.links["next"]["url"]).content)
    assert (last["tags"], last["metadata"]) == ('{"a":"x","b":"1"}', '{"m":[1.50]}')
    assert list(last) == list(get(api, "/api/usage")["data"][0])


def test_one_record(api: Api) -> None:
    [line_id] = post(api, {})
    assert get(api, f"/api/usage/{line_id}")["data"]["id"] == line_id
    for missing in ("999999", "x", "-1", str(2**63)):
        get(api, f"/api/usage/{missing}", 404)


def test_a_summary_per_period(api: Api) -> None:
    post(
        api,
        {"recorded_at": "2026-11-15T12:00:00Z", "agent": "a"},
        {"recorded_at": "2026-11-16T12:00:00Z", "agent": "b", "requests": 3},
        {"recorded_at": "2026-11-16T12:00:00Z", "model": "gpt-4o", "cost": 9},
        {"recorded_at": "2025-12-31T12:00:00Z", "model": "unknown-model"},
    )
    days = get(api, "/api/usage/summary")["data"]
    assert [day["period"] for day in days] == ["2026-11-16", "2026-11-15", "2025-12-31"]
    assert days[0] == {
        "period": "2026-11-16", "total_cost": Decimal("0.008"), "total_requests": 4, "total_tokens_in": 2000,
        "total_tokens_out": 200,
        "by_model": {
            "claude-sonnet-4-5": {"cost": Decimal("0.0045"), "requests": 3, "tokens_in": 1000, "tokens_out": 100},
            "gpt-4o": {"cost": Decimal("0.0035"), "requests": 1, "tokens_in": 1000, "tokens_out": 100},
        },
        "by_project": {"General": {"cost": Decimal("0.008"), "requests": 4, "tokens_in": 2000, "tokens_out": 200}},
        "by_agent": {
            "b": {"cost": Decimal("0.0045"), "requests": 3, "tokens_in": 1000, "tokens_out": 100},
            "unassigned": {"cost": Decimal("0.0035"), "requests": 1, "tokens_in": 1000, "tokens_out": 100},
        },
    }  # fmt: skip
    assert days[2]["by_model"]["unknown-model"]["cost"] == 0
    weeks = get(api, "/api/usage/summary", group_by="week")["data"]
    assert [week["period"] for week in weeks] == ["2026-11-16", "2026-11-09", "2025-12-29"]
    months = get(api, "/api/usage/summary", group_by="month", agent="a")["data"]
    assert [(month["period"], month["total_requests"]) for month in months] == [("2026-11-01", 1)]
    get(api, "/api/usage/summary", 400, start="2020-01-01")
    assert get(api, "/api/usage/summary", start="2026-11-17")["data"] == []


def test_void_takes_an_event_out_of_every_figure_and_keeps_it(api: Api, connection: Connection) -> None:
    wrong, right = post(api, {"event_id": "w", "agent": "a", "session_label": "l", "tags": {"k": "v"}}, {"agent": "b"})
    answer = api.http.post(f"/api/usage/{wrong}/void", json={"reason": " sent twice "})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["status"], body["data"]["id"]) == ("voided", wrong)
    assert body["voided"] == {"at": "2026-11-20T10:30:00Z", "reason": "sent twice"}
    again = api.http.post(f"/api/usage/{wrong}/void", json={"reason": "another"}).json()
    assert again["voided"]["reason"] == "sent twice"

    assert get(api, f"/api/usage/{wrong}")["voided"]["reason"] == "sent twice"
    assert walk(api) == [right]
    assert get(api, "/costs/daily", date="2026-11-20")["by_agent"] == {"b": Decimal("0.0045")}
    for question in ("by-session", "by-agent", "by-model"):
        found = get(api, f"/costs/{question}", start="2026-11-20", tag="k:v")
        assert found["data"] == [], question
    assert get(api, "/costs/explain", date="2026-11-20", agent="a")["total_cost"] == 0
    assert connection.execute("SELECT count(*) AS n FROM usage_records").fetchone() == {"n": 1}
    assert verify(api.app.database, repair=False)["drift"] == []

    resent = api.http.post("/api/usage", content=jsontext.dumps({**EVENT, "event_id": "w", "agent": "a",
                           "session_label": "l", "tags": {"k": "v"}}))  # fmt: skip
    assert (resent.status_code, resent.json()["status"], resent.json()["voided"]["reason"]) == (
        200, "duplicate", "sent twice",
    )  # fmt: skip
    assert walk(api) == [right]


def test_what_cannot_be_voided(api: Api, connection: Connection) -> None:
    [line_id] = post(api, {})
    for source, words in {"api": "provider", "attribution": "void the event", "manual": "/api/usage/manual"}.items():
        connection.execute("UPDATE ledger SET source = %s WHERE id = %s", [source, line_id])
        answer = api.http.post(f"/api/usage/{line_id}/void", json={"reason": "x"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")
        assert words in answer.text
    assert api.http.post("/api/usage/999999/void", json={"reason": "x"}).status_code == 404
    for body in ({}, {"reason": ""}, {"reason": 5}, {"reason": "x" * 501}, {"raeson": "x"}):
        assert api.http.post(f"/api/usage/{line_id}/void", json=body).status_code == 400
