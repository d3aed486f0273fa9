"""Project rules over real HTTP, on the demo organisation's usage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from shared.core import jsontext

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.conftest import Service

RULES = "/api/projects/rules"


@pytest.fixture(scope="module")
def service(serve: Callable[..., Service]) -> Service:
    found = serve(COLLECTION_BACKFILL_DAYS="3")
    assert found.post("/admin/collect", wait="28")["status"] == "succeeded"
    return found


def send(service: Service, method: str, path: str, body: Any = None, **params: str) -> tuple[int, Any]:  # noqa: ANN401 - decoded JSON
    content = None if body is None else jsontext.dumps(body)
    response = service.http.request(method, path, params=params, content=content)
    return response.status_code, jsontext.loads(response.content)


def costs(service: Service) -> dict[str, Any]:
    rows = service.get("/costs/by-project", start="2026-11-01", end="2026-11-20")["data"]
    return {row["key"]: row["cost"] for row in rows}


def test_rules_are_listed_in_the_order_they_are_tried(service: Service) -> None:
    found = service.get(RULES)
    assert [row["pattern"] for row in found["data"]] == [
        "context-vault-*", "cost-tracker-*", "peakpaws-*", "trading-*", "kanban-*", "*",
    ]  # fmt: skip
    assert found["count"] == 6
    status, flat = send(service, "GET", RULES, shape="flat")
    assert (status, flat) == (200, found["data"])


def test_a_rule_is_previewed_added_applied_changed_and_removed(service: Service) -> None:
    before = costs(service)
    assert {"PeakPaws", "General"} <= set(before)
    wanted = {"pattern": "PEAKPAWS-*", "project": "Paws & Co", "priority": 50}
    [peakpaws] = [row for row in service.get(RULES)["data"] if row["pattern"] == "peakpaws-*"]
    status, foreseen = send(
        service, "POST", f"{RULES}/preview", {"add": [wanted], "remove": [peakpaws["id"]]}, start="2026-11-01"
    )
    assert status == 200, foreseen
    [move] = foreseen["moves"]
    assert (move["from"], move["to"], move["cost"]) == ("PeakPaws", "Paws & Co", before["PeakPaws"])
    whole = [wanted, {"pattern": "*", "project": "All", "priority": 0}]
    _, other = send(service, "POST", f"{RULES}/preview", {"rules": whole})
    assert {move["to"] for move in other["moves"]} == {"Paws & Co", "All"}
    assert costs(service) == before

    assert send(service, "POST", RULES, wanted)[0] == 409
    status, changed = send(service, "PUT", f"{RULES}/{peakpaws['id']}", {"project": "Paws & Co"})
    assert (status, changed["data"]["pattern"], changed["data"]["project"]) == (200, "peakpaws-*", "Paws & Co")
    dry = service.post("/admin/reassign", dry_run="true", wait="25")["result"]
    assert dry["moves"] == [move]
    assert costs(service) == before
    run = service.post("/admin/reassign", wait="25")
    assert (run["job"], run["status"], run["result"]["moves"]) == ("reassign", "succeeded", [move])
    after = costs(service)
    assert after == {("Paws & Co" if key == "PeakPaws" else key): cost for key, cost in before.items()}
    assert service.post("/admin/reassign", wait="25")["result"]["lines"] == 0

    status, removed = send(service, "DELETE", f"{RULES}/{peakpaws['id']}")
    assert (status, removed["data"]["project"]) == (200, "Paws & Co")
    assert send(service, "DELETE", f"{RULES}/{peakpaws['id']}")[0] == 404
    assert send(service, "PUT", f"{RULES}/{peakpaws['id']}", {"priority": 1})[0] == 404
    status, added = send(service, "POST", RULES, {"pattern": "peakpaws-*", "project": "PeakPaws"})
    assert (status, added["data"]["priority"]) == (201, 10)
    service.post("/admin/reassign", wait="25")
    assert costs(service) == before
    assert service.post("/admin/verify", wait="25")["result"]["drift"] == []


def test_a_rule_holds_for_the_next_event(service: Service) -> None:
    send(service, "POST", RULES, {"pattern": "billing-*", "project": "Billing"})
    body = {"model": "gpt-4o", "tokens_in": 1, "tokens_out": 1, "session_label": "billing-7"}
    _, stored = send(service, "POST", "/api/usage", body)
    assert stored["data"]["project"] == "Billing"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"project": "x"}, "pattern"),
        ({"pattern": "", "project": "x"}, "pattern"),
        ({"pattern": "  ", "project": "x"}, "pattern"),
        ({"pattern": "a[b", "project": "x"}, "pattern"),
        ({"pattern": "a", "project": ""}, "project"),
        ({"pattern": "a", "project": "x", "priority": 1001}, "priority"),
        ({"pattern": "a", "project": "x", "priority": "10"}, "priority"),
        ({"pattern": "a", "project": "x", "priority": True}, "priority"),
        ({"pattern": "a", "project": "x", "order": 1}, "order"),
        ({"pattern": "a" * 201, "project": "x"}, "pattern"),
    ],
)
def test_a_rule_that_is_none_is_refused_by_its_field(service: Service, body: dict[str, Any], field: str) -> None:
    status, found = send(service, "POST", RULES, body)
    assert status == 400
    assert found["error"]["details"][0]["field"] == field
    status, found = send(service, "POST", f"{RULES}/preview", {"add": [body]})
    assert status == 400
    assert found["error"]["details"][0]["field"] in {field, f"add.0.{field}"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"remove": [99_999]}, 404),
        ({"remove": ["1"]}, 400),
        ({"change": [{"id": 99_999, "priority": 1}]}, 404),
        ({"change": [{"priority": 1}]}, 400),
        ({"rules": [], "add": []}, 400),
        ({"rules": {}}, 400),
        ({"add": [5]}, 400),
        ({"add": [{"pattern": "*", "project": "x"}]}, 400),
        ({"add": [{"pattern": "a", "project": "x"}, {"pattern": "A", "project": "y"}]}, 400),
        ({}, 200),
        ({"rules": []}, 200),
    ],
)
def test_previews_are_checked_as_rules_are(service: Service, body: dict[str, Any], status: int) -> None:
    found, answer = send(service, "POST", f"{RULES}/preview", body)
    assert found == status, answer


def test_ranges_are_checked(service: Service) -> None:
    for path in ("/admin/reprice", "/admin/reassign", f"{RULES}/preview"):
        assert send(service, "POST", path, {}, start="2026-11-02", end="2026-11-01")[0] == 400
        assert send(service, "POST", path, {}, tz="Nowhere")[0] == 400
