"""What one ledger line counts: token classes that never overlap, and the circumstances that decide their price."""

from __future__ import annotations

from dataclasses import dataclass, fields

# A line with more is a mistake of its sender, not usage: 10^15 tokens cost more than any bill.
MAX_COUNT = 10**15


@dataclass(frozen=True, slots=True)
class Usage:
    """Counts of one request, or the sum over many.

    `input`, `cache_read`, `cache_write_5m`, `cache_write_1h` and `output` are disjoint (Anthropic's convention);
    sources whose input includes cached tokens are converted before they get here. `reasoning`, `audio_output` and
    `image_output` are parts of `output`, `audio_input` and `image_input` parts of `input`. `requests` is 0 where
    the source does not report it.
    """

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    reasoning: int = 0
    audio_input: int = 0
    audio_output: int = 0
    image_input: int = 0
    image_output: int = 0
    web_searches: int = 0
    requests: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            count = getattr(self, field.name)
            if not 0 <= count <= MAX_COUNT:
                raise ValueError(f"{field.name} must be between 0 and 10^15, not {count}")

    @property
    def total_input(self) -> int:
        """Every token that went in, cached or not: what long-context thresholds look at."""
        return self.input + self.cache_read + self.cache_write_5m + self.cache_write_1h

    @property
    def total_tokens(self) -> int:
        """Every token of every class, each once."""
        return self.total_input + self.output

    def __add__(self, other: Usage) -> Usage:
        return Usage(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


@dataclass(frozen=True, slots=True)
class PriceContext:
    """The circumstances of a line that select its price. None where the source does not say.

    `service_tier` is the provider's word (`standard`, `priority`, `flex`, ...), except that batch processing is
    always `batch=True`, however the provider spells it. `speed` is `fast` or None; `inference_geo` is `us`,
    `global` or None. `context_window` is the provider's own class of the requests in an aggregate (`0-200k`,
    `200k-1M`); single requests leave it None and are classed by their total input.
    """

    service_tier: str | None = None
    batch: bool = False
    speed: str | None = None
    inference_geo: str | None = None
    context_window: str | None = None
