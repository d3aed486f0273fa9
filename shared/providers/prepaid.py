"""Providers whose API knows nothing of usage: what is left of prepaid money is all that they tell."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, PlainValidator

from shared.providers.base import Owner
from shared.providers.http import JsonClient, Service
from shared.providers.payload import Text, usd

if TYPE_CHECKING:
    import httpx

    from shared.providers.base import Balance, Bucket, Name, Page, Row, Stream, Window
    from shared.providers.http import Budget
    from shared.providers.spec import ProviderSpec

_CODE_LETTERS = 3


def currency(value: str) -> str:
    """Return an ISO 4217 code in capitals.

    Raises:
        ValueError: it cannot be one.
    """
    code = value.upper()
    if len(code) != _CODE_LETTERS or not (code.isascii() and code.isalpha()):
        raise ValueError("a currency must be a code of three letters")
    return code


# The digits of any currency are read as those of dollars are.
Amount = Annotated[Decimal, PlainValidator(usd)]
Currency = Annotated[Text, AfterValidator(currency)]


class Prepaid:
    """A provider without reports, for classes that say what its balances are."""

    streams: tuple[Stream, ...] = ()

    def __init__(self, spec: ProviderSpec, key: str, base_url: str, http: httpx.Client, budget: Budget) -> None:
        """Bind the key as a bearer token; raises as `JsonClient`."""
        self.title = spec.title
        self.client = JsonClient(Service.bearer(spec, key, base_url), http, budget)

    def balances(self) -> tuple[Balance, ...]:
        """Return what is left; see `HasBalances.balances`."""
        raise NotImplementedError

    def owner(self) -> Owner:
        """Return an owner without an id: no call says whose key it is. Raises as `Provider.fetch` does."""
        self.balances()
        return Owner(None, f"an account of {self.title}")

    def names(self) -> tuple[Name, ...]:
        """Return nothing: keys have no names here."""
        return ()

    def fetch(self, stream: Stream, _window: Window, _cursor: str | None) -> Page:
        """Fail: there is nothing to fetch."""
        raise ValueError(f"{self.title} has no report {stream.name}")

    def parse(self, stream: Stream, _row: Row) -> Bucket:
        """Fail: there are no rows."""
        raise ValueError(f"{self.title} has no report {stream.name}")
