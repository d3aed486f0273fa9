"""What OpenAI's rows mean: input that holds the cache, missing parts, 34-digit money, and the lines of the bill."""

from __future__ import annotations

from decimal import Decimal

import pytest

from shared.core.usage import Usage
from shared.errors import MalformedResponseError
from shared.providers.openai_bill import Line, read_line
from tests.fixtures.providers.openai_answers import charged, counted, usd
from tests.fixtures.providers.wire import refused

PARTS = (
    "input_uncached_tokens", "input_cached_tokens", "input_cache_write_tokens", "input_cache_write_30m_tokens",
    "input_cache_write_12h_tokens", "input_text_tokens", "input_audio_tokens", "input_image_tokens",
    "output_text_tokens", "output_audio_tokens", "output_image_tokens",
)  # fmt: skip
BARE: dict[str, object] = dict.fromkeys(PARTS)


def usage(**changes: object) -> Usage:
    return counted(**BARE | changes).usage


def test_input_is_what_neither_came_from_the_cache_nor_went_there() -> None:
    found = usage(input_tokens=1000, input_cached_tokens=400, input_cache_write_tokens=100, output_tokens=50)
    assert (found.input, found.cache_read, found.cache_write_5m, found.output) == (500, 400, 100, 50)
    assert found.total_input == 1000


def test_only_the_totals_are_sure_to_be_there() -> None:
    assert usage(input_tokens=7, output_tokens=3, num_model_requests=2) == Usage(input=7, output=3, requests=2)


def test_null_is_the_same_as_missing() -> None:
    bucket = counted(**BARE | {"input_tokens": 9, "output_tokens": 1})
    assert bucket.usage.cache_read == 0
    assert counted(batch=None, service_tier=None).dimensions["batch"] is None


def test_what_is_told_to_be_uncached_counts() -> None:
    assert usage(input_tokens=1000, input_cached_tokens=400, input_uncached_tokens=600).input == 600


@pytest.mark.parametrize(
    ("parts", "short", "long"),
    [
        ({"input_cache_write_tokens": 90}, 90, 0),
        ({"input_cache_write_tokens": 9, "input_cache_write_30m_tokens": 6, "input_cache_write_12h_tokens": 3}, 6, 3),
        ({"input_cache_write_30m_tokens": 60, "input_cache_write_12h_tokens": 30}, 60, 30),
        ({"input_cache_write_tokens": 90, "input_cache_write_12h_tokens": 90}, 0, 90),
    ],
)  # fmt: skip
def test_cache_writes_by_how_long_they_live(parts: dict[str, object], short: int, long: int) -> None:
    found = usage(input_tokens=100, **parts)
    assert (found.cache_write_5m, found.cache_write_1h, found.input) == (short, long, 100 - short - long)


def test_audio_and_images_are_parts_and_never_more_than_the_whole() -> None:
    found = usage(
        input_tokens=1000, input_cached_tokens=500, input_audio_tokens=50, input_image_tokens=70, output_tokens=400,
        output_audio_tokens=30, output_image_tokens=20,
    )  # fmt: skip
    assert (found.audio_input, found.image_input, found.audio_output, found.image_output) == (50, 70, 30, 20)
    # Older rows may count cached audio among it.
    found = usage(
        input_tokens=100, input_cached_tokens=90, input_audio_tokens=80, input_image_tokens=80, output_tokens=9
    )
    assert (found.input, found.audio_input, found.image_input) == (10, 10, 0)


def test_more_cache_than_input_is_refused_with_its_place() -> None:
    told = refused(MalformedResponseError, lambda: usage(input_tokens=10, input_cached_tokens=11))
    assert "data.0.results.0.input_tokens" in str(told)


@pytest.mark.parametrize("part", PARTS[:5])
@pytest.mark.parametrize("value", [-1, 1.5, "12", True, [], 10**15 + 1])
def test_a_part_that_is_no_count(part: str, value: object) -> None:
    told = refused(MalformedResponseError, lambda: counted(**{part: value}))
    assert part in str(told)


@pytest.mark.parametrize(
    ("batch", "tier", "is_batch", "kept"),
    [
        (False, "default", False, "default"),
        (None, None, False, None),
        (True, None, True, None),
        (True, "default", True, "default"),
        (False, "batch", True, None),
        (False, "flex", False, "flex"),
        (False, "priority", False, "priority"),
        (False, "a tier of tomorrow", False, "a tier of tomorrow"),
    ],
)
def test_what_selects_the_price(batch: object, tier: object, is_batch: object, kept: object) -> None:
    context = counted(batch=batch, service_tier=tier).context
    assert (context.batch, context.service_tier) == (is_batch, kept)


def test_nobody_is_named_in_what_is_kept() -> None:
    bucket = counted(user_id="user-1", user_email="ada@example.test", user_name="Ada")
    assert not any(name.startswith("user") for name in bucket.dimensions)
    assert set(bucket.dimensions) == {"project_id", "api_key_id", "model", "batch", "service_tier"}


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("2.193950000000000000000000000000000", "2.19395"),
        ("0E-6176", "0"),
        ("-0E-6176", "0"),
        ("0.0000002000000000000000000000000000000", "2E-7"),
        ("1.234567890123456789012345678901234", "1.234567890123456789012345678901"),
        ("0.3333333333333333333333333333333333", "0.333333333333333333333333333333"),
        ("0.6666666666666666666666666666666666", "0.666666666666666666666666666667"),
        ("1E-40", "0"),
        ("1E+2", "100"),
        ("-12.50", "-12.5"),
        ("999999999999999.5", "999999999999999.5"),
        (0, "0"),
        (5, "5"),
        (0.0025945, "0.0025945"),
        (1e-7, "1E-7"),
    ],
)
def test_money_is_dollars_as_text_or_number(value: object, kept: str) -> None:
    amount = charged(amount=usd(value)).amount
    assert (amount, str(amount)) == (Decimal(kept), kept)


@pytest.mark.parametrize("value", ["1000000000000000", 10**15, "-1000000000000000", 1e300, "1E+99", "--1", "1.", ".5"])
def test_money_beyond_reason(value: object) -> None:
    refused(MalformedResponseError, lambda: charged(amount=usd(value)))


@pytest.mark.parametrize("currency", ["eur", "", 5])
def test_only_dollars(currency: object) -> None:
    refused(MalformedResponseError, lambda: charged(amount={"value": "1", "currency": currency}))


@pytest.mark.parametrize("amount", [5, "5.00", [], {}, {"value": "1"}, {"currency": "usd"}])
def test_an_amount_has_a_value_and_a_currency(amount: object) -> None:
    refused(MalformedResponseError, lambda: charged(amount=amount))


TOKEN_LINES = {
    "gpt-5.5-2026-04-23, input": Line(is_tokens=True, model="gpt-5.5-2026-04-23", kind="input"),
    "gpt-5-mini, cached input": Line(is_tokens=True, model="gpt-5-mini", kind="cached input"),
    "gpt-5.6-sol, cache writes": Line(is_tokens=True, model="gpt-5.6-sol", kind="cache writes"),
    "gpt-5-mini, input_tokens": Line(is_tokens=True, model="gpt-5-mini", kind="input_tokens"),
    "gpt-5-mini, cached_input_tokens": Line(is_tokens=True, model="gpt-5-mini", kind="cached_input_tokens"),
    "priority | gpt-5.5, output": Line(is_tokens=True, model="gpt-5.5", kind="output", tier="priority"),
    "gpt-5.5, input, long context": Line(is_tokens=True, model="gpt-5.5", kind="input", is_long=True),
    "Priority | gpt-5.5, cached input, long context": Line(
        is_tokens=True, model="gpt-5.5", kind="cached input", tier="priority", is_long=True
    ),
    "gpt-audio-2026-01 audio, input": Line(is_tokens=True, model="gpt-audio-2026-01", kind="input", modality="audio"),
    "gpt-image-1 image, output": Line(is_tokens=True, model="gpt-image-1", kind="output", modality="image"),
    "ft-gpt-4o-2024-08-06, input": Line(is_tokens=True, model="ft-gpt-4o-2024-08-06", kind="input"),
    "gpt-realtime, cached audio input": Line(is_tokens=True, model="gpt-realtime", kind="cached audio input"),
}


@pytest.mark.parametrize("text", TOKEN_LINES)
def test_lines_about_tokens(text: str) -> None:
    assert read_line(text) == TOKEN_LINES[text]
    bucket = charged(line_item=text, quantity_unit=None)
    charge = "long_context" if text.endswith(", long context") else "tokens"
    assert (bucket.charge, bucket.description, bucket.model) == (charge, text, TOKEN_LINES[text].model)


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("web search tool calls", None),
        ("assistants api | file search", None),
        ("Vector storage", None),
        ("whisper-1, audio", "whisper-1"),
        ("code interpreter sessions", None),
        ("A line of tomorrow", None),
        ("ft-gpt-4o-2024-08-06, training", None),
    ],
)
def test_any_other_line_is_its_own_charge_word_for_word(text: str, model: str | None) -> None:
    bucket = charged(line_item=text, quantity_unit=None)
    assert (bucket.charge, bucket.description, bucket.model) == (text, text, model)


@pytest.mark.parametrize(
    ("text", "unit", "charge"),
    [
        ("tts-1, input", "characters", "tts-1, input"),
        ("dall-e-3, output", "images", "dall-e-3, output"),
        ("a spelling of tomorrow", "1000_tokens", "tokens"),
        ("a spelling of tomorrow", "tokens", "tokens"),
        ("gpt-5.5, input", "a unit of tomorrow", "gpt-5.5, input"),
    ],
)
def test_the_unit_decides_whether_a_line_is_about_tokens(text: str, unit: str, charge: str) -> None:
    assert charged(line_item=text, quantity_unit=unit).charge == charge


@pytest.mark.parametrize("text", [None, ""])
def test_a_line_without_words_is_compared_and_never_booked(text: str | None) -> None:
    bucket = charged(line_item=text)
    assert bucket.charge is None
    assert bucket.amount is not None
