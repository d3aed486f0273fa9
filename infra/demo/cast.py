"""Who is in the synthetic organisation: its workspaces, its API keys and what each of them does all day."""

from dataclasses import dataclass
from datetime import UTC, datetime

from infra.demo.dataset import ApiKey, Workspace

OPUS = "claude-opus-4-6"
OPUS_NEW = "claude-opus-5-5"
SONNET = "claude-sonnet-4-5-20250929"
HAIKU = "claude-haiku-4-5-20251001"
# Invited to a preview: the provider bills it, no price list knows it.
PREVIEW = "claude-nimbus-preview"

PRODUCTION = "wrkspc_01DemoProduction"
RESEARCH = "wrkspc_01DemoResearch"
LEGACY = "wrkspc_01DemoLegacyBots"

WORKSPACES = (
    Workspace(PRODUCTION, "Production"),
    Workspace(RESEARCH, "Research"),
    Workspace(LEGACY, "Legacy Bots", archived_at=datetime(2026, 2, 2, 17, 0, tzinfo=UTC)),
)

PEAKPAWS_MAIN = ApiKey("apikey_01DemoPeakpawsMain", "peakpaws-main", PRODUCTION)
PEAKPAWS_COPY = ApiKey("apikey_01DemoPeakpawsCopy", "peakpaws-subagent-copywriter", PRODUCTION)
KANBAN_MAIN = ApiKey("apikey_01DemoKanbanMain", "kanban-main")
KANBAN_BEAT = ApiKey("apikey_01DemoKanbanBeat", "kanban-heartbeat")
TRADING_MAIN = ApiKey("apikey_01DemoTradingMain", "trading-main", RESEARCH)
TRADING_TEST = ApiKey("apikey_01DemoTradingTest", "trading-subagent-backtest", RESEARCH)
TRADING_OLD = ApiKey("apikey_01DemoTradingOld", "trading-legacy-bot", LEGACY, status="archived")
TRACKER_MAIN = ApiKey("apikey_01DemoTrackerMain", "cost-tracker-main")
VAULT_INDEX = ApiKey("apikey_01DemoVaultIndex", "context-vault-subagent-indexer", PRODUCTION)
VAULT_BEAT = ApiKey("apikey_01DemoVaultBeat", "context-vault-heartbeat", PRODUCTION)
SCRATCH = ApiKey("apikey_01DemoScratch", "scratchpad-mira", status="inactive", created_by="user_01DemoJonas")

KEYS = (
    PEAKPAWS_MAIN,
    PEAKPAWS_COPY,
    KANBAN_MAIN,
    KANBAN_BEAT,
    TRADING_MAIN,
    TRADING_TEST,
    TRADING_OLD,
    TRACKER_MAIN,
    VAULT_INDEX,
    VAULT_BEAT,
    SCRATCH,
)
# Deleted long ago: it appears in usage, but no list returns it.
GHOST = ApiKey("apikey_01DemoDeleted", "(no list returns this name)")
CONSOLE = None

# Percent of a workload's mean per hour of the day (UTC): a European team, one that is up all day, a nightly job.
#         0  1  2  3  4  5   6   7   8    9   10   11  12   13   14   15   16  17  18  19  20  21 22 23
OFFICE = (0, 0, 0, 0, 0, 0, 15, 40, 90, 110, 120, 105, 60, 100, 120, 115, 100, 70, 35, 20, 15, 10, 0, 0)
ALWAYS = (20, 10, 0, 0, 0, 10, 50, 80, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 80, 80, 60, 50, 40, 30)
NIGHTLY = (0, 100, 120, 40, *(0,) * 20)


@dataclass(frozen=True, slots=True)
class Workload:
    """What one key does on one model: mean counts of an hour at 100 percent, and how likely such an hour is.

    `name` feeds the hash of its figures, so adding a workload leaves the others alone. `weekend` and `chance` are
    percentages. `season` are the days of the 91-day cycle it runs on (empty: all). `runaway` says that it is the
    one that gets out of hand on the spike day.
    """

    name: str
    key: ApiKey | None
    model: str
    uncached: int
    output: int
    read: int = 0
    write_5m: int = 0
    write_1h: int = 0
    searches: int = 0
    hours: tuple[int, ...] = OFFICE
    weekend: int = 15
    chance: int = 90
    tier: str = "standard"
    context: str = "0-200k"
    geo: str = "global"
    season: range = range(0)
    runaway: bool = False


# Models older than the geo control report that they have none.
NO_GEO = "not_available"

WORKLOADS = (
    Workload("shop", PEAKPAWS_MAIN, OPUS, 2_400, 2_600, read=90_000, write_5m=7_000, searches=2),
    Workload("shop-us", PEAKPAWS_MAIN, OPUS_NEW, 3_000, 2_200, read=70_000, write_5m=5_000, geo="us", chance=55),
    Workload("copy", PEAKPAWS_COPY, SONNET, 6_000, 4_500, read=40_000, write_5m=6_000, geo=NO_GEO, chance=70),
    Workload("board", KANBAN_MAIN, SONNET, 3_500, 3_000, read=85_000, write_5m=8_000, write_1h=3_000, geo=NO_GEO),
    Workload("board-large", KANBAN_MAIN, SONNET, 6_000, 1_200, 210_000, context="200k-1M", geo=NO_GEO, chance=6),
    Workload("board-beat", KANBAN_BEAT, HAIKU, 1_200, 260, read=9_000, hours=ALWAYS, weekend=100, geo=NO_GEO),
    Workload("desk", TRADING_MAIN, OPUS_NEW, 2_600, 3_100, read=110_000, write_1h=6_500, searches=4, chance=85),
    Workload("desk-us", TRADING_MAIN, OPUS, 1_500, 1_300, read=45_000, write_5m=3_000, geo="us", chance=35),
    Workload(
        "backtest",
        TRADING_TEST,
        OPUS,
        uncached=9_000,
        output=5_200,
        read=60_000,
        write_5m=9_000,
        chance=45,
        runaway=True,
    ),
    Workload(
        "backtest-batch",
        TRADING_TEST,
        HAIKU,
        uncached=160_000,
        output=48_000,
        hours=NIGHTLY,
        weekend=40,
        tier="batch",
        geo=NO_GEO,
        chance=80,
    ),
    Workload("legacy", TRADING_OLD, SONNET, 5_000, 1_800, geo=NO_GEO, chance=40, season=range(10, 51)),
    Workload("tracker", TRACKER_MAIN, OPUS_NEW, 2_000, 2_300, read=60_000, write_5m=6_000, chance=65),
    Workload("tracker-preview", TRACKER_MAIN, PREVIEW, 3_000, 1_900, read=20_000, write_5m=2_000, chance=25),
    Workload(
        "vault",
        VAULT_INDEX,
        HAIKU,
        uncached=30_000,
        output=7_500,
        read=50_000,
        write_1h=12_000,
        hours=ALWAYS,
        geo=NO_GEO,
        chance=60,
    ),
    Workload(
        "vault-batch",
        VAULT_INDEX,
        SONNET,
        uncached=70_000,
        output=14_000,
        write_1h=10_000,
        hours=NIGHTLY,
        weekend=20,
        tier="batch",
        geo=NO_GEO,
        chance=55,
    ),
    Workload("vault-beat", VAULT_BEAT, HAIKU, 900, 180, read=6_000, hours=ALWAYS, weekend=100, geo=NO_GEO, chance=70),
    Workload("scratch", SCRATCH, SONNET, 2_200, 1_500, geo=NO_GEO, searches=3, chance=25),
    Workload("ghost", GHOST, OPUS, 1_400, 900, read=12_000, chance=18),
    Workload("console", CONSOLE, OPUS_NEW, 1_800, 1_600, searches=2, chance=30),
    Workload("console-old", CONSOLE, SONNET, 1_500, 1_100, geo=NO_GEO, chance=15),
)
# Reported for the restated hour at first and withdrawn later; this key has no other business with this model.
RETRACTED = Workload("retracted", KANBAN_MAIN, HAIKU, 800, 150, read=2_000, geo=NO_GEO, chance=100)
