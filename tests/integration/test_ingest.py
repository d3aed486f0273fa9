"""Events over the API, directly and through a pooler: stored once, priced, summed, and every answer as promised."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from shared.core import jsontext
from shared.store.database import Connection
from shared.workflows.verify import verify
from tests.integration.conftest import Api, by_way

EVENT: dict[str, Any] = {"model": "claude-sonnet-4-5-20250929", "tokens_in": 1200, "tokens_out": 350}
# 1200 x 3 + 350 x 15 USD per million.
COST = Decimal("0.00885")


@pytest.fixture
def api(serve: Callable[..., Api], way_dsn: str) -> Api:
    return serve(way_dsn)


@pytest.fixture
def direct(serve: Callable[..., Api], dsn: str, request: pytest.FixtureRequest) -> Api:
    return serve(by_way("direct", dsn, request))


def post(api: Api, body: object, status: int = 200, headers: dict[str, str] | None = None, **params: str) -> Any:  # noqa: ANN401 - JSON
    answer = api.http.post("/api/usage", content=jsontext.dumps(body), params=params, headers=headers)
    assert answer.status_code == status, answer.text
    return jsontext.loads(answer.content)


def get(api: Api, path: str, **params: str) -> Any:  # noqa: ANN401 - JSON
    answer = api.http.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return jsontext.loads(answer.content)


def total(api: Api) -> Any:  # noqa: ANN401 - JSON
    found = get(api, "/costs/range", start="2026-11-01", end="2026-11-20")
    assert verify(api.app.database, repair=False)["drift"] == []
    return found["total_cost"]


def test_one_object_is_answered_with_its_record(api: Api) -> None:
    sent = {
        **EVENT, "cache_read_tokens": 9000, "cost": Decimal("0.01"), "agent": "researcher", "user": "ann",
        "session_label": "peakpaws-nightly", "category": "blog", "description": "a post", "request_type": "chat",
        "tags": {"team": "growth", "n": 3}, "metadata": {"pi": Decimal("3.14159265358979323846")},
        "recorded_at": "2026-11-20T08:00:00.1234567+02:00", "event_id": "step-1",
    }  # fmt: skip
    answer = post(api, sent, 201)
    assert (answer["success"], answer["status"]) == (True, "created")
    line_id = answer["data"]["id"]
    assert answer["data"] == {
        "id": line_id, "event_id": "step-1", "recorded_at": "2026-11-20T06:00:00.123456Z",
        "collected_at": "2026-11-20T10:30:00Z", "updated_at": "2026-11-20T10:30:00Z", "provider": "anthropic",
        "account": "none", "model": "claude-sonnet-4-5", "model_raw": "claude-sonnet-4-5-20250929",
        "input_tokens": 1200, "output_tokens": 350, "cache_read_tokens": 9000, "cache_write_tokens": 0,
        "cache_write_1h_tokens": 0, "total_tokens": 10550, "requests": 1, "cost_usd": Decimal("0.01155"),
        "input_cost": Decimal("0.0036"), "output_cost": Decimal("0.00525"), "cache_cost": Decimal("0.0027"),
        "reported_cost": Decimal("0.01"), "priced_by": "catalogue", "project": "PeakPaws", "agent": "researcher",
        "user": "ann", "session_label": "peakpaws-nightly", "session_type": "subagent", "category": "blog",
        "description": "a post", "request_type": "chat", "source": "event", "tags": {"n": "3", "team": "growth"},
        "metadata": {"pi": Decimal("3.14159265358979323846")}, "raw_data": None,
        "reasoning_tokens": 0, "audio_input_tokens": 0, "audio_output_tokens": 0, "image_input_tokens": 0,
        "image_output_tokens": 0, "web_searches": 0, "service_tier": None, "batch": False, "speed": None,
        "inference_geo": None,
    }  # fmt: skip
    assert get(api, f"/api/usage/{line_id}")["data"] == answer["data"]
    assert get(api, "/api/usage")["data"] == [answer["data"]]
    again = post(api, sent, 200)
    assert (again["status"], again["data"]) == ("duplicate", answer["data"])
    assert total(api) == Decimal("0.01155")


def test_a_conflicting_repeat_is_refused_and_the_first_one_stays(api: Api) -> None:
    first = post(api, {**EVENT, "event_id": "a"}, 201)["data"]
    error = post(api, {**EVENT, "event_id": "a", "tokens_in": 5}, 409)["error"]
    assert (error["code"], "stored with other content" in error["message"]) == ("conflict", True)
    assert get(api, f"/api/usage/{first['id']}")["data"] == first
    assert total(api) == COST


def test_without_an_id_nothing_is_the_same(api: Api) -> None:
    assert post(api, [EVENT, EVENT])["created"] == 2
    post(api, EVENT, 201)
    assert total(api) == 3 * COST


def test_a_bad_row_never_loses_the_good_ones(api: Api) -> None:
    rows = [
        {**EVENT, "event_id": "a"},
        {**EVENT, "tokens_in": -1},
        "nonsense",
        {**EVENT, "event_id": "a"},
        {**EVENT, "event_id": "a", "tokens_in": 1},
        {**EVENT, "account": "acount"},
        {**EVENT, "event_id": "b", "modle": "x"},
        {**EVENT, "event_id": "b"},
    ]
    answer = post(api, rows)
    assert [row["status"] for row in answer["results"]] == [
        "created", "rejected", "rejected", "duplicate", "rejected", "rejected", "rejected", "created",
    ]  # fmt: skip
    assert (answer["created"], answer["duplicates"], answer["rejected"]) == (2, 1, 5)
    assert [row["index"] for row in answer["results"]] == list(range(8))
    codes = [row["error"] and (row["error"]["code"], row["error"]["details"][0]["field"]) for row in answer["results"]]
    assert codes == [
        None, ("invalid_input", "tokens_in"), ("invalid_input", ""), None, ("conflict", "event_id"),
        ("invalid_input", "account"), ("invalid_input", "modle"), None,
    ]  # fmt: skip
    assert answer["results"][3]["id"] == answer["results"][0]["id"]
    assert total(api) == 2 * COST
    again = post(api, rows)
    assert (again["created"], again["duplicates"], again["rejected"]) == (0, 3, 5)
    assert total(api) == 2 * COST


def test_ids_follow_the_order_of_the_rows(api: Api) -> None:
    results = post(api, [{**EVENT, "event_id": f"{n * 7919 % 100}"} for n in range(100)])["results"]
    ids = [row["id"] for row in results]
    assert ids == sorted(ids)
    for row in results[:3]:
        assert get(api, f"/api/usage/{row['id']}")["data"]["event_id"] == f"{row['index'] * 7919 % 100}"


def test_the_header_names_one_object(direct: Api) -> None:
    key = {"Idempotency-Key": "k-1"}
    assert post(direct, EVENT, 201, key)["data"]["event_id"] == "k-1"
    assert post(direct, EVENT, 200, key)["status"] == "duplicate"
    assert post(direct, {**EVENT, "event_id": "k-1"}, 200, key)["status"] == "duplicate"
    post(direct, {**EVENT, "tokens_in": 5}, 409, key)
    assert "different events" in post(direct, {**EVENT, "event_id": "other"}, 400, key)["error"]["message"]
    assert "different events" in post(direct, {**EVENT, "event_id": [1]}, 400, key)["error"]["message"]
    assert "one object" in post(direct, [EVENT], 400, key)["error"]["message"]


@pytest.mark.parametrize("body", ["null", "5", '"text"', '{"model": "m", "cost": NaN}', "[" * 5000, '{"cost": 1e9'])
def test_bodies_that_are_no_events(direct: Api, body: str) -> None:
    answer = direct.http.post("/api/usage", content=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["message"].endswith(".")


def test_an_invalid_object_names_its_field(direct: Api) -> None:
    error = post(direct, {**EVENT, "agnet": "x"}, 400)["error"]
    assert error["details"] == [{"field": "agnet", "message": "Unknown field 'agnet'; did you mean agent?"}]


def test_too_much_at_once_says_how_to_split(direct: Api) -> None:
    assert "2 requests of 2501" in post(direct, [EVENT] * 5001, 413)["error"]["message"]
    answer = direct.http.post("/api/usage", content=b" " * (4 * 1024 * 1024 + 1))
    assert (answer.status_code, "several requests" in answer.text) == (413, True)
    assert post(direct, [])["results"] == []


def test_a_dry_run_prices_and_stores_nothing(api: Api, connection: Connection) -> None:
    post(api, {**EVENT, "event_id": "a"}, 201)
    before = connection.execute("SELECT * FROM rollup_quarter").fetchall()
    one = post(api, {**EVENT, "event_id": "b", "batch": True}, 200, dry_run="true")
    assert (one["status"], one["dry_run"], one["data"]["id"]) == ("created", True, None)
    assert one["data"]["cost_usd"] == COST / 2
    many = post(api, [{**EVENT, "event_id": n} for n in ("a", "b", "b")] + [{}], dry_run="true")
    assert [(row["status"], row["id"] is None) for row in many["results"]] == [
        ("duplicate", False), ("created", True), ("duplicate", True), ("rejected", True),
    ]  # fmt: skip
    assert many["results"][1]["data"]["cost_usd"] == COST
    post(api, {**EVENT, "event_id": "a", "tokens_in": 1}, 409, dry_run="true")
    assert connection.execute("SELECT count(*) AS n FROM ledger").fetchone() == {"n": 1}
    assert connection.execute("SELECT * FROM rollup_quarter").fetchall() == before


# What was sent besides tokens -> cost, what it was priced by.
COSTS: dict[str, tuple[dict[str, Any], str | None, str | None]] = {
    "tokens and price": ({}, "0.00885", "catalogue"),
    "the caller's cost beside": ({"cost": 5}, "0.00885", "catalogue"),
    "no tokens": ({"tokens_in": None, "tokens_out": None, "cost": 5}, "5", "reported"),
    "tokens of zero": ({"tokens_in": 0, "tokens_out": 0, "cost": 5}, "5", "reported"),
    "nothing at all is free": ({"tokens_in": 0, "tokens_out": 0}, "0", "catalogue"),
    "no price": ({"model": "nobody-knows-this"}, None, None),
    "no price but a cost": ({"model": "nobody-knows-this", "cost": Decimal("0.123456789012345678901234567890")},
                            "0.1234567890", "reported"),
    "a local model": ({"model": "ollama/llama3"}, "0", "built-in"),
    "batch": ({"batch": True}, "0.004425", "catalogue"),
    "an aggregate pays the base tier": ({"tokens_in": 400_000, "requests": 2}, "1.20525", "catalogue"),
    "a long request pays the upper tier": ({"tokens_in": 400_000}, "2.407875", "catalogue"),
    "searches": ({"web_searches": 3}, "0.03885", "catalogue"),
}  # fmt: skip


@pytest.mark.parametrize("name", COSTS)
def test_what_an_event_costs(direct: Api, name: str) -> None:
    fields, cost, source = COSTS[name]
    record = post(direct, {**EVENT, **fields}, 201)["data"]
    assert record["cost_usd"] == (None if cost is None else Decimal(cost))
    assert record["priced_by"] == source
    assert record["reported_cost"] == (None if "cost" not in fields else record["reported_cost"])
    report = get(direct, "/costs/daily", date="2026-11-20")
    assert report["total_cost"] == (Decimal(cost) if cost else 0)
    assert report["coverage"]["unpriced_requests"] == (1 if cost is None else 0)
    assert verify(direct.app.database, repair=False)["drift"] == []


def test_unknown_models_are_stored_with_a_warning(direct: Api) -> None:
    answer = post(direct, {**EVENT, "model": "claude-sonet-4-5"}, 201)
    assert answer["data"]["cost_usd"] is None
    [warning] = answer["warnings"]
    assert "claude-sonnet-4-5" in warning
    many = post(direct, [{**EVENT, "model": f"unheard-of-{n % 40}"} for n in range(80)])
    assert (many["created"], len(many["warnings"])) == (80, 40)
    assert many["warnings"][0].startswith("2 rows have the model 'unheard-of-0'")


def test_accounts(direct: Api) -> None:
    made = direct.http.post("/api/accounts", json={"name": "Team A", "provider": "Claude"})
    assert (made.status_code, made.json()["data"]["provider"], made.json()["data"]["default"]) == (
        201, "anthropic", True,
    )  # fmt: skip
    assert not direct.http.post("/api/accounts", json={"name": "Team B", "provider": "claude"}).json()["data"][
        "default"
    ]
    assert direct.http.post("/api/accounts", json={"name": "Team A", "provider": "openai"}).status_code == 409
    for wrong in ({"name": "x"}, {"name": " ", "provider": "x"}, {"name": "none", "provider": "x"}, {"nam": "x"}):
        assert direct.http.post("/api/accounts", json=wrong).status_code == 400
    assert [row["name"] for row in get(direct, "/api/accounts")["data"]] == ["Team A", "Team B"]
    assert post(direct, EVENT, 201)["data"]["account"] == "Team A"
    assert post(direct, {**EVENT, "account": "Team B"}, 201)["data"]["account"] == "Team B"
    assert post(direct, {**EVENT, "model": "gpt-4o"}, 201)["data"]["account"] == "none"
    assert post(direct, {**EVENT, "model": "own-name", "account": "Team B"}, 201)["data"]["provider"] == "anthropic"
    error = post(direct, {**EVENT, "account": "Team C"}, 400)["error"]
    assert "did you mean Team B or Team A" in error["message"]
    assert (
        "not of openai" in post(direct, {**EVENT, "provider": "openai", "account": "Team A"}, 400)["error"]["message"]
    )
    listed = get(direct, "/costs/by-account", start="2026-11-20")["data"]
    assert {row["key"]: row["requests"] for row in listed} == {"Team A": 1, "Team B": 2, "none": 1}


def test_projects_types_and_providers(direct: Api) -> None:
    rows: list[tuple[dict[str, Any], tuple[str, str, str]]] = [
        ({"session_label": "kanban-7"}, ("Kanban Board", "subagent", "anthropic")),
        ({"session_label": "kanban-7", "project": "Mine"}, ("Mine", "subagent", "anthropic")),
        ({"agent": "trading-bot"}, ("Trading Tools", "main", "anthropic")),
        ({"session_label": "agent:x:cron:daily"}, ("General", "cron", "anthropic")),
        ({"session_type": "Nightly"}, ("General", "nightly", "anthropic")),
        ({"provider": "ChatGPT"}, ("General", "main", "openai")),
        ({"model": "gpt-4o"}, ("General", "main", "openai")),
        ({"model": "who-knows"}, ("General", "main", "unknown")),
    ]
    for fields, expected in rows:
        record = post(direct, {**EVENT, **fields}, 201)["data"]
        assert (record["project"], record["session_type"], record["provider"]) == expected, fields


def test_a_given_project_is_remembered_as_given(direct: Api, connection: Connection) -> None:
    post(direct, [{**EVENT, "project": "Mine"}, EVENT])
    rows = connection.execute("SELECT project, project_given FROM ledger ORDER BY id").fetchall()
    assert rows == [{"project": "Mine", "project_given": True}, {"project": "General", "project_given": False}]


def test_characters_that_copy_and_json_escape(direct: Api, connection: Connection) -> None:
    odd = 'tab\t line\n return\r back\\slash \\N "quote" , ünïcode 🦊 {x}'
    sent = {
        **EVENT, "event_id": odd, "agent": odd, "user": odd, "project": odd, "session_label": odd, "category": odd,
        "description": odd, "request_type": odd, "tags": {odd: odd}, "metadata": {odd: [odd]}, "session_type": odd,
        "model": odd, "provider": odd,
    }  # fmt: skip
    record = post(direct, sent, 201)["data"]
    fields = ("event_id", "agent", "user", "project", "session_label", "category", "description", "request_type")
    assert {record[name] for name in fields} == {odd}
    assert (record["tags"], record["metadata"], record["model"]) == ({odd: odd}, {odd: [odd]}, odd)
    assert post(direct, sent, 200)["status"] == "duplicate"
    assert verify(direct.app.database, repair=False)["drift"] == []
    [cell] = connection.execute("SELECT agent, user_name, project FROM rollup_quarter").fetchall()
    assert set(cell.values()) == {odd}


def test_the_longest_texts_fit_the_index_of_the_roll_up(direct: Api) -> None:
    names = ("model", "provider", "project", "agent", "user", "session_type", "category", "request_type")
    # Four bytes each and not compressible: the worst case for an index entry.
    sent = {name: "".join(chr(0x10000 + (n * 7919 + ord(name[0]) * 31) % 60000) for n in range(75)) for name in names}
    record = post(direct, {**EVENT, **sent, "session_label": "🦊" * 375}, 201)["data"]
    assert record["agent"] == sent["agent"]
    assert verify(direct.app.database, repair=False)["drift"] == []


def test_arrivals_without_a_time_are_now(direct: Api) -> None:
    assert post(direct, EVENT, 201)["data"]["recorded_at"] == "2026-11-20T10:30:00Z"
    assert direct.app.clock() == datetime(2026, 11, 20, 10, 30, tzinfo=UTC)


def test_scopes(direct: Api) -> None:
    assert direct.http.post("/api/usage", content=json.dumps(EVENT), headers={"X-API-Key": "no"}).status_code == 401
