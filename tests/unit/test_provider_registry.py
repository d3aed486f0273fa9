"""Which setting holds a provider's key, and which addresses it may have."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import httpx
import pytest

from functions import runtime, sources
from shared.config import Settings
from shared.errors import SettingError
from shared.providers.base import Owner, Provider
from shared.providers.registry import REGISTRY
from shared.providers.spec import Option, OptionError, check_base_url
from shared.workflows.credentials import connect
from tests.fixtures.providers.wire import Time

if TYPE_CHECKING:
    from shared.providers.http import Budget

ADMIN, OTHER, ORDINARY = "sk-ant-admin01-a", "sk-ant-admin01-b", "sk-ant-api03-c"


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({}, None),
        ({"ANTHROPIC_ADMIN_KEY": ADMIN, "ANTHROPIC_ADMIN_API_KEY": OTHER}, ADMIN),
        ({"ANTHROPIC_ADMIN_API_KEY": OTHER, "ANTHROPIC_API_KEY": ADMIN}, OTHER),
        ({"ANTHROPIC_ADMIN_KEY": " ", "ANTHROPIC_API_KEY": f" {ADMIN}\n"}, ADMIN),
        ({"ANTHROPIC_API_KEY": ORDINARY}, None),
        # An explicit setting is taken at its word: the provider judges, with the sentence.
        ({"ANTHROPIC_ADMIN_KEY": ORDINARY}, ORDINARY),
    ],
)
def test_the_order_of_the_key_settings(settings: dict[str, str], found: str | None) -> None:
    assert REGISTRY["anthropic"].find_key(settings) == found


def test_the_sentence_says_which_key() -> None:
    sentence = REGISTRY["anthropic"].key_needed
    assert all(
        word in sentence for word in ("sk-ant-admin01-", "admin of the organisation", "sk-ant-api03-", "personal")
    )


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("https://api.anthropic.com", "https://api.anthropic.com"),
        (" https://proxy.test:8443/anthropic/ ", "https://proxy.test:8443/anthropic"),
        ("http://127.0.0.1:8001", "http://127.0.0.1:8001"),
        ("http://127.8.9.10/", "http://127.8.9.10"),
        ("http://localhost:1", "http://localhost:1"),
        ("HTTP://LocalHost:1", "http://localhost:1"),
        ("http://[::1]:9", "http://[::1]:9"),
    ],
)
def test_acceptable_addresses(value: str, kept: str) -> None:
    assert check_base_url("X_BASE_URL", value) == kept


@pytest.mark.parametrize(
    "value",
    [
        "",
        "api.anthropic.com",
        "http://api.anthropic.com",
        "http://localhost.evil.test",
        "http://127.0.0.1.evil.test",
        "http://0.0.0.0",
        "http://10.0.0.1",
        "http://169.254.169.254",
        "http://localhost@evil.test",
        "http://localhost:1@evil.test",
        "http://127.0.0.1\\@evil.test",
        "https://user:hunter2@proxy.test",
        "https://proxy.test?x=1",
        "https://proxy.test?",
        "https://proxy.test/#x",
        "https://",
        "https:///path",
        "ftp://127.0.0.1",
        "file:///etc/passwd",
        "https://proxy.test:99999999",
        "https://proxy.test:0",
        "https://pro\nxy.test",
    ],
)
def test_refused_addresses(value: str) -> None:
    with pytest.raises(SettingError, match=r"^X_BASE_URL must") as caught:
        check_base_url("X_BASE_URL", value)
    assert "hunter2" not in str(caught.value)


def test_connect_checks_the_address_and_trims_the_key() -> None:
    requests: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200, json={"id": "org_1", "name": "Aurora"})

    http, spec = httpx.Client(transport=httpx.MockTransport(handler)), REGISTRY["anthropic"]
    with pytest.raises(SettingError, match=r"^ANTHROPIC_BASE_URL must"):
        spec.connect(ADMIN, http, Time().budget(), "http://proxy.test")
    assert spec.connect(f"{ADMIN}\n", http, Time().budget()).owner() == Owner("org_1", "Aurora")
    assert spec.connect(ADMIN, http, Time().budget(), "https://proxy.test/up/").owner() == Owner("org_1", "Aurora")
    assert [str(request.url) for request in requests] == [
        "https://api.anthropic.com/v1/organizations/me",
        "https://proxy.test/up/v1/organizations/me",
    ]
    assert requests[0].headers["x-api-key"] == ADMIN


def test_the_account_of_a_setting_has_the_options_of_settings() -> None:
    keys = {"ANTHROPIC_ADMIN_KEY": ADMIN, "OPENAI_ADMIN_KEY": "sk-admin-of-tests", "DATABASE_URL": "postgresql://h/d"}
    with httpx.Client() as http:
        for value, lag in (("", 10), ("analytics", 180), ("stable+claude-code", 10)):
            settings = Settings.load({**keys, "ANTHROPIC_REPORTS": value})
            given = sources.given(runtime.build(settings, http, dispatch=runtime.in_a_thread))
            assert given["openai"].options == {}
            assert given["anthropic"].options == {"reports": value or "stable"}
            made = REGISTRY["anthropic"].connect(ADMIN, http, Time().budget(), None, given["anthropic"].options)
            assert made.streams[0].lag == timedelta(minutes=lag)
            assert [stream.name for stream in made.streams[2:]] == ["claude_code"] * value.count("+")


def test_options_are_declared_checked_and_handed_over() -> None:
    made: list[dict[str, str]] = []

    def make(_key: str, base_url: str, _http: httpx.Client, _budget: Budget, **options: str) -> Provider:
        made.append({"base_url": base_url, **options})
        return REGISTRY["anthropic"].connect(ADMIN, httpx.Client(), Time().budget())

    spec = replace(
        REGISTRY["anthropic"],
        make=make,
        options=(Option("team", "Which team.", is_required=True), Option("region", "Where.", choices=("eu", "us"))),
    )
    given = {"team": " search ", "region": "eu", "base_url": "https://proxy.test/"}
    assert spec.check_options(given) == {"team": "search", "region": "eu", "base_url": "https://proxy.test"}
    assert spec.check_options({"team": "search", "region": None}) == {"team": "search"}
    connect(spec, ADMIN, spec.check_options(given), "https://of-the-settings.test", httpx.Client(), Time().budget())
    connect(spec, ADMIN, {"team": "a"}, "https://of-the-settings.test", httpx.Client(), Time().budget())
    assert made == [
        {"base_url": "https://proxy.test", "team": "search", "region": "eu"},
        {"base_url": "https://of-the-settings.test", "team": "a"},
    ]
    for wrong, says in (
        ({}, "needs the option team: Which team."),
        ({"team": "a", "region": "cn"}, "must be one of eu, us"),
        ({"team": 7}, "must be text"),
        ({"team": "\n"}, "must be text"),
        ({"team": "a", "base_url": "http://proxy.test"}, "must be an https address"),
        ({"teem": "a"}, "no option 'teem'; known are base_url, team, region."),
    ):
        with pytest.raises(OptionError, match=says):
            spec.check_options(wrong)
