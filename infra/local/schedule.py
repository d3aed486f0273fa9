"""EventBridge's part on one machine: jobs run at their times, one after another, in one thread."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from datetime import time as local_time
from typing import TYPE_CHECKING

from shared.core.periods import local_date

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from zoneinfo import ZoneInfo

# The wall clock may jump (a laptop that slept): look at it at least this often.
LONGEST_WAIT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Every:
    """At multiples of an interval from the start of the schedule."""

    interval: timedelta

    def following(self, after: datetime, start: datetime) -> datetime:
        """Return the first time later than `after`."""
        return start + self.interval * ((after - start) // self.interval + 1)


@dataclass(frozen=True, slots=True)
class Daily:
    """Once a day at a local time; where the clock skips that, as much later, and never twice."""

    at: local_time
    zone: ZoneInfo

    def following(self, after: datetime, start: datetime) -> datetime:  # noqa: ARG002 - the same question for all
        """Return the first time later than `after`."""
        day = local_date(after, self.zone) - timedelta(days=1)
        while True:
            found = datetime.combine(day, self.at, tzinfo=self.zone).astimezone(UTC)
            if found > after:
                return found
            day += timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Job:
    """What to run and when. `function` gets the instant (UTC) it was due, as EventBridge passes it."""

    name: str
    when: Every | Daily
    function: Callable[[datetime], object]
    at_start: bool = False


class Schedule:
    """Runs jobs until it is stopped.

    No two jobs overlap; a job that was due several times while another ran, or while the machine slept, runs once,
    for the latest of them. A job that raises is reported to `on_error` and runs again at its next time.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        on_error: Callable[[Job, Exception], None],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._jobs = tuple(jobs)
        self._on_error = on_error
        self._clock = clock
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="schedule", daemon=True)

    def start(self) -> None:
        """Run jobs from now on, first those that are due at the start."""
        self._thread.start()

    def stop(self, seconds: float = 10) -> bool:
        """Start no more jobs and wait for the one that runs, at most so long; return whether it ended."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        start = self._clock()
        due = {job: start if job.at_start else job.when.following(start, start) for job in self._jobs}
        while not self._stopping.is_set() and due:
            job = min(due, key=lambda job: due[job])
            wait = (due[job] - self._clock()).total_seconds()
            if wait > 0:
                self._stopping.wait(min(wait, LONGEST_WAIT_SECONDS))
                continue
            latest, following = due[job], job.when.following(due[job], start)
            now = self._clock()
            while following <= now:
                latest, following = following, job.when.following(following, start)
            due[job] = following
            self._call(job, latest)

    def _call(self, job: Job, due: datetime) -> None:
        try:
            job.function(due)
        except Exception as error:  # noqa: BLE001 - a schedule outlives its jobs
            self._on_error(job, error)
