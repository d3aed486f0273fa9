"""Following files: what is added is imported every few seconds, until somebody stops it."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cost_tracker.imports.times import utc
from cost_tracker.imports.work import find_new, is_same_ledger, run
from cost_tracker.output import count, note

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cost_tracker.client import Client
    from cost_tracker.imports.files import Target
    from cost_tracker.imports.state import State
    from cost_tracker.imports.units import Terms

PAUSE_SECONDS = 3.0
# A response is written block by block while it streams; younger lines wait, so that its last block is there.
SETTLES = timedelta(seconds=20)


def watch(
    client: Client,
    state: State,
    targets: Sequence[Target],
    terms: Terms,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Import, wait, import again; Ctrl-C ends it, and what was sent by then is kept.

    Raises:
        ApiError: the tracker refuses what is asked.
        UnreachableError: it does not answer for a minute.
    """
    is_same_ledger(state, client)
    note("Following; Ctrl-C ends it.")
    try:
        while True:
            found = find_new(state, targets, terms)
            if found.pieces:
                settled = utc((now() - SETTLES).isoformat()) or ""
                report = run(client, state, found, replace(terms, settled=settled))
                if report.sent and report.sent.created:
                    note(f"{now():%H:%M:%S} UTC: {count(report.sent.created)} events from {count(report.files)} files")
            sleep(PAUSE_SECONDS)
    except KeyboardInterrupt:
        note("Ended. What was sent is kept.")
