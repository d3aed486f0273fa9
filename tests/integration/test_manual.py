"""Manual entries: a person's word, editable, with every version kept, in every report and never balanced."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from shared.core import jsontext
from shared.store.database import Connection, connect
from shared.workflows.verify import verify
from tests.integration.conftest import Api, by_way

ENTRY = {"service": "ChatGPT", "date": "2026-11-18", "cost": 20, "notes": "Plus", "tags": {"team": "ops"}}


@pytest.fixture
def api(serve: Callable[..., Api], dsn: str, request: pytest.FixtureRequest) -> Api:
    with connect(dsn) as connection:
        connection.execute(
            "INSERT INTO accounts (name, provider, origin) VALUES ('work', 'openai', 'environment'), "
            "('home', 'openai', 'environment')"
        )
    return serve(by_way("direct", dsn, request))


def call(api: Api, method: str, path: str = "", body: Any = None, status: int = 200) -> Any:  # noqa: ANN401 - JSON
    answer = api.http.request(method, f"/api/usage/manual{path}", json=body)
    assert answer.status_code == status, answer.text
    return jsontext.loads(answer.content)


def total(api: Api, **filters: str) -> Decimal:
    answer = api.http.get("/costs/range", params={"start": "2026-11-01", "end": "2026-11-20", **filters})
    assert answer.status_code == 200, answer.text
    return Decimal(jsontext.loads(answer.content)["total_cost"])


def test_an_entry_is_a_record_at_noon_and_in_every_report(api: Api) -> None:
    made = call(api, "POST", body={**ENTRY, "account": "work", "model": "gpt-5", "tokens": 120}, status=201)["data"]
    assert made["recorded_at"] == "2026-11-18T12:00:00Z"
    assert (made["provider"], made["account"], made["model"], made["source"]) == ("openai", "work", "gpt-5", "manual")
    assert (made["cost_usd"], made["input_tokens"], made["requests"]) == (20, 120, 0)
    assert (made["description"], made["tags"], made["project"]) == ("Plus", {"team": "ops"}, "General")
    assert made["priced_by"] == "reported"
    again = call(api, "POST", body=ENTRY, status=201)["data"]
    assert again["id"] != made["id"]
    assert (again["account"], again["model"]) == ("none", "unassigned")
    listed = jsontext.loads(api.http.get("/api/usage", params={"source": "manual"}).content)
    assert [row["id"] for row in listed["data"]] == [again["id"], made["id"]]
    assert total(api) == total(api, source="manual") == 40
    assert total(api, account="work") == 20
    assert total(api, tag="team:ops") == 40


def test_edits_and_deletes_keep_every_version(api: Api, connection: Connection) -> None:
    line_id = call(api, "POST", body={**ENTRY, "account": "work", "project": "Office"}, status=201)["data"]["id"]
    edited = call(api, "PUT", f"/{line_id}", {"cost": "0.1", "date": "2026-11-17"})["data"]
    assert (edited["id"], edited["cost_usd"], edited["project"]) == (line_id, Decimal("0.1"), "Office")
    assert edited["recorded_at"] == "2026-11-17T12:00:00Z"
    assert (edited["account"], edited["description"], edited["tags"]) == ("work", "Plus", {"team": "ops"})
    assert total(api) == Decimal("0.1")
    call(api, "PUT", f"/{line_id}", {"cost": "0.1"})
    moved = call(api, "PUT", f"/{line_id}", {"account": "home", "tags": None, "notes": None, "project": None})["data"]
    assert (moved["account"], moved["tags"], moved["description"], moved["project"]) == ("home", {}, None, "General")
    assert call(api, "DELETE", f"/{line_id}")["data"]["id"] == line_id
    assert total(api) == 0
    call(api, "DELETE", f"/{line_id}", status=404)
    versions = connection.execute("SELECT * FROM manual_versions ORDER BY id").fetchall()
    assert [(row["line_id"], row["reason"], row["entry"]["cost"]) for row in versions] == [
        (line_id, "edited", 20), (line_id, "edited", Decimal("0.1")), (line_id, "deleted", Decimal("0.1")),
    ]  # fmt: skip
    assert versions[0]["entry"]["tags"] == {"team": "ops"}
    assert verify(api.app.database, repair=False)["drift"] == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"service": None}, "Add service"),
        ({"date": None}, "Add date"),
        ({"date": "2026-02-30"}, "date: "),
        ({"date": 20261118}, "Add date"),
        ({"cost": None}, "Add cost"),
        ({"cost": -1}, "cost cannot be negative"),
        ({"cost": "NaN"}, "cost: "),
        ({"cost": "1E-31"}, "cost: "),
        ({"tokens": -1}, "tokens must be a whole number"),
        ({"tokens": 1.5}, "tokens must be a whole number"),
        ({"tags": {"a": []}}, "tags"),
        ({"notes": 1}, "notes must be text"),
        ({"account": "wrok"}, "did you mean work?"),
        ({"account": True}, "account must be the name or id"),
        ({"account": "work", "account_id": "home"}, "name different accounts"),
        ({"serivce": "x"}, "did you mean service?"),
    ],
)
def test_what_cannot_be_taken_is_named(api: Api, change: dict[str, Any], sentence: str) -> None:
    error = call(api, "POST", body={**ENTRY, **change}, status=400)["error"]
    assert sentence in error["message"]
    assert error["details"][0]["field"] in {*change, "account_id"}
    assert total(api) == 0


def test_only_manual_entries_are_edited(api: Api) -> None:
    event = {"model": "gpt-5", "tokens_in": 1, "tokens_out": 1}
    line_id = api.http.post("/api/usage", json=event).json()["data"]["id"]
    call(api, "PUT", f"/{line_id}", {"cost": 1}, status=409)
    call(api, "DELETE", f"/{line_id}", status=409)
    call(api, "PUT", "/999", {"cost": 1}, status=404)
    call(api, "PUT", f"/{line_id}", {}, status=400)
    manual = call(api, "POST", body=ENTRY, status=201)["data"]["id"]
    assert api.http.post(f"/api/usage/{manual}/void", json={"reason": "no"}).status_code == 409
