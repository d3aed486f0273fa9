"""From sums of ledger lines to rows of the FOCUS Cost and Usage dataset, one per token class, exactly.

- What has a quantity is `Usage`, manual entries included: a `Purchase` must have no effective cost, which would take
  them out of every sum. Negative amounts are `Credit`s.
- Usage without a price costs 0.0 and says `x_CostBasis=unpriced`: costs may not be null.
- Balance lines are `Adjustment`s. `x_TokenCount` has the tokens of every row, theirs negative, so that it adds up to
  the reports.

Nothing here knows an invoice, so `InvoiceId` is null in every row and no file mixes invoiced and open charges.
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, TypeAlias

from shared.core import jsontext
from shared.core.focus_parts import BALANCE, BILLED, ESTIMATED, MANUAL, REPORTED, UNPRICED, Lines, Part, parts
from shared.core.makers import maker, seller
from shared.core.money import plain
from shared.core.totals import UNCLASSIFIED

if TYPE_CHECKING:
    from collections.abc import Iterator

Row: TypeAlias = dict[str, str | None]

_METERS = {
    "input": "Input Tokens",
    "output": "Output Tokens",
    "cache_read": "Cache Read Tokens",
    "cache_write_5m": "Cache Write 5m Tokens",
    "cache_write_1h": "Cache Write 1h Tokens",
    "reasoning": "Reasoning Tokens",
    "audio_input": "Audio Input Tokens",
    "audio_output": "Audio Output Tokens",
    "image_input": "Image Input Tokens",
    "image_output": "Image Output Tokens",
    "audio": "Audio Tokens",
    "image": "Image Tokens",
    "web_search": "Web Searches",
    "request": "Request Fees",
    UNCLASSIFIED: "Charges",
}
_AS = {BILLED: "as-billed", REPORTED: "as-reported", MANUAL: "as-entered", UNPRICED: "unpriced"}
# What a provider calls the part of an organisation that keys belong to, where it is not a workspace.
_SUB_ACCOUNTS = {"openai": "Project"}
_REGIONS = {"us": "United States", "global": "Global"}
_ZERO = Decimal(0)
_DAY = timedelta(days=1)
# What spreadsheets take for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def rows(lines: Lines) -> Iterator[Row]:
    """Yield the rows of a group of lines as text by column; what is null is None or left out.

    Their costs add up to the group's, and their `x_TokenCount` to its tokens.
    """
    shared = _shared(lines)
    for part in parts(lines):
        yield shared | _specific(lines, part)


def number(value: Decimal | int) -> str:
    """Write a number as the dataset does: plain, and always with a decimal point."""
    text = plain(Decimal(value))
    return text if "." in text else f"{text}.0"


def _shared(lines: Lines) -> Row:
    """Return the columns that all rows of a group have in common."""
    issuer = seller(lines.provider)
    month = lines.day.replace(day=1)
    rates = lines.rates
    found: Row = {
        "BillingAccountId": lines.account_id,
        "BillingAccountName": lines.account_name,
        "BillingAccountType": "Organization" if lines.is_organization else "Account",
        "BillingCurrency": "USD",
        "BillingPeriodEnd": _instant((month + 31 * _DAY).replace(day=1)),
        "BillingPeriodStart": _instant(month),
        "ChargePeriodEnd": _instant(lines.day + _DAY),
        "ChargePeriodStart": _instant(lines.day),
        "InvoiceIssuerName": issuer,
        "PricingCurrency": "USD",
        "ProviderName": issuer,
        "PublisherName": maker(lines.provider, lines.model),
        "RegionId": lines.region,
        "RegionName": lines.region and _REGIONS.get(lines.region, lines.region),
        "ResourceId": lines.key_id,
        "ResourceName": lines.key_id and lines.key_name,
        "ResourceType": lines.key_id and "API Key",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": issuer if lines.basis == MANUAL else f"{issuer} API",
        "ServiceSubcategory": "Generative AI",
        "SubAccountId": lines.workspace_id,
        # What was gone before its name was collected is called by its id.
        "SubAccountName": lines.workspace_id and (lines.workspace_name or lines.workspace_id),
        "SubAccountType": lines.workspace_id and _SUB_ACCOUNTS.get(lines.provider, "Workspace"),
        # A tag without a value is true; one that the sender calls `project` stays as it was sent.
        "Tags": jsontext.dumps({"project": lines.project, **{k: v or True for k, v in lines.tags.items()}}),
        "x_Agent": lines.agent,
        "x_Category": lines.category,
        "x_CostBasis": lines.basis,
        "x_Model": lines.model,
        "x_PriceSince": rates.since.isoformat() if rates and rates.since else None,
        "x_PriceSource": rates.source if rates else None,
        "x_PriceVersion": rates.version if rates else None,
        "x_Project": lines.project,
        "x_ServiceTier": lines.service_tier,
        "x_SessionType": lines.session_type,
        "x_Source": lines.source,
        "x_User": lines.user,
    }
    return {name: _harmless(text) for name, text in found.items()}


def _specific(lines: Lines, part: Part) -> Row:
    """Return the columns of one row of a group."""
    cost = number(part.cost)
    meter = _METERS[part.meter]
    found: Row = {
        "BilledCost": cost,
        "ChargeCategory": "Usage",
        "ChargeDescription": f"{lines.model} {meter}",
        "ChargeFrequency": "Usage-Based",
        "ContractedCost": cost,
        "EffectiveCost": cost,
        "ListCost": cost,
        "PricingCurrencyEffectiveCost": cost,
        "x_TokenClass": part.meter,
        "x_TokenCount": number(part.tokens) if part.tokens else None,
    }
    if lines.basis == MANUAL:
        found |= {"ChargeFrequency": "One-Time", "ChargeDescription": lines.notes or f"{lines.provider} {meter}"}
    elif lines.basis == BALANCE:
        found["ChargeDescription"] = f"{lines.model} {meter}: counted by events, taken out of the report"
    elif lines.basis == UNPRICED:
        found["ChargeDescription"] = f"{lines.model} {meter}: no price is known"
    found["ChargeDescription"] = _harmless(found["ChargeDescription"])
    if part.price is None:
        category = "Credit" if lines.basis in _AS else "Adjustment"
        return found | {"ChargeCategory": category, "ChargeFrequency": "One-Time"}
    return found | _priced(lines, part)


def _priced(lines: Lines, part: Part) -> Row:
    """Return what a row says about its price and quantity."""
    price = number(part.price or _ZERO)
    sku = f"{lines.provider}/{lines.model}/{part.meter}"
    # Both follow from what selects the price and from nothing else: one price id has one set of details.
    terms = {} if lines.basis in _AS else _terms(lines)
    price_id = f"{sku}/{_AS.get(lines.basis) or '-'.join(terms.values()) or 'std'}"
    details = {"x_Model": lines.model, "x_TokenClass": part.meter, **terms}
    return {
        "ConsumedQuantity": number(part.consumed),
        "ConsumedUnit": part.consumed_unit,
        "ContractedUnitPrice": price,
        "ListUnitPrice": price,
        "PricingCategory": "Standard" if lines.basis == ESTIMATED else "Other",
        "PricingCurrencyContractedUnitPrice": price,
        "PricingCurrencyListUnitPrice": price,
        "PricingQuantity": number(part.priced),
        "PricingUnit": part.pricing_unit,
        "SkuId": _harmless(sku),
        "SkuMeter": _METERS[part.meter],
        "SkuPriceDetails": jsontext.dumps(details),
        "SkuPriceId": _harmless(price_id),
    }


def _terms(lines: Lines) -> dict[str, str]:
    """Return the circumstances that selected the price, without those that are the rule."""
    found = {
        "x_Processing": "batch" if lines.is_batch else None,
        "x_ContextWindow": "long" if lines.rates and lines.rates.above else None,
        "x_ServiceTier": None if lines.service_tier == "standard" else lines.service_tier,
        "x_Speed": lines.speed,
        "x_InferenceGeo": None if lines.region == "global" else lines.region,
    }
    return {name: word for name, word in found.items() if word}


def _instant(day: date) -> str:
    return f"{day.isoformat()}T00:00:00Z"


def _harmless(text: str | None) -> str | None:
    """Return a text that no spreadsheet would run; an empty one is null."""
    return f"'{text}" if text and text.startswith(_FORMULA) else text or None
