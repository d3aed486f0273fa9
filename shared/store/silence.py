"""What says whether an account is silent: when it was used, and how late its reports usually are."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from shared.core.silence import Span
    from shared.store.database import Connection


def active(connection: Connection, account_id: int, since: datetime) -> list[Span]:
    """Return the intervals from `since` (UTC) in which an account's provider reported usage, by their start.

    What it remarks besides, of Claude Code, is no usage.
    """
    rows = connection.execute(
        """
        SELECT bucket_start, max(bucket_end) AS bucket_end FROM buckets
        WHERE account_id = %s AND bucket_start >= %s AND (amount IS NULL OR charge IS NULL)
            AND stream <> 'claude_code' GROUP BY 1 ORDER BY 1
        """,
        [account_id, since],
    )
    return [(row["bucket_start"], row["bucket_end"]) for row in rows]


def usual_lags(connection: Connection) -> dict[int, timedelta]:
    """Return account id -> the median of how far its report trailed after its latest collections."""
    rows = connection.execute(
        """
        SELECT account_id, percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS seconds FROM account_lags
        GROUP BY account_id
        """
    )
    return {row["account_id"]: timedelta(seconds=row["seconds"]) for row in rows}
