"""What is wrong with a new key or a rotation is said without asking the database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from tests.unit.test_keys_whole_api import KEY, make_app, make_client

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

READ = "usage:read"


@pytest.fixture(scope="module")
def api() -> Iterator[httpx.Client]:
    app = replace(make_app(), clock=lambda: datetime(2026, 11, 20, 10, 30, tzinfo=UTC))
    with make_client(app, **{"X-API-Key": KEY}) as client:
        yield client


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ({"scopes": [READ]}, "field name"),
        ({"name": "  ", "scopes": [READ]}, "field name"),
        ({"name": "a" * 101, "scopes": [READ]}, "100"),
        ({"name": "a\x1b[2Jb", "scopes": [READ]}, "printable"),
        ({"name": 1, "scopes": [READ]}, "field name"),
        ({"name": "a"}, "usage:write"),
        ({"name": "a", "scopes": []}, "usage:write"),
        ({"name": "a", "scopes": "admin"}, "list"),
        ({"name": "a", "scopes": [1]}, "list"),
        ({"name": "a", "scopes": ["usage:raed"]}, "did you mean usage:read"),
        ({"name": "a", "scopes": ["public"]}, "Unknown scope 'public'"),
        ({"name": "a", "scope": [READ]}, "did you mean scopes"),
        ({"name": "a", "scopes": [READ], "expires_at": "tomorrow"}, "ISO 8601"),
        ({"name": "a", "scopes": [READ], "expires_at": 1}, "instant in the future"),
        ({"name": "a", "scopes": [READ], "expires_at": "2026-11-20T10:30:00Z"}, "instant in the future"),
        ([], "one JSON object"),
    ],
)
def test_what_is_wrong_with_a_new_key(api: httpx.Client, body: object, part: str) -> None:
    response = api.post("/admin/keys", json=body)
    assert response.status_code == 400
    assert part in response.json()["error"]["message"]


def test_every_unknown_scope_is_named(api: httpx.Client) -> None:
    body = {"name": "a", "scopes": ["usage:raed", READ, "config:rite"]}
    response = api.post("/admin/keys", json=body)
    assert [detail["message"].rpartition(" ")[2] for detail in response.json()["error"]["details"]] == [
        "usage:read?",
        "config:write?",
    ]


@pytest.mark.parametrize("minutes", [-1, 10_081, 1.5, "1", True])
def test_an_overlap_is_a_whole_number_of_minutes_up_to_a_week(api: httpx.Client, minutes: object) -> None:
    response = api.post("/admin/keys/0123456789ab/rotate", json={"overlap_minutes": minutes})
    assert response.status_code == 400
    assert "10080" in response.json()["error"]["message"]


@pytest.mark.parametrize("body", [{"overlap": 1}, {"overlap_minutes": 1, "scopes": [READ]}, {"name": "new"}])
def test_a_rotation_changes_nothing_else(api: httpx.Client, body: object) -> None:
    response = api.post("/admin/keys/0123456789ab/rotate", json=body)
    assert response.status_code == 400
    assert "Unknown field" in response.json()["error"]["message"]


def test_more_than_the_body_of_a_key_is_not_repeated(api: httpx.Client) -> None:
    response = api.post("/admin/keys", json={"name": "a", "scopes": ["x" * 1000]})
    assert "x" * 61 not in response.text
