"""From staged pages to buckets, ledger and roll-ups: one transaction for the whole window."""

from __future__ import annotations

import hashlib
import json
from contextlib import closing
from dataclasses import astuple, dataclass, field, replace
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

from shared.core import crash
from shared.core.money import total
from shared.providers.base import Bucket, Provider, Row, Stream
from shared.store import accounts, buckets, collection, ledger, rollups
from shared.workflows import attribute, quarantine

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from shared.core.pricing import Rates
    from shared.core.windows import Reads
    from shared.store.collection import Checkpoint
    from shared.store.database import Connection
    from shared.workflows.lines import Mapper
    from shared.workflows.quarantine import Judge

# Four accounts are merged at once, and each row takes some ten kilobytes on its way; larger batches are not faster.
_ROWS_AT_ONCE = 1000
# A span that no coverage touches.
_NO_TIME = (datetime(1970, 1, 1, tzinfo=UTC),) * 2


@dataclass(slots=True)
class Changes:
    """What one window did to the stored buckets. `held` of those that are new or changed look absurd."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    held: int = 0


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """A bucket with its identity, the digest of its content and the provider's own words."""

    key: str
    digest: str
    bucket: Bucket
    raw: Any


@dataclass(slots=True)
class _Batch:
    """Snapshots of all buckets that start in `[start, end)`."""

    start: datetime
    end: datetime
    snapshots: list[_Snapshot] = field(default_factory=list)


def merge(
    connection: Connection,
    provider: Provider,
    stream: Stream,
    held: Checkpoint,
    mapper: Mapper,
    reads: Reads,
    since: datetime | None,
) -> tuple[Changes | None, Checkpoint]:
    """Bring the stored buckets of the open window to what its pages say, and close it.

    Every page of the window was read: a stored bucket that no page mentions is gone at the provider too, as long as
    it lies in the span that the pages listed and in the part that was asked for. `reads` is how far the stream was read
    then. Where with this window the account's reports were all read for its span, `since` is the oldest instant (UTC)
    that could be asked for, else None. Returns what changed and the closed checkpoint; what changed is None where the
    window is closed already.
    """
    now = collection.lock(connection, held)
    if now.window_start is None or held.listed_start is None or held.listed_end is None:
        return None, now
    changes = Changes()
    touched: set[datetime] = set()
    # A failure leaves the cursor to the garbage collector, which might close it inside the next transaction.
    with closing(collection.staged(connection, held)) as rows, quarantine.judging(connection, held) as judge:
        for batch in _batches(provider, stream, rows, held.listed_start, held.listed_end):
            touched |= _apply(judge, stream, held, mapper, batch, changes)
            crash.at("merge:buckets")
    if held.fetched_at is not None and stream.is_usage:
        window = _NO_TIME if since is None else (now.window_start, held.listed_end)
        counted = [one.name for one in provider.streams if one.is_usage]
        first = buckets.first(connection, held.account_id, counted, *window)
        before, after = accounts.extend_coverage(
            connection, held.account_id, window, first, held.fetched_at - stream.lag, since or window[0]
        )
        crash.at("merge:coverage")
        attribute.after_collection(connection, held.account_id, touched, before, after)
        crash.at("merge:balanced")
    closed = collection.finish(connection, held, reads)
    crash.at("merge:closed")
    return changes, closed


def _apply(
    judge: Judge, stream: Stream, held: Checkpoint, mapper: Mapper, batch: _Batch, changes: Changes
) -> set[datetime]:
    """Bring the buckets of one batch to what it says; return where those begin that changed."""
    connection = judge.connection
    part, values = stream.part or (None, frozenset())
    stored = buckets.known(connection, held.account_id, stream.name, batch.start, batch.end, dimension=part)
    fresh, restated = [], []
    for snapshot in batch.snapshots:
        row = stored.pop((snapshot.bucket.start, snapshot.key), None)
        if row is None:
            fresh.append(snapshot)
        elif row["content_hash"] != snapshot.digest:
            restated.append((snapshot, row))
        else:
            changes.unchanged += 1
    if part is not None:
        stored = {at: row for at, row in stored.items() if row["dimension"] in values}
    changes.new += len(fresh)
    changes.changed += len(restated)
    changes.removed += len(stored)
    if fresh:
        ids = buckets.insert(connection, [_record(held, stream, snapshot) for snapshot in fresh])
        wanted = [(s.bucket, ids[s.bucket.start, s.key]) for s in fresh]
        changes.held += quarantine.book(judge, _lines(connection, stream, mapper, wanted), {}, mapper.now)
    if restated:
        records = [{"id": row["id"], **_record(held, stream, snapshot)} for snapshot, row in restated]
        buckets.restate(connection, records, mapper.now)
        known = {row["id"]: row for _, row in restated}
        wanted = [(snapshot.bucket, row["id"]) for snapshot, row in restated]
        changes.held += quarantine.book(judge, _lines(connection, stream, mapper, wanted), known, mapper.now)
    if stored:
        rollups.subtract(connection, [row["line_id"] for row in stored.values() if row["line_id"] is not None])
        buckets.remove(connection, [row["id"] for row in stored.values()], mapper.now)
    return {
        *(snapshot.bucket.start for snapshot in fresh),
        *(snapshot.bucket.start for snapshot, _ in restated),
        *(start for start, _ in stored),
    }


def _batches(
    provider: Provider, stream: Stream, rows: Iterable[dict[str, Any]], start: datetime, end: datetime
) -> Iterator[_Batch]:
    """Tile `[start, end)` with batches; empty stretches belong to one too, for what vanished there."""
    batch = _Batch(start, end)
    for bucket_start, group in groupby(rows, key=lambda row: row["bucket_start"]):
        if len(batch.snapshots) >= _ROWS_AT_ONCE:
            batch.end = bucket_start
            yield batch
            batch = _Batch(bucket_start, end)
        batch.snapshots.extend(
            _snapshots(provider, stream, [Row(row["bucket_start"], row["bucket_end"], row["raw"]) for row in group])
        )
    yield batch


def _snapshots(provider: Provider, stream: Stream, rows: list[Row]) -> Iterator[_Snapshot]:
    """One snapshot per combination of dimensions; a bucket that pages or rows were split over is added up."""
    combined: dict[str, tuple[Bucket, list[Any]]] = {}
    for row in rows:
        bucket = provider.parse(stream, row)
        key = _digest(dict(bucket.dimensions))
        known, raws = combined.get(key, (None, []))
        combined[key] = (bucket if known is None else _sum(known, bucket), [*raws, row.raw])
    for key, (bucket, raws) in combined.items():
        content = sorted(map(_digest, raws)) if stream.is_remark else _content(bucket)
        yield _Snapshot(key, _digest(content), bucket, raws[0] if len(raws) == 1 else {"rows": raws})


def _sum(first: Bucket, second: Bucket) -> Bucket:
    amount = None if first.amount is None or second.amount is None else total((first.amount, second.amount))
    return replace(first, usage=first.usage + second.usage, amount=amount)


def _lines(
    connection: Connection, stream: Stream, mapper: Mapper, wanted: list[tuple[Bucket, int]]
) -> list[dict[str, Any]]:
    """Return the ledger lines of buckets with their ids, as far as there is something to book."""
    if stream.is_remark:
        return []
    mapped = [(mapper.line(bucket, is_bill=stream.is_bill), bucket_id) for bucket, bucket_id in wanted]
    used: dict[str, Rates] = {line[1].fingerprint(): line[1] for line, _ in mapped if line and line[1]}
    ids = ledger.rates_ids(connection, {key: rates.to_json() for key, rates in used.items()})
    names = {line[0]["model_raw"].lower(): line[0]["model"] for line, _ in mapped if line and line[0]["model_raw"]}
    ledger.save_model_names(connection, names)
    return [
        {**line[0], "bucket_id": bucket_id, "rates_id": ids[line[1].fingerprint()] if line[1] else None}
        for line, bucket_id in mapped
        if line is not None
    ]


def _record(held: Checkpoint, stream: Stream, snapshot: _Snapshot) -> dict[str, Any]:
    bucket = snapshot.bucket
    return {
        "account_id": held.account_id,
        "stream": stream.name,
        "bucket_start": bucket.start,
        "bucket_end": bucket.end,
        "key": snapshot.key,
        "content_hash": snapshot.digest,
        "dimensions": dict(bucket.dimensions),
        "raw": snapshot.raw,
        "amount": bucket.amount,
        "charge": bucket.charge,
        "model": bucket.model,
        "fetched_at": held.fetched_at,
    }


def _content(bucket: Bucket) -> list[object]:
    """Return everything that a provider may restate."""
    return [
        bucket.end, astuple(bucket.usage), astuple(bucket.context), bucket.model, bucket.key_id, bucket.workspace_id,
        bucket.amount, bucket.charge, bucket.description,
    ]  # fmt: skip


def _digest(value: object) -> str:
    # Equal values give equal text: keys are sorted, and `str` of a Decimal or instant keeps all of it.
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
