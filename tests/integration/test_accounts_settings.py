"""Accounts beside each other: whose key is a setting, which is the default, what an end leaves; services."""

from collections.abc import Callable

from infra.demo.anthropic import ADMIN_KEY, FakeAnthropic
from tests.integration.account_world import World
from tests.integration.collecting import NOW


def test_the_default_is_chosen_and_given_back(world: World) -> None:
    first = world.add(default=False)["data"]
    second = world.ok("POST", "/api/accounts", {"name": "events", "provider": "claude"})["data"]
    assert (first["default"], second["default"]) == (True, False)
    assert second["state"] == "not_polled"
    path = f"/api/accounts/{second['id']}"
    assert world.ok("PUT", path, {"default": True})["data"]["default"] is True
    assert world.ok("GET", f"/api/accounts/{first['id']}")["data"]["default"] is False
    event = world.ok("POST", "/api/usage", {"model": "claude-sonnet-4-5", "tokens_in": 1, "tokens_out": 1})
    assert event["data"]["account"] == "events"
    world.ok("PUT", path, {"default": False})
    assert world.ok("GET", f"/api/accounts/{first['id']}")["data"]["default"] is True


def test_an_account_without_a_credential_has_nothing_to_collect(world: World) -> None:
    made = world.ok("POST", "/api/accounts", {"name": "events", "provider": "anthropic"})["data"]
    for action in ("test", "sync"):
        assert "no credential" in world.refused(409, "POST", f"/api/accounts/{made['id']}/{action}")
    assert world.refused(404, "GET", "/api/accounts/999").startswith("There is no account 999")
    assert world.refused(404, "POST", "/api/accounts/999/test")


def test_every_service_says_how_it_is_tracked(world: World) -> None:
    world.add()
    found = {row["id"]: row for row in world.ok("GET", "/api/services")["data"]}
    assert found["anthropic"]["tracked"] == "api"
    assert found["anthropic"]["settings"][0] == "ANTHROPIC_ADMIN_KEY"
    assert [row["name"] for row in found["anthropic"]["accounts"]] == ["design"]
    assert found["claude-max"] == {**found["claude-max"], "tracked": "manual", "has_account": False}
    assert {"groq", "perplexity", "mistral", "local", "copilot-seats", "kimi-moderato"} <= set(found)
    for row in found.values():
        assert row["guidance"].endswith(".")


def test_what_is_not_polled_does_not_hold_the_coverage_back(world: World) -> None:
    path = f"/api/accounts/{world.add()['data']['id']}"
    assert world.ok("POST", f"{path}/sync", wait="28")["status"] == "succeeded"
    world.ok("POST", "/api/accounts", {"name": "events", "provider": "anthropic"})
    assert world.ok("GET", "/costs/daily")["coverage"]["complete_until"] == "2026-11-20T10:20:00Z"
    total = world.ok("GET", "/costs/daily")["total_cost"]
    removed = world.ok("DELETE", path, usage="keep", wait="28")
    assert removed["result"]["usage"] == "keep"
    after = world.ok("GET", "/costs/daily")
    assert (after["total_cost"], after["coverage"]["complete_until"]) == (total, None)


def test_an_account_is_deleted_by_a_run_that_knows_who_asked(world: World) -> None:
    account = world.add()["data"]
    path = f"/api/accounts/{account['id']}"
    assert world.ok("POST", f"{path}/sync", wait="28")["status"] == "succeeded"
    message = world.refused(409, "DELETE", path)
    assert "add usage=keep to archive it with its figures, or usage=delete" in message
    archived = world.ok("DELETE", path, usage="keep", wait="28")
    assert archived["status"] == "succeeded"
    assert world.ok("GET", path)["data"]["state"] == "archived"
    assert "no credential" in world.refused(409, "POST", f"{path}/sync")
    # Its own key opens it again, and its figures go on where they ended.
    again = world.ok("PUT", path, {"credential": ADMIN_KEY})["data"]
    assert (again["state"], again["archived_at"]) == ("new", None)
    run = world.ok("POST", f"{path}/sync", wait="28")
    assert run["status"] == "succeeded"
    assert run["result"]["accounts"][0]["streams"][0]["new"] == 0
    gone = world.ok("DELETE", path, usage="delete", wait="28")
    assert (gone["status"], gone["result"]["name"]) == ("succeeded", "design")
    assert world.ok("GET", "/costs/summary/monthly")["total_cost"] == 0
    assert world.refused(404, "GET", path)
    noted = world.app.database.run(lambda c: c.execute("SELECT actor, action, run_id FROM audit_log").fetchall())
    actions = [row["action"] for row in noted]
    assert actions == ["account added", "account archived", "account changed", "account deleted"]
    assert {row["actor"] for row in noted} == {noted[0]["actor"]}
    assert noted[-1]["run_id"] == gone["id"]


def test_an_account_whose_key_is_a_setting_is_there_and_read_only(opened: Callable[..., World]) -> None:
    with FakeAnthropic(clock=lambda: NOW) as env:
        world = opened(env=env)
        [account] = world.ok("GET", "/api/accounts")["data"]
        assert (account["name"], account["origin"], account["setting"]) == (
            "anthropic", "environment", "ANTHROPIC_ADMIN_KEY",
        )  # fmt: skip
        assert (account["state"], account["has_credential"], account["default"]) == ("new", True, True)
        path = f"/api/accounts/{account['id']}"
        for method, body in (("PUT", {"monthly_limit": 5}), ("DELETE", None)):
            message = world.refused(409, method, path, body)
            assert message.startswith("The account anthropic is read-only: its key is the setting ANTHROPIC_ADMIN_KEY")
        assert world.ok("POST", f"{path}/test")["ok"] is True
        assert world.ok("POST", f"{path}/sync", wait="28")["status"] == "succeeded"
        # Another organisation beside it, and the same one refused.
        assert "counted under the account anthropic" in world.refused(
            409, "POST", "/api/accounts",
            {"name": "x", "provider": "anthropic", "credential": ADMIN_KEY, "options": {"base_url": env.url}},
        )  # fmt: skip
        world.fake.organisation = {"id": "another", "name": "Another", "type": "organization"}
        world.add("another")
        run = world.ok("POST", "/admin/collect", {}, wait="28")
        assert [(one["account"], one["status"]) for one in run["result"]["accounts"]] == [
            ("anthropic", "succeeded"), ("another", "succeeded"),
        ]  # fmt: skip
        found = {row["key"] for row in world.ok("GET", "/costs/by-account")["data"]}
        assert found == {"anthropic", "another"}


def test_a_key_that_was_taken_away_can_be_archived_and_comes_back_by_being_set(opened: Callable[..., World]) -> None:
    with FakeAnthropic(clock=lambda: NOW) as env:
        before = opened(env=env)
        assert before.ok("POST", "/admin/collect", {}, wait="28")["status"] == "succeeded"
        without = opened()
        [account] = without.ok("GET", "/api/accounts")["data"]
        assert (account["state"], account["setting"]) == ("not_polled", None)
        path = f"/api/accounts/{account['id']}"
        assert without.ok("DELETE", path, usage="keep", wait="28")["status"] == "succeeded"
        assert "is archived" in without.refused(409, "PUT", path, {"default": True})
        assert before.ok("POST", "/admin/collect", {}, wait="28")["status"] == "succeeded"
        assert before.ok("GET", path)["data"]["state"] == "ok"


def test_the_demo_takes_no_credentials(opened: Callable[..., World]) -> None:
    world = opened(is_demo=True)
    body = {"name": "mine", "provider": "anthropic", "credential": ADMIN_KEY, "options": {"base_url": world.fake.url}}
    assert "This is the demo" in world.refused(409, "POST", "/api/accounts", body)
    made = world.ok("POST", "/api/accounts", {"name": "mine", "provider": "anthropic"})["data"]
    assert "This is the demo" in world.refused(409, "PUT", f"/api/accounts/{made['id']}", {"credential": ADMIN_KEY})
