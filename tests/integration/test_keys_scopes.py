"""Default deny: every declared route against a stored key of each single scope."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from functions.api.routing import KEY_SCOPES, PUBLIC_PATHS
from tests.integration.test_keys import BOOTSTRAP, Process, clock, process

if TYPE_CHECKING:
    import httpx

__all__ = ["clock", "process"]  # fixtures


def call(process: Process, route: dict[str, str], key: str) -> httpx.Response:
    # A parameter that no route has: whoever gets past the key is told so, and nothing is done.
    path = route["path"].replace("{id}", "1").replace("{", "").replace("}", "")
    headers = {"X-API-Key": key} if key else {}
    return process.http.request(route["method"], path, params={"no-such-parameter": "1"}, headers=headers)


@pytest.mark.parametrize("scope", sorted(KEY_SCOPES))
def test_a_key_of_one_scope_opens_the_routes_of_that_scope_only(process: Process, scope: str) -> None:
    made = process.makes(scope)["key"]
    listed = process.http.get("/").json()["routes"]
    assert len(listed) > 20
    for route in listed:
        expected = 403 if route["path"] not in PUBLIC_PATHS and route["scope"] != scope else 400
        response = call(process, route, made)
        assert response.status_code == expected, route
        if expected == 403:
            assert route["scope"] in response.json()["error"]["message"]


def test_without_a_key_nothing_but_the_public_routes_answers(process: Process) -> None:
    for route in process.http.get("/").json()["routes"]:
        assert call(process, route, "").status_code == (400 if route["path"] in PUBLIC_PATHS else 401), route
        assert call(process, route, BOOTSTRAP).status_code == 400, route
