"""What every provider of the registry must do, checked against its recording in tests/fixtures/providers/<name>/."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING

import httpx
import pytest

from shared.errors import CredentialError, MalformedResponseError, ProviderUnavailableError
from shared.providers.registry import REGISTRY
from tests.fixtures.providers import wire
from tests.fixtures.providers.recording import Recording, pages, plain, planted, reply, scripted
from tests.fixtures.providers.wire import KEY, Time, refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from socket import socket

    from shared.providers.base import Page, Provider

REPORTS = [
    (name, stream)
    for name, spec in REGISTRY.items()
    for stream in spec.connect(KEY, httpx.Client(), Time().budget()).streams
]
STREAMS = [(name, stream.name) for name, stream in REPORTS]
SPLITTING = [(name, stream.name) for name, stream in REPORTS if stream.splits_buckets]
each_provider = pytest.mark.parametrize("name", REGISTRY)
each_stream = pytest.mark.parametrize(("name", "stream"), STREAMS)
ECHO = {"error": {"type": "authentication_error", "message": f"invalid key {KEY}\n" + "x" * 5_000}}


def one_page(name: str, stream: str, answers: Sequence[httpx.Response | Exception], time: Time | None = None) -> Page:
    """Fetch the first page from scripted answers, all of which must be asked for."""
    transport, requests = scripted(*answers)
    recording = Recording(name)
    provider = recording.connect(transport, (time or Time()).budget())
    try:
        return provider.fetch(*recording.stream(provider, stream)[:2], None)
    finally:
        assert len(requests) == len(answers)


def good(name: str, stream: str) -> httpx.Response:
    return reply(Recording(name).first_page(stream))


def test_a_provider_without_a_recording_fails(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="registered without the fixture"):
        Recording("nobody", tmp_path).load("contract.json")


@each_provider
def test_it_is_registered_under_its_own_name(name: str) -> None:
    spec = REGISTRY[name]
    assert (spec.name, spec.make(KEY, spec.base_url, httpx.Client(), Time().budget()).name) == (name, name)
    assert spec.base_url.startswith("https://")
    assert spec.key_settings
    assert spec.key_needed.endswith(".")


@each_provider
def test_every_stream_has_a_recording(name: str) -> None:
    streams = set(Recording(name).load("contract.json")["streams"])
    assert streams == {stream for provider, stream in STREAMS if provider == name}


@each_stream
def test_the_recording_yields_the_expected_buckets(name: str, stream: str) -> None:
    recording = Recording(name)
    provider = recording.connect(recording.whole(), Time().budget())
    which, window, _ = recording.stream(provider, stream)
    rows = [row for page in pages(provider, which, window) for row in page.rows]
    buckets = [provider.parse(which, row) for row in rows]
    assert [plain(bucket) for bucket in buckets] == recording.load(f"{stream}.expected.json")
    assert all((bucket.amount is not None) == which.is_bill for bucket in buckets)
    assert all(type(bucket.amount) is Decimal for bucket in buckets if which.is_bill)


@each_stream
def test_parse_is_pure_and_survives_storage(name: str, stream: str) -> None:
    recording = Recording(name)
    provider = recording.connect(recording.whole(), Time().budget())
    which, window, _ = recording.stream(provider, stream)
    row = provider.fetch(which, window, None).rows[0]
    before = json.dumps(row.raw, default=str)
    bucket = provider.parse(which, row)
    stored = replace(row, raw=json.loads(json.dumps(row.raw, default=float), parse_float=Decimal))
    assert provider.parse(which, row) == bucket == provider.parse(which, stored)
    assert json.dumps(row.raw, default=str) == before


@each_provider
def test_names_and_owner(name: str) -> None:
    recording = Recording(name)
    provider = recording.connect(recording.whole(), Time().budget())
    names = [{field: getattr(found, field) for field in found.__slots__} for found in provider.names()]
    assert names == recording.load("names.expected.json")
    assert asdict(provider.owner()) == recording.load("contract.json")["owner"]["expected"]


@each_provider
def test_the_recording_has_names_of_what_is_archived(name: str) -> None:
    kinds = {named["kind"] for named in Recording(name).load("names.expected.json") if named["archived"]}
    assert kinds == {"key", "workspace"}


@each_stream
@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_asked_once_and_the_needed_one_is_named(name: str, stream: str, status: int) -> None:
    error = refused(CredentialError, lambda: one_page(name, stream, [reply(ECHO, status)]))
    assert REGISTRY[name].key_needed in str(error)


@each_provider
@pytest.mark.parametrize("verb", ["owner", "names"])
def test_a_refused_key_is_asked_once_by_the_other_verbs_too(name: str, verb: str) -> None:
    transport, requests = scripted(reply(ECHO, 401))
    provider = Recording(name).connect(transport, Time().budget())
    refused(CredentialError, getattr(provider, verb))
    assert len(requests) == 1


@each_stream
def test_retry_after_is_honoured(name: str, stream: str) -> None:
    time = Time()
    one_page(name, stream, [reply(ECHO, 429, {"retry-after": "7"}), good(name, stream)], time)
    assert time.sleeps == [7]


@each_stream
@pytest.mark.parametrize(
    "failure",
    [*(reply(ECHO, status) for status in (429, 500, 502, 529)), httpx.ReadTimeout("slow"), httpx.ConnectError("down")],
    ids=["429", "500", "502", "529", "timeout", "unreachable"],
)
def test_a_passing_failure_is_survived(name: str, stream: str, failure: httpx.Response | Exception) -> None:
    assert one_page(name, stream, [failure, good(name, stream)]).rows


@each_stream
@pytest.mark.parametrize(
    "failure",
    [reply(ECHO, 429), reply(ECHO, 500), reply(ECHO, 529), httpx.ReadTimeout("slow")],
    ids=["429", "500", "529", "timeout"],
)
def test_a_lasting_failure_ends_after_five_tries(name: str, stream: str, failure: httpx.Response | Exception) -> None:
    error = refused(ProviderUnavailableError, lambda: one_page(name, stream, [failure] * 5))
    assert str(error).endswith(".")


@each_stream
@pytest.mark.parametrize("fault", [wire.reset, wire.reset_mid_body, wire.cut_mid_body, wire.silence])
def test_a_broken_connection_is_survived(name: str, stream: str, fault: Callable[[socket], None]) -> None:
    recording = Recording(name)
    page = json.dumps(recording.first_page(stream), default=float).encode()
    with wire.misbehaving(fault, wire.answer(page)) as address, httpx.Client(trust_env=False) as http:
        provider = REGISTRY[name].connect(KEY, http, Time().budget(), address)
        assert provider.fetch(*recording.stream(provider, stream)[:2], None).rows


@each_stream
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"<html>",
        b'{"data": [',
        b"\xff\xfe{\x00}\x00",
        b'{"data": NaN}',
        b"[" * 100_000,
        b"9" * 5_000,
    ],
    ids=["empty", "null", "list", "html", "cut", "utf-16", "nan", "deep", "digits"],
)
def test_malformed_json_is_refused_without_a_retry(name: str, stream: str, body: bytes) -> None:
    refused(MalformedResponseError, lambda: one_page(name, stream, [httpx.Response(200, content=body)]))


NOT_COUNTS: list[object] = [-1, 1.0, 1.5, "12", KEY, True, None, {}, [], 10**15 + 1, 10**30]
NOT_AMOUNTS: list[object] = [{"value": "1.2345", "currency": "usd"}, float("nan"), float("inf"), True, None, []]
NOT_AMOUNTS += [KEY, "NaN", "Infinity", "-Infinity", "sNaN", "", "1e999", "1E5", "0x10", "1_000", "1,5", " 1", "٣"]


def faults() -> Iterator[tuple[str, str, list[str | int], object]]:
    for name, stream in STREAMS:
        notes = Recording(name).load("contract.json")["streams"][stream]
        for values, paths in ((NOT_COUNTS, notes["counts"]), (NOT_AMOUNTS, notes["amounts"])):
            for path in paths:
                for value in values:
                    yield name, stream, path, value
        for word in notes["words"]:
            yield name, stream, [*notes["row"], word], {"a": "b"}
            yield name, stream, [*notes["row"], word], 5


@pytest.mark.parametrize(("name", "stream", "path", "value"), list(faults()))
def test_a_wrong_value_is_refused_with_its_place(name: str, stream: str, path: list[str | int], value: object) -> None:
    body = planted(Recording(name).first_page(stream), path, value)
    error = refused(MalformedResponseError, lambda: one_page(name, stream, [reply(body)]))
    if not isinstance(value, float) or math.isfinite(value):  # NaN is refused before it has a place
        assert ".".join(map(str, path)) in str(error)


@each_stream
def test_the_whole_row_must_be_an_object(name: str, stream: str) -> None:
    recording = Recording(name)
    row = recording.load("contract.json")["streams"][stream]["row"]
    values: list[object] = ["x" * 100_000, None, 5, [], {}]
    for value in values:
        body = planted(recording.first_page(stream), row, value)
        refused(MalformedResponseError, partial(one_page, name, stream, [reply(body)]))


@each_stream
def test_an_unknown_word_is_accepted(name: str, stream: str) -> None:
    recording = Recording(name)
    notes = recording.load("contract.json")["streams"][stream]
    provider = recording.connect(recording.whole(), Time().budget())
    which = recording.stream(provider, stream)[0]
    assert notes["words"]
    for word in notes["words"]:
        body = planted(recording.first_page(stream), [*notes["row"], word], "never seen before")
        row = one_page(name, stream, [reply(body)]).rows[0]
        assert provider.parse(which, row).dimensions[word] == "never seen before"


@each_stream
def test_an_empty_interval_was_read_and_an_empty_answer_was_not(name: str, stream: str) -> None:
    recording = Recording(name)
    *rows, _ = recording.load("contract.json")["streams"][stream]["row"]
    body = planted(recording.first_page(stream), rows, [])
    assert one_page(name, stream, [reply(body)]).listed is not None
    body = planted(body, rows[:1], []) | {recording.paging["more"]: False}
    page = one_page(name, stream, [reply(body)])
    assert (page.rows, page.next_cursor, page.listed) == ((), None, None)


@pytest.mark.parametrize(("name", "stream"), SPLITTING)
def test_an_interval_may_go_on_in_the_next_page(name: str, stream: str) -> None:
    recording = Recording(name)
    body = recording.first_page(stream)
    *rows, _ = recording.load("contract.json")["streams"][stream]["row"]
    one = planted(body, rows, body["data"][0]["results"][:1])
    two = one | {recording.paging["more"]: False}
    transport, _ = scripted(reply(one), reply(two))
    provider = recording.connect(transport, Time().budget())
    which, window, _ = recording.stream(provider, stream)
    first, second = (provider.parse(which, page.rows[0]) for page in pages(provider, which, window))
    assert first == second


@each_stream
@pytest.mark.parametrize("token", [None, ""])
def test_more_without_a_token_is_refused(name: str, stream: str, token: str | None) -> None:
    recording = Recording(name)
    body = {**recording.first_page(stream), recording.paging["more"]: True, recording.paging["next"]: token}
    refused(MalformedResponseError, lambda: one_page(name, stream, [reply(body)]))
    del body[recording.paging["next"]]
    refused(MalformedResponseError, lambda: one_page(name, stream, [reply(body)]))


@each_stream
def test_a_repeated_cursor_is_refused(name: str, stream: str) -> None:
    recording = Recording(name)
    body = recording.first_page(stream)
    transport, requests = scripted(reply(body))
    provider = recording.connect(transport, Time().budget())
    cursor = body[recording.paging["next"]]
    refused(MalformedResponseError, lambda: provider.fetch(*recording.stream(provider, stream)[:2], cursor))
    assert requests[0].url.params[recording.paging["parameter"]] == cursor


@each_stream
def test_the_last_page_ends_the_chain_whatever_its_token(name: str, stream: str) -> None:
    recording = Recording(name)
    body = {**recording.first_page(stream), recording.paging["more"]: False, recording.paging["next"]: "leftover"}
    assert one_page(name, stream, [reply(body)]).next_cursor is None


@each_stream
def test_rows_outside_the_window_are_refused(name: str, stream: str) -> None:
    recording = Recording(name)
    transport, _ = scripted(reply(recording.first_page(stream)))
    provider: Provider = recording.connect(transport, Time().budget())
    which, window, _ = recording.stream(provider, stream)
    later = replace(window, start=window.start + which.grain)
    refused(MalformedResponseError, lambda: provider.fetch(which, later, None))
