"""What each kind of money becomes in FOCUS: categories, prices, quantities, names."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from shared.core import jsontext
from shared.core.focus import Row, number, rows
from shared.core.focus_columns import FOCUS_1_2
from shared.core.focus_parts import COST_COMPONENTS, Lines
from shared.core.makers import maker, seller
from shared.core.pricing import TOKEN_CLASSES, Rates
from tests.unit.focus_rules import SPECIFIED

RATES = Rates(
    source="catalogue", model="claude-sonnet-4-5", since=date(2026, 9, 1), version="genai-prices 1",
    input=Decimal(3), output=Decimal(15), cache_read=Decimal("0.3"), cache_write_5m=Decimal("3.75"),
    reasoning=Decimal(15), audio_input=Decimal("3.1"), web_search=Decimal(10), request=Decimal("0.123456789"),
)  # fmt: skip


def lines(
    basis: str = "estimated",
    cost: str | None = "0",
    costs: dict[str, str] | None = None,
    **more: Any,  # noqa: ANN401 - columns of any type
) -> Lines:
    """A group of lines with no figures but those given: token classes by their name, all else by the field's."""
    tokens = {name: more.pop(name, 0) for name in TOKEN_CLASSES}
    fields: dict[str, Any] = {
        "day": date(2026, 12, 31), "basis": basis, "source": "api", "provider": "anthropic",
        "model": "claude-sonnet-4-5", "project": "PeakPaws", "session_type": "main", "account_id": "org-1",
        "account_name": "main", "is_organization": True, "web_searches": 0, "requests": 0,
        "cost": None if cost is None else Decimal(cost),
        "costs": {name: Decimal((costs or {}).get(name, 0)) for name in COST_COMPONENTS}, "tokens": tokens,
    }  # fmt: skip
    return Lines(**{**fields, **more})


def one(group: Lines) -> Row:
    [row] = rows(group)
    return row


def test_the_columns_are_those_of_the_specification_and_ours_behind_them() -> None:
    names = FOCUS_1_2.names
    assert list(names[:57]) == SPECIFIED
    assert all(name.startswith("x_") for name in names[57:])
    assert len(set(names)) == len(names)


def test_every_column_that_is_filled_is_one_of_the_columns() -> None:
    kinds = [lines(basis, "1", input=5, rates=RATES) for basis in ("estimated", "billed", "manual", "balance")]
    assert {name for group in kinds for row in rows(group) for name in row} <= set(FOCUS_1_2.names)


def test_metadata_describes_every_column() -> None:
    found = FOCUS_1_2.metadata("9.9.9")
    [schema] = found["Schema"]
    assert found["DataGenerator"] == {"DataGenerator": "AI Cost Tracker"}
    assert (schema["FocusVersion"], schema["DataGeneratorVersion"]) == ("1.2", "9.9.9")
    by_name = {entry["ColumnName"]: entry for entry in schema["ColumnDefinition"]}
    assert tuple(by_name) == FOCUS_1_2.names
    assert by_name["BilledCost"] == {
        "ColumnName": "BilledCost", "DataType": "DECIMAL", "NumericPrecision": 50, "NumberScale": 30
    }  # fmt: skip
    assert by_name["ChargePeriodStart"]["DataType"] == "DATETIME"
    assert by_name["Tags"] == {
        "ColumnName": "Tags", "DataType": "JSON", "StringEncoding": "UTF-8", "ProviderTagPrefixes": []
    }  # fmt: skip


def test_a_token_class_is_its_price_times_its_quantity() -> None:
    row = one(lines(cost="3.703701", input=1_234_567, rates=RATES, key_id="k1", key_name="n8n", workspace_id="w1"))
    expected = {
        "ChargeCategory": "Usage", "ChargeFrequency": "Usage-Based", "ConsumedQuantity": "1234567.0",
        "ConsumedUnit": "Tokens", "PricingQuantity": "1.234567", "PricingUnit": "1000000 Tokens",
        "ListUnitPrice": "3.0", "ContractedUnitPrice": "3.0", "ListCost": "3.703701", "BilledCost": "3.703701",
        "EffectiveCost": "3.703701", "SkuId": "anthropic/claude-sonnet-4-5/input", "SkuMeter": "Input Tokens",
        "SkuPriceId": "anthropic/claude-sonnet-4-5/input/std", "PricingCategory": "Standard",
        "ChargePeriodStart": "2026-12-31T00:00:00Z", "ChargePeriodEnd": "2027-01-01T00:00:00Z",
        "BillingPeriodStart": "2026-12-01T00:00:00Z", "BillingPeriodEnd": "2027-01-01T00:00:00Z",
        "ResourceId": "k1", "ResourceName": "n8n", "ResourceType": "API Key", "SubAccountId": "w1",
        "SubAccountName": "w1", "SubAccountType": "Workspace", "x_TokenClass": "input", "x_TokenCount": "1234567.0",
        "x_PriceSince": "2026-09-01", "x_PriceSource": "catalogue", "x_CostBasis": "estimated",
        "ServiceName": "Anthropic API", "PublisherName": "Anthropic",
    }  # fmt: skip
    assert {name: row.get(name) for name in expected} == expected
    assert row.get("InvoiceId") is None


def test_a_part_of_an_organisation_is_called_as_its_provider_calls_it() -> None:
    kinds = {
        provider: one(lines("billed", "1", provider=provider, workspace_id="p1", workspace_name="blog"))
        for provider in ("anthropic", "openai")
    }
    assert {name: (row["SubAccountName"], row["SubAccountType"]) for name, row in kinds.items()} == {
        "anthropic": ("blog", "Workspace"), "openai": ("blog", "Project")
    }  # fmt: skip


def test_every_class_has_a_row_and_fees_have_units_of_their_own() -> None:
    cost = Decimal("0.003") + Decimal("0.0031") + 2 * Decimal("0.01") + 3 * Decimal("0.000123456789") + Decimal("0.003")
    found = {
        row["x_TokenClass"]: row
        for row in rows(
            lines(cost=str(cost), input=1000, audio_input=1000, output=150, reasoning=50, web_searches=2, requests=3,
                  rates=RATES)
        )
    }  # fmt: skip
    # Reasoning has the price of output, so it is output.
    assert {name: row["ConsumedQuantity"] for name, row in found.items()} == {
        "input": "1000.0", "output": "200.0", "audio_input": "1000.0", "web_search": "2.0", "request": "3.0"
    }  # fmt: skip
    assert (found["web_search"]["PricingUnit"], found["web_search"]["PricingQuantity"]) == ("1000 Requests", "0.002")
    assert (found["request"]["ListUnitPrice"], found["request"]["ListCost"]) == ("0.123456789", "0.000370370367")
    assert found["web_search"]["x_TokenCount"] is None
    assert sum(Decimal(row["EffectiveCost"] or 0) for row in found.values()) == cost


def test_reasoning_with_a_price_of_its_own_is_a_row_of_its_own() -> None:
    dear = Rates(source="override", model="o9", output=Decimal(15), reasoning=Decimal(60))
    found = list(rows(lines(cost="0.0075", output=100, reasoning=100, rates=dear)))
    assert [(row["x_TokenClass"], row["ListUnitPrice"]) for row in found] == [("output", "15.0"), ("reasoning", "60.0")]


@pytest.mark.parametrize(
    ("circumstances", "price_id"),
    [
        ({}, "std"),
        ({"service_tier": "standard", "region": "global"}, "std"),
        ({"is_batch": True}, "batch"),
        ({"service_tier": "flex", "region": "us"}, "flex-us"),
        ({"is_batch": True, "rates": RATES.__class__(source="s", model="m", above=200_000)}, "batch-long"),
        ({"speed": "fast"}, "fast"),
    ],
)
def test_what_selects_the_price_is_in_its_id_and_its_details(circumstances: dict[str, Any], price_id: str) -> None:
    row = one(lines(cost="0", input=5, **{"rates": RATES.__class__(source="s", model="m"), **circumstances}))
    assert row["SkuPriceId"] == f"anthropic/claude-sonnet-4-5/input/{price_id}"
    details = jsontext.loads(row["SkuPriceDetails"] or "")
    assert (details.pop("x_Model"), details.pop("x_TokenClass")) == ("claude-sonnet-4-5", "input")
    assert "-".join(details.values()) == ("" if price_id == "std" else price_id)


@pytest.mark.parametrize(
    ("basis", "more", "consumed", "price_id"),
    [
        ("billed", {}, ("12.5", "Dollars"), "as-billed"),
        ("reported", {"input": 700, "output": 107}, ("807.0", "Tokens"), "as-reported"),
        ("manual", {"requests": 4}, ("4.0", "Requests"), "as-entered"),
    ],
)
def test_one_amount_is_priced_in_dollars(
    basis: str, more: dict[str, Any], consumed: tuple[str, str], price_id: str
) -> None:
    row = one(lines(basis, "12.5", **more))
    assert (row["ConsumedQuantity"], row["ConsumedUnit"]) == consumed
    assert (row["ListUnitPrice"], row["PricingQuantity"], row["PricingUnit"]) == ("1.0", "12.5", "Dollars")
    assert (row["ChargeCategory"], row["PricingCategory"], row["EffectiveCost"]) == ("Usage", "Other", "12.5")
    assert row["SkuPriceId"] == f"anthropic/claude-sonnet-4-5/unclassified/{price_id}"


def test_a_negative_amount_is_a_credit() -> None:
    row = one(lines("billed", "-3.25"))
    assert (row["ChargeCategory"], row["BilledCost"], row["ChargeFrequency"]) == ("Credit", "-3.25", "One-Time")
    assert all(row.get(name) is None for name in ("ConsumedQuantity", "PricingQuantity", "ListUnitPrice", "SkuId"))


def test_a_manual_entry_says_its_note() -> None:
    row = one(lines("manual", "20", provider="chatgpt plus", notes="seat, November", model="unassigned"))
    assert (row["ChargeDescription"], row["ChargeFrequency"]) == ("seat, November", "One-Time")
    assert (row["ProviderName"], row["ServiceName"], row["PublisherName"]) == ("chatgpt plus",) * 3


def test_unpriced_usage_costs_nothing_and_says_so() -> None:
    found = list(rows(lines("unpriced", None, input=5, output=2, web_searches=1)))
    assert {row["BilledCost"] for row in found} == {"0.0"}
    assert {row["x_CostBasis"] for row in found} == {"unpriced"}
    assert [row["ConsumedQuantity"] for row in found] == ["5.0", "2.0", "1.0"]
    assert all("no price" in (row["ChargeDescription"] or "") for row in found)


def test_balance_lines_are_adjustments_with_negative_tokens() -> None:
    group = lines(
        "balance", "-0.5", {"input": "-0.3", "output": "-0.1"}, source="attribution", input=-100, output=-8,
        reasoning=-2, cache_read=-7,
    )  # fmt: skip
    found = {row["x_TokenClass"]: row for row in rows(group)}
    assert {name: (row["BilledCost"], row["x_TokenCount"]) for name, row in found.items()} == {
        "input": ("-0.3", "-100.0"), "output": ("-0.1", "-10.0"), "cache_read": ("0.0", "-7.0"),
        "unclassified": ("-0.1", None),
    }  # fmt: skip
    assert {row["ChargeCategory"] for row in found.values()} == {"Adjustment"}
    assert all(row.get("PricingQuantity") is None and row.get("SkuId") is None for row in found.values())


def test_what_no_price_explains_is_not_lost() -> None:
    found = list(rows(lines(cost="1", input=1000, rates=RATES)))
    assert [(row["ChargeCategory"], row["BilledCost"]) for row in found] == [
        ("Usage", "0.003"),
        ("Adjustment", "0.997"),
    ]


def test_texts_are_harmless_and_empty_ones_are_null() -> None:
    row = one(lines("billed", "1", model="=cmd()", project="+1", agent="", tags={"team": "", "n": "5"}))
    assert (row["x_Model"], row["x_Project"], row["x_Agent"]) == ("'=cmd()", "'+1", None)
    assert jsontext.loads(row["Tags"] or "") == {"project": "+1", "team": True, "n": "5"}


def test_a_tag_of_the_sender_stays_as_it_was_sent() -> None:
    row = one(lines("billed", "1", tags={"project": "theirs"}))
    assert (jsontext.loads(row["Tags"] or ""), row["x_Project"]) == ({"project": "theirs"}, "PeakPaws")


@pytest.mark.parametrize(
    ("value", "text"),
    [("0", "0.0"), ("0E-30", "0.0"), ("1E+3", "1000.0"), ("-2", "-2.0"), ("1E-30", "0." + "0" * 29 + "1")],
)
def test_numbers_have_a_point_and_no_exponent(value: str, text: str) -> None:
    assert number(Decimal(value)) == text


@pytest.mark.parametrize(
    ("provider", "model", "made_by"),
    [
        ("anthropic", "claude-opus-5-5", "Anthropic"),
        ("openrouter", "anthropic/claude-opus-4", "Anthropic"),
        ("aws", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "Anthropic"),
        ("azure", "gpt-4.1", "OpenAI"),
        ("openrouter", "meta-llama/llama-4", "Meta"),
        ("openrouter", "mistralai/something-new", "Mistral AI"),
        ("groq", "llama3.1", "Meta"),
        ("anthropic", "code_execution", "Anthropic"),
        ("who", "what", "who"),
    ],
)
def test_who_made_a_model(provider: str, model: str, made_by: str) -> None:
    assert maker(provider, model) == made_by


def test_who_sells_it() -> None:
    assert [seller(name) for name in ("openai", "x-ai", "something new")] == ["OpenAI", "xAI", "something new"]
