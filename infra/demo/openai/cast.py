"""Who of the synthetic organisation uses OpenAI: its projects, their keys and what each of them does all day."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from infra.demo.cast import ALWAYS, NIGHTLY, OFFICE
from infra.demo.openai.data import LONG_AGO, Key, Project

MAIN = "gpt-5.5-2026-04-23"
MINI = "gpt-5-mini-2025-08-07"
SOL = "gpt-5.6-sol"
AUDIO = "gpt-audio"
PAINTER = "gpt-image-1"
EMBEDDING = "text-embedding-3-small"
MODERATION = "omni-moderation-latest"
DALLE, SPEECH, WHISPER = "dall-e-3", "tts-1", "whisper-1"

DEFAULT = "proj_DemoDefault"
SHOP = "proj_DemoShop"
DESK = "proj_DemoDesk"
PROTOTYPE = "proj_DemoPrototype"

PROJECTS = (
    Project(DEFAULT, "Default project", LONG_AGO - timedelta(days=200)),
    Project(SHOP, "PeakPaws Shop"),
    Project(DESK, "Trading Desk"),
    Project(PROTOTYPE, "Kanban Prototype", archived_at=datetime(2026, 10, 30, 9, 0, tzinfo=UTC)),
)

ASSISTANT = Key("key_DemoAssistant", SHOP, "peakpaws-assistant")
ARTIST = Key("key_DemoArtist", SHOP, None, service_account="peakpaws-subagent-artist")
SIGNALS = Key("key_DemoSignals", DESK, "trading-subagent-signals")
PULSE = Key("key_DemoPulse", DESK, "trading-heartbeat-pulse")
EMBEDDER = Key("key_DemoEmbedder", DEFAULT, "context-vault-embedder")
WRITER = Key("key_DemoWriter", DEFAULT, "kanban-writer", service_account="kanban-writer")
TRIAL = Key("key_DemoTrial", PROTOTYPE, "first-trial")
KEYS = (ASSISTANT, ARTIST, SIGNALS, PULSE, EMBEDDER, WRITER, TRIAL)
# Deleted long ago: it appears in usage, but no list returns it.
GHOST = Key("key_DemoDeleted", DESK, "(no list returns this name)")

ALL_TIME = date(2020, 1, 1)


@dataclass(frozen=True, slots=True)
class Workload:
    """What one key does with one report: mean counts of an hour at 100 percent, and how likely such an hour is.

    `name` feeds the hash of its figures. `key` None is the playground of the project. `season` are the days of the
    91-day cycle it runs on (empty: all), `since` the first day it runs on at all; `is_long` says that its requests
    have a long context.
    """

    name: str
    report: str
    key: Key | None
    counts: tuple[tuple[str, int], ...]
    dimensions: tuple[tuple[str, str | bool], ...]
    hours: tuple[int, ...] = OFFICE
    weekend: int = 15
    chance: int = 85
    season: range = range(0)
    since: date = ALL_TIME
    is_long: bool = False


def _chat(
    name: str,
    key: Key | None,
    model: str,
    counts: dict[str, int],
    *,
    tier: str = "default",
    batch: bool = False,
    report: str = "completions",
) -> Workload:
    dimensions = (("model", model), ("batch", batch), ("service_tier", tier))
    return Workload(name, report, key, tuple(counts.items()), dimensions)


def _unit(name: str, report: str, key: Key | None, chance: int, counts: dict[str, int], **words: str) -> Workload:
    return Workload(name, report, key, tuple(counts.items()), tuple(words.items()), chance=chance)


# Counts by the wire's names; `uncached` is what comes on top of the cached and written input.
WORKLOADS = (
    _chat("assistant", ASSISTANT, MAIN, {"uncached": 5_000, "cached": 60_000, "output": 3_100, "requests": 40}),
    # The catalogue knows priority prices from that week on.
    replace(
        _chat(
            "fast", ASSISTANT, MAIN, {"uncached": 1_100, "cached": 9_000, "output": 700, "requests": 8}, tier="priority"
        ),
        chance=40,
        since=date(2026, 10, 15),
    ),
    _chat("signals", SIGNALS, MINI, {"uncached": 42_000, "cached": 60_000, "output": 11_000, "requests": 120}),
    _chat("flex", SIGNALS, MINI, {"uncached": 21_000, "cached": 10_000, "output": 8_000, "requests": 60}, tier="flex"),
    replace(
        _chat("batch", SIGNALS, MINI, {"uncached": 310_000, "output": 74_000, "requests": 800}, batch=True),
        hours=NIGHTLY,
        weekend=40,
    ),
    replace(
        _chat("pulse", PULSE, MINI, {"uncached": 1_500, "cached": 12_000, "output": 240, "requests": 12}),
        hours=ALWAYS,
        weekend=100,
    ),
    _chat(
        "writer",
        WRITER,
        SOL,
        {"uncached": 3_000, "cached": 38_000, "written": 9_000, "kept": 1_500, "output": 2_400, "requests": 18},
    ),
    _chat(
        "voice",
        ASSISTANT,
        AUDIO,
        {"uncached": 4_000, "audio": 2_600, "output": 3_000, "audio_out": 2_200, "requests": 25},
    ),
    _chat(
        "artist",
        ARTIST,
        PAINTER,
        {"uncached": 3_200, "image": 2_400, "output": 9_500, "image_out": 9_500, "requests": 4},
    ),
    replace(_chat("trial", TRIAL, MAIN, {"uncached": 6_000, "output": 1_500, "requests": 9}), season=range(10, 60)),
    replace(
        _chat("digest", EMBEDDER, MAIN, {"uncached": 700_000, "output": 2_000, "requests": 3}), chance=1, is_long=True
    ),
    replace(_chat("ghost", GHOST, MINI, {"uncached": 9_000, "output": 2_000, "requests": 30}), chance=20),
    replace(_chat("playground", None, MAIN, {"uncached": 1_900, "output": 1_100, "requests": 6}), chance=25),
    _chat(
        "verdicts",
        SIGNALS,
        MINI,
        {"uncached": 2_500, "cached": 4_000, "output": 90, "requests": 30},
        report="decisions",
    ),
    _unit(
        "embedder", "embeddings", EMBEDDER, 80, {"input_tokens": 240_000, "num_model_requests": 160}, model=EMBEDDING
    ),
    _unit(
        "moderator", "moderations", ASSISTANT, 60, {"input_tokens": 8_000, "num_model_requests": 90}, model=MODERATION
    ),
    _unit(
        "posters",
        "images",
        ARTIST,
        25,
        {"images": 6, "num_model_requests": 5},
        model=DALLE,
        size="1024x1024",
        source="image.generation",
    ),
    _unit("reader", "audio_speeches", ASSISTANT, 20, {"characters": 9_000, "num_model_requests": 9}, model=SPEECH),
    _unit("notes", "audio_transcriptions", WRITER, 20, {"seconds": 1_800, "num_model_requests": 3}, model=WHISPER),
    _unit(
        "lookup",
        "web_search_calls",
        ASSISTANT,
        45,
        {"num_requests": 9, "num_model_requests": 7},
        model=MAIN,
        context_level="medium",
    ),
    _unit("library", "file_search_calls", EMBEDDER, 40, {"num_requests": 14}, vector_store_id="vs_DemoLibrary"),
    _unit("sandbox", "code_interpreter_sessions", SIGNALS, 15, {"num_sessions": 3}),
)
