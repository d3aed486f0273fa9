"""The synthetic team on OpenAI as a `Dataset`: every hour is a pure function of the seed and the hour."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256

from infra.demo.openai.bill import charge
from infra.demo.openai.cast import DESK, EMBEDDER, KEYS, PROJECTS, SHOP, WORKLOADS, Workload
from infra.demo.openai.data import REPORTS, CostRow, UsageRow
from infra.demo.organisation import DAY, FIRST_WEEKEND_DAY, HOUR, SEED, SETTLED_AFTER, cycle_day

THURSDAY, RESTATED_HOUR = 3, 9
MEBIBYTE = 2**20


def is_restated(hour: datetime) -> bool:
    """Say whether this hour (UTC) is reported too low until it is 24 hours old: Thursdays at 09:00."""
    return hour.weekday() == THURSDAY and hour.hour == RESTATED_HOUR


@lru_cache(maxsize=8192)
def settled(seed: str, hour: datetime) -> tuple[UsageRow, ...]:
    """Return what was really used in the hour that starts at `hour` (UTC), of every report."""
    rows = (_row(seed, hour, workload) for workload in WORKLOADS)
    stored = _storage(hour) if hour.hour == 0 else ()
    return (*(row for row in rows if row), *stored)


@lru_cache(maxsize=8192)
def reported(seed: str, hour: datetime, *, is_young: bool) -> tuple[UsageRow, ...]:
    """Return what the provider reports for an hour that is over: restated hours are low while young."""
    rows = settled(seed, hour)
    if not (is_young and is_restated(hour)):
        return rows
    return tuple(replace(row, counts={name: count * 3 // 5 for name, count in row.counts.items()}) for row in rows)


def _digest(*parts: object) -> bytes:
    return sha256("|".join(map(str, ("openai", *parts))).encode()).digest()


def _row(seed: str, hour: datetime, work: Workload) -> UsageRow | None:
    """Return a workload's row of an hour, or None where it does nothing."""
    if hour.date() < work.since or (work.season and cycle_day(hour.date()) not in work.season):
        return None
    weight = work.hours[hour.hour]
    if hour.weekday() >= FIRST_WEEKEND_DAY:
        weight = weight * work.weekend // 100
    digest = _digest(seed, hour.isoformat(), work.name)
    if digest[0] * 100 * 100 >= work.chance * min(weight, 100) * 256:
        return None
    # 40 to 160 percent of the mean, times the hour's weight; an active hour has at least one of everything.
    drawn = {
        name: mean * weight * (40 + digest[index] * 120 // 255) // 10_000 + 1
        for index, (name, mean) in enumerate(work.counts, start=1)
    }
    key = work.key
    dimensions = {
        "project_id": key.project_id if key else SHOP,
        "api_key_id": key.id if key else None,
        "user_id": "user-DemoMira",
        **dict(work.dimensions),
    }
    known = {name: value for name, value in dimensions.items() if name in REPORTS[work.report].groups}
    return UsageRow(hour, work.report, _counts(drawn) if "uncached" in drawn else drawn, known, work.is_long)


def _counts(drawn: dict[str, int]) -> dict[str, int]:
    """Spell a chat's counts as the wire does: the input holds cached and written tokens, parts never exceed it."""
    uncached, output = drawn["uncached"], drawn["output"]
    cached, written, kept = (drawn.get(name, 0) for name in ("cached", "written", "kept"))
    audio = min(drawn.get("audio", 0), uncached)
    return {
        "input_tokens": uncached + cached + written + kept,
        "input_cached_tokens": cached,
        "input_cache_write_30m_tokens": written,
        "input_cache_write_12h_tokens": kept,
        "input_audio_tokens": audio,
        "input_image_tokens": min(drawn.get("image", 0), uncached - audio),
        "output_tokens": output,
        "output_audio_tokens": min(drawn.get("audio_out", 0), output),
        "output_image_tokens": min(drawn.get("image_out", 0), output),
        "num_model_requests": drawn["requests"],
    }


def _storage(midnight: datetime) -> Iterator[UsageRow]:
    """Yield what vector stores hold on a day; it grows over the cycle."""
    for number, project in enumerate((EMBEDDER.project_id, DESK), start=1):
        held = (900 + number * cycle_day(midnight.date())) * MEBIBYTE
        yield UsageRow(midnight, "vector_stores", {"usage_bytes": held}, {"project_id": project})


class Team:
    """The team as a `Dataset`: it exists since the midnight `days` days before `now` (aware UTC)."""

    projects = PROJECTS
    keys = KEYS

    def __init__(self, now: datetime, *, days: int = 90, seed: str = SEED) -> None:
        self.seed = seed
        self.since = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days)

    def usage(self, report: str, start: datetime, end: datetime, now: datetime) -> Iterator[UsageRow]:
        """Yield the rows of `[start, end)` (whole hours) as reported at `now`; hours appear once they are over."""
        return (row for row in self._rows(start, end, now) if row.report == report)

    def costs(self, start: datetime, end: datetime, now: datetime) -> Iterator[CostRow]:
        """Yield the bill of the UTC days that start inside `[start, end)`, today's as far as it is known at `now`."""
        day = max(start.astimezone(UTC), self.since)
        while day < min(end, now):
            yield from charge(day, self._rows(day, day + DAY, now))
            day += DAY

    def _rows(self, start: datetime, end: datetime, now: datetime) -> Iterator[UsageRow]:
        hour = max(start.astimezone(UTC), self.since)
        while hour + HOUR <= min(end, now):
            yield from reported(self.seed, hour, is_young=now - hour < SETTLED_AFTER)
            hour += HOUR
