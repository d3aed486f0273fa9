"""The columns of the FOCUS Cost and Usage dataset as data: what header, metadata and Parquet types are made from.

Another version of the specification is another `Dataset` beside `FOCUS_1_2`: 1.3 adds `HostProviderName`,
`ServiceProviderName`, `ContractApplied` and five `Allocated...` columns to these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from shared.core.money import MAX_INTEGER_DIGITS, MAX_SCALE

if TYPE_CHECKING:
    from collections.abc import Mapping

Type: TypeAlias = Literal["STRING", "DECIMAL", "DATETIME", "JSON"]
Level: TypeAlias = Literal["mandatory", "recommended", "conditional", "custom"]

_GENERATOR = "AI Cost Tracker"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, its type, and how far the specification asks for it (`custom`: ours alone)."""

    name: str
    type: Type
    level: Level


@dataclass(frozen=True, slots=True)
class Dataset:
    """One shape of the export: the specification's version and the columns in the order they are written.

    `schema_id` names this set of columns for good and `created` is the day it was drawn up: another set is another id.
    """

    version: str
    schema_id: str
    created: str
    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in order."""
        return tuple(column.name for column in self.columns)

    def metadata(self, generator_version: str) -> dict[str, Any]:
        """Return the specification's metadata object, ready for JSON; equal for every file of this shape."""
        return {
            "DataGenerator": {"DataGenerator": _GENERATOR},
            "Schema": [
                {
                    "SchemaId": self.schema_id,
                    "FocusVersion": self.version,
                    "DataGeneratorVersion": generator_version,
                    "CreationDate": self.created,
                    "ColumnDefinition": [_definition(column) for column in self.columns],
                }
            ],
        }


def _definition(column: Column) -> Mapping[str, Any]:
    more: Mapping[Type, Mapping[str, Any]] = {
        "STRING": {"StringEncoding": "UTF-8"},
        "JSON": {"StringEncoding": "UTF-8"},
        "DECIMAL": {"NumericPrecision": MAX_INTEGER_DIGITS + MAX_SCALE, "NumberScale": MAX_SCALE},
        "DATETIME": {},
    }
    # No tag is ours: projects come from rules that the reader of the file wrote.
    prefixes: Mapping[str, Any] = {"ProviderTagPrefixes": []} if column.name == "Tags" else {}
    return {"ColumnName": column.name, "DataType": column.type, **more[column.type], **prefixes}


def _columns(level: Level, type_: Type, names: str) -> list[Column]:
    return [Column(name, type_, level) for name in names.split()]


_SPECIFIED = (
    *_columns("mandatory", "STRING", "BillingAccountId BillingAccountName BillingCurrency ChargeCategory ChargeClass"),
    *_columns("mandatory", "STRING", "ChargeDescription InvoiceIssuerName PricingUnit ProviderName PublisherName"),
    *_columns("mandatory", "STRING", "ServiceCategory ServiceName"),
    *_columns("mandatory", "DECIMAL", "BilledCost ContractedCost EffectiveCost ListCost PricingQuantity"),
    *_columns("mandatory", "DATETIME", "BillingPeriodEnd BillingPeriodStart ChargePeriodEnd ChargePeriodStart"),
    *_columns("recommended", "STRING", "ChargeFrequency InvoiceId ServiceSubcategory"),
    *_columns("conditional", "STRING", "AvailabilityZone BillingAccountType CapacityReservationId"),
    *_columns("conditional", "STRING", "CapacityReservationStatus CommitmentDiscountCategory CommitmentDiscountId"),
    *_columns("conditional", "STRING", "CommitmentDiscountName CommitmentDiscountStatus CommitmentDiscountType"),
    *_columns("conditional", "STRING", "CommitmentDiscountUnit ConsumedUnit PricingCategory PricingCurrency RegionId"),
    *_columns("conditional", "STRING", "RegionName ResourceId ResourceName ResourceType SkuId SkuMeter SkuPriceId"),
    *_columns("conditional", "STRING", "SubAccountId SubAccountName SubAccountType"),
    *_columns("conditional", "DECIMAL", "CommitmentDiscountQuantity ConsumedQuantity ContractedUnitPrice"),
    *_columns("conditional", "DECIMAL", "ListUnitPrice PricingCurrencyContractedUnitPrice"),
    *_columns("conditional", "DECIMAL", "PricingCurrencyEffectiveCost PricingCurrencyListUnitPrice"),
    *_columns("conditional", "JSON", "SkuPriceDetails Tags"),
)
_OURS = (
    *_columns("custom", "STRING", "x_Agent x_Category x_CostBasis x_Model x_PriceSince x_PriceSource x_PriceVersion"),
    *_columns("custom", "STRING", "x_Project x_ServiceTier x_SessionType x_Source x_TokenClass"),
    *_columns("custom", "DECIMAL", "x_TokenCount"),
    *_columns("custom", "STRING", "x_User"),
)

FOCUS_1_2 = Dataset(
    version="1.2",
    schema_id="ai-cost-tracker-cost-and-usage-1",
    created="2026-11-23T00:00:00Z",
    # Alphabetical; custom columns come after all of the specification's.
    columns=(*sorted(_SPECIFIED, key=lambda column: column.name), *_OURS),
)
