"""Cut: the roll-ups by day brought to the zone of the settings and to the day that is over, as far as there is time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.store import cuts
from shared.store.dailies import BusyError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from shared.store.database import Database


def cut(database: Database, zone: ZoneInfo, now: datetime, remaining: Callable[[], float]) -> bool:
    """Bring the roll-ups by day up to date in this zone, and return whether that is done.

    It takes no new step once `remaining` (seconds) is used up, and none while a writer takes long. What is left is left
    to the next call; until then reports read more and answer the same.
    """
    try:
        database.run(lambda connection: cuts.rezone(connection, zone))
        for step in (cuts.cut, lambda connection: cuts.close(connection, now)):
            while database.run(step):
                if remaining() <= 0:
                    return False
        database.run(cuts.fold)
    except BusyError:
        return False
    return True
