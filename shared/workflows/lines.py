"""From a provider's bucket to a ledger line: name it, map it, price it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from shared.core.money import normalise
from shared.core.pricing import Costs, Rates
from shared.core.projects import Rule, assign
from shared.core.sessions import session_type
from shared.core.usage import PriceContext, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shared.prices.book import PriceBook
    from shared.providers.base import Bucket

# Charges of a bill that the usage report's tokens and counters already explain; booking them again would double them.
_EXPLAINED_BY_USAGE = frozenset({"tokens", "fast_mode", "long_context", "web_search"})


@dataclass(frozen=True, slots=True)
class Mapper:
    """Everything a bucket needs to become a ledger line of one account."""

    account_id: int
    provider: str
    names: Mapping[tuple[str, str], str]
    rules: Sequence[Rule]
    prices: PriceBook
    now: datetime

    def line(self, bucket: Bucket, *, is_bill: bool) -> tuple[dict[str, Any], Rates | None] | None:
        """Return the line by column and the rates it was priced by; None where there is nothing to book.

        That is money which usage already explains, and units which only the bill counts. A usage bucket without a
        price has cost None; one whose money is on the bill has cost 0; one that says what it cost needs no price. The
        rates' id is for the caller to fill in.
        """
        if not is_bill and bucket.amount is not None:
            return self._columns(bucket, normalise(bucket.amount), None), None
        if bucket.amount is None and bucket.charge is not None:
            return (self._columns(bucket, Decimal(0), None), None) if bucket.usage != Usage() else None
        if bucket.amount is None:
            priced = self.prices.price(self.provider, bucket.model or "", bucket.start, bucket.usage, bucket.context)
            costs, rates = priced or (None, None)
            return self._columns(bucket, None if costs is None else costs.total, costs), rates
        if bucket.charge is None or bucket.charge in _EXPLAINED_BY_USAGE:
            return None
        return self._columns(bucket, normalise(bucket.amount), None), None

    def _model(self, bucket: Bucket) -> str:
        if bucket.model is None:
            return bucket.charge or "unknown"
        return self.prices.canonical(self.provider, bucket.model)

    def _columns(self, bucket: Bucket, cost: Decimal | None, costs: Costs | None) -> dict[str, Any]:
        key_name = self.names.get(("key", bucket.key_id or ""))
        workspace = self.names.get(("workspace", bucket.workspace_id or ""))
        label = key_name or workspace
        return {
            "source": "api",
            "account_id": self.account_id,
            "recorded_at": bucket.start,
            "collected_at": self.now,
            "updated_at": self.now,
            "provider": self.provider,
            "model": self._model(bucket),
            "model_raw": bucket.model,
            **_counts(bucket.usage),
            **_costs(costs),
            "cost": cost,
            "service_tier": bucket.context.service_tier,
            "is_batch": bucket.context.batch,
            "speed": bucket.context.speed,
            "inference_geo": bucket.context.inference_geo,
            "context_window": bucket.context.context_window,
            "project": assign(self.rules, label=label, key_name=key_name, workspace_name=workspace),
            "session_label": label,
            "session_type": session_type(None, label, key_name, polled=True),
            "description": bucket.description,
            "request_type": bucket.charge,
        }


def priced_again(book: PriceBook, line: Mapping[str, Any]) -> tuple[dict[str, Any], Rates | None] | None:
    """Return what changes of a stored line by column, and its rates, if the book prices its tokens; else None.

    That is where an amount was reported, or where still nobody knows a price.
    """
    if line["model_raw"] is None:
        return None
    usage = Usage(**{field.name: int(line[_column(field.name)]) for field in fields(Usage)})
    context = PriceContext(
        line["service_tier"], line["is_batch"], line["speed"], line["inference_geo"], line["context_window"]
    )
    at = datetime.fromisoformat(line["recorded_at"])
    found = book.price(line["provider"], line["model_raw"], at, usage, context)
    return None if found is None else ({**_costs(found[0]), "cost": found[0].total}, found[1])


def _column(name: str) -> str:
    return name if name in {"requests", "web_searches"} else f"{name}_tokens"


def _counts(usage: Usage) -> dict[str, int]:
    return {_column(field.name): getattr(usage, field.name) for field in fields(usage)}


def _costs(costs: Costs | None) -> dict[str, Decimal]:
    return {
        f"{field.name}_cost": Decimal(0) if costs is None else getattr(costs, field.name) for field in fields(Costs)
    }
