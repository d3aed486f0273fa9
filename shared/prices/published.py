"""The price library's published data file: read with the library's own schema, and refused unless every price is one.

The file is somebody else's and arrives over the network, so nothing in it is believed before it was looked at.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from shared.core import jsontext
from shared.core.pricing import checked_price

if TYPE_CHECKING:
    from collections.abc import Iterator

    from genai_prices.types import ModelInfo, Provider

# A file with less than this share of the models that were shipped was cut off, or is another file.
LEAST_SHARE = Decimal("0.8")
_SHOWN = 200  # characters of somebody else's words in a sentence of ours


class UnusableCatalogueError(ValueError):
    """The file is not a price catalogue we can use; the message is half a sentence that says why."""


def library_version() -> str:
    """Return the version of the price library that is installed, such as `0.2.3`."""
    from genai_prices import __version__  # noqa: PLC0415 - slow import, only paid by who prices

    return __version__


def is_newer(fetched_with: str, installed: str) -> bool:
    """Return whether a file that was fetched under one version of the library is newer than the prices of another.

    The published file runs ahead of every release, so it is, unless a later release was installed since.
    """
    return _release(fetched_with) >= _release(installed)


def read(content: bytes) -> list[Provider]:
    """Return the providers of a data file, every price checked.

    Raises:
        UnusableCatalogueError: not JSON, NaN or Infinity, not the library's shape, a price that is negative or absurd,
            a model without a price list, an id twice, or a pattern that is none.
    """
    from genai_prices import types  # noqa: PLC0415 - slow import, only paid by who prices

    try:
        raw = jsontext.loads(content)
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise UnusableCatalogueError(f"it is not usable JSON: {_said(error)}") from error
    if not isinstance(raw, list) or not all(isinstance(row, dict) for row in raw):
        raise UnusableCatalogueError("it is not a list of providers")
    # How to read usage out of responses is in the file too; we price only, and it is the part that changes most.
    bare = [{name: value for name, value in row.items() if name != "extractors"} for row in raw]
    try:
        providers = types._providers_from_raw(bare)  # noqa: SLF001 - the schema its own updater uses; it has no other
    except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
        raise UnusableCatalogueError(f"it does not have the library's shape: {_said(error)}") from error
    _check(providers)
    return providers


def _check(providers: list[Provider]) -> None:
    seen: set[tuple[str, str]] = set()
    for provider in providers:
        for model in provider.models:
            if (provider.id, model.id) in seen:
                raise UnusableCatalogueError(f"{provider.id}/{model.id} is in it twice"[:_SHOWN])
            seen.add((provider.id, model.id))
            for name, price in _prices(model):
                try:
                    checked_price(name, price)
                except ValueError as error:
                    raise UnusableCatalogueError(f"{provider.id}/{model.id}: {error}"[:_SHOWN].rstrip(".")) from error
        clauses = [provider.model_match, provider.provider_match, *(model.match for model in provider.models)]
        for pattern in _patterns(clauses):
            try:
                re.compile(pattern)
            except (re.error, OverflowError, RecursionError) as error:
                raise UnusableCatalogueError(f"{provider.id} has a pattern that is none: {_said(error)}") from error


def _prices(model: ModelInfo) -> Iterator[tuple[str, Decimal]]:
    listed = model.prices
    if isinstance(listed, list) and not listed:
        raise UnusableCatalogueError(f"{model.id} has no prices at all"[:_SHOWN])
    dated = [price.prices for price in listed] if isinstance(listed, list) else [listed]
    for prices in (*dated, *(variant.prices for variant in model.price_variants or ())):
        for name, price in prices.__dict__.items():
            if price is None:
                continue
            if isinstance(price, Decimal):
                yield name, price
                continue
            yield name, price.base
            for tier in price.tiers:
                if tier.start < 0:
                    raise UnusableCatalogueError(f"{model.id} has a tier that begins below zero"[:_SHOWN])
                yield name, tier.price


def _patterns(clauses: list[Any]) -> Iterator[str]:
    pending = list(clauses)
    while pending:
        clause = pending.pop()
        if hasattr(clause, "regex"):
            yield clause.regex
        pending += [*getattr(clause, "or_", ()), *getattr(clause, "and_", ())]


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:_SHOWN].rstrip(". ") or type(error).__name__
