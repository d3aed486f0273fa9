"""Every name that a sender may use, and both token conventions, end in the same counts."""

from datetime import UTC, datetime
from typing import Any

import pytest

from shared.core import jsontext
from shared.core.conventions import EventError
from shared.core.event_fields import COUNTS, Event
from shared.core.events import Reader

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)


def read(row: object) -> Event:
    reader = Reader(NOW)
    return reader.read(row, reader.key(row))


def counts(row: dict[str, Any]) -> dict[str, int]:
    found = dict(zip(COUNTS, read({"model": "m", **row}).counts, strict=True))
    return {name: count for name, count in found.items() if count}


PLAIN = {"tokens_in": 20, "tokens_out": 7, "requests": 1}
CACHED = {**PLAIN, "cache_read_tokens": 80}
SAME: dict[str, tuple[dict[str, Any], dict[str, int]]] = {
    "ours": ({"tokens_in": 20, "tokens_out": 7}, PLAIN),
    "aliases": ({"input_tokens": 20, "output_tokens": 7}, PLAIN),
    "one alias": ({"input_tokens": 20, "tokens_out": 7}, PLAIN),
    "nulls are left out": ({"tokens_in": 20, "input_tokens": None, "tokens_out": 7, "requests": None}, PLAIN),
    "whole numbers with a point": ({"tokens_in": jsontext.loads("2.0e1"), "tokens_out": jsontext.loads("7.0")}, PLAIN),
    "openai, flat": ({"prompt_tokens": 20, "completion_tokens": 7}, PLAIN),
    "openai, flat, input includes the cached part": (
        {"prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 80}},
        CACHED,
    ),
    "openai's usage": (
        {
            "usage": {
                "prompt_tokens": 100,
                "completion_tokens": 7,
                "total_tokens": 107,
                "prompt_tokens_details": {"cached_tokens": 80, "audio_tokens": 3},
                "completion_tokens_details": {"reasoning_tokens": 5, "rejected_prediction_tokens": 1},
            }
        },
        {**CACHED, "audio_input_tokens": 3, "reasoning_tokens": 5},
    ),
    "openai's newer usage": (
        {
            "usage": {
                "input_tokens": 100,
                "input_tokens_details": {"cached_tokens": 80},
                "output_tokens": 7,
                "output_tokens_details": {"reasoning_tokens": 5},
                "total_tokens": 107,
            }
        },
        {**CACHED, "reasoning_tokens": 5},
    ),
    "openai's usage of an embedding": ({"usage": {"prompt_tokens": 20, "total_tokens": 20}}, {"tokens_in": 20}),
    "anthropic's usage": (
        {
            "usage": {
                "input_tokens": 20,
                "cache_read_input_tokens": 80,
                "cache_creation_input_tokens": 9,
                "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 5},
                "output_tokens": 7,
                "server_tool_use": {"web_search_requests": 2},
                "service_tier": "standard",
                "something_new": {"of": "theirs"},
            }
        },
        {**CACHED, "cache_write_tokens": 4, "cache_write_1h_tokens": 5, "web_searches": 2},
    ),
    "anthropic's older usage": (
        {"usage": {"input_tokens": 20, "output_tokens": 7, "cache_creation_input_tokens": 9, "cache_creation": None}},
        {**PLAIN, "cache_write_tokens": 9},
    ),
    "cost alone": ({"cost": 1}, {"requests": 1}),
    "an aggregate": ({"tokens_in": 20, "tokens_out": 7, "requests": 3}, {**PLAIN, "requests": 3}),
}


@pytest.mark.parametrize("name", SAME)
def test_names_and_conventions(name: str) -> None:
    row, expected = SAME[name]
    assert counts(row) == {"requests": 1, **expected}


def test_equal_meaning_is_an_equal_payload() -> None:
    ways: list[dict[str, Any]] = [
        {"tokens_in": 20, "tokens_out": 7, "cache_read_tokens": 80},
        {"output_tokens": 7, "input_tokens": 20, "cache_read_tokens": 80, "requests": 1, "tags": {}, "agent": " "},
        {"usage": {"input_tokens": 20, "output_tokens": 7, "cache_read_input_tokens": 80}, "batch": False},
        {"prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 80}},
    ]
    events = [read({"model": "m", "event_id": "e", **way}) for way in ways]
    assert len({event.payload for event in events}) == 1
    assert len({event.key for event in events}) == 1


def test_what_differs_is_another_payload() -> None:
    base = {"model": "m", "event_id": "e", "tokens_in": 20, "tokens_out": 7}
    others: list[dict[str, Any]] = [
        {"tokens_in": 21}, {"cache_read_tokens": 1}, {"requests": 2}, {"cost": 1}, {"cost": jsontext.loads("1.1")},
        {"model": "n"}, {"provider": "openai"}, {"account": "a"}, {"project": "p"}, {"agent": "p"}, {"user": "p"},
        {"session_label": "p"}, {"session_type": "p"}, {"category": "p"}, {"request_type": "p"}, {"description": "p"},
        {"service_tier": "p"}, {"batch": True}, {"tags": {"a": "p"}}, {"metadata": {"a": "p"}}, {"web_searches": 1},
        {"recorded_at": "2026-11-23T10:00:00Z"}, {"recorded_at": "2026-11-23T10:00:00.000001Z"},
    ]  # fmt: skip
    payloads = [read(base).payload, *(read({**base, **other}).payload for other in others)]
    assert len(set(payloads)) == len(payloads)


def test_one_instant_however_it_is_written() -> None:
    texts = ["2026-11-23T09:00:00Z", "2026-11-23T10:00:00+01:00", "2026-11-23 09:00", "2026-11-23T09:00:00.0000009Z"]
    events = [
        read({"model": "m", "event_id": "e", "tokens_in": 1, "tokens_out": 1, "recorded_at": text}) for text in texts
    ]
    assert len({event.payload for event in events}) == 1
    assert {event.at for event in events} == {datetime(2026, 11, 23, 9, tzinfo=UTC)}


REFUSED: dict[str, tuple[Any, str, str]] = {
    "not an object": ([1], "", "JSON object"),
    "no model": ({"tokens_in": 1, "tokens_out": 1}, "model", "Add model"),
    "a blank model": ({"model": " ", "cost": 1}, "model", "Add model"),
    "no output": ({"tokens_in": 1}, "tokens_out", "Add tokens_out"),
    "no tokens": ({}, "tokens_in", "Add tokens_in"),
    "negative": ({"tokens_in": -1, "tokens_out": 1}, "tokens_in", "from 0 to 10^15, not -1"),
    "too many": ({"tokens_in": 10**15 + 1, "tokens_out": 1}, "tokens_in", "10^15"),
    "a fraction": ({"tokens_in": jsontext.loads("1.5"), "tokens_out": 1}, "tokens_in", "whole number"),
    "a huge exponent": ({"tokens_in": jsontext.loads("1e999999"), "tokens_out": 1}, "tokens_in", "whole number"),
    "a tiny exponent": ({"tokens_in": jsontext.loads("1e-999999"), "tokens_out": 1}, "tokens_in", "whole number"),
    "text for a count": ({"tokens_in": "5", "tokens_out": 1}, "tokens_in", "not text"),
    "true for a count": ({"tokens_in": True, "tokens_out": 1}, "tokens_in", "not true or false"),
    "true for an alias": ({"input_tokens": True, "tokens_out": 1}, "tokens_in", "whole number"),
    "a negative cost": ({"cost": -1}, "cost", "negative"),
    "a cost out of range": ({"cost": jsontext.loads("1e-31")}, "cost", "30 decimals"),
    "a cost too large": ({"cost": jsontext.loads("1e20")}, "cost", "20 digits"),
    "a cost of words": ({"cost": "much"}, "cost", "digits"),
    "both aliases": ({"tokens_in": 1, "input_tokens": 1, "tokens_out": 1}, "input_tokens", "the same"),
    "both conventions": (
        {"prompt_tokens": 9, "completion_tokens": 1, "cache_read_tokens": 3},
        "cache_read_tokens",
        "already says",
    ),
    "usage and counts": ({"usage": {"input_tokens": 1}, "tokens_in": 1}, "tokens_in", "already says"),
    "usage is text": ({"usage": "many"}, "usage", "must be the object"),
    "usage of nobody": ({"usage": {"tokens": 5}}, "usage", "neither input_tokens nor prompt_tokens"),
    "more cached than sent": (
        {"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 6}},
        "prompt_tokens_details",
        "more than the 5",
    ),
    "a nested negative": (
        {"usage": {"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": -6}}},
        "usage.prompt_tokens_details.cached_tokens",
        "not -6",
    ),
    "details alone": ({"prompt_tokens_details": {}, "cost": 1}, "prompt_tokens_details", "needs prompt_tokens"),
    "an unknown field": ({"cost": 1, "modle": "x"}, "modle", "did you mean model?"),
    "an unknown field like none": ({"cost": 1, "xyzzy": "x"}, "xyzzy", "metadata takes"),
    "a number for text": ({"cost": 1, "agent": 5}, "agent", "must be text"),
    "an array for text": ({"cost": 1, "agent": ["a"]}, "agent", "must be text"),
    "a long text": ({"cost": 1, "agent": "é" * 151}, "agent", "302 bytes; send at most 300"),
    "a long description": ({"cost": 1, "description": "x" * 4001}, "description", "at most 4000"),
    "batch is text": ({"cost": 1, "batch": "yes"}, "batch", "true or false"),
    "batch is a list": ({"cost": 1, "batch": []}, "batch", "true or false"),
    "an event id that is a number": ({"cost": 1, "event_id": 5}, "event_id", "must be text"),
    "a long event id": ({"cost": 1, "event_id": "x" * 301}, "event_id", "at most 300"),
    "tags are nested": ({"cost": 1, "tags": {"a": {"b": 1}}}, "tags", "tags are flat"),
    "tags are an array": ({"cost": 1, "tags": ["a"]}, "tags", "object of key and value"),
    "too many tags": ({"cost": 1, "tags": {str(n): "x" for n in range(51)}}, "tags", "at most 50"),
    "a long tag": ({"cost": 1, "tags": {"a": "x" * 501}}, "tags.a", "at most 500"),
    "an empty tag": ({"cost": 1, "tags": {"": "x"}}, "tags", "empty key"),
    "metadata is text": ({"cost": 1, "metadata": "x"}, "metadata", "JSON object"),
    "large metadata": ({"cost": 1, "metadata": {"a": "x" * 2048}}, "metadata", "2048 bytes"),
    "deep metadata": ({"cost": 1, "metadata": jsontext.loads('{"a":' * 30 + "1" + "}" * 30)}, "metadata", "deep"),
    "metadata with a huge number": (
        {"cost": 1, "metadata": {"a": jsontext.loads("1e5000")}},
        "metadata",
        "number out of range",
    ),
    "an instant of words": ({"cost": 1, "recorded_at": "today"}, "recorded_at", "ISO 8601"),
    "an instant that is a number": ({"cost": 1, "recorded_at": 5}, "recorded_at", "must be text"),
    "an instant that does not exist": ({"cost": 1, "recorded_at": "2026-02-30T00:00:00Z"}, "recorded_at", "ISO 8601"),
    "an instant before all": ({"cost": 1, "recorded_at": "1999-12-31T23:59:59Z"}, "recorded_at", "outside"),
    "an instant ahead": (
        {"cost": 1, "recorded_at": "2026-11-23T10:05:01Z"},
        "recorded_at",
        "more than 5 minutes ahead",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_names_its_field(name: str) -> None:
    row, field, words = REFUSED[name]
    sent = {"model": "m", **row} if isinstance(row, dict) and name != "no model" else row
    with pytest.raises(EventError) as refused:
        read(sent)
    assert (refused.value.field, words in str(refused.value)) == (field, True), str(refused.value)


def test_bounds_are_inclusive() -> None:
    event = read(
        {
            "model": "m" * 300,
            "tokens_in": 10**15,
            "tokens_out": 0,
            "metadata": {"a": "€" * 680},
            "recorded_at": "2026-11-23T10:05:00Z",
        }
    )
    assert event.counts[0] == 10**15
    assert len(event.call.model) == 300


def test_a_bad_row_says_nothing_about_the_next_one() -> None:
    reader = Reader(NOW)
    good = {"model": "m", "tokens_in": 1, "tokens_out": 2, "agent": "a"}
    with pytest.raises(EventError):
        reader.read({**good, "agent": 1}, None)
    assert reader.read(good, None).purpose.agent == "a"
    with pytest.raises(EventError):
        reader.read({**good, "agent": 1}, None)
    assert reader.read({**good, "batch": 1}, None).call.batch is True


def test_tags_are_stored_as_texts_and_metadata_as_it_is() -> None:
    row = jsontext.loads('{"model":"m","cost":1,"tags":{"b":true,"a":1.50,"c":"x","n":null},"metadata":{"z":[1.10]}}')
    event = read(row)
    assert event.tags == '{"a":"1.50","b":"true","c":"x"}'
    assert event.metadata == '{"z":[1.10]}'


def test_providers_are_understood_by_their_names() -> None:
    for name, known in {"ChatGPT": "openai", "Claude": "anthropic", "Somebody": "somebody"}.items():
        assert read({"model": "m", "cost": 1, "provider": name}).call.provider == known
