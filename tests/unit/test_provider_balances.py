"""What every provider that tells balances must do, checked against its recording in tests/fixtures/providers/."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from shared.errors import CredentialError, MalformedResponseError, ProviderUnavailableError
from shared.providers.base import HasBalances
from shared.providers.diagnosis import WRONG_KIND, diagnose
from shared.providers.registry import REGISTRY
from tests.fixtures.providers import wire
from tests.fixtures.providers.recording import Recording, planted, reply, scripted
from tests.fixtures.providers.registered import BUCKETED, FEEDS
from tests.fixtures.providers.wire import KEY, Time, refused
from tests.unit.test_provider_contract import ECHO, NOT_AMOUNTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from socket import socket

    from shared.providers.base import Balance


def _connected(name: str, transport: httpx.MockTransport, time: Time | None = None) -> HasBalances:
    provider = Recording(name).connect(transport, (time or Time()).budget())
    assert isinstance(provider, HasBalances)
    return provider


TELLING = [
    name for name in REGISTRY if isinstance(Recording(name).connect(scripted()[0], Time().budget()), HasBalances)
]
each_telling = pytest.mark.parametrize("name", TELLING)


def asked(name: str, answers: Sequence[httpx.Response | Exception], time: Time | None = None) -> tuple[Balance, ...]:
    """Ask for the balances from scripted answers, all of which must be asked for."""
    transport, requests = scripted(*answers)
    try:
        return _connected(name, transport, time).balances()
    finally:
        assert len(requests) == len(answers)


def good(name: str) -> httpx.Response:
    return reply(Recording(name).load("balances.json"))


@pytest.mark.parametrize("name", REGISTRY)
def test_a_provider_tells_something_and_has_its_recording(name: str) -> None:
    contract = Recording(name).load("contract.json")
    assert ("balances" in contract) == (name in TELLING)
    assert REGISTRY[name].has_reports == (name in dict(BUCKETED))
    assert REGISTRY[name].has_reports or name in TELLING or name in dict(FEEDS)


@each_telling
def test_the_recording_yields_the_expected_balances(name: str) -> None:
    recording = Recording(name)
    found = _connected(name, recording.whole()).balances()
    told = [
        {key: str(value) if isinstance(value, Decimal) else value for key, value in asdict(one).items()}
        for one in found
    ]
    kept = [{key: value for key, value in one.items() if value is not None} for one in told]
    assert kept == recording.load("balances.expected.json")
    assert all(type(one.available) is Decimal for one in found)


@each_telling
@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_asked_once_and_the_needed_one_is_named(name: str, status: int) -> None:
    error = refused(CredentialError, lambda: asked(name, [reply(ECHO, status)]))
    assert REGISTRY[name].key_needed in str(error)


@each_telling
def test_retry_after_is_honoured(name: str) -> None:
    time = Time()
    asked(name, [reply(ECHO, 429, {"retry-after": "7"}), good(name)], time)
    assert time.sleeps == [7]


@each_telling
@pytest.mark.parametrize(
    "failure", [reply(ECHO, 429), reply(ECHO, 500), httpx.ReadTimeout("slow")], ids=["429", "500", "timeout"]
)
def test_a_failure_is_survived_or_told(name: str, failure: httpx.Response | Exception) -> None:
    assert asked(name, [failure, good(name)])
    error = refused(ProviderUnavailableError, lambda: asked(name, [failure] * 5))
    assert str(error).endswith(".")


@each_telling
@pytest.mark.parametrize("fault", [wire.reset, wire.reset_mid_body, wire.cut_mid_body, wire.silence])
def test_a_broken_connection_is_survived(name: str, fault: Callable[[socket], None]) -> None:
    recording = Recording(name)
    body = json.dumps(recording.load("balances.json"), default=float).encode()
    with wire.misbehaving(fault, wire.answer(body)) as address, httpx.Client(trust_env=False) as http:
        provider = recording.open(http, Time().budget(), address)
        assert isinstance(provider, HasBalances)
        assert provider.balances()


@each_telling
@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"{}", b"<html>", b'{"data": [', b'{"data": NaN}', b"[" * 100_000],
    ids=["empty", "null", "list", "object", "html", "cut", "nan", "deep"],
)  # fmt: skip
def test_what_is_no_balance_is_refused_without_a_retry(name: str, body: bytes) -> None:
    refused(MalformedResponseError, lambda: asked(name, [httpx.Response(200, content=body)]))


def faults() -> Iterator[tuple[str, list[str | int], object]]:
    for name in TELLING:
        notes = Recording(name).load("contract.json")["balances"]
        for path in notes["amounts"]:
            for value in NOT_AMOUNTS:
                yield name, path, value
        for path, value in notes["refused"]:
            yield name, path, value


@pytest.mark.parametrize(("name", "path", "value"), list(faults()))
def test_a_wrong_value_is_refused_with_its_place(name: str, path: list[str | int], value: object) -> None:
    body = planted(Recording(name).load("balances.json"), path, value)
    error = refused(MalformedResponseError, lambda: asked(name, [reply(body)]))
    if not isinstance(value, float) or math.isfinite(value):  # NaN is refused before it has a place
        assert str(path[0]) in str(error)


@each_telling
def test_fields_that_nobody_knows_are_ignored(name: str) -> None:
    def more(value: Any) -> Any:  # noqa: ANN401 - recorded JSON
        if isinstance(value, dict):
            return {"new_field": {"a": [1]}, **{key: more(inner) for key, inner in value.items()}}
        return [more(inner) for inner in value] if isinstance(value, list) else value

    assert asked(name, [reply(more(Recording(name).load("balances.json")))]) == asked(name, [good(name)])


@pytest.mark.parametrize(
    "name", [name for name in TELLING if Recording(name).load("contract.json")["balances"]["list"]]
)
def test_an_empty_list_is_no_money_and_no_failure(name: str) -> None:
    recording = Recording(name)
    body = planted(recording.load("balances.json"), recording.load("contract.json")["balances"]["list"], [])
    assert asked(name, [reply(body)]) == ()


@pytest.mark.parametrize("name", [name for name in REGISTRY if not REGISTRY[name].has_reports])
def test_who_has_no_reports_has_only_feeds_and_no_owner_to_compare(name: str) -> None:
    provider = Recording(name).connect(Recording(name).whole(), Time().budget())
    assert all(stream.is_feed for stream in provider.streams)
    assert (provider.names(), provider.owner().id) == ((), None)


@pytest.mark.parametrize(
    ("base_url", "options", "asks", "currency"),
    [
        (None, {}, "https://api.moonshot.ai/v1/users/me/balance", "USD"),
        (None, {"region": "ai"}, "https://api.moonshot.ai/v1/users/me/balance", "USD"),
        (None, {"region": "cn"}, "https://api.moonshot.cn/v1/users/me/balance", "CNY"),
        ("https://api.moonshot.cn/v1", {}, "https://api.moonshot.cn/v1/users/me/balance", "CNY"),
        ("https://proxy.test/kimi", {"region": "cn"}, "https://proxy.test/kimi/users/me/balance", "CNY"),
        ("https://proxy.test/kimi", {}, "https://proxy.test/kimi/users/me/balance", "USD"),
    ],
)
def test_moonshots_platforms_have_their_own_addresses_and_currencies(
    base_url: str | None, options: dict[str, str], asks: str, currency: str
) -> None:
    transport, requests = scripted(good("moonshotai"))
    http = httpx.Client(transport=transport)
    provider = REGISTRY["moonshotai"].connect(KEY, http, Time().budget(), base_url, options)
    assert isinstance(provider, HasBalances)
    assert [one.currency for one in provider.balances()] == [currency]
    assert str(requests[0].url) == asks
    assert requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_a_key_of_the_other_platform_is_told_apart_from_one_of_a_subscription() -> None:
    body = {"error": {"message": "Invalid Authentication", "type": "invalid_authentication_error"}}
    error = refused(CredentialError, lambda: asked("moonshotai", [reply(body, 401)]))
    said = diagnose(REGISTRY["moonshotai"], "sk-of-the-other-platform", error)
    assert "does not know this key (Invalid Authentication)" in said.message
    assert "platform.moonshot.cn need the option region=cn" in said.advice
    assert diagnose(REGISTRY["moonshotai"], "sk-kimi-abc", error).code == WRONG_KIND
