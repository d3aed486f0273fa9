"""The whole API without a database: forged keys, routes and their scopes, and the document that describes them."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from functions import runtime
from functions.api import main
from functions.api.routing import KEY_SCOPES, PUBLIC_PATHS, Router, Scope
from infra.local.transport import HandlerTransport
from shared.config import Settings
from shared.core import keys
from shared.store.database import Database

if TYPE_CHECKING:
    from functions.runtime import App

PEPPER = "pepper-of-the-tests"
KEY = "bootstrap-of-the-tests"
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


class Untouchable(Database):
    """A database that must not be asked."""

    def transaction(self) -> NoReturn:
        raise AssertionError("the database was touched")


def make_app(**environ: str) -> App:
    given = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "API_KEY": KEY, "KEY_PEPPER": PEPPER, **environ}
    app = runtime.build(Settings.load(given), httpx.Client(trust_env=False), dispatch=lambda _app, _run: None)
    return replace(app, database=Untouchable("postgresql://nobody@127.0.0.1:1/none"))


def make_client(app: App, **headers: str) -> httpx.Client:
    transport = HandlerTransport(main.build(lambda: app))
    return httpx.Client(transport=transport, base_url="http://api.test", headers=headers)


def forged(rng: random.Random) -> str:
    """What somebody without the pepper can send: noise of every shape, and keys as like ours as can be."""
    key = keys.mint(rng.randbytes(keys.ENTROPY_BYTES))
    text = keys.write(key, rng.choice(["", "pepper", PEPPER.upper()]))
    genuine = keys.write(key, PEPPER)
    position = rng.randrange(len(genuine) - keys.TAG_LENGTH, len(genuine))
    other = rng.choice([character for character in ALPHABET if character != genuine[position]])
    return rng.choice(
        [
            text,
            genuine[:position] + other + genuine[position + 1 :],
            genuine[: -rng.randint(1, 40)],
            genuine.upper(),
            keys.PREFIX + "".join(rng.choices(ALPHABET, k=60)),
            "".join(rng.choices("abc-._~0 ", k=rng.randint(1, 200))).strip() or "x",
        ]
    )


def test_ten_thousand_forged_keys_ask_nothing_and_get_one_answer() -> None:
    rng = random.Random(20261120)  # noqa: S311 - forgeries, the same at each run
    with make_client(make_app()) as api:
        answers = set()
        for number in range(10_000):
            key = forged(rng)
            headers = {"X-API-Key": key} if number % 2 else {"Authorization": f"Bearer {key}"}
            response = api.get("/costs/daily", headers=headers)
            answers.add((response.status_code, response.content, tuple(response.headers.items())))
        assert len(answers) == 1
        assert answers.pop()[0] == 401
        # That the database would have been noticed:
        genuine = keys.write(keys.mint(bytes(keys.ENTROPY_BYTES)), PEPPER)
        assert api.get("/costs/daily", headers={"X-API-Key": genuine}).status_code == 500


def test_without_a_pepper_stored_keys_are_off_and_the_bootstrap_key_works() -> None:
    genuine = keys.write(keys.mint(bytes(keys.ENTROPY_BYTES)), PEPPER)
    with make_client(make_app(KEY_PEPPER="")) as api:
        assert api.get("/costs/daily", headers={"X-API-Key": genuine}).status_code == 401
        refused = api.post("/admin/keys", headers={"X-API-Key": KEY}, json={"name": "N8N", "scopes": ["admin"]})
        assert refused.status_code == 500
        assert refused.json()["error"]["code"] == "setting"
        assert "KEY_PEPPER" in refused.json()["error"]["message"]


def test_half_a_surrogate_pair_is_a_wrong_key() -> None:
    event = {
        "rawPath": "/costs/daily",
        "rawQueryString": "",
        "headers": {"X-API-Key": "\ud800"},
        "requestContext": {"stage": "$default", "http": {"method": "GET", "path": "/costs/daily"}},
    }
    assert main.build(make_app)(event, None)["statusCode"] == 401


def routes() -> list[dict[str, str]]:
    with make_client(make_app()) as api:
        found: list[dict[str, str]] = api.get("/").json()["routes"]
        return found


def test_every_route_declares_a_scope_that_a_key_can_have() -> None:
    declared = [route for router in main.ROUTERS for route in router.routes]
    assert declared
    assert all(route.scope in KEY_SCOPES for route in declared)
    assert {scope.value for scope in KEY_SCOPES} == {"usage:write", "usage:read", "config:write", "admin"}
    assert {(route.method, route.path) for route in declared} <= {(r["method"], r["path"]) for r in routes()}


def test_a_route_without_a_scope_cannot_be_declared() -> None:
    declare: Any = Router[Any]("x").get
    with pytest.raises(KeyError, match="scope"):
        declare("/open", summary="x", response={})


def test_exactly_what_the_contract_lists_is_public() -> None:
    listed = {"/", "/health", "/api/health", "/openapi.json", "/docs", "/docs/{file}"}
    assert listed == PUBLIC_PATHS
    assert {route["path"] for route in routes() if route["scope"] == Scope.PUBLIC} == listed
    with make_client(make_app()) as api:
        for route in routes():
            response = api.request(route["method"], route["path"].replace("{file}", "start.js"))
            assert (response.status_code == 401) == (route["path"] not in listed), route


def test_the_document_of_the_whole_api_is_valid_openapi_3_1() -> None:
    with make_client(make_app()) as api:
        document = api.get("/openapi.json").json()
    OpenAPIV31SpecValidator(document).validate()
    operations = [(path, method) for path, methods in document["paths"].items() for method in methods]
    assert sorted(operations) == sorted((route["path"], route["method"].lower()) for route in routes())
    ids = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(set(ids)) == len(ids)
