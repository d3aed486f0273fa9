"""Our FOCUS rules can fail, each of them."""

import pytest

from shared.core.focus import rows
from shared.core.focus_columns import FOCUS_1_2
from tests.unit.focus_rules import RULES, File, broken
from tests.unit.test_focus import RATES, lines

USAGE, CHARGE, CREDIT, BALANCE = range(4)


def good() -> File:
    groups = (
        lines(cost="3.703701", input=1_234_567, rates=RATES, key_id="k1", workspace_id="w1", region="us"),
        lines("billed", "12.5"),
        lines("billed", "-3.25", project="General"),
        lines("balance", "-0.3", {"input": "-0.3"}, input=-5),
    )
    return [{name: row.get(name) or "" for name in FOCUS_1_2.names} for group in groups for row in rows(group)]


def test_a_good_file_breaks_none() -> None:
    assert broken(good()) == []


@pytest.mark.parametrize(
    ("rule", "row", "changes"),
    [
        ("formats", USAGE, {"ListCost": "3.703701E0"}),
        ("formats", USAGE, {"ConsumedQuantity": "1234567"}),
        ("formats", USAGE, {"BilledCost": "+3.703701"}),
        ("formats", USAGE, {"ListUnitPrice": "$3.0"}),
        ("formats", USAGE, {"ChargePeriodStart": "2026-12-31 00:00:00"}),
        ("formats", USAGE, {"ChargePeriodStart": "2026-12-31T00:00:00+00:00"}),
        ("formats", USAGE, {"x_User": "N/A"}),
        ("periods", USAGE, {"ChargePeriodEnd": "2026-12-31T23:59:59Z"}),
        ("periods", USAGE, {"BillingPeriodEnd": "2026-12-31T00:00:00Z"}),
        ("periods", USAGE, {"ChargePeriodStart": "2026-11-29T00:00:00Z", "ChargePeriodEnd": "2026-11-30T00:00:00Z"}),
        ("nulls", USAGE, {"SkuPriceId": "", "SkuPriceDetails": ""}),
        ("nulls", USAGE, {"PricingQuantity": "", "PricingUnit": ""}),
        ("nulls", USAGE, {"ConsumedQuantity": "", "ConsumedUnit": ""}),
        ("nulls", USAGE, {"BillingAccountId": ""}),
        ("nulls", USAGE, {"SubAccountType": ""}),
        ("nulls", USAGE, {"ResourceId": "", "ResourceType": "", "ResourceName": "k"}),
        ("nulls", BALANCE, {"ConsumedQuantity": "5.0", "ConsumedUnit": "Tokens"}),
        ("nulls", BALANCE, {"PricingUnit": "1000000 Tokens"}),
        ("allowed values", USAGE, {"ChargeCategory": "usage"}),
        ("allowed values", USAGE, {"ChargeFrequency": "Daily"}),
        ("allowed values", CHARGE, {"ChargeCategory": "Purchase"}),
        ("price times quantity", USAGE, {"ListCost": "3.703702"}),
        ("price times quantity", USAGE, {"ContractedCost": "3.7"}),
        ("price times quantity", BALANCE, {"ListCost": "0.0"}),
        ("money", BALANCE, {"EffectiveCost": "0.0", "PricingCurrencyEffectiveCost": "0.0"}),
        ("money", CHARGE, {"ChargeCategory": "Purchase", "ChargeFrequency": "One-Time"}),
        ("money", USAGE, {"InvoiceIssuerName": "AWS"}),
        ("money", USAGE, {"PricingCurrencyEffectiveCost": "3.7"}),
        ("signs", USAGE, {"ConsumedQuantity": "-5.0"}),
        ("signs", CREDIT, {"BilledCost": "3.25"}),
        ("objects", USAGE, {"Tags": "project=PeakPaws"}),
        ("objects", USAGE, {"Tags": '{"a":{"b":1}}'}),
        ("objects", USAGE, {"Tags": '{"team":""}'}),
        ("objects", USAGE, {"SkuPriceDetails": '{"Model":"x"}'}),
        ("invoices", USAGE, {"InvoiceId": "INV-1"}),
        ("parents", CHARGE, {"BillingAccountName": "other"}),
        ("parents", CHARGE, {"SkuPriceId": "anthropic/claude-sonnet-4-5/input/us"}),
        ("parents", CHARGE, {"ServiceCategory": "Developer Tools"}),
        ("formulas", USAGE, {"x_Agent": "=1+1"}),
        ("one row each", CREDIT, {**good()[CHARGE], "BilledCost": "1.0"}),
    ],
)
def test_each_rule_can_fail(rule: str, row: int, changes: dict[str, str]) -> None:
    wrong = good()
    wrong[row] |= changes
    assert rule in {found.partition(":")[0] for found in broken(wrong)}


@pytest.mark.parametrize("name", ["Awesome", "x_awesome", "x_" + "A" * 49])
def test_custom_columns_have_their_form_and_place(name: str) -> None:
    assert broken([{**row, name: "1"} for row in good()])


def test_the_specified_columns_come_first_and_whole() -> None:
    without = [{name: text for name, text in row.items() if name != "AvailabilityZone"} for row in good()]
    turned = [dict(reversed(row.items())) for row in good()]
    assert all(found[0].startswith("header") for found in (broken(without), broken(turned)))


def test_no_rule_is_without_a_case() -> None:
    [cases] = [mark for mark in test_each_rule_can_fail.pytestmark if mark.name == "parametrize"]  # type: ignore[attr-defined] # pytest adds it
    assert {case[0] for case in cases.args[1]} | {"header"} == set(RULES)
