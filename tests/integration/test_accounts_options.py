"""What an account's provider needs to know: taken, kept and refused by the name of the option."""

from typing import Any

import pytest

from tests.integration.account_world import World

# Nobody listens there, so that a credential is stored without having been tried.
NOWHERE = {"base_url": "http://127.0.0.1:9"}
COPILOT = {"name": "copilot", "provider": "copilot", "credential": "github_pat_of_somebody"}


def _refused(world: World, method: str, path: str, body: dict[str, Any]) -> tuple[str, str]:
    status, found = world.ask(method, path, body)
    assert status == 400, found
    [detail] = found["error"]["details"]
    assert detail["message"] == found["error"]["message"]
    return detail["field"], detail["message"]


@pytest.mark.parametrize(
    ("options", "field", "says"),
    [
        ({}, "options.organization", "needs one of the options organization, user or enterprise."),
        ({"user": "a", "enterprise": "b"}, "options.enterprise", "not user and enterprise together."),
        ({"organisation": "acme"}, "options.organisation", "known are base_url, organization, user, enterprise."),
        ({"organization": ""}, "options.organization", "must be text of 1 to 200"),
        ({"organization": 7}, "options.organization", "must be text"),
        ({"organization": "acme", "base_url": "ftp://x"}, "options.base_url", "must be an https address"),
        ("acme", "options", "options must be an object"),
    ],
)
def test_an_option_that_is_wrong_is_named(world: World, options: object, field: str, says: str) -> None:
    for method, path in (("POST", "/api/accounts"), ("POST", "/api/accounts/test")):
        body = {name: value for name, value in COPILOT.items() if name != "name" or not path.endswith("test")}
        named, said = _refused(world, method, path, {**body, "options": options})
        assert (named, says in said) == (field, True)
    assert world.ok("GET", "/api/accounts")["data"] == []


def test_a_polled_account_keeps_options_with_which_it_can_be_polled(world: World) -> None:
    made = world.ok("POST", "/api/accounts", {**COPILOT, "options": {**NOWHERE, "organization": "acme"}})
    assert made["data"]["options"] == {**NOWHERE, "organization": "acme"}
    assert made["warning"].startswith("Stored, but not tried")
    path = f"/api/accounts/{made['data']['id']}"
    assert _refused(world, "PUT", path, {"options": NOWHERE})[0] == "options.organization"
    changed = world.ok("PUT", path, {"options": {**NOWHERE, "organization": "other"}})
    assert changed["data"]["options"]["organization"] == "other"
    assert world.ok("PUT", path, {"monthly_limit": 5})["data"]["options"]["organization"] == "other"


def test_a_credential_needs_the_options_that_events_did_without(world: World) -> None:
    made = world.ok("POST", "/api/accounts", {"name": "copilot", "provider": "github-copilot"})["data"]
    path = f"/api/accounts/{made['id']}"
    credential = {"credential": COPILOT["credential"]}
    assert _refused(world, "PUT", path, credential)[0] == "options.organization"
    [found] = [row for row in world.ok("GET", "/api/services")["data"] if row["id"] == "github-copilot"]
    assert (found["tracked"], found["settings"]) == ("api", [])
    assert [one["name"] for one in found["options"]] == ["base_url", "organization", "user", "enterprise"]
