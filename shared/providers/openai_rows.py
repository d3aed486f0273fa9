"""The rows of OpenAI's usage reports: tokens whose input holds the cached ones, and units that only the bill prices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from shared.core.usage import PriceContext, Usage
from shared.errors import MalformedResponseError
from shared.providers.base import Bucket, Row
from shared.providers.payload import Count, Payload, Text

if TYPE_CHECKING:
    from collections.abc import Mapping


class UsageRow(Payload):
    """What every usage row may be grouped by; a dimension that was not asked for is None here and not in `raw`."""

    groups: ClassVar[tuple[str, ...]] = ("project_id", "api_key_id", "model")

    project_id: Text | None = None
    api_key_id: Text | None = None
    model: Text | None = None

    def usage(self) -> Usage:
        """Return what the ledger counts of the row."""
        raise NotImplementedError

    def context(self) -> PriceContext:
        """Return what selects the price."""
        return PriceContext()

    @property
    def charge(self) -> str | None:
        """The charge of the bill that the row's money is on; None where tokens have a price."""
        return None


class CompletionsRow(UsageRow):
    """Tokens of one combination of dimensions. Only totals are sure to be there; parts came over the years.

    `input_tokens` holds the cached tokens and those written to the cache; text, audio and images are parts of the
    rest, and of `output_tokens`.
    """

    groups: ClassVar[tuple[str, ...]] = ("project_id", "api_key_id", "model", "batch", "service_tier")

    input_tokens: Count
    output_tokens: Count
    num_model_requests: Count
    input_uncached_tokens: Count | None = None
    input_cached_tokens: Count | None = None
    input_cache_write_tokens: Count | None = None
    input_cache_write_30m_tokens: Count | None = None
    input_cache_write_12h_tokens: Count | None = None
    input_audio_tokens: Count | None = None
    input_image_tokens: Count | None = None
    output_audio_tokens: Count | None = None
    output_image_tokens: Count | None = None
    batch: bool | None = None
    service_tier: Text | None = None

    @property
    def uncached(self) -> int:
        """Input that was neither read from a cache nor written to one; below zero if the parts exceed the whole."""
        if self.input_uncached_tokens is not None:
            return self.input_uncached_tokens
        return self.input_tokens - (self.input_cached_tokens or 0) - sum(self._writes())

    def _writes(self) -> tuple[int, int]:
        """Return what was written for a short and for a long time; where nobody says, it was the short one."""
        long = self.input_cache_write_12h_tokens or 0
        if self.input_cache_write_tokens is None:
            return self.input_cache_write_30m_tokens or 0, long
        return max(0, self.input_cache_write_tokens - long), min(long, self.input_cache_write_tokens)

    def usage(self) -> Usage:
        """Return disjoint token classes; the longest-lived cache writes are what the ledger calls one-hour ones."""
        short, long = self._writes()
        audio_in = min(self.input_audio_tokens or 0, self.uncached)
        audio_out = min(self.output_audio_tokens or 0, self.output_tokens)
        return Usage(
            input=self.uncached,
            output=self.output_tokens,
            cache_read=self.input_cached_tokens or 0,
            cache_write_5m=short,
            cache_write_1h=long,
            audio_input=audio_in,
            audio_output=audio_out,
            image_input=min(self.input_image_tokens or 0, self.uncached - audio_in),
            image_output=min(self.output_image_tokens or 0, self.output_tokens - audio_out),
            requests=self.num_model_requests,
        )

    def context(self) -> PriceContext:
        """Return tier and batch; a tier that we do not know is passed on as it is."""
        tier = self.service_tier
        return PriceContext(
            service_tier=None if tier == "batch" else tier,
            batch=bool(self.batch) or tier == "batch",
        )


class EmbeddingsRow(UsageRow):
    """Tokens of embeddings, which have no output."""

    input_tokens: Count
    num_model_requests: Count

    def usage(self) -> Usage:
        """Return the input and the requests."""
        return Usage(input=self.input_tokens, requests=self.num_model_requests)


class ModerationsRow(EmbeddingsRow):
    """Moderation costs nothing; if that changes, the bill will say so."""

    @property
    def charge(self) -> str:
        """Moderation."""
        return "moderation"


class ImagesRow(UsageRow):
    """Images by size and source; what they cost is on the bill."""

    groups: ClassVar[tuple[str, ...]] = ("project_id", "api_key_id", "model", "size", "source")

    images: Count
    num_model_requests: Count
    size: Text | None = None
    source: Text | None = None

    def usage(self) -> Usage:
        """Return the requests."""
        return Usage(requests=self.num_model_requests)

    @property
    def charge(self) -> str:
        """Images."""
        return "images"


class SpeechesRow(UsageRow):
    """Characters that were spoken; what they cost is on the bill."""

    characters: Count
    num_model_requests: Count

    def usage(self) -> Usage:
        """Return the requests."""
        return Usage(requests=self.num_model_requests)

    @property
    def charge(self) -> str:
        """Text to speech."""
        return "audio_speech"


class TranscriptionsRow(UsageRow):
    """Seconds that were transcribed; what they cost is on the bill."""

    seconds: Count
    num_model_requests: Count

    def usage(self) -> Usage:
        """Return the requests."""
        return Usage(requests=self.num_model_requests)

    @property
    def charge(self) -> str:
        """Speech to text."""
        return "audio_transcription"


class VectorStoresRow(UsageRow):
    """Bytes that are kept: evidence beside the bill, nothing that the ledger counts."""

    groups: ClassVar[tuple[str, ...]] = ("project_id",)

    usage_bytes: Count

    def usage(self) -> Usage:
        """Return nothing."""
        return Usage()

    @property
    def charge(self) -> str:
        """Vector storage."""
        return "vector_storage"


class CodeInterpreterRow(UsageRow):
    """Sessions of the code interpreter: evidence beside the bill."""

    groups: ClassVar[tuple[str, ...]] = ("project_id",)

    num_sessions: Count

    def usage(self) -> Usage:
        """Return nothing."""
        return Usage()

    @property
    def charge(self) -> str:
        """Code interpreter."""
        return "code_interpreter"


class FileSearchRow(UsageRow):
    """Searches in vector stores: evidence beside the bill."""

    groups: ClassVar[tuple[str, ...]] = ("project_id", "api_key_id", "vector_store_id")

    num_requests: Count
    vector_store_id: Text | None = None

    def usage(self) -> Usage:
        """Return nothing."""
        return Usage()

    @property
    def charge(self) -> str:
        """File search."""
        return "file_search"


class WebSearchRow(UsageRow):
    """Web searches; the model requests that made them are among the completions already."""

    groups: ClassVar[tuple[str, ...]] = ("project_id", "api_key_id", "model", "context_level")

    num_requests: Count
    num_model_requests: Count
    context_level: Text | None = None

    def usage(self) -> Usage:
        """Return the searches."""
        return Usage(web_searches=self.num_requests)

    @property
    def charge(self) -> str:
        """Web search: its price depends on model and context level, and the bill has it."""
        return "web_search"


def check(row: UsageRow, source: str, at: str) -> None:
    """Refuse a row whose parts exceed the whole.

    Raises:
        MalformedResponseError: there is more cached input than input.
    """
    if isinstance(row, CompletionsRow) and row.uncached < 0:
        raise MalformedResponseError(f"{source} has more cached input than input at {at}.input_tokens.")


def counted(row: Row, counts: UsageRow) -> Bucket:
    """Return the bucket of a usage row; the dimensions are those that were asked for."""
    return Bucket(
        row.start,
        row.end,
        {name: _text(row.raw[name]) for name in counts.groups if name in row.raw},
        usage=counts.usage(),
        context=counts.context(),
        model=counts.model,
        key_id=counts.api_key_id,
        workspace_id=counts.project_id,
        charge=counts.charge,
    )


def asked(raw: Mapping[str, Any], groups: tuple[str, ...], known: tuple[str, ...]) -> dict[str, Any]:
    """Return a row with exactly those dimensions that were asked for, and nothing that names a person.

    A field that was not grouped by is null on the wire, which would pass for "has none".
    """
    kept = {name: value for name, value in raw.items() if not name.startswith("user_") and name not in known}
    return {**kept, **{name: raw.get(name) for name in groups}}


def _text(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)
