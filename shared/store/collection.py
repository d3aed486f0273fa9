"""The checkpoint of a fetch: which window is open, how far it was read, and the pages that wait for its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.core.windows import Reads
from shared.errors import SupersededError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from datetime import datetime

    from shared.store.database import Connection


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where one account's stream stands. The window is None when no fetch is open; instants are UTC."""

    account_id: int
    stream: str
    watermark: datetime | None
    fence: int
    window_start: datetime | None
    window_end: datetime | None
    fetched_at: datetime | None
    next_cursor: str | None
    pages: int
    all_read: bool
    listed_start: datetime | None
    listed_end: datetime | None
    weekly_read_at: datetime | None = None
    monthly_read_at: datetime | None = None

    @property
    def reads(self) -> Reads:
        """How far it was read, and when further back than usual."""
        return Reads(self.watermark, self.weekly_read_at, self.monthly_read_at)


_COLUMNS = (
    "account_id, stream, watermark, fence, window_start, window_end, fetched_at, next_cursor, pages, all_read, "
    "listed_start, listed_end, weekly_read_at, monthly_read_at"
)
_NOTHING_READ = "next_cursor = NULL, pages = 0, all_read = false, listed_start = NULL, listed_end = NULL"


def take_over(connection: Connection, account_id: int, stream: str) -> Checkpoint:
    """Become the one writer of this stream: whoever held it before fails at its next page.

    Raises:
        SupersededError: the account was archived or deleted meanwhile.
    """
    # Before its account, as whoever re-prices or merges does: else each may wait for the other.
    connection.execute(
        "SELECT 1 FROM collection_state WHERE account_id = %s AND stream = %s FOR UPDATE", [account_id, stream]
    )
    row = connection.execute(
        f"""
        INSERT INTO collection_state (account_id, stream, fence)
        SELECT id, %s, 1 FROM accounts WHERE id = %s AND archived_at IS NULL AND deleting_at IS NULL FOR SHARE
        ON CONFLICT (account_id, stream) DO UPDATE SET fence = collection_state.fence + 1
        RETURNING {_COLUMNS}
        """,
        [stream, account_id],
    ).fetchone()
    if row is None:
        raise SupersededError("The account was archived or deleted while it was collected; it is not polled any more.")
    return _checkpoint(row)


def lock(connection: Connection, held: Checkpoint) -> Checkpoint:
    """Lock the checkpoint for this transaction and return it as it is stored.

    Raises:
        SupersededError: another run took the stream over.
    """
    return _update(connection, held, "fence = fence", {})


def open_window(
    connection: Connection, held: Checkpoint, start: datetime, end: datetime, fetched_at: datetime
) -> Checkpoint:
    """Start the window `[start, end)` from its first page; pages of an earlier attempt are dropped."""
    _drop_pages(connection, held)
    return _update(
        connection,
        held,
        f"window_start = %(start)s, window_end = %(end)s, fetched_at = %(at)s, {_NOTHING_READ}",
        {"start": start, "end": end, "at": fetched_at},
    )


def stage(
    connection: Connection,
    held: Checkpoint,
    rows: Iterable[tuple[datetime, datetime, str]],
    next_cursor: str | None,
    listed: tuple[datetime, datetime] | None,
) -> Checkpoint:
    """Keep one page's rows (bucket start, end, JSON text), what it listed and the token of the next, all at once."""
    after = _update(
        connection,
        held,
        "next_cursor = %(cursor)s, pages = %(page)s, all_read = %(done)s, "
        "listed_start = least(listed_start, %(first)s), listed_end = greatest(listed_end, %(last)s)",
        {
            "cursor": next_cursor,
            "page": held.pages + 1,
            "done": next_cursor is None,
            "first": listed[0] if listed else None,
            "last": listed[1] if listed else None,
        },
    )
    # A page whose COMMIT was answered by silence is written again.
    connection.execute(
        "DELETE FROM staged_rows WHERE account_id = %s AND stream = %s AND page = %s",
        [held.account_id, held.stream, after.pages],
    )
    with connection.cursor().copy(
        "COPY staged_rows (account_id, stream, bucket_start, bucket_end, page, position, raw) FROM STDIN"
    ) as copy:
        for position, (start, end, raw) in enumerate(rows):
            copy.write_row((held.account_id, held.stream, start, end, after.pages, position, raw))
    return after


def staged(connection: Connection, held: Checkpoint) -> Generator[dict[str, Any], None, None]:
    """Yield the rows of all pages by bucket (`bucket_start`, `bucket_end`, `raw`), a few thousand in memory.

    Close the generator before the transaction ends.
    """
    with connection.cursor(name="staged_rows_in_order") as cursor:
        cursor.itersize = 2000
        yield from cursor.execute(
            """
            SELECT bucket_start, bucket_end, raw FROM staged_rows
            WHERE account_id = %s AND stream = %s ORDER BY bucket_start, page, position
            """,
            [held.account_id, held.stream],
        )


def finish(connection: Connection, held: Checkpoint, reads: Reads) -> Checkpoint:
    """Close the window; the watermark and the deeper reads move forward or stay."""
    _drop_pages(connection, held)
    return _update(
        connection,
        held,
        "watermark = greatest(watermark, %(watermark)s), window_start = NULL, window_end = NULL, fetched_at = NULL, "
        "weekly_read_at = greatest(weekly_read_at, %(weekly)s), "
        f"monthly_read_at = greatest(monthly_read_at, %(monthly)s), {_NOTHING_READ}",
        {"watermark": reads.until, "weekly": reads.weekly, "monthly": reads.monthly},
    )


def _update(connection: Connection, held: Checkpoint, changes: str, values: dict[str, Any]) -> Checkpoint:
    row = connection.execute(
        f"UPDATE collection_state SET {changes} "
        "WHERE account_id = %(account_id)s AND stream = %(stream)s AND fence = %(fence)s "
        f"RETURNING {_COLUMNS}",
        {**values, "account_id": held.account_id, "stream": held.stream, "fence": held.fence},
    ).fetchone()
    if row is None:
        raise SupersededError("Another collection took this account over; it continues where this one stopped.")
    return _checkpoint(row)


def _drop_pages(connection: Connection, held: Checkpoint) -> None:
    connection.execute("DELETE FROM staged_rows WHERE account_id = %s AND stream = %s", [held.account_id, held.stream])


def _checkpoint(row: dict[str, Any] | None) -> Checkpoint:
    if row is None:
        raise AssertionError("RETURNING gives a row")
    return Checkpoint(**row)
