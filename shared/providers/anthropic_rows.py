"""The rows of Anthropic's reports, and what they mean: tokens, the circumstances of their price, lines of a bill."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import httpx

from shared.core.usage import PriceContext, Usage
from shared.errors import CursorRefusedError, MalformedResponseError, ProviderError
from shared.providers.base import Bucket, Row
from shared.providers.payload import Count, Payload, Text, UsdFromCents

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from shared.providers.http import Refusal

# What a page token that is no longer valid is answered with.
_TOKEN_REFUSALS = frozenset({httpx.codes.BAD_REQUEST, httpx.codes.NOT_FOUND, httpx.codes.GONE})


class CacheCreation(Payload):
    """Tokens that were written to the cache, by how long they live."""

    ephemeral_5m_input_tokens: Count
    ephemeral_1h_input_tokens: Count


class ServerToolUse(Payload):
    """What the provider's own tools were used for."""

    web_search_requests: Count


class Tokens(Payload):
    """What every generation of the report counts. The four input classes are disjoint."""

    uncached_input_tokens: Count
    cache_read_input_tokens: Count
    cache_creation: CacheCreation
    output_tokens: Count
    server_tool_use: ServerToolUse

    def usage(self, requests: int = 0) -> Usage:
        """Return the counts in our classes; `requests` where the report counts them."""
        return Usage(
            input=self.uncached_input_tokens,
            output=self.output_tokens,
            cache_read=self.cache_read_input_tokens,
            cache_write_5m=self.cache_creation.ephemeral_5m_input_tokens,
            cache_write_1h=self.cache_creation.ephemeral_1h_input_tokens,
            web_searches=self.server_tool_use.web_search_requests,
            requests=requests,
        )


class UsageRow(Tokens):
    """One combination of dimensions in one hour.

    A dimension that is null says something (no `api_key_id`: Console; no `workspace_id`: the default workspace), so
    one that is missing must not pass for null; only `inference_geo` is younger than the report itself.
    """

    model: Text | None
    api_key_id: Text | None
    workspace_id: Text | None
    service_tier: Text | None
    context_window: Text | None
    inference_geo: Text | None = None


class UsageRowWithSpeed(UsageRow):
    """The same with `speed`, which is present once it is grouped."""

    speed: Text | None


class CostRow(Payload):
    """One line of one day's bill. Lines that no token explains have only a type and a description."""

    amount: UsdFromCents
    currency: Text
    workspace_id: Text | None
    description: Text | None
    cost_type: Text | None
    token_type: Text | None = None
    model: Text | None = None
    service_tier: Text | None = None
    context_window: Text | None = None
    inference_geo: Text | None = None


def counted(row: Row, counts: UsageRow, groups: tuple[str, ...]) -> Bucket:
    """Return the bucket of a usage row; `groups` are the dimensions that were asked for."""
    dimensions = {group: getattr(counts, group) for group in groups}
    return Bucket(
        row.start,
        row.end,
        dimensions,
        usage=counts.usage(),
        context=context_of(dimensions),
        model=counts.model,
        key_id=counts.api_key_id,
        workspace_id=counts.workspace_id,
    )


def charged(row: Row, line: CostRow) -> Bucket:
    """Return the bucket of a cost row; everything but the money identifies it."""
    dimensions = line.model_dump(exclude={"amount", "currency"})
    return Bucket(
        row.start,
        row.end,
        dimensions,
        context=context_of(dimensions),
        model=line.model,
        workspace_id=line.workspace_id,
        amount=line.amount,
        charge=line.cost_type,
        description=line.description,
    )


def context_of(dimensions: Mapping[str, str | None]) -> PriceContext:
    """Return what selects the price; words we do not know are passed on as they are."""
    tier, geo, speed = dimensions["service_tier"], dimensions["inference_geo"], dimensions.get("speed")
    return PriceContext(
        service_tier=None if tier == "batch" else tier,
        batch=tier == "batch",
        speed=None if speed == "standard" else speed,
        # `not_available`: a model that came before the choice of a region.
        inference_geo=None if geo == "not_available" else geo,
        context_window=dimensions["context_window"],
    )


def rfc3339(moment: datetime) -> str:
    """Return an instant in UTC as the API takes it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class Chained(Protocol):
    """A page that may lead to another one."""

    @property
    def has_more(self) -> bool:
        """Whether another page follows."""

    @property
    def next_page(self) -> str | None:
        """The token of that page."""


def following(page: Chained, token: str | None, source: str) -> str | None:
    """Return the token of the next page, None at the end; `token` is that of this one.

    Raises:
        MalformedResponseError: there is more and nobody says where.
    """
    if not page.has_more:
        return None
    if not page.next_page or page.next_page == token:
        raise MalformedResponseError(f"{source} promises more but its next_page is missing or was given before.")
    return page.next_page


def refusal(token: str | None) -> Refusal:
    """Return which error a refusal of this page is.

    The same query was accepted for the first page, so what is refused now is the token, in whatever words.
    """
    return lambda status, _said: CursorRefusedError if token and status in _TOKEN_REFUSALS else ProviderError
