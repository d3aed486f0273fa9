"""The client over httpx.MockTransport: what it sends, what it makes of answers, and the report it adds up."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest

from cost_tracker import reports
from cost_tracker.client import ApiError, Client, UnreachableError
from infra.demo.server import Answer, LoopbackServer, Request

Respond = Callable[[httpx.Request], httpx.Response]


def client(respond: Respond) -> Client:
    return Client(http=httpx.Client(transport=httpx.MockTransport(respond), base_url="http://tracker/stage"))


def test_money_never_passes_through_a_float() -> None:
    found = client(lambda _: httpx.Response(200, text='{"cost":0.12345678901234567890123,"whole":12}')).get("/x")
    assert found == {"cost": Decimal("0.12345678901234567890123"), "whole": 12}


def test_parameters_become_the_query() -> None:
    seen: list[str] = []

    def respond(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(200, json={})

    client(respond).get(
        "/costs/range",
        start=date(2026, 11, 1),
        at=datetime(2026, 11, 1, 12, tzinfo=UTC),
        project=["A & B", "C"],
        repair=True,
        nothing=None,
    )
    query = "start=2026-11-01&at=2026-11-01T12%3A00%3A00Z&project=A+%26+B&project=C&repair=true"
    assert seen == [f"http://tracker/stage/costs/range?{query}"]


def test_a_body_keeps_every_digit() -> None:
    bodies: list[bytes] = []

    def respond(request: httpx.Request) -> httpx.Response:
        bodies.append(request.content)
        return httpx.Response(200, json={})

    client(respond).post("/api/usage", {"cost": Decimal("0.10000000000000000000001")})
    client(respond).post("/admin/collect")
    assert bodies == [b'{"cost":0.10000000000000000000001}', b"{}"]


def test_the_api_speaks_for_itself() -> None:
    details = [{"field": "start", "message": "Not a date."}]
    body = {"success": False, "error": {"code": "invalid_input", "message": "Mend it.", "details": details}}
    with pytest.raises(ApiError, match=r"^Mend it\.$") as refused:
        client(lambda _: httpx.Response(400, json=body)).get("/x")
    assert (refused.value.status, refused.value.code, refused.value.details) == (400, "invalid_input", details)


@pytest.mark.parametrize(
    ("response", "words"),
    [
        (httpx.Response(404, json={"message": "Not Found"}), "answered 404: Not Found"),
        (httpx.Response(502, text="<html>"), "answered 502;"),
        (httpx.Response(302, headers={"location": "https://elsewhere"}), "answered 302;"),
    ],
)
def test_answers_of_something_in_between_are_sentences_too(response: httpx.Response, words: str) -> None:
    with pytest.raises(ApiError, match=words):
        client(lambda _: response).get("/x", secret="1")


def test_a_page_that_is_not_json_is_another_service() -> None:
    with pytest.raises(UnreachableError, match="not as a cost tracker does"):
        client(lambda _: httpx.Response(200, text="<html>")).get("/x")


@pytest.mark.parametrize("error", [httpx.ConnectError("refused"), httpx.ReadTimeout("slow")])
def test_silence_is_a_sentence(error: httpx.TransportError) -> None:
    def respond(_request: httpx.Request) -> httpx.Response:
        raise error

    with pytest.raises(UnreachableError):
        client(respond).get("/x")


def test_the_key_travels_in_its_header_and_never_to_another_host() -> None:
    def answer(request: Request) -> Answer:
        return Answer(200, {"key": request.headers["x-api-key"]})

    with LoopbackServer(answer, lambda _: {}) as server, Client(server.url, "k-1") as found:
        assert found.get("/x") == {"key": "k-1"}


@pytest.mark.parametrize("url", ["", "costs.example.com", "ftp://costs.example.com", "http://"])
def test_an_address_needs_a_scheme_and_a_host(url: str) -> None:
    with pytest.raises(UnreachableError, match="is not an address"):
        Client(url)


class Runs:
    """A service whose run needs some looks, with a failure in between."""

    def __init__(self, *answers: httpx.Response) -> None:
        self.answers = list(answers)
        self.paths: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.paths.append(request.url.raw_path.decode())
        return self.answers.pop(0)


def a_run(status: str) -> httpx.Response:
    return httpx.Response(200, json={"id": 7, "status": status, "result": {}, "error": None})


def test_a_run_is_followed_to_its_end() -> None:
    service = Runs(a_run("running"), httpx.Response(503, json={}), a_run("running"), a_run("partial"))
    seen: list[str] = []
    run = client(service).run("/admin/collect", {"provider": "anthropic"}, lambda run: seen.append(run["status"]))
    assert run["status"] == "partial"
    assert seen == ["running", "running", "running", "partial"]
    assert service.paths == ["/stage/admin/collect?wait=0", *["/stage/admin/runs/7"] * 3]


def test_a_refusal_ends_the_following() -> None:
    service = Runs(a_run("running"), httpx.Response(401, json={}))
    with pytest.raises(ApiError):
        client(service).run("/admin/collect")


CLASSES = {"input": "0.0097", "output": "0.021625", "cache_read": "0.001", "cache_write_5m": "0.0002", "requests": "2"}
NO_TOKENS = {"input": 0, "output": 0, "cache_read": 0, "cache_write_5m": 0, "cache_write_1h": 0}


class Api:
    """Just enough of the reports; `asked` are the paths with their queries."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.raw_path.decode().removeprefix("/stage"))
        path = request.url.path.removeprefix("/stage")
        if path == "/costs/daily":
            return httpx.Response(200, json={"date": "2026-11-23"})
        if path.startswith("/costs/summary/"):
            return httpx.Response(200, json={"start": "2026-10-25", "end": "2026-11-23"})
        if path == "/costs/range":
            return httpx.Response(200, text=RANGE)
        if path == "/costs/by-token-class":
            rows = ",".join(f'{{"key":"{key}","cost":{cost}}}' for key, cost in CLASSES.items())
            return httpx.Response(200, text=f'{{"data":[{rows}]}}')
        row = {"key": path.rpartition("/")[2], "cost": 1, "share": 1, "requests": 1, "tokens": {}, "unpriced_tokens": 0}
        return httpx.Response(200, json={"data": [row, {**row, "key": None, "is_other": True, "unpriced_tokens": 3}]})


RANGE = """{"start":"2026-11-22","end":"2026-11-23","total_cost":2.032525,"coverage":{"basis":"estimated"},"periods":[
 {"date":"2026-11-22","total_cost":1.01,"requests":1,"tokens":{"input":1,"output":2,"web_searches":4}},
 {"date":"2026-11-23","total_cost":1.022525,"requests":2,"tokens":{"input":10,"output":20,"reasoning":5}}]}"""


def test_the_report_has_the_shape_of_the_contract() -> None:
    found = reports.build(client(Api()))
    assert list(found) == [
        "start", "end", "total_cost", "input_cost", "output_cost", "cache_cost", "requests", "tokens",
        "by_model", "by_category", "by_project", "by_session_type", "by_day", "coverage",
    ]  # fmt: skip
    assert found["cache_cost"] == Decimal("0.0012")
    assert (found["input_cost"], found["output_cost"]) == (Decimal("0.0097"), Decimal("0.021625"))
    assert found["requests"] == 3
    assert found["tokens"] == {"input": 11, "output": 22, "web_searches": 4, "reasoning": 5}
    assert found["by_model"] == [
        {"key": "by-model", "cost": 1, "requests": 1, "tokens": {}},
        {"key": None, "is_other": True, "cost": 1, "requests": 1, "tokens": {}, "unpriced_tokens": 3},
    ]
    assert [(day["key"], day["cost"]) for day in found["by_day"]] == [
        ("2026-11-22", Decimal("1.01")),
        ("2026-11-23", Decimal("1.022525")),
    ]


@pytest.mark.parametrize(
    ("options", "first_asked", "bounds"),
    [
        ({"period": "daily"}, "/costs/daily?tz=UTC", "start=2026-11-23&end=2026-11-23"),
        ({"period": "weekly"}, "/costs/summary/weekly?tz=UTC", "start=2026-10-25&end=2026-11-23"),
        ({}, "/costs/summary/monthly?tz=UTC", "start=2026-10-25&end=2026-11-23"),
        ({"start": date(2026, 11, 5)}, None, "start=2026-11-05"),
        ({"end": date(2026, 11, 5)}, None, "start=2025-10-02&end=2026-11-05"),
        (
            {"period": "daily", "start": date(2026, 11, 4), "end": date(2026, 11, 5)},
            None,
            "start=2026-11-04&end=2026-11-05",
        ),
    ],
)
def test_dates_override_the_period_and_bound_only_their_side(
    options: dict[str, Any], first_asked: str | None, bounds: str
) -> None:
    api = Api()
    reports.build(client(api), tz="UTC", **options)
    if first_asked:
        assert api.asked.pop(0) == first_asked
    assert api.asked[0] == f"/costs/range?tz=UTC&{bounds}&group_by=day"
    assert api.asked[1] == f"/costs/by-token-class?tz=UTC&{bounds}"


def test_filters_and_more_dimensions_go_with_every_question() -> None:
    api = Api()
    found = reports.build(
        client(api), dimensions=["agent", "model"], filters={"project": ["A", "B"], "session_type": ["main"]}
    )
    assert "by_agent" in found
    assert all("project=A&project=B&session_type=main" in path for path in api.asked)
    assert [path.partition("?")[0] for path in api.asked[3:]] == [
        "/costs/by-model", "/costs/by-category", "/costs/by-project", "/costs/by-session-type", "/costs/by-agent",
    ]  # fmt: skip
