from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import httpx
import pytest

from functions.api.app import build_api
from functions.api.routing import PUBLIC_PATHS, Router, Scope
from infra.local.transport import HandlerTransport
from shared.errors import SettingError
from tests.unit import shell_app
from tests.unit.shell_app import KEY, make_app, make_client, make_handler

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def api() -> Iterator[httpx.Client]:
    with make_client() as client:
        yield client


def error_of(response: httpx.Response) -> dict[str, object]:
    content = response.json()
    assert list(content) == ["success", "error"]
    assert content["success"] is False
    assert set(content["error"]) == {"code", "message", "details"}
    error: dict[str, object] = content["error"]
    return error


# --- keys


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": ""},
        {"X-API-Key": "wrong"},
        {"X-API-Key": "wrong", "Authorization": "Bearer wronger"},
        {"Authorization": f"Basic {KEY}"},
        {"Authorization": "Bearer"},
        {"Authorization": KEY},
    ],
)
def test_no_valid_key_is_one_401_for_every_reason(headers: dict[str, str]) -> None:
    with make_client(None) as api:
        response = api.get("/echo/a", headers=headers)
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"
        assert response.content == api.get("/list").content
        assert error_of(response)["code"] == "unauthorized"


@pytest.mark.parametrize(
    "headers",
    [
        {"X-API-Key": KEY},
        {"x-api-key": f" {KEY} "},
        {"Authorization": f"Bearer {KEY}"},
        {"Authorization": f"bearer {KEY}"},
        {"X-API-Key": "wrong", "Authorization": f"Bearer {KEY}"},
        {"X-API-Key": "reader-key"},
    ],
)
def test_valid_keys(headers: dict[str, str]) -> None:
    with make_client(None) as api:
        assert api.get("/echo/a", headers=headers).status_code == 200


def test_a_key_without_the_scope_is_403() -> None:
    with make_client("reader-key") as api:
        assert api.get("/echo/a").json()["caller"] == "reader"
        response = api.post("/body")
        assert response.status_code == 403
        assert "usage:write" in str(error_of(response)["message"])


def test_without_a_bootstrap_key_only_stored_ones_count() -> None:
    with make_client("", API_KEY="") as api:
        assert api.get("/list").status_code == 401
        assert api.get("/list", headers={"X-API-Key": "reader-key"}).status_code == 200


def test_every_route_but_the_listed_ones_needs_a_key() -> None:
    with make_client(None) as api:
        routes = api.get("/").json()["routes"]
        assert {route["path"] for route in routes if route["scope"] == "public"} == PUBLIC_PATHS
        for route in routes:
            response = api.request(route["method"], route["path"])
            assert (response.status_code == 401) == (route["scope"] != "public"), route


def test_a_route_is_public_only_if_it_is_listed() -> None:
    with pytest.raises(ValueError, match="PUBLIC_PATHS"):
        Router[shell_app.App]("x").get("/secrets", scope=Scope.PUBLIC, summary="x", response={})


def test_a_route_is_declared_once() -> None:
    with pytest.raises(ValueError, match="declared twice"):
        build_api(make_app, [shell_app.router, shell_app.router])


# --- failures


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("invalid", 400, "invalid_input"),
        ("period", 400, "invalid_input"),
        ("missing", 404, "not_found"),
        ("conflict", 409, "conflict"),
        ("large", 413, "too_large"),
        ("database", 503, "database_unavailable"),
        ("setting", 500, "setting"),
        ("credential", 502, "provider_credential"),
        ("provider", 502, "provider"),
    ],
)
def test_every_error_has_its_status(api: httpx.Client, kind: str, status: int, code: str) -> None:
    response = api.get(f"/fail/{kind}")
    assert response.status_code == status
    error = error_of(response)
    assert (error["code"], error["message"]) == (code, str(shell_app.FAILURES[kind]))
    assert error["details"] == ([{"field": "a", "message": "b"}] if kind == "invalid" else [])
    assert ("retry-after" in response.headers) == (status == 503)


@pytest.mark.parametrize("kind", ["value", "key", "unheard-of"])
def test_an_unexpected_error_names_its_request_and_nothing_else(
    api: httpx.Client, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    with caplog.at_level(logging.ERROR):
        response = api.get(f"/fail/{kind}")
    assert response.status_code == 500
    error = error_of(response)
    assert error["code"] == "internal"
    assert "secret" not in response.text
    assert "Traceback" not in response.text
    request_id = str(error["message"]).rstrip(".").rpartition(" ")[2]
    assert len(request_id) == 32
    assert any(request_id in record.getMessage() and record.exc_info for record in caplog.records)


def test_a_wrong_setting_is_answered_too() -> None:
    def broken() -> shell_app.App:
        raise SettingError("Set DATABASE_URL; .env.example says what it is for.")

    with httpx.Client(transport=HandlerTransport(build_api(broken, []))) as api:
        response = api.get("http://api.test/health")
    assert (response.status_code, error_of(response)["code"]) == (500, "setting")


@pytest.mark.parametrize(
    ("path", "near"),
    [("/ecko/a", "/echo/{name}"), ("/bodi", "/body"), ("/zzzzzzzzzz", "GET / lists"), ("/echo/a/b", "/echo/{name}")],
)
def test_an_unknown_path_names_the_nearest(api: httpx.Client, path: str, near: str) -> None:
    response = api.get(path)
    assert response.status_code == 404
    assert near in str(error_of(response)["message"])


def test_another_method_is_405_and_says_which_there_are(api: httpx.Client) -> None:
    response = api.delete("/echo/a")
    assert response.status_code == 405
    assert response.headers["allow"] == "GET, HEAD, OPTIONS"
    assert error_of(response)["code"] == "method_not_allowed"


# --- answers


def test_a_trailing_slash_does_not_matter(api: httpx.Client) -> None:
    assert api.get("/list/").json() == [{"cost": 0.1}]


def test_head_is_get_without_its_body(api: httpx.Client) -> None:
    response = api.head("/plain")
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-type"] == "text/csv"


def test_options_without_origins(api: httpx.Client) -> None:
    response = api.options("/body")
    assert (response.status_code, response.headers["allow"]) == (204, "OPTIONS, POST")
    assert api.options("/zzz").status_code == 404
    assert "access-control-allow-origin" not in response.headers


def test_browsers_of_listed_origins_may_call() -> None:
    asking = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "POST"}
    with make_client(None, CORS_ORIGINS="https://app.example.com,https://b.example.com") as api:
        preflight = api.options("/body", headers=asking)
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-origin"] == "https://app.example.com"
        assert "POST" in preflight.headers["access-control-allow-methods"]
        assert "X-Api-Key" in preflight.headers["access-control-allow-headers"]
        refused = api.get("/list", headers=asking)
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, asking["Origin"])
        other = api.get("/list", headers={"Origin": "https://evil.example.com", "X-API-Key": KEY})
        assert "access-control-allow-origin" not in other.headers


def test_big_answers_are_compressed_where_that_is_understood(api: httpx.Client) -> None:
    small = api.get("/plain")
    assert small.headers["content-encoding"] == "gzip"
    assert small.text == "line\n" * 10_000
    whole = api.get("/plain", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in whole.headers
    assert whole.content == small.content
    assert whole.headers["link"] == "<x>; rel=next"


def test_answers_are_not_cached(api: httpx.Client) -> None:
    assert api.get("/list").headers["cache-control"] == "no-store"


# --- health


@pytest.mark.parametrize("path", ["/health", "/api/health"])
def test_liveness_does_not_touch_the_database(path: str) -> None:
    with make_client(None) as api:
        assert api.get(path).json() == {
            "status": "ok",
            "version": "0.1.0",
            "timestamp": "2026-11-23T10:15:30.250000Z",
            "environment": "test",
        }


def test_readiness_without_a_database_is_degraded(api: httpx.Client) -> None:
    response = api.get("/health/ready")
    content = response.json()
    assert response.status_code == 503
    assert (content["status"], content["checks"]) == ("degraded", {"database": "unavailable"})
    assert content["error"]["code"] == "database_unavailable"
    assert int(response.headers["retry-after"]) > 0


def test_the_index_lists_every_route_and_where_the_documentation_is(api: httpx.Client) -> None:
    content = api.get("/").json()
    assert content["docs"] == "http://api.test/docs"
    assert {"method": "POST", "path": "/body", "scope": "usage:write", "summary": "The body, as decoded"} in content[
        "routes"
    ]


def test_a_stage_is_part_of_links_and_not_of_paths() -> None:
    event = {
        "rawPath": "/prod/echo/a",
        "rawQueryString": "",
        "headers": {"X-API-Key": KEY, "x-forwarded-proto": "https"},
        "requestContext": {
            "stage": "prod",
            "domainName": "abc.execute-api.eu-central-1.amazonaws.com",
            "http": {"method": "GET", "path": "/prod/echo/a"},
        },
    }
    result = make_handler()(event, None)
    assert result["statusCode"] == 200
    base = "https://abc.execute-api.eu-central-1.amazonaws.com/prod"
    assert f'"base":"{base}"' in result["body"]
    assert f'"next":"{base}/echo/a?cursor=a+b"' in result["body"]
