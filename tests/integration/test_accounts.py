"""Stored accounts over HTTP: a credential that is tried and sealed, collected with, replaced, and never shown."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from infra.demo.anthropic import ADMIN_KEY
from infra.demo.faults import Fault
from tests.integration.account_world import World

ORDINARY = "sk-ant-api03-an-ordinary-one"


def test_a_stored_account_is_collected_like_the_others(world: World) -> None:
    made = world.add(monthly_limit=Decimal("250.10"))
    assert made["warning"] is None
    account = made["data"]
    assert (account["state"], account["has_credential"], account["setting"]) == ("new", True, None)
    assert account["monthly_limit"] == Decimal("250.10")
    assert account["options"] == {"base_url": world.fake.url}
    run = world.ok("POST", f"/api/accounts/{account['id']}/sync", wait="28")
    assert run["status"] == "succeeded", run
    assert [one["account"] for one in run["result"]["accounts"]] == ["design"]
    after = world.ok("GET", f"/api/accounts/{account['id']}")["data"]
    assert after["state"] == "ok"
    assert after["collected_at"] == "2026-11-20T10:30:00Z"
    # The report trails by ten minutes.
    assert (after["lag_seconds"], after["usual_lag_seconds"]) == (600, 600)
    assert world.ok("GET", "/costs/by-account")["data"][0]["key"] == "design"
    # The schedule polls it as well.
    everything = world.ok("POST", "/admin/collect", {}, wait="28")
    assert [one["account"] for one in everything["result"]["accounts"]] == ["design"]


def test_the_credential_is_in_no_answer_and_in_no_table(world: World) -> None:
    account = world.add()["data"]
    world.ok("PUT", f"/api/accounts/{account['id']}", {"name": "art", "credential": ADMIN_KEY})
    answers = [
        world.http.request(method, path).text
        for method, path in (
            ("GET", "/api/accounts"), ("GET", f"/api/accounts/{account['id']}"), ("GET", "/api/services"),
            ("POST", f"/api/accounts/{account['id']}/test"),
        )
    ]  # fmt: skip
    rows = world.app.database.run(
        lambda c: [*c.execute("SELECT * FROM accounts").fetchall(), *c.execute("SELECT * FROM audit_log").fetchall()]
    )
    for text in (*answers, repr(rows), repr([bytes(row["credential"]) for row in rows if row.get("credential")])):
        assert ADMIN_KEY not in text


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"credential": ORDINARY}, "This is an ordinary API key of Anthropic"),
        ({"credential": "sk-ant-admin01-unknown-to-them"}, "does not know this key"),
        ({"credential": "two words"}, "holds characters that no key has"),
        ({"credential": ""}, "holds characters that no key has"),
        ({"options": {"base_url": "http://api.example.com"}}, "option base_url must be an https address"),
        ({"options": {"region": "eu"}}, "no option 'region'; known are base_url"),
        ({"options": []}, "options must be an object"),
        ({"options": {"base_url": 7}}, "must be text"),
        ({"provider": "perplexity"}, "cannot be polled"),
        ({"monthly_limit": -1}, "cannot be negative"),
        ({"default": "yes"}, "true or false"),
        ({"name": "anthropic"}, "whose key is a setting"),
        ({"name": "none"}, "cannot be called none"),
        ({"nmae": "x"}, "did you mean name"),
    ],
)
def test_what_cannot_be_stored_is_refused_and_says_why(world: World, fields: dict[str, Any], says: str) -> None:
    body = {"name": "x", "provider": "anthropic", "credential": ADMIN_KEY, "options": {"base_url": world.fake.url}}
    message = world.refused(400, "POST", "/api/accounts", {**body, **fields})
    assert says in message
    assert ADMIN_KEY not in message
    assert world.ok("GET", "/api/accounts")["data"] == []


def test_a_provider_that_is_away_leaves_the_credential_untried(world: World) -> None:
    made = world.add(options={"base_url": "http://127.0.0.1:9"})
    assert made["warning"].startswith("Stored, but not tried: Anthropic could not be reached")
    assert made["data"]["has_credential"] is True


def test_an_owner_is_counted_once(world: World) -> None:
    account = world.add()["data"]
    message = world.refused(
        409, "POST", "/api/accounts",
        {"name": "second", "provider": "anthropic", "credential": ADMIN_KEY, "options": {"base_url": world.fake.url}},
    )  # fmt: skip
    assert "counted under the account design already" in message
    # Where nobody could say at first whose it is, the collection finds out.
    away = world.add("third", options={"base_url": "http://127.0.0.1:9"})["data"]
    changed = world.ok("PUT", f"/api/accounts/{away['id']}", {"name": "fourth"})["data"]
    assert changed["name"] == "fourth"
    assert "counted under" in world.refused(
        409, "PUT", f"/api/accounts/{away['id']}",
        {"credential": ADMIN_KEY, "options": {"base_url": world.fake.url}},
    )  # fmt: skip
    tried = world.ok(
        "POST", "/api/accounts/test",
        {"provider": "anthropic", "credential": ADMIN_KEY, "options": {"base_url": world.fake.url}},
    )  # fmt: skip
    assert (tried["ok"], tried["code"]) == (False, "counted_already")
    assert world.ok("POST", f"/api/accounts/{account['id']}/test")["ok"] is True


def test_a_credential_is_rotated(world: World) -> None:
    account = world.add()["data"]
    path = f"/api/accounts/{account['id']}"
    world.fake.admin_key = "sk-ant-admin01-the-next-one"
    tested = world.ok("POST", f"{path}/test")
    assert (tested["ok"], tested["code"]) == (False, "unknown_key")
    run = world.ok("POST", f"{path}/sync", wait="28")
    assert run["status"] == "failed"
    assert world.ok("GET", path)["data"]["state"] == "credential_refused"
    after = world.ok("PUT", path, {"credential": "sk-ant-admin01-the-next-one"})
    assert (after["data"]["state"], after["data"]["error"]) == ("new", None)
    assert world.ok("POST", f"{path}/test")["message"] == "The key reads the usage of Peak & Pine (demo)."
    assert world.ok("POST", f"{path}/sync", wait="28")["status"] == "succeeded"


def test_another_address_needs_the_credential_again(world: World) -> None:
    path = f"/api/accounts/{world.add()['data']['id']}"
    message = world.refused(400, "PUT", path, {"options": {"base_url": "https://elsewhere.example.com"}})
    assert "Send the credential again" in message
    assert "Send the credential again" in world.refused(400, "PUT", path, {"options": {}})
    assert world.ok("POST", f"{path}/test")["ok"] is True


@pytest.mark.parametrize(
    ("fault", "code", "says"),
    [
        (Fault(status=401, payload={"error": {"message": "API key expired on Monday"}}), "expired", "has expired"),
        (Fault(status=403), "missing_permission", "does not let it read usage"),
        (Fault(status=403, payload={"error": {"message": "individual accounts"}}), "personal_account", "personal"),
        (Fault(status=500, times=None), "network", "answered with status 500"),
        (Fault(cut=True, times=None), "network", "broke the connection"),
        (Fault(text="<html>"), "network", "is not Anthropic"),
    ],
)  # fmt: skip
def test_a_test_says_in_one_sentence_what_is_wrong(world: World, fault: Fault, code: str, says: str) -> None:
    account = world.add()["data"]
    world.fake.faults.append(fault)
    found = world.ok("POST", f"/api/accounts/{account['id']}/test")
    assert (found["ok"], found["code"]) == (False, code)
    assert says in found["message"]
    assert ADMIN_KEY not in repr(found)
    assert world.ok("GET", f"/api/accounts/{account['id']}")["data"]["state"] == "new"


def test_a_key_file_that_is_lost_fails_its_accounts_with_a_sentence(world: World, tmp_path: Path) -> None:
    path = f"/api/accounts/{world.add()['data']['id']}"
    (tmp_path / "credential-key").unlink()
    found = world.ok("POST", f"{path}/test")
    assert found["code"] == "unreadable"
    assert "bring the file back from a backup, or store the credential again" in found["message"]
    assert world.ok("POST", f"{path}/sync", wait="28")["status"] == "failed"
    account = world.ok("GET", path)["data"]
    assert (account["state"], "key file" in account["error"]) == ("failing", True)
