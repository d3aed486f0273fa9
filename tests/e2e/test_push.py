"""From the demo's provider over the real collector and the API to a fake vault, and no key anywhere."""

import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from infra.demo.faults import Fault
from infra.demo.vault import KEY, FakeVault
from shared.core.money import total
from shared.store.database import connect
from tests.e2e.conftest import NOW, Service

YESTERDAY = NOW.date() - timedelta(days=1)
DAY = {"date": "2026-11-19"}
UNIT = Decimal("0.0001")


@pytest.fixture(scope="module")
def vault() -> Iterator[FakeVault]:
    with FakeVault() as found:
        yield found


@pytest.fixture(scope="module")
def service(serve: Callable[..., Service], vault: FakeVault) -> Service:
    """The demo organisation, collected, with a vault."""
    found = serve(CONTEXT_VAULT_URL=vault.url, CONTEXT_VAULT_API_KEY=KEY, COLLECTION_BACKFILL_DAYS="40")
    assert found.post("/admin/collect", wait="28")["status"] == "succeeded"
    return found


@pytest.fixture(autouse=True)
def afresh(vault: FakeVault, service: Service) -> Iterator[None]:
    vault.faults.clear()
    vault.requests.clear()
    vault.memories.clear()
    with connect(service.dsn) as connection:
        connection.execute("UPDATE daily_summaries SET synced_to_cv = false, payload_hash = NULL, push_due = false")
        connection.execute("UPDATE daily_summaries SET leased_until = NULL, attempts = 0, last_error = NULL")
        connection.execute("UPDATE summary_state SET push_from = NULL")
    yield
    vault.faults.clear()


def test_the_payload_is_the_report_of_that_day(service: Service, vault: FakeVault) -> None:
    answer = service.post("/admin/sync-cv", DAY)
    assert {name: answer[name] for name in ("status", "date", "http_status", "attempts", "error")} == {
        "status": "pushed",
        "date": "2026-11-19",
        "http_status": 201,
        "attempts": 1,
        "error": None,
    }
    (memory,) = vault.memories
    assert memory.content == answer["payload"]
    assert list(memory.content) == ["type", "importance", "workspace", "content"]
    content = memory.content["content"]
    report = service.get("/costs/daily", date="2026-11-19")
    assert content["total_cost"] == report["total_cost"].quantize(UNIT)
    assert content["total_cost"] > 1
    for name in ("by_model", "by_project"):
        assert set(content[name]) == set(report[name])
        assert total(Decimal(amount) for amount in content[name].values()) == content["total_cost"]
        assert all(abs(content[name][key] - report[name][key]) < UNIT for key in report[name])


def test_the_collection_left_a_summary_of_every_closed_day(service: Service) -> None:
    with connect(service.dsn) as connection:
        rows = connection.execute("SELECT * FROM daily_summaries ORDER BY date").fetchall()
    days = [row["date"] for row in rows]
    assert days == [days[0] + timedelta(days=n) for n in range(len(days))]
    assert days[-1] == YESTERDAY
    periods = service.get("/costs/range", start=days[0].isoformat(), end=days[-1].isoformat())["periods"]
    assert [row["total_cost"].quantize(UNIT) for row in rows] == [
        Decimal(period["total_cost"]).quantize(UNIT) for period in periods
    ]


def test_pushing_again_sends_nothing(service: Service, vault: FakeVault) -> None:
    # Without a date it is the day that ended.
    assert [service.post("/admin/sync-cv", body)["status"] for body in (DAY, DAY, None)] == [
        "pushed",
        "unchanged",
        "unchanged",
    ]
    assert len(vault.requests) == 1


def test_a_dry_run_sends_nothing(service: Service, vault: FakeVault) -> None:
    preview = service.post("/admin/sync-cv", DAY, dry_run="true")
    assert (preview["status"], preview["attempts"], preview["http_status"]) == ("dry_run", 0, None)
    assert vault.requests == []
    assert service.post("/admin/sync-cv", DAY)["payload"] == preview["payload"]


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        ({"date": "2026-11-20"}, 400, "2026-11-20 is not over yet in UTC"),
        ({"date": "2027-01-01"}, 400, "is not over yet in UTC"),
        ({"date": "yesterday"}, 400, "is not a date"),
        ({"date": 20261119}, 400, "must be text"),
        ({"day": "2026-11-19"}, 400, "Unknown field 'day'"),
        ({"date": "2020-01-01"}, 404, "no usage is known up to that day"),
    ],
)
def test_what_cannot_be_pushed_is_refused(
    service: Service, vault: FakeVault, body: dict[str, Any], status: int, sentence: str
) -> None:
    response = service.http.post("/admin/sync-cv", json=body)
    assert response.status_code == status
    assert sentence in response.json()["error"]["message"]
    assert vault.requests == []


def test_aggregate_answers_the_row(service: Service) -> None:
    service.post("/admin/sync-cv", DAY)
    answer = service.post("/api/usage/aggregate", DAY)
    report = service.get("/costs/daily", date="2026-11-19")
    row = answer["data"]
    assert (answer["success"], row["date"], row["synced_to_cv"]) == (True, "2026-11-19", True)
    assert len(row["payload_hash"]) == 64
    assert row["synced_at"] == "2026-11-20T10:30:00Z"
    for name in ("total_cost", "by_model", "by_session_type", "by_project", "by_agent"):
        assert row[name] == report[name], name
    today = service.post("/api/usage/aggregate", {"date": "2026-11-20"})["data"]
    assert today["total_cost"] == service.get("/costs/daily")["total_cost"]
    assert service.http.post("/api/usage/aggregate", json={"date": "2026-11-21"}).status_code == 400
    assert service.http.post("/api/usage/aggregate", json={}).json()["error"]["message"] == "Add the field date."


def test_a_failing_vault_is_an_answer_and_the_next_push_succeeds(service: Service, vault: FakeVault) -> None:
    vault.faults.append(Fault(status=422))
    failed = service.post("/admin/sync-cv", DAY)
    assert (failed["status"], failed["http_status"], failed["attempts"]) == ("failed", 422, 1)
    assert failed["error"] == "Context Vault refused the summary with status 422 (The vault says 422)."
    assert service.post("/admin/sync-cv", DAY)["status"] == "pushed"


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=401, payload={"error": {"message": f"unknown key {KEY}"}}),
        Fault(status=500, payload={"message": f"traceback with {KEY}"}),
        Fault(status=400, text=KEY, cut=True),
        None,
    ],
)
def test_the_vaults_key_is_nowhere(
    service: Service,
    vault: FakeVault,
    fault: Fault | None,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    if fault is not None:
        vault.faults.append(fault)
    texts = [
        service.http.post("/admin/sync-cv", json=DAY).text,
        service.http.post("/api/usage/aggregate", json=DAY).text,
        *(one.text for one in (service.http.get(path) for path in ("/", "/openapi.json", "/admin/runs"))),
    ]
    assert vault.requests
    with connect(service.dsn) as connection:
        rows = connection.execute("SELECT daily_summaries::text AS text FROM daily_summaries").fetchall()
    captured = capsys.readouterr()
    assert not any(KEY in text for text in (*texts, *(row["text"] for row in rows), caplog.text, *captured))


def test_without_a_vault_nothing_is_sent_and_the_summary_is_there(serve: Callable[..., Service]) -> None:
    service = serve(COLLECTION_BACKFILL_DAYS="2")
    assert service.post("/admin/sync-cv")["payload"] is None
    service.post("/admin/collect", wait="28")
    answer = service.post("/admin/sync-cv")
    assert (answer["status"], answer["date"], answer["attempts"]) == ("not_configured", "2026-11-19", 0)
    assert answer["payload"]["content"]["date"] == "2026-11-19"
    with connect(service.dsn) as connection:
        assert connection.execute("SELECT synced_to_cv FROM daily_summaries WHERE date = '2026-11-19'").fetchone() == {
            "synced_to_cv": False
        }
