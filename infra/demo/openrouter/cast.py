"""Who of the synthetic organisation uses OpenRouter: workspaces, keys, what each does all day and at what price."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from infra.demo.openrouter.data import Endpoint, Key, Workspace

DEFAULT = Workspace("0a4c1f70-2d5e-4b83-9c61-7e8f90a1b2c3", "Peak & Pine")
LAB = Workspace("5e7d9b12-8f34-4a60-b1c7-3d2e4f5a6b70", "Lab")
WORKSPACES = (DEFAULT, LAB)

TRIAGE = Key("kanban-triage", DEFAULT.id)
DRAFTS = Key("kanban-subagent-drafts", DEFAULT.id)
PAPERS = Key("trading-papers", LAB.id)
TRIAL = Key("scratchpad-trial", LAB.id, disabled=True)
CONTRACTOR = Key("cost-tracker-contractor", DEFAULT.id, expires_at=datetime(2026, 11, 1, tzinfo=UTC))
KEYS = (TRIAGE, DRAFTS, PAPERS, TRIAL, CONTRACTOR)
# Deleted: its usage is the account's, but no list returns it.
GHOST = Key("(no list returns this name)", LAB.id)

FLASH = Endpoint("6f1d2c3b-0001-4e5f-8a9b-c0d1e2f3a4b5", "google/gemini-2.5-flash", "google/gemini-2.5-flash", "Google")
KIMI = Endpoint("6f1d2c3b-0002-4e5f-8a9b-c0d1e2f3a4b5", "moonshotai/kimi-k2", "moonshotai/kimi-k2", "Novita")
KIMI_FAST = Endpoint("6f1d2c3b-0003-4e5f-8a9b-c0d1e2f3a4b5", "moonshotai/kimi-k2", "moonshotai/kimi-k2", "Groq")
SONNET = Endpoint(
    "6f1d2c3b-0004-4e5f-8a9b-c0d1e2f3a4b5",
    "anthropic/claude-sonnet-4.5",
    "anthropic/claude-4.5-sonnet-20250929",
    "Anthropic",
)
FREE = Endpoint("6f1d2c3b-0005-4e5f-8a9b-c0d1e2f3a4b5", "z-ai/glm-4.5-air:free", "z-ai/glm-4.5-air", "Z.AI")

# USD per million tokens: prompt, of which cached, completion.
PRICES = {
    FLASH: ("0.3", "0.03", "2.5"),
    KIMI: ("0.6", "0.6", "2.5"),
    KIMI_FAST: ("1", "0.5", "3"),
    SONNET: ("3", "0.3", "15"),
    FREE: ("0", "0", "0"),
}
# What OpenRouter takes for requests on one's own key.
FEE = Decimal("0.05")


@dataclass(frozen=True, slots=True)
class Workload:
    """What one key does at one endpoint: mean counts of a working day, and how likely such a day is in percent.

    `name` feeds the hash of its figures. `replayed` are answers out of OpenRouter's own cache, as a percentage of the
    prompt: they count as cached and not as prompt. `is_byok` says that the upstream provider bills it. `until` is the
    first day on which it does nothing any more.
    """

    name: str
    key: Key | None
    endpoint: Endpoint
    requests: int
    prompt: int
    completion: int
    cached: int = 0
    reasoning: int = 0
    replayed: int = 0
    chance: int = 95
    is_byok: bool = False
    until: datetime | None = None


WORKLOADS = (
    Workload("triage", TRIAGE, FLASH, 220, 900_000, 160_000, cached=40),
    Workload("triage-words", TRIAGE, KIMI, 40, 240_000, 60_000, chance=70),
    Workload("drafts", DRAFTS, KIMI, 90, 520_000, 130_000),
    Workload("drafts-fast", DRAFTS, KIMI_FAST, 25, 150_000, 40_000, cached=20, chance=60),
    Workload("drafts-free", DRAFTS, FREE, 30, 60_000, 20_000, replayed=260, chance=50),
    Workload("papers", PAPERS, FLASH, 60, 2_400_000, 90_000, cached=55, reasoning=40),
    Workload("papers-own-key", PAPERS, SONNET, 35, 700_000, 80_000, cached=30, chance=80, is_byok=True),
    Workload("trial", TRIAL, FLASH, 12, 60_000, 9_000, until=datetime(2026, 11, 6, tzinfo=UTC)),
    Workload("contractor", CONTRACTOR, SONNET, 9, 120_000, 22_000, until=CONTRACTOR.expires_at),
    Workload("ghost", GHOST, FLASH, 15, 110_000, 14_000, chance=60),
    Workload("chat-room", None, SONNET, 6, 30_000, 9_000, chance=40),
)
