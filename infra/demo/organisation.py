"""A small team's usage and bill, made up but never at random: every hour is a pure function of the seed and the hour.

So a restart, a later poll and another machine see the same figures for the same hour, whatever the time is by then.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from hashlib import sha256
from typing import Any

from infra.demo import claude_code
from infra.demo.bill import charge, charge_by_key
from infra.demo.cast import KEYS, PRODUCTION, RESEARCH, RETRACTED, WORKLOADS, WORKSPACES, Workload
from infra.demo.dataset import COUNTS, CostRow, Json, UsageRow

SEED = "peak"
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
SETTLED_AFTER = timedelta(hours=24)
# Thirteen weeks: any 91 days in a row hold exactly one spike, and it is always a Tuesday.
CYCLE = 91
SPIKE = date(2026, 11, 17)
MINUTES = 60
FIRST_WEEKEND_DAY = 5
FRIDAY = 4
WEDNESDAY = 2
RESTATED_HOUR = 10


def cycle_day(day: date) -> int:
    """Return how many days (0 to 90) a UTC date is after the last spike."""
    return (day - SPIKE).days % CYCLE


def is_restated(hour: datetime) -> bool:
    """Say whether this hour (UTC) is reported too low until it is 24 hours old: Wednesdays at 10:00."""
    return hour.weekday() == WEDNESDAY and hour.hour == RESTATED_HOUR


@lru_cache(maxsize=8192)
def settled(seed: str, hour: datetime) -> tuple[UsageRow, ...]:
    """Return what was really used in the hour that starts at `hour` (UTC), at the finest dimensions."""
    rows = (_row(seed, hour, workload) for workload in WORKLOADS)
    return tuple(row for row in rows if row)


def reported(seed: str, hour: datetime, now: datetime) -> tuple[UsageRow, ...]:
    """Return what the provider reports at `now` for an hour that is over: restated hours are low while young."""
    rows = settled(seed, hour)
    if not is_restated(hour) or now - hour >= SETTLED_AFTER:
        return rows
    low = [_scaled(row, hour, [count * 3 // 5 for count in row.counts]) for row in rows]
    withdrawn = _row(seed, hour, RETRACTED)
    return tuple(low) + ((withdrawn,) if withdrawn else ())


def _midnight(instant: datetime) -> datetime:
    return instant.replace(hour=0, minute=0, second=0, microsecond=0)


def _digest(*parts: object) -> bytes:
    return sha256("|".join(map(str, parts)).encode()).digest()


def _row(seed: str, hour: datetime, work: Workload) -> UsageRow | None:
    """Return a workload's row of an hour, or None where it does nothing."""
    today = cycle_day(hour.date())
    if work.season and today not in work.season:
        return None
    weight, chance = work.hours[hour.hour], work.chance
    if hour.weekday() >= FIRST_WEEKEND_DAY:
        weight = weight * work.weekend // 100
    if work.runaway and today == 0:
        weight, chance = 900, 100
    digest = _digest(seed, hour.isoformat(), work.name)
    if digest[0] * 100 * 100 >= chance * min(weight, 100) * 256:
        return None
    mood = 70 + _digest(seed, hour.date(), "mood")[0] * 60 // 255
    means = (work.uncached, work.read, work.write_5m, work.write_1h, work.output)
    # 40 to 160 percent of the mean, times the hour's weight, times the day's mood.
    tokens = [
        mean * weight * mood * (40 + digest[index] * 120 // 255) // 1_000_000
        for index, mean in enumerate(means, start=1)
    ]
    uncached, read, write_5m, write_1h, output = tokens
    return UsageRow(
        at=hour,
        model=work.model,
        uncached_input_tokens=uncached + 1,  # an active hour has at least one token
        output_tokens=output,
        cache_read_input_tokens=read,
        ephemeral_5m_input_tokens=write_5m,
        ephemeral_1h_input_tokens=write_1h,
        web_search_requests=digest[6] % (work.searches + 1),
        api_key_id=work.key.id if work.key else None,
        workspace_id=work.key.workspace_id if work.key else None,
        service_tier=work.tier,
        context_window=work.context,
        inference_geo=work.geo,
    )


def _scaled(row: UsageRow, at: datetime, counts: Iterable[int]) -> UsageRow:
    changes: dict[str, Any] = dict(zip(COUNTS, counts, strict=True))
    return replace(row, at=at, **changes)


def _clipped(row: UsageRow, first: int, last: int) -> UsageRow | None:
    """Return the part of an hour's row that falls into the minutes `[first, last)`; minutes add up to the hour."""
    counts = [count * last // MINUTES - count * first // MINUTES for count in row.counts]
    return _scaled(row, row.at + timedelta(minutes=first), counts) if any(counts) else None


class Organisation:
    """The synthetic organisation as a `Dataset`: it exists since the midnight `days` days before `now` (aware UTC)."""

    keys = KEYS
    workspaces = WORKSPACES

    def __init__(self, now: datetime, *, days: int = 90, seed: str = SEED) -> None:
        self.seed = seed
        self.since = _midnight(now.astimezone(UTC)) - timedelta(days=days)

    def usage(self, start: datetime, end: datetime, now: datetime) -> Iterator[UsageRow]:
        """Yield the usage of `[start, end)` (whole minutes) as reported at `now`, one row per hour and dimensions."""
        start = max(start.astimezone(UTC), self.since)
        end = min(end, now.replace(second=0, microsecond=0))
        hour = start.replace(minute=0, second=0, microsecond=0)
        while hour < end:
            first = max(start - hour, timedelta()) // timedelta(minutes=1)
            last = min(end - hour, HOUR) // timedelta(minutes=1)
            rows = reported(self.seed, hour, now)
            if last - first == MINUTES:
                yield from rows
            else:
                yield from filter(None, (_clipped(row, first, last) for row in rows))
            hour += HOUR

    def costs(self, start: datetime, end: datetime, now: datetime) -> Iterator[CostRow]:
        """Yield the bill of the UTC days that start inside `[start, end)`, as known at `now`."""
        start = max(start.astimezone(UTC), self.since)
        day = _midnight(start)
        if day < start:
            day += DAY
        while day < min(end, now):
            yield from charge(day, self.usage(day, day + DAY, now))
            yield from self._extras(day)
            day += DAY

    def costs_by_key(self, start: datetime, end: datetime, now: datetime) -> Iterator[CostRow]:
        """Yield the same bill by key and product, up to `end`, which may lie within a day."""
        day = _midnight(max(start.astimezone(UTC), self.since))
        while day < min(end, now):
            yield from charge_by_key(day, self.usage(day, min(day + DAY, end), now))
            yield from self._extras(day)
            day += DAY

    def claude_code(self, day: datetime) -> list[Json]:
        """Return what Claude Code did on a UTC day: the team's seats at work, and reviews by a key every day."""
        if day < self.since:
            return []
        return claude_code.records(day, _digest(self.seed, day.date(), "claude-code"))

    def _extras(self, day: datetime) -> Iterator[CostRow]:
        """Yield what no token explains: container hours, session time, storage."""
        dice = _digest(self.seed, day.date(), "extras")
        if day.weekday() < FIRST_WEEKEND_DAY and dice[0] % 3:
            hours = Decimal(dice[1] % 40) / 4 + 1  # 5 cents per container hour
            yield CostRow(day, hours * 5, "Code Execution Usage", "code_execution", workspace_id=RESEARCH)
            if dice[2] % 4 == 0:
                yield CostRow(day, hours, "Code Execution Usage", "code_execution")
        if day.weekday() == FRIDAY:
            minutes = Decimal(30 + dice[3])  # 8 cents per session hour
            amount = (minutes * 8 / MINUTES).quantize(Decimal("0.000001"))
            yield CostRow(day, amount, "Managed Agents Session Usage", "session_usage", workspace_id=PRODUCTION)
        if day.day == 1:  # a cost_type that no documentation lists yet
            yield CostRow(day, Decimal("18.2500"), "File Storage Usage", "file_storage", workspace_id=PRODUCTION)
