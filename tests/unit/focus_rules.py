"""FOCUS 1.2 rules that focus-validator skips or takes too lightly, checked over a file's rows.

It evaluates no rule that depends on ChargeClass where that is null, which is every row but corrections.
"""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TypeAlias

from shared.core import jsontext
from shared.core.money import CONTEXT

File: TypeAlias = list[dict[str, str]]
Rule: TypeAlias = Callable[[File], Iterator[str]]

# The 57 columns of model 1.2.0.1.
SPECIFIED = [
    "AvailabilityZone", "BilledCost", "BillingAccountId", "BillingAccountName", "BillingAccountType",
    "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart", "CapacityReservationId", "CapacityReservationStatus",
    "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargeFrequency", "ChargePeriodEnd", "ChargePeriodStart",
    "CommitmentDiscountCategory", "CommitmentDiscountId", "CommitmentDiscountName", "CommitmentDiscountQuantity",
    "CommitmentDiscountStatus", "CommitmentDiscountType", "CommitmentDiscountUnit", "ConsumedQuantity", "ConsumedUnit",
    "ContractedCost", "ContractedUnitPrice", "EffectiveCost", "InvoiceId", "InvoiceIssuerName", "ListCost",
    "ListUnitPrice", "PricingCategory", "PricingCurrency", "PricingCurrencyContractedUnitPrice",
    "PricingCurrencyEffectiveCost", "PricingCurrencyListUnitPrice", "PricingQuantity", "PricingUnit", "ProviderName",
    "PublisherName", "RegionId", "RegionName", "ResourceId", "ResourceName", "ResourceType", "ServiceCategory",
    "ServiceName", "ServiceSubcategory", "SkuId", "SkuMeter", "SkuPriceDetails", "SkuPriceId", "SubAccountId",
    "SubAccountName", "SubAccountType", "Tags",
]  # fmt: skip
COSTS = ("BilledCost", "ContractedCost", "EffectiveCost", "ListCost", "PricingCurrencyEffectiveCost")
_QUANTITIES = ("CommitmentDiscountQuantity", "ConsumedQuantity", "PricingQuantity")
_PRICES = (
    "ContractedUnitPrice", "ListUnitPrice", "PricingCurrencyContractedUnitPrice", "PricingCurrencyListUnitPrice",
)  # fmt: skip
_INSTANTS = ("BillingPeriodEnd", "BillingPeriodStart", "ChargePeriodEnd", "ChargePeriodStart")
_NEVER_NULL = (
    *COSTS, *_INSTANTS, "BillingAccountId", "BillingAccountName", "BillingAccountType", "BillingCurrency",
    "ChargeCategory", "ChargeDescription", "ChargeFrequency", "InvoiceIssuerName", "PricingCurrency", "ProviderName",
    "PublisherName", "ServiceCategory", "ServiceName", "ServiceSubcategory",
)  # fmt: skip
# Of usage and purchases that correct nothing.
_SOLD = ("PricingCategory", "PricingQuantity", "PricingUnit", "SkuId", "SkuMeter", "SkuPriceId", *_PRICES)
# The first is null where and only where the second is.
_TOGETHER = (
    ("PricingUnit", "PricingQuantity"), ("ConsumedUnit", "ConsumedQuantity"), ("SkuPriceDetails", "SkuPriceId"),
    ("SkuMeter", "SkuId"), ("RegionName", "RegionId"), ("ResourceType", "ResourceId"),
    ("SubAccountName", "SubAccountId"), ("SubAccountType", "SubAccountId"),
)  # fmt: skip
_ALLOWED = {
    "BillingCurrency": {"USD"},
    "ChargeCategory": {"Usage", "Purchase", "Tax", "Credit", "Adjustment"},
    "ChargeClass": {"", "Correction"},
    "ChargeFrequency": {"One-Time", "Recurring", "Usage-Based"},
    "PricingCategory": {"", "Standard", "Dynamic", "Committed", "Other"},
    "ServiceCategory": {"AI and Machine Learning"},
    "ServiceSubcategory": {"Generative AI"},
}
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
# The validator types a column of whole numbers as integers and refuses that: there is always a point.
_NUMBER = re.compile(r"-?(0|[1-9]\d*)\.\d+", re.ASCII)
_CUSTOM = re.compile(r"x_[A-Z][A-Za-z0-9]{0,47}", re.ASCII)


def read(text: str) -> File:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def broken(rows: File) -> list[str]:
    """Every rule that some row breaks, as `rule: row: what`; what cannot be read is not judged further."""
    found = [f"{name}: {what}" for name in ("header", "formats") for what in RULES[name](rows)]
    return found or [f"{name}: {what}" for name, rule in RULES.items() for what in rule(rows)]


def _each(check: Callable[[dict[str, str]], Iterable[str]]) -> Rule:
    def rule(rows: File) -> Iterator[str]:
        for number, row in enumerate(rows, 2):
            for what in check(row):
                yield f"row {number}: {what}"

    return rule


def _header(rows: File) -> Iterator[str]:
    names = list(rows[0]) if rows else []
    if names[: len(SPECIFIED)] != SPECIFIED:
        yield "the columns of the specification come first, in order"
    for name in names[len(SPECIFIED) :]:
        if not _CUSTOM.fullmatch(name):
            yield f"{name} is no name for a custom column"


def _formats(row: dict[str, str]) -> Iterator[str]:
    for name in _INSTANTS:
        if row[name] and not _INSTANT.fullmatch(row[name]):
            yield f"{name}={row[name]}"
    for name in (*COSTS, *_QUANTITIES, *_PRICES, "x_TokenCount"):
        if row[name] and not _NUMBER.fullmatch(row[name]):
            yield f"{name}={row[name]}"
    yield from (f"{name} is a stand-in for null" for name, text in row.items() if text.upper() in {"NULL", "N/A", "NA"})


def _periods(row: dict[str, str]) -> Iterator[str]:
    start, end, first, last = (
        datetime.fromisoformat(row[f"{name}Period{edge}"])
        for name in ("Charge", "Billing")
        for edge in ("Start", "End")
    )
    if end - start != timedelta(days=1) or not first <= start < end <= last:
        yield "the charge is not a day of its billing period"
    if first.day != 1 or last != (first + timedelta(days=31)).replace(day=1):
        yield "the billing period is not a month"


def _nulls(row: dict[str, str]) -> Iterator[str]:
    yield from (f"{name} is null" for name in _NEVER_NULL if not row[name])
    is_sold = row["ChargeCategory"] in {"Usage", "Purchase"} and not row["ChargeClass"]
    if is_sold:
        yield from (f"{name} is null" for name in _SOLD if not row[name])
    if row["ChargeCategory"] == "Usage" and not row["ConsumedQuantity"]:
        yield "usage without a quantity"
    if row["ChargeCategory"] != "Usage" and row["ConsumedQuantity"]:
        yield "a quantity of something that is no usage"
    yield from (
        f"{one} without {other} or the reverse" for one, other in _TOGETHER if bool(row[one]) != bool(row[other])
    )
    if row["ResourceName"] and not row["ResourceId"]:
        yield "a name of no resource"


def _allowed(row: dict[str, str]) -> Iterator[str]:
    yield from (f"{name}={row[name]}" for name, allowed in _ALLOWED.items() if row[name] not in allowed)
    if row["ChargeCategory"] == "Purchase" and row["ChargeFrequency"] == "Usage-Based":
        yield "a purchase is not usage-based"


def _products(row: dict[str, str]) -> Iterator[str]:
    if row["ChargeClass"]:
        return
    for kind in ("List", "Contracted"):
        price, quantity, cost = row[f"{kind}UnitPrice"], row["PricingQuantity"], row[f"{kind}Cost"]
        if price and quantity:
            if CONTEXT.multiply(Decimal(price), Decimal(quantity)) != Decimal(cost):
                yield f"{kind}UnitPrice x PricingQuantity is not {kind}Cost"
        elif Decimal(cost) != Decimal(row["BilledCost"]):
            yield f"{kind}Cost without a price is not BilledCost"


def _money(row: dict[str, str]) -> Iterator[str]:
    if row["ChargeCategory"] in {"Credit", "Adjustment"} and row["EffectiveCost"] != row["BilledCost"]:
        yield "EffectiveCost of a charge of its own is not BilledCost"
    if row["ChargeCategory"] == "Purchase" and Decimal(row["EffectiveCost"]):
        yield "a purchase has an effective cost"
    if row["ProviderName"] != row["InvoiceIssuerName"] and Decimal(row["BilledCost"]):
        yield "what another party bills has a BilledCost"
    if row["PricingCurrency"] == row["BillingCurrency"] and row["PricingCurrencyEffectiveCost"] != row["EffectiveCost"]:
        yield "one currency, two effective costs"


def _signs(row: dict[str, str]) -> Iterator[str]:
    if not row["ChargeClass"]:
        yield from (f"{name} is negative" for name in _QUANTITIES if row[name].startswith("-"))
    if row["ChargeCategory"] == "Credit" and Decimal(row["BilledCost"]) > 0:
        yield "a credit that costs"


def _objects(row: dict[str, str]) -> Iterator[str]:
    for name in ("Tags", "SkuPriceDetails"):
        if not row[name]:
            continue
        try:
            found = jsontext.loads(row[name])
        except ValueError:
            found = None
        if not isinstance(found, dict) or any(isinstance(value, (dict, list)) for value in found.values()):
            yield f"{name} is not a flat object"
        elif name == "SkuPriceDetails" and not all(key.startswith("x_") for key in found):
            yield "SkuPriceDetails has a key that FOCUS does not define"
        elif name == "Tags" and "" in found.values():
            yield "a tag without a value is not true"


def _invoices(rows: File) -> Iterator[str]:
    if len({bool(row["InvoiceId"]) for row in rows}) > 1:
        yield "invoiced and open charges in one file"


def _parents(rows: File) -> Iterator[str]:
    for child, *parents in (
        ("SkuPriceId", "SkuId", "SkuPriceDetails"),
        ("ServiceName", "ServiceCategory", "ServiceSubcategory"),
        ("BillingAccountId", "BillingAccountName"),
        ("SubAccountId", "SubAccountName"),
        ("ResourceId", "ResourceName"),
    ):
        found: dict[str, tuple[str, ...]] = {}
        for row in rows:
            if row[child] and found.setdefault(row[child], said := tuple(row[name] for name in parents)) != said:
                yield f"{child} {row[child]} has two of {', '.join(parents)}"


def _formulas(row: dict[str, str]) -> Iterator[str]:
    numbers = {*COSTS, *_QUANTITIES, *_PRICES, "x_TokenCount"}
    yield from (
        f"{name} is a formula" for name, text in row.items() if name not in numbers and text[:1] in {*"=+-@\t\r"}
    )


def _keys(rows: File) -> Iterator[str]:
    figures = {*COSTS, *_QUANTITIES, "x_TokenCount"}
    seen: set[tuple[str, ...]] = set()
    for number, row in enumerate(rows, 2):
        key = tuple(text for name, text in row.items() if name not in figures)
        if key in seen and row["x_CostBasis"] != "manual":
            yield f"row {number}: the same charge as another row"
        seen.add(key)


RULES: dict[str, Rule] = {
    "header": _header,
    "formats": _each(_formats),
    "periods": _each(_periods),
    "nulls": _each(_nulls),
    "allowed values": _each(_allowed),
    "price times quantity": _each(_products),
    "money": _each(_money),
    "signs": _each(_signs),
    "objects": _each(_objects),
    "invoices": _invoices,
    "parents": _parents,
    "formulas": _each(_formulas),
    "one row each": _keys,
}
