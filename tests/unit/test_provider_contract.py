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

from shared.core import dimensions
from shared.errors import CredentialError, MalformedResponseError, ProviderUnavailableError
from tests.fixtures.providers import wire
from tests.fixtures.providers.recording import Recording, content, pages, plain, planted, reply, scripted
from tests.fixtures.providers.registered import (
    STREAMS,
    each_bucketed_stream,
    each_provider,
    each_stream,
    each_verb,
    good,
    one_page,
)
from tests.fixtures.providers.wire import KEY, Time, refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from socket import socket

ECHO = {"error": {"type": "authentication_error", "message": f"invalid key {KEY}\n" + "x" * 5_000}}


def test_a_provider_without_a_recording_fails(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="registered without the fixture"):
        Recording("nobody", tmp_path).load("contract.json")


@each_provider
def test_it_is_registered_under_its_own_name(name: str) -> None:
    recording, spec = Recording(name), Recording(name).spec
    assert spec.name == recording.connect(scripted()[0], Time().budget()).name == recording.provider
    assert spec.base_url.startswith(("https://", "http://127.0.0.1"))
    assert spec.key_settings or spec.exactly_one_of or any(option.is_required for option in spec.options)
    assert spec.key_needed.endswith(".")


@each_provider
def test_every_stream_has_a_recording(name: str) -> None:
    streams = set(Recording(name).load("contract.json")["streams"])
    assert streams == {stream for provider, stream in STREAMS if provider == name}


@each_bucketed_stream
def test_the_recording_yields_the_expected_buckets(name: str, stream: str) -> None:
    recording = Recording(name)
    provider = recording.connect(recording.whole(), Time().budget())
    which, window, _ = recording.stream(provider, stream)
    rows = [row for page in pages(provider, which, window) for row in page.rows]
    buckets = [provider.parse(which, row) for row in rows]
    assert [plain(bucket) for bucket in buckets] == recording.load(f"{stream}.expected.json")
    if which.is_bill or recording.notes(stream).get("is_billed"):
        assert all(type(bucket.amount) is Decimal for bucket in buckets)
    else:
        assert all(bucket.amount is None for bucket in buckets)


@each_bucketed_stream
def test_key_and_workspace_are_dimensions_under_names_that_are_known(name: str, stream: str) -> None:
    """By those the stored bucket is found again, when it has another name or a report asks for the key."""
    recording = Recording(name)
    provider = recording.connect(recording.whole(), Time().budget())
    which, window, _ = recording.stream(provider, stream)
    for page in pages(provider, which, window):
        for bucket in (provider.parse(which, row) for row in page.rows):
            for known, found in ((dimensions.KEY, bucket.key_id), (dimensions.WORKSPACE, bucket.workspace_id)):
                told = [bucket.dimensions[one] for one in known if bucket.dimensions.get(one) is not None]
                assert told[:1] == ([] if found is None else [found])


@each_bucketed_stream
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
    recording = Recording(name)
    kinds = {named["kind"] for named in recording.load("names.expected.json") if named["archived"]}
    assert kinds == set(recording.load("contract.json").get("archived", ["key", "workspace"]))


@each_stream
@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_asked_once_and_the_needed_one_is_named(name: str, stream: str, status: int) -> None:
    error = refused(CredentialError, lambda: one_page(name, stream, [reply(ECHO, status)]))
    assert Recording(name).spec.key_needed in str(error)


@each_verb
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
    *before, page = (wire.answer(content(body)) for body in (*recording.before(stream), recording.first_page(stream)))
    with wire.misbehaving(*before, fault, page) as address, httpx.Client(trust_env=False) as http:
        provider = recording.open(http, Time().budget(), address)
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
                    if not (notes.get("doubles") and type(value) is float and value.is_integer()):
                        yield name, stream, path, value
        for word in notes["words"]:
            place = [*notes["row"], *(word if isinstance(word, list) else [word])]
            yield name, stream, place, {"a": "b"}
            yield name, stream, place, 5


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


@each_bucketed_stream
def test_an_unknown_word_is_accepted(name: str, stream: str) -> None:
    recording = Recording(name)
    notes = recording.load("contract.json")["streams"][stream]
    provider = recording.connect(recording.whole(), Time().budget())
    which = recording.stream(provider, stream)[0]
    assert notes["words"] or notes["no_words"]
    for word in notes["words"]:
        place = word if isinstance(word, list) else [word]
        body = planted(recording.first_page(stream), [*notes["row"], *place], "never seen before")
        row = one_page(name, stream, [reply(body)]).rows[0]
        assert "never seen before" in provider.parse(which, row).dimensions.values()
