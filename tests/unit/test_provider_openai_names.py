"""OpenAI's projects and keys as names, and the project that stands for the organisation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from shared.errors import CredentialError, MalformedResponseError, ProviderError
from tests.fixtures.providers.openai_answers import EMPTY, connected
from tests.fixtures.providers.recording import reply
from tests.fixtures.providers.wire import refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    import httpx


def listing(items: Sequence[dict[str, Any]], *, more: bool = False) -> httpx.Response:
    return reply({"object": "list", "data": items, "has_more": more, "last_id": items[-1]["id"] if items else None})


def project(name: str, **more: object) -> dict[str, Any]:
    return {"id": f"proj_{name}", "name": name, "created_at": 5, "status": "active", "archived_at": None, **more}


def test_archived_projects_are_asked_for_and_lists_are_paged() -> None:
    provider, requests = connected(
        listing([project("a")], more=True),
        listing([project("b")]),
        listing([{"id": "key_1", "name": "one"}], more=True),
        listing([{"id": "key_2", "name": "two"}]),
        listing([]),
    )
    assert [(one.kind, one.id, one.workspace_id) for one in provider.names()] == [
        ("workspace", "proj_a", None),
        ("key", "key_1", "proj_a"),
        ("key", "key_2", "proj_a"),
        ("workspace", "proj_b", None),
    ]
    assert [str(request.url.raw_path, "ascii").removeprefix("/v1/organization/projects") for request in requests] == [
        "?include_archived=true&limit=100",
        "?include_archived=true&limit=100&after=proj_a",
        "/proj_a/api_keys?limit=100",
        "/proj_a/api_keys?limit=100&after=key_1",
        "/proj_b/api_keys?limit=100",
    ]


def test_an_archived_project_may_have_lost_its_keys() -> None:
    gone = reply({"error": {"message": "Project not found."}}, 404)
    provider, _ = connected(listing([project("a", status="archived", archived_at=7)]), gone)
    (name,) = provider.names()
    assert (name.name, name.archived) == ("a", True)
    provider, _ = connected(listing([project("a")]), gone)
    with pytest.raises(ProviderError, match="404"):
        provider.names()


def test_a_key_is_called_as_it_is_or_as_its_service_account() -> None:
    owner = {"type": "service_account", "service_account": {"id": "user-1", "name": "nightly"}}
    person = {"type": "user", "user": {"id": "user-2", "name": "Ada", "email": "ada@example.test"}}
    keys: list[dict[str, Any]] = [
        {"id": "key_1", "name": "named", "owner": owner},
        {"id": "key_2", "name": None, "owner": owner},
        {"id": "key_3", "name": "", "owner": person},
    ]
    provider, _ = connected(listing([project("a")]), listing(keys))
    assert [name.name for name in provider.names() if name.kind == "key"] == ["named", "nightly", "key_3"]


def test_the_oldest_project_stands_for_the_organisation() -> None:
    found = [project("b", created_at=9), project("a", created_at=3, archived_at=8), project("c", created_at=3)]
    provider, requests = connected(reply(EMPTY), listing(found))
    owner = provider.owner()
    assert (owner.id, owner.name) == ("proj_a", "the organisation of the project a")
    assert requests[0].url.path == "/v1/organization/usage/completions"
    assert requests[0].url.params["limit"] == "1"
    provider, _ = connected(reply(EMPTY), listing([]))
    refused(MalformedResponseError, provider.owner)


def test_a_key_that_may_see_projects_and_no_figures_is_refused() -> None:
    missing = {"error": {"message": "You have insufficient permissions. Missing scopes: api.usage.read."}}
    provider, _ = connected(reply(missing, 403), listing([project("a")]))
    with pytest.raises(CredentialError, match=r"api\.usage\.read"):
        provider.owner()
