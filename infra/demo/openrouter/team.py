"""The synthetic team on OpenRouter as a `Dataset`: every day is a pure function of the seed and the day."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from hashlib import sha256

from infra.demo.openrouter.cast import DEFAULT, FEE, KEYS, PRICES, WORKLOADS, WORKSPACES, Workload
from infra.demo.openrouter.data import ActivityRow
from infra.demo.organisation import DAY, FIRST_WEEKEND_DAY, SEED

WEEKEND = 20
# An amount is rounded to so many decimals before it is written: few enough for a binary fraction to hold them all.
DECIMALS = Decimal("1E-8")


@lru_cache(maxsize=512)
def used(seed: str, day: datetime) -> tuple[ActivityRow, ...]:
    """Return what was used on the UTC day that begins at `day`, by key and endpoint."""
    return tuple(row for work in WORKLOADS if (row := _row(seed, day, work)))


def _row(seed: str, day: datetime, work: Workload) -> ActivityRow | None:
    """Return a workload's row of a day, or None where it does nothing."""
    if work.until is not None and day >= work.until:
        return None
    digest = sha256(f"openrouter|{seed}|{day:%Y-%m-%d}|{work.name}".encode()).digest()
    if digest[0] * 100 >= work.chance * 256:
        return None
    weight = WEEKEND if day.weekday() >= FIRST_WEEKEND_DAY else 100
    # 40 to 160 percent of the mean; an active day has at least one of everything.
    requests, prompt, completion = (
        mean * weight * (40 + digest[index] * 120 // 255) // 10_000 + 1
        for index, mean in enumerate((work.requests, work.prompt, work.completion), start=1)
    )
    held = prompt * work.cached // 100
    replayed = prompt * work.replayed // 100
    uncached, cached, written = (Decimal(price) for price in PRICES[work.endpoint])
    cost = ((prompt - held) * uncached + held * cached + completion * written) / 10**6
    key = work.key
    return ActivityRow(
        day,
        work.endpoint,
        key.hash if key else None,
        key.workspace_id if key else DEFAULT.id,
        (requests, prompt, completion, completion * work.reasoning // 100, held + replayed),
        usage=(cost * FEE if work.is_byok else cost).quantize(DECIMALS),
        byok=cost.quantize(DECIMALS) if work.is_byok else Decimal(0),
    )


class Team:
    """The team as a `Dataset`: it exists since the midnight `days` days before `now` (aware UTC)."""

    workspaces = WORKSPACES
    keys = KEYS

    def __init__(self, now: datetime, *, days: int = 90, seed: str = SEED) -> None:
        self.seed = seed
        self.since = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days)

    def activity(self, start: datetime, end: datetime) -> Iterator[ActivityRow]:
        """Yield the rows of the days that begin inside `[start, end)` (midnights)."""
        day = max(start, self.since)
        while day < end:
            yield from used(self.seed, day)
            day += DAY
