"""What `make run` starts: the API on a port of this machine, collecting and pushing at once and on schedule."""

from __future__ import annotations

import errno
import threading
import time
from datetime import time as local_time
from datetime import timedelta
from http import HTTPStatus
from math import inf
from typing import TYPE_CHECKING, Any, Self

import httpx

from functions import jobs, runtime
from infra.local import whereabouts
from infra.local.gateway import Gateway
from infra.local.schedule import Daily, Every, Job, Schedule
from infra.local.tracker import STOP_SECONDS, Tracker, silent
from shared.addresses import is_loopback
from shared.errors import SettingError
from shared.store import runs

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from shared.config import Settings

# The demo's current hour should be seen to move.
DEMO_INTERVAL = timedelta(minutes=15)
# After local midnight the providers need some minutes until they report the last of the day.
PUSH_AT = local_time(0, 10)
# A collection that takes longer than this is not waited for: what it changes is pushed the next time.
_COLLECTION_SECONDS = 900.0
_ANSWER_SECONDS = 10.0
_PAUSE_SECONDS = 0.02
_LOOK_SECONDS = 0.2


class LocalService:
    """The whole service on 127.0.0.1: `with LocalService(settings) as service: service.url`.

    Args:
        settings: as loaded; `port` 0 takes a free one.
        demo: serve the demo organisation, or not; left out, it is served where no provider's key is set.
        say: gets one line per step of the start.
    """

    def __init__(self, settings: Settings, *, demo: bool | None = None, say: Callable[[str], None] = silent) -> None:
        self._settings = settings
        self._demo = demo
        self._say = say
        self._gateway: Gateway | None = None
        self._schedule: Schedule | None = None
        self._tracker: Tracker | None = None
        self._stopping = threading.Event()
        self.first_run: int | None = None

    @property
    def tracker(self) -> Tracker:
        """The tracker that is served, once started."""
        if self._tracker is None:
            raise RuntimeError("Start the service first.")
        return self._tracker

    @property
    def url(self) -> str:
        """Where it answers, without a slash at the end, once started."""
        if self._gateway is None:
            raise RuntimeError("Start the service first.")
        return self._gateway.url

    def start(self) -> Self:
        """Start everything and return when the API has answered; the first collection (`first_run`) then goes on.

        Raises:
            SettingError: the port is taken, or the home or the database cannot be used.
            MigrationError: the schema cannot be brought up to date.
        """
        try:
            # The port first: a second start should not get as far as the database.
            self._gateway = self._listen()
            self._tracker = Tracker.open(self._settings, demo=self._demo, create=True, say=self._say)
            self._say("starting the API")
            self._gateway.start()
            _await_answer(self._gateway.url)
            whereabouts.announce(self._tracker.settings.home, self._gateway.url, demo=self._tracker.is_demo)
            self._tracker.enter_invoices()
            self.first_run = self._tracker.begin_collection()
            self._schedule = self._make_schedule(self._tracker)
            self._schedule.start()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop collecting and answering, within seconds; the data stays. Stopping twice does nothing."""
        self._stopping.set()
        if self._tracker is not None and self._gateway is not None:
            whereabouts.retire(self._tracker.settings.home, self._gateway.url)
        if self._schedule is not None:
            self._schedule.stop(STOP_SECONDS)
        if self._tracker is not None:
            self._tracker.stop_runs()  # requests that wait for a run are answered by this
        if self._gateway is not None:
            self._gateway.stop(STOP_SECONDS)
        if self._tracker is not None:
            self._tracker.close()
        self._schedule = self._gateway = self._tracker = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def _make_schedule(self, tracker: Tracker) -> Schedule:
        def collect(due: datetime) -> None:
            try:
                tracker.begin_collection(due)
                if (check := jobs.nightly(tracker.app, lambda: inf)) is not None:
                    tracker.app.dispatch(tracker.app, check)
            finally:
                tracker.app.database.close()  # hours may pass until the next time

        def push(due: datetime) -> None:
            try:
                # At the start the first collection is under way; later the day that ended is collected to its end.
                self._await_run(tracker, awaited.pop() if awaited else tracker.begin_collection(due))
                if not self._stopping.is_set():
                    app = tracker.app
                    run_id = app.database.run(lambda c: runs.start(c, "push", {"time": due}, app.clock()))
                    app.dispatch(app, run_id)
            finally:
                tracker.app.database.close()

        has_vault = tracker.settings.context_vault_url is not None
        awaited = [self.first_run] if has_vault else []
        interval = DEMO_INTERVAL if tracker.is_demo else timedelta(hours=tracker.settings.collection_interval_hours)
        planned = [Job("collect", Every(interval), collect)]
        if _may_push(tracker):
            planned.append(Job("push", Daily(PUSH_AT, tracker.settings.zone), push, at_start=has_vault))
        else:
            self._say("invented figures are not pushed to CONTEXT_VAULT_URL; POST /admin/sync-cv does if you insist")
        return Schedule(planned, _failed)

    def _await_run(self, tracker: Tracker, run_id: int | None) -> None:
        deadline = time.monotonic() + _COLLECTION_SECONDS
        while run_id is not None and time.monotonic() < deadline and not self._stopping.wait(_LOOK_SECONDS):
            run = tracker.app.database.run(lambda c: runs.get(c, run_id, tracker.app.clock()))
            if run is None or run["status"] != "running":
                return

    def _answer(self, event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ANN401 - Lambda's context
        return self.tracker.handler(event, context)

    def _listen(self) -> Gateway:
        port = self._settings.port
        try:
            return Gateway(self._answer, port=port, at_worker_end=self._worker_ended)
        except OSError as error:
            reason = "is already in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
            raise SettingError(f"Port {port} {reason}; set PORT to another one, or 0 for any that is free.") from error

    def _worker_ended(self) -> None:
        if self._tracker is not None:
            self._tracker.app.database.close()


def _failed(job: Job, error: Exception) -> None:
    runtime.logger.error("scheduled job failed", extra={"job": job.name, "error": str(error)})


def _may_push(tracker: Tracker) -> bool:
    """Tell whether the schedule may push: invented figures go to no vault but one on this machine."""
    url = tracker.settings.context_vault_url
    return url is None or not tracker.is_demo or is_loopback(httpx.URL(url).host)


def _await_answer(url: str) -> None:
    deadline = time.monotonic() + _ANSWER_SECONDS
    with httpx.Client(trust_env=False) as http:
        while True:
            try:
                status = http.get(f"{url}/health").status_code
                if status == HTTPStatus.OK:
                    return
                raise SettingError(f"The API answers /health with {status}; the log above says why.")
            except httpx.TransportError:
                pass
            if time.monotonic() > deadline:
                raise SettingError(f"The API at {url} does not answer; is something between us and 127.0.0.1?")
            time.sleep(_PAUSE_SECONDS)
