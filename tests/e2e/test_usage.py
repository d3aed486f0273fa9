"""Events and polled usage side by side, over real HTTP."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator

from functions.api import record_schemas as schemas
from shared.core import jsontext
from tests.e2e.conftest import Service

EVENT: dict[str, Any] = {"model": "gpt-4o", "tokens_in": 1000, "tokens_out": 100, "recorded_at": "2026-11-19T12:00:00Z"}


@pytest.fixture(scope="module")
def service(serve: Callable[..., Service]) -> Service:
    service = serve(COLLECTION_BACKFILL_DAYS="7")
    assert service.post("/admin/collect", wait="28")["status"] == "succeeded"
    return service


def send(service: Service, body: object, status: int = 200) -> Any:  # noqa: ANN401 - decoded JSON
    response = service.http.post("/api/usage", content=jsontext.dumps(body))
    assert response.status_code == status, response.text
    return jsontext.loads(response.content)


def test_events_are_in_the_reports_beside_what_was_polled(service: Service) -> None:
    before = service.get("/costs/daily", date="2026-11-19")
    made = send(service, {**EVENT, "event_id": "e2e-1", "agent": "tester"}, 201)["data"]
    after = service.get("/costs/daily", date="2026-11-19")
    assert made["cost_usd"] == Decimal("0.0035")
    assert after["total_cost"] - before["total_cost"] == made["cost_usd"]
    assert after["by_agent"]["tester"] == after["by_provider"]["openai"] == made["cost_usd"]
    assert after["coverage"]["basis"] == "mixed"
    service.http.post(f"/api/usage/{made['id']}/void", json={"reason": "a test"})
    assert service.get("/costs/daily", date="2026-11-19") == before


def test_polled_records_are_read_like_events_and_cannot_be_voided(service: Service) -> None:
    [record] = service.get("/api/usage", limit="1", source="api")["data"]
    assert (record["source"], record["event_id"], record["account"]) == ("api", None, "anthropic-demo")
    assert record["raw_data"]
    answer = service.http.post(f"/api/usage/{record['id']}/void", json={"reason": "x"})
    assert (answer.status_code, "provider" in answer.json()["error"]["message"]) == (409, True)


def test_answers_are_what_the_document_declares(service: Service) -> None:
    one = send(service, {**EVENT, "model": "never-heard-of"}, 201)
    many = send(service, [EVENT, {**EVENT, "tokens_in": -1}])
    dry = jsontext.loads(service.http.post("/api/usage?dry_run=true", content=jsontext.dumps([EVENT])).content)
    for body in (one, many, dry):
        OAS31Validator(dict(schemas.ACCEPTED)).validate(_floats(body))
    OAS31Validator(dict(schemas.PAGE)).validate(_floats(service.get("/api/usage")))
    OAS31Validator(dict(schemas.ONE)).validate(_floats(service.get(f"/api/usage/{one['data']['id']}")))
    OAS31Validator(dict(schemas.SUMMARY)).validate(_floats(service.get("/api/usage/summary")))
    voided = service.http.post(f"/api/usage/{one['data']['id']}/void", json={"reason": "x"}).content
    OAS31Validator(dict(schemas.VOIDED)).validate(_floats(jsontext.loads(voided)))


def _floats(value: Any) -> Any:  # noqa: ANN401 - decoded JSON
    """The validator knows no Decimal."""
    if isinstance(value, dict):
        return {key: _floats(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_floats(item) for item in value]
    return float(value) if isinstance(value, Decimal) else value


def test_a_summary_agrees_with_the_range(service: Service) -> None:
    days = service.get("/api/usage/summary")["data"]
    found = service.get("/costs/range", start="2026-11-01", end="2026-11-20")
    shown = {period["date"]: period["total_cost"] for period in found["periods"] if period["requests"]}
    assert {day["period"]: day["total_cost"] for day in days if day["total_requests"]} == shown
    for day in days:
        for dimension in ("by_model", "by_project", "by_agent"):
            assert sum(part["cost"] for part in day[dimension].values()) == day["total_cost"]


def test_five_thousand_over_the_wire(service: Service) -> None:
    rows = [{**EVENT, "event_id": f"bulk-{number}", "cache_read_tokens": number} for number in range(5000)]
    answer = send(service, rows)
    assert (answer["created"], len(answer["results"])) == (5000, 5000)
    assert send(service, rows)["duplicates"] == 5000
    assert "2 requests of 2501" in send(service, [*rows, EVENT], 413)["error"]["message"]
