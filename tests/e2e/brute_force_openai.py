"""The demo team's figures on OpenAI by hand: raw rows of the fake server times a price table of this file's own."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from infra.demo.openai.data import UsageRow
from infra.demo.openai.fake import FakeOpenAI
from tests.e2e.brute_force import CLASSES, Fact, midnight, project_of, type_of

# USD per million tokens: input, output, cached, written, audio in, audio out, image in. List prices of 2026-11.
PRICES = {
    "gpt-5.5-2026-04-23": ("5", "30", "0.5", "0", "0", "0", "0"),
    "gpt-5-mini-2025-08-07": ("0.25", "2", "0.025", "0", "0", "0", "0"),
    "gpt-5.6-sol": ("4", "20", "0.4", "5", "0", "0", "0"),
    "gpt-audio": ("2.5", "10", "2.5", "0", "32", "64", "0"),
    "gpt-image-1": ("5", "40", "1.25", "0", "0", "0", "10"),
    "text-embedding-3-small": ("0.02", "0", "0.02", "0", "0", "0", "0"),
}
FACTORS = {"flex": Decimal("0.5"), "priority": Decimal("2.5")}
SHOWN_AS = {
    "gpt-5.5-2026-04-23": "gpt-5.5",
    "gpt-5-mini-2025-08-07": "gpt-5-mini",
    "omni-moderation-latest": "moderation",
}
# What is counted by the day and charged by the bill: report -> how its lines are called.
UNITS = {
    "moderations": "moderation",
    "images": "images",
    "audio_speeches": "audio_speech",
    "audio_transcriptions": "audio_transcription",
    "web_search_calls": "web_search",
}
EVIDENCE = {"vector_stores", "code_interpreter_sessions", "file_search_calls"}
BOOKED = {
    "dall-e-3, standard 1024x1024": None,
    "tts-1, audio": "tts-1",
    "whisper-1, audio": "whisper-1",
    "web search tool calls": None,
    "assistants api | file search": None,
    "code interpreter sessions": None,
    "Vector storage": None,
}
ZERO = Decimal(0)


def facts(fake: FakeOpenAI, start: datetime, end: datetime) -> list[Fact]:
    """Every raw usage row and every charge of the bill that no token explains, by hand."""
    keys = {key.id: key.name or key.service_account for key in fake.dataset.keys}
    projects = {project.id: project.name for project in fake.dataset.projects}

    def label(project: object, key: object) -> tuple[str | None, str | None]:
        name = keys.get(str(key))
        return name or projects.get(str(project)), name

    return [*_used(fake, start, end, label), *_booked(fake, start, end, label)]


def billed(fake: FakeOpenAI, start: datetime, end: datetime) -> dict[datetime, Decimal]:
    """The bill per UTC day in USD."""
    days: dict[datetime, Decimal] = {}
    for row in fake.raw_costs(start, end):
        days[midnight(row.at)] = days.get(midnight(row.at), ZERO) + row.amount
    return days


def _used(fake: FakeOpenAI, start: datetime, end: datetime, label: object) -> Iterator[Fact]:
    assert callable(label)
    for row in fake.raw_usage(start, end):
        if row.report in EVIDENCE:
            continue
        model = str(row.dimensions["model"])
        name, key = label(row.dimensions["project_id"], row.dimensions["api_key_id"])
        is_unit = row.report in UNITS
        tokens, costs = _moderated(row) if is_unit else _priced(row, model)
        yield Fact(
            # Counted by the day where the bill has the money: at midnight UTC, as the bill is.
            at=midnight(row.at) if is_unit else row.at,
            model=SHOWN_AS.get(model, model),
            label=name,
            project=project_of(name),
            session_type=type_of(name, key),
            cost=sum(costs.values(), ZERO),
            costs=costs,
            tokens=tokens,
            request_type=UNITS.get(row.report, "unassigned"),
            provider="openai",
            requests=0 if row.report == "web_search_calls" else row.counts["num_model_requests"],
        )


def _moderated(row: UsageRow) -> tuple[dict[str, int], dict[str, Decimal]]:
    counted = row.counts["input_tokens"] if row.report == "moderations" else 0
    return dict.fromkeys(CLASSES, 0) | {"input": counted}, {}


def _priced(row: UsageRow, model: str) -> tuple[dict[str, int], dict[str, Decimal]]:
    counts = {name: row.counts.get(name, 0) for name in row.counts}
    cached, short, long = (
        counts.get(name, 0)
        for name in ("input_cached_tokens", "input_cache_write_30m_tokens", "input_cache_write_12h_tokens")
    )
    uncached = counts["input_tokens"] - cached - short - long
    output = counts.get("output_tokens", 0)
    audio, audio_out = counts.get("input_audio_tokens", 0), counts.get("output_audio_tokens", 0)
    image, image_out = counts.get("input_image_tokens", 0), counts.get("output_image_tokens", 0)
    usd = [Decimal(price) for price in PRICES[model]]
    factor = FACTORS.get(str(row.dimensions.get("service_tier")), Decimal(1))
    if row.dimensions.get("batch"):
        factor = Decimal("0.5")
    raw = {
        "input": (uncached - audio - image) * usd[0],
        "output": (output - audio_out - image_out) * usd[1],
        "cache_read": cached * usd[2],
        "cache_write_5m": short * usd[3],
        "cache_write_1h": long * usd[3],
        "audio": audio * usd[4] + audio_out * usd[5],
        "image": image * usd[6] + image_out * usd[1],
    }
    tokens = dict(zip(CLASSES, (uncached, output, cached, short, long), strict=True))
    return tokens, {name: amount * factor / 10**6 for name, amount in raw.items()}


def _booked(fake: FakeOpenAI, start: datetime, end: datetime, label: object) -> Iterator[Fact]:
    assert callable(label)
    for row in fake.raw_costs(start, end):
        if row.line_item not in BOOKED:
            continue
        name, key = label(row.project_id, row.api_key_id)
        yield Fact(
            at=row.at,
            model=BOOKED[row.line_item] or row.line_item,
            label=name,
            project=project_of(name),
            session_type=type_of(name, key),
            cost=row.amount,
            costs={"unclassified": row.amount},
            tokens=dict.fromkeys(CLASSES, 0),
            request_type=row.line_item,
            provider="openai",
        )
