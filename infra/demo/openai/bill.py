"""What OpenAI charges for usage: the demo's own price list, independent of every catalogue."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from infra.demo.openai.cast import AUDIO, EMBEDDING, MAIN, MINI, MODERATION, PAINTER, SOL
from infra.demo.openai.data import CostRow, UsageRow

_MILLION = Decimal(10**6)


class Price(NamedTuple):
    """USD per million tokens. Parts without a price of their own cost what the whole costs."""

    input: str
    cached: str
    output: str
    written: str = "0"
    audio: str | None = None
    audio_out: str | None = None
    image: str | None = None


PRICES = {
    MAIN: Price("5", "0.5", "30"),
    MINI: Price("0.25", "0.025", "2"),
    SOL: Price("4", "0.4", "20", written="5"),
    AUDIO: Price("2.5", "2.5", "10", audio="32", audio_out="64"),
    PAINTER: Price("5", "1.25", "40", image="10"),
    EMBEDDING: Price("0.02", "0.02", "0"),
    MODERATION: Price("0", "0", "0"),
}
PRIORITY = {MAIN: Decimal("2.5")}
HALF = Decimal("0.5")
# Above 272,000 tokens of input: what goes in and what comes out.
LONG_IN, LONG_OUT = Decimal(2), Decimal("1.5")
# What is charged by the unit: report, count, units per price, USD, the line and how its quantity is told.
UNITS = (
    ("images", "images", 1, Decimal("0.04"), "dall-e-3, standard 1024x1024", "images"),
    ("audio_speeches", "characters", 10**6, Decimal(15), "tts-1, audio", "characters"),
    ("audio_transcriptions", "seconds", 60, Decimal("0.006"), "whisper-1, audio", "duration_seconds"),
    ("web_search_calls", "num_requests", 1, Decimal("0.01"), "web search tool calls", None),
    ("file_search_calls", "num_requests", 1, Decimal("0.0025"), "assistants api | file search", None),
    ("code_interpreter_sessions", "num_sessions", 1, Decimal("0.03"), "code interpreter sessions", None),
    ("vector_stores", "usage_bytes", 2**30, Decimal("0.1"), "Vector storage", "gibibyte_hours"),
)
# A line is rounded to so many decimals before it is written.
DECIMALS = Decimal("1E-9")


def charge(day: datetime, usage: Iterable[UsageRow]) -> Iterator[CostRow]:
    """Yield the bill of one day's usage: a line per project, key and line item.

    Token costs are linear and exact; what is charged by the unit is summed over the day and then rounded.
    """
    amounts: dict[tuple[str | None, str | None, str], Decimal] = {}
    quantities: dict[tuple[str | None, str | None, str], tuple[int, str | None]] = {}
    units = {report: rest for report, *rest in UNITS}
    for row in usage:
        project, key = row.dimensions.get("project_id"), row.dimensions.get("api_key_id")
        place = (None if project is None else str(project), None if key is None else str(key))
        if row.report in units:
            count, per, usd, line, unit = units[row.report]
            quantity = row.counts.get(str(count), 0)
            spelled = (*place, str(line))
            before = quantities.get(spelled, (0, None))[0]
            quantities[spelled] = before + quantity, unit if unit is None else str(unit)
            amounts[spelled] = (Decimal(before + quantity) * Decimal(str(usd)) / int(str(per))).quantize(DECIMALS)
            continue
        for line, quantity, price in _lines(row):
            spelled = (*place, line)
            quantities[spelled] = quantities.get(spelled, (0, None))[0] + quantity, "tokens"
            amounts[spelled] = amounts.get(spelled, Decimal(0)) + quantity * price / _MILLION
    for spelled in sorted(amounts, key=lambda one: tuple(part or "" for part in one)):
        project_id, key_id, line = spelled
        quantity, unit = quantities[spelled]
        yield CostRow(day, amounts[spelled], line, project_id, key_id, quantity=Decimal(quantity), quantity_unit=unit)


def _lines(row: UsageRow) -> Iterator[tuple[str, int, Decimal]]:
    """Yield (line item, tokens, USD per million) of a row; the parts of a whole are lines of their own."""
    model, counts = str(row.dimensions["model"]), row.counts
    price, factor, prefix = PRICES[model], Decimal(1), ""
    tier = row.dimensions.get("service_tier")
    if row.dimensions.get("batch") or tier == "flex":
        factor, prefix = HALF, "batch | " if row.dimensions.get("batch") else "flex | "
    elif tier == "priority":
        factor, prefix = PRIORITY[model], "priority | "
    cached = counts.get("input_cached_tokens", 0)
    written = counts.get("input_cache_write_30m_tokens", 0) + counts.get("input_cache_write_12h_tokens", 0)
    audio, image = counts.get("input_audio_tokens", 0), counts.get("input_image_tokens", 0)
    audio_out, image_out = counts.get("output_audio_tokens", 0), counts.get("output_image_tokens", 0)
    lines = (
        ("input", counts.get("input_tokens", 0) - cached - written - audio - image, price.input),
        ("cached input", cached, price.cached),
        ("cache writes", written, price.written),
        ("audio input", audio, price.audio or price.input),
        ("image input", image, price.image or price.input),
        ("output", counts.get("output_tokens", 0) - audio_out - image_out, price.output),
        ("audio output", audio_out, price.audio_out or price.output),
        ("image output", image_out, price.output),
    )
    for kind, tokens, usd in lines:
        if tokens:
            *modality, word = kind.split() if kind.startswith(("audio", "image")) else [kind]
            item, per_million = f"{prefix}{' '.join([model, *modality])}, {word}", Decimal(usd) * factor
            if row.is_long:
                item, per_million = f"{item}, long context", per_million * (LONG_OUT if word == "output" else LONG_IN)
            yield item, tokens, per_million
