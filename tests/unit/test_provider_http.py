"""The JSON client of the providers: waiting, refusing, decoding, and keeping the key to itself."""

from __future__ import annotations

import gzip
import json
import tomllib
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import VERSION
from shared.errors import (
    CredentialError,
    MalformedResponseError,
    ProviderError,
    ProviderUnavailableError,
    TooLargeError,
)
from shared.providers.http import Budget, JsonClient, Service
from tests.fixtures.providers.recording import reply, scripted
from tests.fixtures.providers.wire import KEY, Time, answer, misbehaving, refused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from socket import socket

OK = reply({"ok": True})
TOO_MANY = reply({}, 429)


def service(key: str = KEY, base_url: str = "https://provider.test") -> Service:
    return Service(
        title="Prov",
        base_url=base_url,
        setting="PROV_BASE_URL",
        key_needed="It needs a big key.",
        key=key,
        headers={"x-api-key": key},
    )


def get(*answers: httpx.Response | Exception, time: Time | None = None, seconds: float = 600.0) -> object:
    transport, requests = scripted(*answers)
    budget = (time or Time()).budget(seconds)
    try:
        return JsonClient(service(), httpx.Client(transport=transport), budget, max_bytes=10_000).get("/x")
    finally:
        assert len(requests) == len(answers)


def body(content: bytes) -> object:
    return get(httpx.Response(200, content=content))


def test_what_is_sent() -> None:
    transport, requests = scripted(OK)
    client = JsonClient(service(), httpx.Client(transport=transport), Time().budget())
    assert client.get("/x/y", [("a[]", "1"), ("a[]", "2")], {"beta": "b"}) == {"ok": True}
    (request,) = requests
    assert str(request.url) == "https://provider.test/x/y?a%5B%5D=1&a%5B%5D=2"
    assert request.method == "GET"
    assert (request.headers["x-api-key"], request.headers["beta"]) == (KEY, "b")
    assert request.headers["user-agent"] == f"AICostTracker/{VERSION}"
    assert request.headers["accept-encoding"] == "gzip"


def test_a_question_with_a_body() -> None:
    transport, requests = scripted(reply({}, 503), OK)
    client = JsonClient(service(), httpx.Client(transport=transport), Time().budget())
    assert client.post("/x", {"a": Decimal("0.10"), "b": ["é"]}, {"beta": "b"}) == {"ok": True}
    for request in requests:
        assert (request.method, str(request.url)) == ("POST", "https://provider.test/x")
        assert request.content == b'{"a":0.10,"b":["\\u00e9"]}'
        assert request.headers["content-type"] == "application/json"
        assert (request.headers["x-api-key"], request.headers["beta"]) == (KEY, "b")
        assert request.headers["user-agent"] == f"AICostTracker/{VERSION}"


def test_a_refused_body() -> None:
    transport, requests = scripted(reply({"error": "no such team"}, 404))
    client = JsonClient(service(), httpx.Client(transport=transport), Time().budget())
    picked: list[tuple[int, str]] = []

    def refusal(status: int, said: str) -> type[ProviderError]:
        picked.append((status, said))
        return MalformedResponseError

    error = refused(MalformedResponseError, lambda: client.post("/x", {}, refusal=refusal))
    assert str(error) == "Prov refused /x with status 404 (no such team)."
    assert picked == [(404, "no such team")]
    assert len(requests) == 1


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["version"] == VERSION


@pytest.mark.parametrize(("chance", "sleeps"), [(1.0, [1, 2, 4, 8]), (0.5, [0.5, 1, 2, 4]), (0.0, [0, 0, 0, 0])])
def test_backoff_grows_with_full_jitter(chance: float, sleeps: list[float]) -> None:
    time = Time(chance)
    refused(ProviderUnavailableError, lambda: get(*[reply({}, 503)] * 5, time=time))
    assert time.sleeps == sleeps


def test_backoff_is_capped() -> None:
    time = Time()
    transport, _ = scripted(*[reply({}, 503)] * 9)
    client = JsonClient(service(), httpx.Client(transport=transport), time.budget(tries=9))
    refused(ProviderUnavailableError, lambda: client.get("/x"))
    assert time.sleeps == [1, 2, 4, 8, 16, 30, 30, 30]


@pytest.mark.parametrize(("header", "slept"), [("0.5", 0.5), ("Wed, 04 Mar 2026 12:00:09 GMT", 9), ("soon", 1)])
def test_retry_after_or_else_the_backoff(header: str, slept: float) -> None:
    time = Time()
    get(reply({}, 429, {"retry-after": header}), OK, time=time)
    assert time.sleeps == [slept]


@pytest.mark.parametrize("header", ["61", "9" * 400, "Thu, 05 Mar 2026 12:00:00 GMT"])
def test_a_retry_after_beyond_the_deadline_fails_at_once(header: str) -> None:
    time = Time()
    error = refused(
        ProviderUnavailableError, lambda: get(reply({}, 429, {"retry-after": header}), time=time, seconds=60)
    )
    assert time.sleeps == []
    assert "asks to wait" in str(error)
    assert "more than the 60" in str(error)


@given(
    waits=st.lists(st.one_of(st.none(), st.floats(0.01, 50)), min_size=1, max_size=5),
    chance=st.floats(0, 1, exclude_max=True),
    seconds=st.floats(0.1, 40),
)
def test_waiting_never_passes_the_deadline(waits: list[float | None], chance: float, seconds: float) -> None:
    time = Time(chance)
    answers = [reply({}, 429, {} if wait is None else {"retry-after": f"{wait:.3f}"}) for wait in waits]
    transport = httpx.MockTransport(lambda _request: answers.pop() if answers else OK)
    client = JsonClient(service(), httpx.Client(transport=transport), time.budget(seconds))
    with suppress(ProviderUnavailableError):
        client.get("/x")
    assert time.elapsed <= seconds
    assert len(time.sleeps) <= 4


def test_without_time_nothing_is_asked() -> None:
    error = refused(ProviderUnavailableError, lambda: get(seconds=0))
    assert "time" in str(error)


def test_a_trickling_answer_ends_with_the_deadline() -> None:
    time = Time()

    class Trickle(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            while True:
                time.sleep(5)
                yield b" "

    refused(ProviderUnavailableError, lambda: get(httpx.Response(200, stream=Trickle()), time=time, seconds=60))
    assert time.elapsed <= 65


def test_sockets_wait_no_longer_than_what_is_left() -> None:
    transport, requests = scripted(OK)
    JsonClient(service(), httpx.Client(transport=transport), Time().budget(0.1)).get("/x")
    assert set(requests[0].extensions["timeout"].values()) == {0.1}


def test_a_budget_in_seconds() -> None:
    assert 59 < Budget.lasting(60).left() <= 60


def test_redirects_are_not_followed() -> None:
    transport, requests = scripted(httpx.Response(302, headers={"location": "https://elsewhere.test/"}))
    client = JsonClient(service(), httpx.Client(transport=transport, follow_redirects=True), Time().budget())
    error = refused(ProviderError, lambda: client.get("/x"))
    assert "PROV_BASE_URL" in str(error)
    assert len(requests) == 1


@pytest.mark.parametrize(
    ("content", "quoted"),
    [
        (
            {"type": "error", "error": {"type": "invalid_request_error", "message": "limit: too big."}},
            " (limit: too big).",
        ),
        ({"error": "just text"}, " (just text)."),
        ({"message": f"your key {KEY} \x1b[31m\n is odd"}, " (your key [key] [31m is odd)."),
        ({"error": {"message": {"deep": 1}}}, "."),
        (["x"], "."),
        ({"error": {"message": "y" * 70_000}}, "."),
    ],
)
def test_other_refusals_carry_the_providers_words(content: object, quoted: str) -> None:
    error = refused(ProviderError, lambda: get(reply(content, 422)))
    assert str(error) == f"Prov refused /x with status 422{quoted}"


def test_a_long_message_is_cut() -> None:
    error = refused(ProviderError, lambda: get(reply({"message": "y" * 400 + KEY}, 404)))
    assert "y" * 300 in str(error)
    assert "y" * 301 not in str(error)


def test_a_refusal_whose_text_breaks_off_is_still_one_call() -> None:
    def cut(connection: socket) -> None:
        connection.sendall(b"HTTP/1.1 401 X\r\nContent-Length: 500\r\n\r\n{")

    with misbehaving(cut) as address, httpx.Client(trust_env=False) as http:
        client = JsonClient(service(base_url=address), http, Time().budget())
        error = refused(CredentialError, lambda: client.get("/x"))
    assert str(error) == "Prov refused the key with status 401. It needs a big key."


def test_nobody_listening_is_bounded() -> None:
    with misbehaving() as address:
        pass
    time = Time()
    with httpx.Client(trust_env=False) as http:
        client = JsonClient(service(base_url=address), http, time.budget())
        error = refused(ProviderUnavailableError, lambda: client.get("/x"))
    assert str(error) == "Prov could not be reached, at the last of 5 tries; the next run asks again."
    assert time.sleeps == [1, 2, 4, 8]


@pytest.mark.parametrize("key", ["", " ", f"{KEY}\n", f"{KEY}\r\nx: y", f"{KEY} x", f"{KEY}\u200b", f"{KEY}é"])
def test_what_cannot_be_a_key_is_refused_before_it_is_sent(key: str) -> None:
    error = refused(CredentialError, lambda: JsonClient(service(key), httpx.Client(), Time().budget()))
    assert "It needs a big key." in str(error)


def test_nothing_that_prints_shows_the_key() -> None:
    client = JsonClient(service(), httpx.Client(), Time().budget())
    assert KEY not in f"{client!r} {service()!r} {service()}"


def test_what_cannot_be_stored_is_refused() -> None:
    error = refused(MalformedResponseError, lambda: body(b'["\\u0000"]'))
    assert str(error) == (
        "Prov answered /x with something that is not usable JSON: a text holds a character that cannot be stored."
    )


def test_compression_is_undone_and_counted() -> None:
    headers = {"content-encoding": "gzip"}
    content = json.dumps(["x" * 9_000]).encode()
    assert get(httpx.Response(200, content=gzip.compress(content), headers=headers)) == ["x" * 9_000]
    bomb = httpx.Response(200, content=gzip.compress(b" " * 10_001), headers=headers)
    assert "10000 bytes" in str(refused(TooLargeError, lambda: get(bomb)))


def test_broken_compression_is_refused() -> None:
    class Broken(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield b"not gzip"

    response = httpx.Response(200, stream=Broken(), headers={"content-encoding": "gzip"})
    refused(MalformedResponseError, lambda: get(response))


def test_the_cap_counts_bytes_as_they_come() -> None:
    assert body(b'"' + b"x" * 9_998 + b'"')
    refused(TooLargeError, lambda: body(b'"' + b"x" * 9_999 + b'"'))


def test_a_real_server_recovers() -> None:
    time = Time()
    with misbehaving(*[answer(b"", 500)] * 2, answer({"fine": 1})) as address, httpx.Client(trust_env=False) as http:
        assert JsonClient(service(base_url=address), http, time.budget()).get("/x") == {"fine": 1}
    assert time.sleeps == [1, 2]
