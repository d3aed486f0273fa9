"""Models and prices over real HTTP, on the demo organisation's usage."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from shared.core import jsontext
from tests.integration.published_file import FileServer, content, model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx

    from tests.e2e.conftest import Service


@pytest.fixture(scope="module")
def server() -> Iterator[FileServer]:
    with FileServer(content()) as found:
        yield found


@pytest.fixture(scope="module")
def service(serve: Callable[..., Service], server: FileServer) -> Service:
    found = serve(COLLECTION_BACKFILL_DAYS="3", PRICE_CATALOGUE_URL=server.url)
    run = found.post("/admin/collect", wait="28")
    assert run["status"] == "succeeded", run
    assert run["result"]["catalogue"]["status"] == "stored"
    return found


def put(service: Service, path: str, body: dict[str, Any]) -> httpx.Response:
    return service.http.put(path, content=jsontext.dumps(body))


def answer(response: httpx.Response) -> Any:  # noqa: ANN401 - decoded JSON
    return jsontext.loads(response.content)


def test_the_names_table_and_what_was_used_have_todays_price(service: Service) -> None:
    found = service.get("/api/models")
    assert found["count"] == len(found["data"]) > 20
    by_id = {(row["provider"], row["id"]): row for row in found["data"]}
    haiku = by_id["anthropic", "claude-3-5-haiku"]
    assert haiku["pricing"] == {
        "input_per_1m": Decimal("0.8"),
        "output_per_1m": 4,
        "cache_read_per_1m": Decimal("0.08"),
        "cache_write_per_1m": 1,
        "cache_write_1h_per_1m": Decimal("1.6"),
    }
    assert (haiku["source"], "claude-haiku-3-5" in haiku["aliases"]) == ("catalogue", True)
    assert by_id["moonshotai", "kimi-k1-5"]["source"] == "built-in"
    assert by_id["moonshotai", "kimi-k1-5"]["since"] == "2025-01-20"
    used = {row["key"] for row in service.get("/costs/by-model", start="2026-11-17", end="2026-11-20")["data"]}
    assert {key for key in used if key.startswith("claude")} <= {row["id"] for row in found["data"]}
    assert "code_execution" not in {row["id"] for row in found["data"]}


def test_models_can_be_looked_for(service: Service) -> None:
    assert {row["id"] for row in service.get("/api/models", q="KIMI-K1")["data"]} == {"kimi-k1-5"}
    assert {row["provider"] for row in service.get("/api/models", provider="ChatGPT")["data"]} == {"openai"}
    everything = service.get("/api/models", all="true", q="gpt-4o")
    assert everything["count"] > 20
    flat = service.http.get("/api/models", params={"q": "gpt-4o-mini", "shape": "flat"})
    assert answer(flat)[0]["input_per_1m"] == Decimal("0.15")
    assert 'rel="self"' in flat.headers["link"]


@pytest.mark.parametrize("name", ["claude-sonnet-4-5", "Claude-Sonnet-4-5-20250929", "anthropic%252Fclaude-sonnet-4-5"])
def test_one_model_answers_to_any_of_its_names(service: Service, name: str) -> None:
    found = service.get(f"/api/models/{name}")["data"]
    assert (found["id"], found["pricing"]["input_per_1m"]) == ("claude-sonnet-4-5", 3)
    assert [tier["above"] for tier in found["tiers"]] in ([], [200_000])


def test_an_id_with_a_slash_is_a_parameter(service: Service) -> None:
    found = service.get("/api/models", id="openai/gpt-4o")["data"]
    assert (found["id"], found["provider"]) == ("gpt-4o", "openai")


def test_an_unknown_model_names_the_nearest_ones(service: Service) -> None:
    for response in (
        service.http.get("/api/models/claude-sonet-4-5"),
        service.http.get("/api/models", params={"id": "claude-sonet-4-5"}),
        service.http.get("/api/models/claude-sonet-4-5/prices"),
        put(service, "/api/models/claude-sonet-4-5/aliases", {"aliases": []}),
    ):
        assert response.status_code == 404
        assert "claude-sonnet-4-5" in response.json()["error"]["message"]


def test_a_price_is_added_shown_and_applied_to_the_past(service: Service) -> None:
    day: Any = {"start": "2026-11-18", "end": "2026-11-18"}
    before = {row["key"]: row["cost"] for row in service.get("/costs/by-model", **day)["data"]}
    body = {"input_per_1m": Decimal("3.3"), "output_per_1m": "16.5", "since": "2026-11-18"}
    first = put(service, "/api/models/claude-opus-4-6/price", body)
    assert first.status_code == 201, first.text
    stored = answer(first)["data"]
    assert (stored["model"], stored["since"]) == ("claude-opus-4-6", "2026-11-18T00:00:00Z")
    assert (stored["input_per_1m"], stored["provider"], stored["cache_read_per_1m"]) == (Decimal("3.3"), None, None)
    again = put(service, "/api/models/claude-opus-4-6/price", body)
    assert (again.status_code, answer(again)["data"]["id"]) == (200, stored["id"])
    shown = service.get("/api/models/claude-opus-4-6")["data"]
    assert (shown["source"], shown["since"], shown["pricing"]["cache_read_per_1m"]) == (
        "override",
        "2026-11-18",
        Decimal("0.33"),  # a tenth of the input, as in the catalogue
    )
    periods = service.get("/api/models/claude-opus-4-6/prices")["data"]
    assert [(period["source"], period["in_force"]) for period in periods][:2] == [
        ("override", True),
        ("catalogue", False),
    ]
    assert {row["key"]: row["cost"] for row in service.get("/costs/by-model", **day)["data"]} == before

    dry = service.post("/admin/reprice", dry_run="true", wait="25", **day)["result"]
    [row] = dry["changes"]
    assert (row["month"], row["model"], dry["dry_run"]) == ("2026-11", "claude-opus-4-6", True)
    assert {row["key"]: row["cost"] for row in service.get("/costs/by-model", **day)["data"]} == before
    run = service.post("/admin/reprice", wait="25", **day)
    assert (run["job"], run["status"], run["result"]["changes"]) == ("reprice", "succeeded", dry["changes"])
    after = {row["key"]: row["cost"] for row in service.get("/costs/by-model", **day)["data"]}
    assert after["claude-opus-4-6"] == row["cost_after"] < row["cost_before"] == before["claude-opus-4-6"]
    assert {key: cost for key, cost in after.items() if key != "claude-opus-4-6"} == {
        key: cost for key, cost in before.items() if key != "claude-opus-4-6"
    }
    explained = service.get("/costs/explain", date="2026-11-18", model="claude-opus-4-6")["lines"]
    assert {line["price"]["source"] for line in explained} == {"override"}
    assert service.post("/admin/reprice", wait="25", **day)["result"]["lines"] == 0
    assert service.post("/admin/verify", wait="25")["result"]["drift"] == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"output_per_1m": 1}, "input_per_1m"),
        ({"input_per_1m": -1, "output_per_1m": 1}, "input_per_1m"),
        ({"input_per_1m": "NaN", "output_per_1m": 1}, "input_per_1m"),
        ({"input_per_1m": True, "output_per_1m": 1}, "input_per_1m"),
        ({"input_per_1m": 1, "output_per_1m": "1e-25"}, "output_per_1m"),
        ({"input_per_1m": 1, "output_per_1m": 10**20}, "output_per_1m"),
        ({"input_per_1m": 1, "output_per_1m": 1, "cache_read_per_1m": {}}, "cache_read_per_1m"),
        ({"input_per_1m": 1, "output_per_1m": 1, "since": "yesterday"}, "since"),
        ({"input_per_1m": 1, "output_per_1m": 1, "since": 5}, "since"),
        ({"input_per_1m": 1, "output_per_1m": 1, "provider": ""}, "provider"),
        ({"input_per_1m": 1, "output_per_1m": 1, "input": 1}, "input"),
    ],
)
def test_a_price_that_is_none_is_refused_by_its_field(service: Service, body: dict[str, Any], field: str) -> None:
    response = put(service, "/api/models/gpt-4o/price", body)
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert error["details"][0]["field"] == field
    assert field in error["message"]


def test_a_price_for_a_model_that_nobody_knows_says_so(service: Service) -> None:
    response = put(service, "/api/models/our-tuned-gpt-4o-mini/price", {"input_per_1m": 1, "output_per_1m": 2})
    assert response.status_code == 201
    assert "knows this model" in response.json()["data"]["note"]
    found = service.get("/api/models", q="our-tuned")["data"]
    assert [(row["id"], row["provider"], row["source"]) for row in found] == [
        ("our-tuned-gpt-4o-mini", None, "override")
    ]


def test_aliases_move_and_are_refused_where_they_are_models(service: Service) -> None:
    done = put(service, "/api/models/claude-opus-4-6/aliases", {"aliases": ["Sonnet", "our best"]})
    assert answer(done)["data"] == {"id": "claude-opus-4-6", "aliases": ["our best", "sonnet"], "moved": {}}
    assert service.get("/api/models/sonnet")["data"]["id"] == "claude-opus-4-6"
    assert "sonnet" not in service.get("/api/models/claude-3-5-sonnet")["data"]["aliases"]
    moved = put(service, "/api/models/claude-sonnet-4-5/aliases", {"aliases": ["sonnet"]})
    assert answer(moved)["data"]["moved"] == {"sonnet": "claude-opus-4-6"}
    assert service.get("/api/models/claude-opus-4-6")["data"]["aliases"] == ["our best"]
    for name in ("gpt-4o", "claude-opus-4-5"):
        refused = put(service, "/api/models/claude-sonnet-4-5/aliases", {"aliases": [name]})
        assert refused.status_code == 400
        assert "is a model itself" in refused.json()["error"]["message"]
    wrongs: list[Any] = [{"aliases": "sonnet"}, {"aliases": [""]}, {"aliases": ["ollama/*"]}, {"alias": []}]
    for wrong in wrongs:
        assert put(service, "/api/models/claude-sonnet-4-5/aliases", wrong).status_code == 400
    assert put(service, "/api/models/claude-sonnet-4-5/aliases", {"aliases": []}).status_code == 200
    assert service.get("/api/models/sonnet")["data"]["id"] == "claude-3-5-sonnet"


def test_the_catalogue_is_refreshed_by_a_run_and_says_what_changed(service: Service, server: FileServer) -> None:
    def dearer(rows: Any) -> None:  # noqa: ANN401 - decoded JSON
        model(rows, "anthropic", "claude-sonnet-4-5")["prices"]["output_mtok"] = 18

    server.content = content(dearer)
    requests = server.requests
    assert "catalogue" not in service.post("/admin/collect", wait="28")["result"]  # once a day
    assert server.requests == requests
    run = service.post("/admin/refresh", wait="25")
    assert (run["job"], run["status"], run["result"]["status"]) == ("refresh", "succeeded", "stored")
    [change] = run["result"]["changes"]
    assert (change["model"], change["after"]["output"]) == ("claude-sonnet-4-5", 18)
    assert service.get("/api/models/claude-sonnet-4-5")["data"]["pricing"]["output_per_1m"] == 18
    server.content = b"[]"
    run = service.post("/admin/refresh", wait="25")
    assert (run["status"], run["result"]["status"]) == ("failed", "refused")
    assert run["error"].startswith("The price catalogue at http")
    assert service.get("/api/models/claude-sonnet-4-5")["data"]["pricing"]["output_per_1m"] == 18


def test_without_an_address_there_is_nothing_to_refresh(serve: Callable[..., Service]) -> None:
    bare = serve(COLLECTION_BACKFILL_DAYS="1")
    response = bare.http.post("/admin/refresh")
    assert (response.status_code, response.json()["error"]["code"]) == (409, "conflict")
    assert "PRICE_CATALOGUE_URL" in response.json()["error"]["message"]


def test_unpriced_usage_is_priced_by_the_next_collection(service: Service) -> None:
    rows = [{"model": "unheard-of", "tokens_in": 1000, "tokens_out": 1000, "recorded_at": "2026-11-19T10:00:00Z"}]
    assert service.http.post("/api/usage", json=rows).status_code == 200
    assert (
        put(
            service, "/api/models/unheard-of/price", {"input_per_1m": 1, "output_per_1m": 2, "since": "2026-11-01"}
        ).status_code
        == 201
    )
    run = service.post("/admin/collect", wait="28")
    assert run["status"] == "succeeded"
    [change] = run["result"]["priced"]["changes"]
    assert (change["model"], change["unpriced_before"], change["cost_after"]) == ("unheard-of", 1, Decimal("0.003"))
    assert "priced" not in service.post("/admin/collect", wait="28")["result"]
