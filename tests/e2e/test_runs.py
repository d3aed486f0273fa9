"""Long work over HTTP: started, waited for, followed, listed; and what goes wrong says what to do."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from infra.demo.anthropic import Path
from infra.demo.faults import Fault
from tests.e2e.conftest import Service


@pytest.fixture(scope="module")
def service(serve: Callable[..., Service]) -> Service:
    return serve(COLLECTION_BACKFILL_DAYS="7")


@pytest.fixture(autouse=True)
def no_faults(service: Service) -> Iterator[None]:
    yield
    service.fake.faults.clear()


def follow(service: Service, run_id: int) -> dict[str, Any]:
    for _ in range(300):
        run: dict[str, Any] = service.get(f"/admin/runs/{run_id}")
        if run["status"] != "running":
            return run
        time.sleep(0.05)
    raise AssertionError(f"run {run_id} did not end")


def test_a_run_is_answered_when_it_ends_within_the_wait(service: Service) -> None:
    run = service.post("/admin/collect", {"provider": "anthropic"}, wait="20")
    assert (run["job"], run["status"], run["error"]) == ("collect", "succeeded", None)
    assert run["started_at"].endswith("Z")
    [account] = run["result"]["accounts"]
    assert (account["account"], account["status"]) == ("anthropic-demo", "succeeded")
    assert set(account["streams"][0]) == {
        "stream", "window_start", "window_end", "why", "note", "pages",
        "new", "changed", "unchanged", "removed", "held",
    }  # fmt: skip


def test_a_run_that_takes_longer_is_followed(service: Service) -> None:
    service.fake.faults.append(Fault(path=Path.API_KEYS, hang=0.5))
    response = service.http.post("/admin/collect", params={"wait": "0"})
    assert response.status_code == 202
    run = response.json()
    assert run["status"] == "running"
    assert response.headers["location"].endswith(f"/admin/runs/{run['id']}")
    assert follow(service, run["id"])["status"] == "succeeded"


def test_a_failed_collection_is_a_run_with_a_sentence(service: Service) -> None:
    service.fake.faults.append(Fault(path="/v1", status=403, times=None))
    run = service.post("/admin/collect", wait="20")
    assert run["status"] == "failed"
    assert "sk-ant-admin" in run["error"]
    service.fake.faults.clear()
    assert service.post("/admin/collect", wait="20")["status"] == "succeeded"


def test_given_days_are_collected(service: Service) -> None:
    run = service.post("/admin/collect", {"start": "2026-10-01", "end": "2026-10-02"}, wait="20")
    usage = run["result"]["accounts"][0]["streams"][0]
    assert (usage["window_start"], usage["window_end"]) == ("2026-10-01T00:00:00Z", "2026-10-03T00:00:00Z")
    assert usage["new"] > 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"providr": "anthropic"}, "providr"),
        ({"provider": "nobody"}, "provider"),
        ({"start": "yesterday"}, None),
        ({"end": "2026-11-01"}, "start"),
        ({"start": "2026-11-02", "end": "2026-11-01"}, None),
        ({"start": "2027-01-01"}, "start"),
        ({"account": 7}, "account"),
    ],
)
def test_a_bad_request_names_the_field(service: Service, body: dict[str, Any], field: str | None) -> None:
    response = service.http.post("/admin/collect", json=body)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["message"].endswith((".", "?"))
    if field:
        assert [detail["field"] for detail in error["details"]] == [field]


def test_names_are_understood_or_corrected(service: Service) -> None:
    response = service.http.post("/admin/collect", json={"account": "antropic-demo"})
    assert response.status_code == 400
    assert "did you mean anthropic-demo?" in response.json()["error"]["message"]
    assert service.post("/admin/collect", {"provider": "Claude"}, wait="20")["status"] == "succeeded"


def test_a_body_where_none_belongs_is_refused(service: Service) -> None:
    for content in (b'{"repair": true}', b"{{{"):
        assert service.http.post("/admin/verify", content=content).status_code == 400
    assert service.http.post("/admin/verify", content=b"{}").status_code == 200


def test_the_flat_shape_comes_with_a_link(service: Service) -> None:
    service.post("/admin/verify")
    response = service.http.get("/admin/runs", params={"shape": "flat", "limit": "1"})
    assert [type(row["id"]) for row in response.json()] == [int]
    assert 'rel="next"' in response.headers["link"]
    assert 'rel="self"' in service.http.get("/costs/by-model?shape=flat").headers["link"]


def test_runs_are_listed_newest_first_page_by_page(service: Service) -> None:
    for _ in range(3):
        service.post("/admin/verify")
    first = service.get("/admin/runs", limit="2", job="verify")
    ids = [run["id"] for run in first["data"]]
    assert ids == sorted(ids, reverse=True)
    assert (first["count"], first["has_more"]) == (2, True)
    assert first["next"].startswith(str(service.http.base_url).rstrip("/"))
    second = service.http.get(first["next"]).json()
    assert max(run["id"] for run in second["data"]) < min(ids)


def test_an_unknown_run_is_404(service: Service) -> None:
    assert service.http.get("/admin/runs/999999").status_code == 404


@pytest.mark.parametrize("path", ["/costs/daily", "/admin/runs", "/costs/by-model", "/health/ready"])
@pytest.mark.parametrize("headers", [{}, {"X-API-Key": "wrong"}, {"Authorization": "Bearer wrong"}])
def test_every_figure_needs_a_key(service: Service, path: str, headers: dict[str, str]) -> None:
    request = service.http.build_request("GET", path, headers=headers)
    if "X-API-Key" not in headers:
        del request.headers["X-API-Key"]
    response = service.http.send(request)
    assert response.status_code == 401
    assert response.json()["error"]["code"] == "unauthorized"


def test_a_bearer_key_is_a_key(service: Service) -> None:
    request = service.http.build_request("GET", "/costs/daily")
    request.headers["Authorization"] = f"Bearer {request.headers.pop('X-API-Key')}"
    assert service.http.send(request).status_code == 200


@pytest.mark.parametrize(
    "query",
    ["start=2026-11-02&end=2026-11-01", "start=2020-01-01&end=2026-01-01", "tz=Mars/Olympus", "limit=0", "tag=broken",
     "account=nobody", "dimension=model", "start=01.11.2026"],
)  # fmt: skip
def test_a_bad_question_is_a_400_with_a_sentence(service: Service, query: str) -> None:
    response = service.http.get(f"/costs/by-model?{query}")
    assert response.status_code == 400
    assert response.json()["success"] is False
    assert response.json()["error"]["message"].endswith((".", "?"))


def test_a_date_that_a_zone_skipped_has_no_periods(service: Service) -> None:
    answer = service.get("/costs/range", start="2011-12-30", end="2011-12-30", tz="Pacific/Apia")
    assert (answer["total_cost"], answer["periods"]) == (0, [])


def test_a_cursor_that_is_none_of_ours(service: Service) -> None:
    assert service.http.get("/admin/runs?cursor=99999999999999999999999").status_code == 400


def test_hours_are_limited_to_a_month(service: Service) -> None:
    url = "/costs/range?group_by=hour&start=2026-09-01&end=2026-10-02"
    assert service.http.get(url).status_code == 400


def test_an_empty_period_is_zeros_not_an_error(service: Service) -> None:
    answer = service.get("/costs/range", start="2024-01-01", end="2024-01-03")
    assert [period["total_cost"] for period in answer["periods"]] == [0, 0, 0]
    assert answer["periods"][0]["tokens"]["input"] == 0
    assert service.get("/costs/by-model", start="2024-01-01", end="2024-01-03")["data"] == []
