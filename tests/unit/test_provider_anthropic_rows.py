"""What the rows of Anthropic's reports mean, and that cents never pass for dollars."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.usage import MAX_COUNT, PriceContext, Usage
from shared.errors import MalformedResponseError
from shared.providers.anthropic import COSTS, USAGE
from shared.providers.base import Row
from shared.providers.payload import usd_from_cents
from tests.fixtures.providers.anthropic_answers import (
    DAY,
    WEEK,
    charged,
    connected,
    cost_row,
    counted,
    report,
    usage_row,
)
from tests.fixtures.providers.recording import planted
from tests.fixtures.providers.wire import refused


def test_speed_that_was_asked_for_must_be_answered() -> None:
    provider, _ = connected(report(usage_row()), speed=True)
    refused(MalformedResponseError, lambda: provider.fetch(USAGE, WEEK, None))


def test_the_token_classes() -> None:
    row = usage_row(
        uncached_input_tokens=1,
        cache_read_input_tokens=20,
        cache_creation={"ephemeral_5m_input_tokens": 300, "ephemeral_1h_input_tokens": 4_000},
        output_tokens=50_000,
        server_tool_use={"web_search_requests": 600_000},
    )
    usage = counted(**row).usage
    assert usage == Usage(
        input=1, cache_read=20, cache_write_5m=300, cache_write_1h=4_000, output=50_000, web_searches=600_000
    )
    assert usage.total_tokens == 54_321
    assert counted(output_tokens=MAX_COUNT).usage.output == MAX_COUNT


@pytest.mark.parametrize(
    ("words", "context"),
    [
        ({"service_tier": "standard"}, PriceContext(service_tier="standard")),
        ({"service_tier": "batch"}, PriceContext(batch=True)),
        ({"service_tier": "priority_on_demand"}, PriceContext(service_tier="priority_on_demand")),
        ({"inference_geo": "not_available"}, PriceContext()),
        ({"inference_geo": "us"}, PriceContext(inference_geo="us")),
        ({"context_window": "200k-1M"}, PriceContext(context_window="200k-1M")),
    ],
)
def test_the_context_of_the_price(words: dict[str, str], context: PriceContext) -> None:
    nulls = {"service_tier": None, "inference_geo": None, "context_window": None}
    for bucket in (counted(**{**nulls, **words}), charged(**{**nulls, **words})):
        assert bucket.context == context
        assert words.items() <= bucket.dimensions.items()


@pytest.mark.parametrize("field", ["model", "api_key_id", "workspace_id", "service_tier", "context_window"])
def test_a_missing_dimension_does_not_pass_for_null(field: str) -> None:
    row = usage_row()
    del row[field]
    provider, _ = connected(report(row))
    error = refused(MalformedResponseError, lambda: provider.fetch(USAGE, WEEK, None))
    assert f"data.0.results.0.{field}" in str(error)


@pytest.mark.parametrize("field", ["amount", "currency", "workspace_id", "description", "cost_type"])
def test_a_missing_part_of_a_bill_is_refused(field: str) -> None:
    row = cost_row()
    del row[field]
    provider, _ = connected(report(row, 24))
    refused(MalformedResponseError, lambda: provider.fetch(COSTS, WEEK, None))


@pytest.mark.parametrize("currency", ["EUR", "usd", "", None, 1])
def test_only_usd(currency: object) -> None:
    provider, _ = connected(report(cost_row(currency=currency), 24))
    error = refused(MalformedResponseError, lambda: provider.fetch(COSTS, WEEK, None))
    assert "data.0.results.0.currency" in str(error)


def test_a_bill_line_without_a_model() -> None:
    bucket = charged(model=None, token_type=None, cost_type="code_execution", description="Code Execution Usage")
    assert (bucket.model, bucket.charge, bucket.description) == (None, "code_execution", "Code Execution Usage")
    assert bucket.usage == Usage()


@given(cents=st.integers(-(10**16), 10**16), places=st.integers(0, 12))
def test_cents_become_dollars_exactly(cents: int, places: int) -> None:
    sign, digits = ("-" if cents < 0 else ""), str(abs(cents)).rjust(places + 1, "0")
    text = f"{sign}{digits[:-places]}.{digits[-places:]}" if places else f"{sign}{digits}"
    amount = usd_from_cents(text)
    assert Fraction(amount) == Fraction(text) / 100
    assert Fraction(amount) * 100 == Fraction(cents, 10**places)
    _, kept, exponent = amount.as_tuple()
    assert isinstance(exponent, int)
    assert exponent == 0 or (exponent < 0 and kept[-1] != 0)


@pytest.mark.parametrize(
    ("cents", "usd"),
    [
        ("123.45", "1.2345"),
        ("41280.000000", "412.8"),
        ("100", "1"),
        ("1", "0.01"),
        ("10000", "100"),
        ("-0.00", "0"),
        ("0E-6176", "0"),
        ("1.2E-7", "1.2E-9"),
        ("0.1234567890123456789012345678", "0.001234567890123456789012345678"),
        ("99999999999999999.99", "999999999999999.9999"),
    ],
)
def test_a_hundredfold_mistake_is_impossible(cents: str, usd: str) -> None:
    assert str(usd_from_cents(cents)) == usd
    assert charged(amount=cents).amount == Decimal(usd)


@pytest.mark.parametrize(
    "value",
    ["100000000000000000", "1E+2", "1e-9999", "0.12345678901234567890123456789", "$1", "+1", ".5", "5.", "1\n", 5, 1.5],
)
def test_what_is_not_cents(value: object) -> None:
    with pytest.raises(ValueError, match=r"^an amount "):
        usd_from_cents(value)


def test_a_huge_wrong_field_is_not_echoed() -> None:
    row = planted(usage_row(), ["output_tokens"], "z" * 1_000_000)
    provider, _ = connected(report(row))
    error = refused(MalformedResponseError, lambda: provider.fetch(USAGE, WEEK, None))
    assert "zz" not in str(error)
    assert str(error) == (
        "Anthropic's /v1/organizations/usage_report/messages does not have the documented shape at "
        "data.0.results.0.output_tokens: Input should be a valid integer."
    )


def test_rows_are_kept_as_they_came() -> None:
    provider, _ = connected(report(usage_row()))
    (row,) = provider.fetch(USAGE, WEEK, None).rows
    assert row == Row(DAY, DAY + USAGE.grain, usage_row())


def test_the_same_row_under_another_interval_is_another_bucket() -> None:
    provider, _ = connected(report(usage_row()))
    (row,) = provider.fetch(USAGE, WEEK, None).rows
    later = replace(row, start=row.end, end=row.end + USAGE.grain)
    assert provider.parse(USAGE, later) == replace(provider.parse(USAGE, row), start=later.start, end=later.end)
