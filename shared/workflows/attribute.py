"""Attribute: derive the balance lines again wherever what they follow from has changed, in the same transaction."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from shared.core.attribution import CLASSES, COUNTERS, Logged, Polled, Share, balance
from shared.core.projects import DEFAULT_PROJECT
from shared.core.sessions import MAIN
from shared.core.windows import floor
from shared.store import attribution as store

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from shared.core.windows import Coverage
    from shared.store.database import Connection

# (account id, start of the quarter hour in UTC, canonical model): what balance lines are derived for.
Group: TypeAlias = tuple[int, datetime, str]
_DAY = timedelta(days=1)
# A first collection may meet a year of events: so many groups are in memory at once, with the buckets of so many days.
_GROUPS_AT_ONCE = 2000
_DAYS_AT_ONCE = timedelta(days=7)


def rebuild(connection: Connection, groups: Collection[Group]) -> None:
    """Bring the balance lines of these groups to what events, buckets and coverage say now.

    Called in the transaction that changed any of these, after the change and once: it locks the accounts in order,
    so that of two writers the later one derives from what both wrote. Lines that are right stay as they are. Groups of
    accounts that were never collected cost one query.

    Raises:
        ConflictError: one of the accounts is being deleted; nothing new may belong to it.
    """
    if not groups:
        return
    known = store.lock(connection, sorted({account_id for account_id, _, _ in groups}), strict=True)
    wanted = sorted(group for group in groups if group[0] in known)
    providers = {account_id: provider for account_id, (provider, _) in known.items()}
    for chunk in _chunks(wanted):
        _rebuild(connection, set(chunk), providers)


def rebuild_days(connection: Connection, account_ids: Collection[int], start: datetime, end: datetime) -> None:
    """Bring all balance lines of these accounts in `[start, end)`, UTC midnights, to what holds now.

    For those who change many lines of whole days at once, such as by re-pricing and re-mapping; as `rebuild`, called
    after the change and once in its transaction.
    """
    known = store.lock(connection, sorted(account_ids))
    if known and start < end:
        rebuild(connection, store.groups(connection, list(known), [(start, end)]))


def after_collection(
    connection: Connection, account_id: int, starts: Collection[datetime], before: Coverage, after: Coverage
) -> None:
    """Derive again what a merged window touched.

    Args:
        connection: of the transaction that merged it and holds the account's lock.
        account_id: whose window it was.
        starts: where buckets that are new, changed or gone start; their whole UTC days follow, because events
            without a bucket of their own interval are balanced against the day.
        before: the coverage that held, in UTC.
        after: the coverage that holds now.
    """
    spans = [(day, day + _DAY) for day in {floor(start, _DAY) for start in starts}]
    if after.covered_from is not None and after.complete_until is not None:
        if before.covered_from is None or before.complete_until is None:
            spans.append((after.covered_from, after.complete_until))
        else:
            spans += [(after.covered_from, before.covered_from), (before.complete_until, after.complete_until)]
    spans = [(start, end) for start, end in spans if start < end]
    if spans:
        rebuild(connection, store.groups(connection, [account_id], spans))


def _rebuild(connection: Connection, groups: set[Group], providers: dict[int, str]) -> None:
    accounts = sorted({account_id for account_id, _, _ in groups})
    slots = sorted({slot for _, slot, _ in groups})
    logged: dict[Group, list[dict[str, Any]]] = defaultdict(list)
    for row in store.logged(connection, accounts, slots):
        group = row["account_id"], row["slot"], row["model"]
        if group in groups:
            logged[group].append(row)
    derived = _derive(connection, logged, providers) if logged else []
    existing = [
        row
        for row in store.stored(connection, accounts, slots)
        if (row["account_id"], row["recorded_at"], row["model"]) in groups
    ]
    missing = Counter(_identity(line) for line in derived)
    wrong = []
    for line in existing:
        identity = _identity(line)
        if missing[identity] > 0:
            missing[identity] -= 1
        else:
            wrong.append(line["id"])
    if wrong:
        store.delete(connection, wrong)
    fresh = [dict(zip(store.COLUMNS, identity, strict=True)) for identity in missing.elements()]
    if fresh:
        store.insert(connection, fresh)


def _derive(
    connection: Connection, logged: dict[Group, list[dict[str, Any]]], providers: dict[int, str]
) -> list[dict[str, Any]]:
    days = sorted({floor(slot, _DAY) for _, slot, _ in logged})
    accounts = sorted({account_id for account_id, _, _ in logged})
    models = sorted({model for _, _, model in logged})
    buckets: dict[tuple[int, datetime, str], list[tuple[Polled, datetime]]] = defaultdict(list)
    for row in store.polled(connection, accounts, days, models):
        place = row["account_id"], floor(row["bucket_start"], _DAY), row["model"]
        buckets[place].append((_polled(row), row["updated_at"]))
    lines = []
    for (account_id, slot, model), rows in logged.items():
        beside = buckets[account_id, floor(slot, _DAY), model]
        # A restatement that moves a share is news for those who ask what was updated.
        updated_at = max([row["updated_at"] for row in rows] + [at for _, at in beside])
        same = {
            "account_id": account_id,
            "recorded_at": slot,
            "collected_at": max(row["collected_at"] for row in rows),
            "updated_at": updated_at,
            "model": model,
        }
        shares = balance(slot, [bucket for bucket, _ in beside], [_logged(row) for row in rows])
        lines += [same | _columns(share, providers[account_id]) for share in shares]
    return lines


def _columns(share: Share, provider: str) -> dict[str, Any]:
    terms = (
        {**dict.fromkeys(store.TERMS), "provider": provider, "is_batch": False, "project": DEFAULT_PROJECT}
        | {"session_type": MAIN}
        if share.bucket is None
        else dict(share.bucket.terms)
    )
    return {
        **terms,
        **dict(zip(COUNTERS, share.counts, strict=True)),
        **dict(zip(CLASSES, share.costs, strict=True)),
        "cost": share.cost,
    }


def _polled(row: dict[str, Any]) -> Polled:
    return Polled(
        start=row["bucket_start"],
        end=row["bucket_end"],
        key=row["key"],
        cost=row["cost"],
        tokens=row["tokens"],
        terms={name: row[name] for name in store.TERMS},
        is_billed=row["is_billed"],
    )


def _logged(row: dict[str, Any]) -> Logged:
    return Logged(
        counts=[int(row[name]) for name in COUNTERS],
        costs=[row[name] for name in CLASSES],
        cost=row["cost"] if row["is_priced"] else None,
    )


def _identity(line: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(line[name] for name in store.COLUMNS)


def _chunks(groups: Iterable[Group]) -> Iterator[list[Group]]:
    chunk: list[Group] = []
    for group in groups:
        is_far = bool(chunk) and abs(group[1] - chunk[0][1]) >= _DAYS_AT_ONCE
        if is_far or len(chunk) == _GROUPS_AT_ONCE:
            yield chunk
            chunk = []
        chunk.append(group)
    if chunk:
        yield chunk
