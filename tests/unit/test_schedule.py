from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from datetime import time as local_time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.schedule import Daily, Every, Job, Schedule

START = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
INSTANTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)).map(  # noqa: DTZ001 - made aware here
    lambda naive: naive.replace(tzinfo=UTC)
)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "at", "after", "due"),
    [
        ("UTC", (0, 20), "2026-11-23T10:00", "2026-11-24T00:20"),
        ("UTC", (0, 20), "2026-11-24T00:19:59.999999", "2026-11-24T00:20"),
        ("UTC", (0, 20), "2026-11-24T00:20", "2026-11-25T00:20"),
        ("Asia/Kathmandu", (0, 0), "2026-11-23T18:14", "2026-11-23T18:15"),
        ("America/New_York", (2, 30), "2026-03-08T00:00", "2026-03-08T07:30"),
        ("America/New_York", (1, 30), "2026-11-01T00:00", "2026-11-01T05:30"),
        ("America/New_York", (1, 30), "2026-11-01T05:30", "2026-11-02T06:30"),
    ],
)
def test_daily(zone: str, at: tuple[int, int], after: str, due: str) -> None:
    assert Daily(local_time(*at), ZoneInfo(zone)).following(utc(after), START) == utc(due)


@given(INSTANTS, st.sampled_from(["UTC", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"]))
def test_daily_comes_about_every_24_hours(after: datetime, zone: str) -> None:
    when = Daily(local_time(2, 15), ZoneInfo(zone))
    first = when.following(after, START)
    second = when.following(first, START)
    assert timedelta() < first - after <= timedelta(hours=25)
    assert timedelta(hours=23) <= second - first <= timedelta(hours=25)


@given(INSTANTS, st.integers(1, 10**6))
def test_every(after: datetime, seconds: int) -> None:
    interval = timedelta(seconds=seconds)
    due = Every(interval).following(after, START)
    assert timedelta() < due - after <= interval
    assert (due - START) % interval == timedelta()


class Recorder:
    """Counts what jobs did, and lets tests wait for it."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, datetime]] = []
        self.errors: list[str] = []
        self.overlaps = 0
        self._running = 0
        self._changed = threading.Condition()

    def job(self, name: str, when: Every, *, seconds: float = 0, fails: bool = False, at_start: bool = True) -> Job:
        def run(due: datetime) -> None:
            with self._changed:
                self._running += 1
                self.overlaps += self._running > 1
                self.calls.append((name, due))
                self._changed.notify_all()
            time.sleep(seconds)
            with self._changed:
                self._running -= 1
            if fails:
                raise RuntimeError(name)

        return Job(name, when, run, at_start=at_start)

    def failed(self, job: Job, error: Exception) -> None:
        self.errors.append(f"{job.name}: {error}")

    def wait_for(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.calls) >= count, timeout=5)


def test_jobs_run_again_and_never_at_the_same_time() -> None:
    seen = Recorder()
    often = Every(timedelta(milliseconds=5))
    schedule = Schedule([seen.job("a", often, seconds=0.01), seen.job("b", often, seconds=0.01)], seen.failed)
    schedule.start()
    seen.wait_for(8)
    assert schedule.stop()
    assert seen.overlaps == 0
    assert {name for name, _ in seen.calls} == {"a", "b"}


def test_a_job_that_fails_is_reported_and_runs_again() -> None:
    seen = Recorder()
    schedule = Schedule([seen.job("a", Every(timedelta(milliseconds=5)), fails=True)], seen.failed)
    schedule.start()
    seen.wait_for(3)
    assert schedule.stop()
    assert seen.errors[:2] == ["a: a", "a: a"]


def test_after_the_machine_slept_a_job_runs_once_for_the_latest_time() -> None:
    seen = Recorder()
    readings = iter([START])
    schedule = Schedule(
        [seen.job("a", Every(timedelta(hours=6)), at_start=False)],
        seen.failed,
        clock=lambda: next(readings, START + timedelta(hours=20)),
    )
    schedule.start()
    seen.wait_for(1)
    assert schedule.stop()
    assert seen.calls == [("a", START + timedelta(hours=18))]


def test_at_the_start_a_job_is_due_at_the_start() -> None:
    seen = Recorder()
    schedule = Schedule([seen.job("a", Every(timedelta(hours=6)))], seen.failed, clock=lambda: START)
    schedule.start()
    seen.wait_for(1)
    assert schedule.stop()
    assert seen.calls == [("a", START)]


def test_stopping_does_not_wait_for_the_next_time() -> None:
    seen = Recorder()
    schedule = Schedule([seen.job("a", Every(timedelta(hours=1)), at_start=False)], seen.failed)
    schedule.start()
    started = time.monotonic()
    assert schedule.stop()
    assert time.monotonic() - started < 1
    assert seen.calls == []


def test_stopping_gives_up_on_a_job_that_does_not_end() -> None:
    release = threading.Event()
    entered = threading.Event()

    def hang(_due: datetime) -> None:
        entered.set()
        release.wait(5)

    schedule = Schedule([Job("hang", Every(timedelta(hours=1)), hang, at_start=True)], lambda *_: None)
    schedule.start()
    assert entered.wait(5)
    assert not schedule.stop(seconds=0.05)
    release.set()
    assert schedule.stop()


def test_a_schedule_without_jobs_ends() -> None:
    schedule = Schedule([], lambda *_: None)
    assert schedule.stop()
    schedule.start()
    assert schedule.stop()
