"""Prepaid money over days of collections: runway to the digit, top-ups left out, nothing of it ever a cost."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from shared.store.database import Connection
from shared.workflows.verify import verify
from tests.fixtures.providers.prepaid import FakeDeepSeek, Purse
from tests.integration.account_world import World
from tests.integration.collecting import NOW

KEY = "sk-0123456789abcdef0123456789abcdef"


class Prepaid:
    """The API with one DeepSeek account, and a clock that collects as it goes."""

    def __init__(self, opened: Callable[..., World]) -> None:
        self.now = NOW
        self.fake = FakeDeepSeek(KEY, {"USD": Purse(granted=Decimal(5), topped_up=Decimal(15))})
        self.http = httpx.Client(transport=httpx.MockTransport(self.fake))
        self.world = opened(open_http=lambda: self.http, clock=lambda: self.now)
        body = {"name": "chat", "provider": "deepseek", "credential": KEY}
        self.account = self.world.ok("POST", "/api/accounts", body)["data"]["id"]

    def collect(self, hours: int = 0) -> dict[str, Any]:
        self.now += timedelta(hours=hours)
        run: dict[str, Any] = self.world.ok("POST", f"/api/accounts/{self.account}/sync", wait="28")
        return run

    def shown(self) -> dict[str, Any]:
        found: dict[str, Any] = self.world.ok("GET", f"/api/accounts/{self.account}")["data"]
        assert [found] == self.world.ok("GET", "/api/accounts")["data"]
        return found

    def runway(self) -> dict[str, Any]:
        (found,) = self.shown()["runway"]
        return dict(found)


@pytest.fixture
def prepaid(opened: Callable[..., World]) -> Prepaid:
    return Prepaid(opened)


def test_the_runway_over_days_with_a_top_up_in_between(prepaid: Prepaid, connection: Connection) -> None:
    assert prepaid.shown()["balance"] == prepaid.shown()["runway"] == []
    run = prepaid.collect()
    assert (run["status"], run["result"]["accounts"][0]["streams"]) == ("succeeded", [])
    assert run["result"]["accounts"][0]["balances"] == [{"currency": "USD", "available": 20}]
    found = prepaid.shown()
    assert found["balance"] == [
        {
            "currency": "USD", "available": 20, "granted": 5, "topped_up": 15, "called": "total balance",
            "at": "2026-11-20T10:30:00Z",
        }
    ]  # fmt: skip
    assert (found["state"], found["complete_until"], found["lag_seconds"]) == ("ok", None, None)
    assert prepaid.runway()["days"] is None
    assert prepaid.runway()["reason"].startswith("Less than a day")

    for amount in ("0.70", "1.30", "0", "2.05"):
        prepaid.fake.purses["USD"].spend(amount)
        prepaid.collect(hours=12)
    prepaid.fake.purses["USD"].spend("3.00")
    prepaid.fake.purses["USD"].topped_up += 50
    prepaid.collect(hours=12)
    prepaid.fake.purses["USD"].spend("1.15")
    prepaid.collect(hours=12)

    # 5.20 in two days and a half; the half day with the top-up is in neither.
    assert prepaid.runway() == {
        "currency": "USD",
        "days": Decimal("29.7"),  # 61.80 / 2.08 = 29.71...
        "lasts_until": "2026-12-23T03:34:00Z",
        "spent_per_day": Decimal("2.08"),
        "spent": Decimal("5.2"),
        "days_observed": Decimal("2.5"),
        "top_ups": 1,
        "since": "2026-11-20T10:30:00Z",
        "until": "2026-11-23T10:30:00Z",
        "reason": None,
        "note": "Differences between balances, one with a top-up left out; an estimate that is never booked as cost.",
    }
    assert prepaid.world.ok("GET", "/costs/range", start="2026-11-01", end="2026-11-23")["total_cost"] == 0
    assert connection.execute("SELECT count(*) AS lines FROM ledger").fetchone() == {"lines": 0}
    assert verify(prepaid.world.app.database, repair=False)["drift"] == []


def test_currencies_are_apart_and_one_that_is_gone_is_not_shown(prepaid: Prepaid) -> None:
    prepaid.fake.purses["CNY"] = Purse(topped_up=Decimal(100))
    prepaid.collect()
    prepaid.fake.purses["CNY"].spend("12.50")
    prepaid.collect(hours=30)
    by_currency = {one["currency"]: one for one in prepaid.shown()["runway"]}
    assert (by_currency["CNY"]["spent_per_day"], by_currency["CNY"]["days"]) == (10, Decimal("8.7"))
    assert by_currency["USD"]["reason"] == "Nothing was spent in this time."
    del prepaid.fake.purses["USD"]
    prepaid.collect(hours=1)
    assert [one["currency"] for one in prepaid.shown()["balance"]] == ["CNY"]
    prepaid.fake.purses.clear()
    prepaid.collect(hours=1)
    assert (prepaid.shown()["balance"], prepaid.shown()["runway"]) == ([], [])


def test_the_same_collection_twice_is_one_and_older_ones_are_forgotten(
    prepaid: Prepaid, connection: Connection
) -> None:
    prepaid.collect()
    prepaid.fake.purses["USD"].spend("4")
    prepaid.collect()
    assert prepaid.shown()["balance"][0]["available"] == 20
    prepaid.collect(hours=24)
    assert prepaid.runway()["spent_per_day"] == 4
    prepaid.collect(hours=15 * 24)
    assert prepaid.runway()["reason"].startswith("Less than a day")
    assert connection.execute("SELECT count(*) AS kept FROM balances").fetchone() == {"kept": 3}


def test_reports_of_others_do_not_wait_for_an_account_without_any(prepaid: Prepaid, connection: Connection) -> None:
    prepaid.collect()
    complete = "2026-11-20T09:00:00Z"
    connection.execute(
        "INSERT INTO accounts (name, provider, origin, covered_from, complete_until) "
        "VALUES ('reported', 'anthropic', 'environment', '2026-11-01Z', %s)",
        [complete],
    )
    assert prepaid.world.ok("GET", "/costs/daily")["coverage"]["complete_until"] == complete


def test_a_failure_is_told_and_the_last_balance_stays(prepaid: Prepaid) -> None:
    prepaid.collect()
    prepaid.fake.failure = httpx.Response(401, json={"error": {"message": "Authentication Fails (governor)"}})
    run = prepaid.collect(hours=6)
    assert run["status"] == "failed"
    found = prepaid.shown()
    assert (found["state"], found["balance"][0]["available"]) == ("credential_refused", 20)
    assert "DeepSeek refused the key with status 401 (Authentication Fails (governor))" in found["error"]
    assert KEY not in found["error"]
    tried = prepaid.world.ok("POST", f"/api/accounts/{prepaid.account}/test")
    assert (tried["ok"], tried["code"]) == (False, "unknown_key")
    prepaid.fake.failure = None
    tried = prepaid.world.ok("POST", f"/api/accounts/{prepaid.account}/test")
    assert (tried["ok"], tried["message"]) == (True, "The key works for an account of DeepSeek.")
    # Nobody says whose it is, so nothing of it could count twice.
    again = {"name": "other", "provider": "deepseek", "credential": KEY}
    assert prepaid.world.ok("POST", "/api/accounts", again)["warning"] is None


def test_balances_go_with_their_account(prepaid: Prepaid, connection: Connection) -> None:
    prepaid.collect()
    prepaid.world.ok("DELETE", f"/api/accounts/{prepaid.account}", usage="keep", wait="28")
    assert (prepaid.shown()["state"], prepaid.shown()["balance"], prepaid.shown()["runway"]) == ("archived", [], [])
    assert connection.execute("SELECT count(*) AS kept FROM balances").fetchone() == {"kept": 1}
    assert prepaid.world.ok("DELETE", f"/api/accounts/{prepaid.account}", wait="28")["status"] == "succeeded"
    assert connection.execute("SELECT count(*) AS kept FROM balances").fetchone() == {"kept": 0}
