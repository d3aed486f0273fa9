"""API keys: made, rotated, revoked, and recognised again with few questions to the database."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared.core import keys
from shared.core.keys import Key, StoredKey
from shared.errors import ConflictError, NotFoundError
from shared.store import keys as store

if TYPE_CHECKING:
    from shared.store.database import Connection, Database

# How long another process may go on accepting a key that was revoked here.
KNOWN_FOR = timedelta(seconds=60)
# A key with a good tag and no row: made with this pepper for another database. Rare, and not to be asked for often.
UNKNOWN_FOR = timedelta(seconds=10)
USE_NOTED_EVERY = timedelta(minutes=5)
# Keys remembered at once, about 1 KB each.
_MOST_REMEMBERED = 1000


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made: `text` is the only copy of it, `row` what lists show (see `store.keys.get`)."""

    text: str
    row: dict[str, Any]

    def __repr__(self) -> str:
        return f"NewKey({self.row['id']})"


@dataclass(frozen=True, slots=True)
class _Seen:
    key: StoredKey | None
    at: datetime


class Keyring:
    """What a process remembers of stored keys; safe to share between threads.

    A key is asked for at most once a minute, so that a revocation elsewhere takes at most that long; `forget` makes
    one in this process take effect at once.
    """

    def __init__(self, most: int = _MOST_REMEMBERED) -> None:
        self._most = most
        self._seen: OrderedDict[str, _Seen] = OrderedDict()
        self._noted: OrderedDict[str, datetime] = OrderedDict()
        self._lock = threading.Lock()
        self._forgotten = 0

    def find(self, database: Database, text: str, pepper: str, now: datetime) -> StoredKey | None:
        """Return the stored key that a text is at `now` (UTC), None where it is forged, unknown, expired or revoked.

        A text without a valid tag is refused before the database is touched.

        Raises:
            DatabaseUnavailableError: the key is not remembered and Postgres does not answer.
        """
        given = keys.read(text, pepper)
        if given is None:
            return None
        stored = self._recall(database, given, now)
        if stored is None or not stored.belongs_to(given, pepper) or not stored.is_active(now):
            return None
        return stored

    def forget(self, key_id: str) -> None:
        """Ask the database about this key when it is next seen; an answer under way now is not remembered either."""
        with self._lock:
            self._forgotten += 1
            self._seen.pop(key_id, None)

    def note_use(self, database: Database, key: StoredKey, now: datetime) -> None:
        """Store that a key was used, at most every five minutes; a failure is not tried again sooner.

        Raises:
            psycopg.Error, DatabaseUnavailableError: it could not be stored. Nothing depends on it.
        """
        with self._lock:
            last = max(filter(None, (key.last_used_at, self._noted.get(key.id))), default=None)
            if last is not None and now - last < USE_NOTED_EVERY:
                return
            self._keep(self._noted, key.id, now)
        # One try: the request is already allowed and should not wait for bookkeeping.
        with database.transaction() as connection:
            store.touch(connection, key.id, now, now - USE_NOTED_EVERY)

    def _recall(self, database: Database, given: Key, now: datetime) -> StoredKey | None:
        with self._lock:
            seen = self._seen.get(given.id)
            if seen is not None and _is_fresh(seen, now):
                self._seen.move_to_end(given.id)
                return seen.key
            forgotten = self._forgotten
        found = database.run(lambda c: store.find(c, given.id))
        with self._lock:
            # What was read before a revocation must not be remembered after it.
            if forgotten == self._forgotten:
                self._keep(self._seen, given.id, _Seen(found, now))
        return found

    def _keep(self, kept: OrderedDict[str, Any], key_id: str, value: object) -> None:
        kept[key_id] = value
        kept.move_to_end(key_id)
        if len(kept) > self._most:
            kept.popitem(last=False)


def create(
    database: Database, name: str, scopes: tuple[str, ...], expires_at: datetime | None, pepper: str, now: datetime
) -> NewKey:
    """Make a key and store what recognises it. `scopes` are kept in their order."""
    key, stored = _mint(StoredKey("", name, scopes, b"", expires_at), pepper)
    row = database.run(lambda c: _insert(c, stored, now))
    return NewKey(keys.write(key, pepper), row)


def rotate(
    database: Database, key_id: str, overlap: timedelta, expires_at: datetime | None, pepper: str, now: datetime
) -> tuple[NewKey, dict[str, Any]]:
    """Put a new key with the same name and scopes in the place of one, which ends after `overlap`.

    The new one expires at `expires_at`, or when the old one would have. Returns it and the old one's row.

    Raises:
        NotFoundError: there is no such key.
        ConflictError: it has ended, or was rotated before.
    """
    old = database.run(lambda c: store.find(c, key_id))
    if old is None:
        raise no_key(key_id)
    key, stored = _mint(replace(old, expires_at=expires_at or old.expires_at), pepper)

    def work(connection: Connection) -> tuple[dict[str, Any], dict[str, Any]]:
        store.lock(connection, key_id)
        # The transaction may be repeated after a COMMIT whose answer was lost: then the successor is our own.
        after = store.successor(connection, key_id)
        if after is None:
            _check_active(connection, key_id, now)
        elif after != stored.id:
            raise ConflictError(f"The key {key_id} was already rotated to {after}; rotate that one.")
        row = _insert(connection, stored, now, key_id)
        store.revoke(connection, key_id, now + overlap)
        return row, _get(connection, key_id, now)

    row, replaced = database.run(work)
    return NewKey(keys.write(key, pepper), row), replaced


def revoke(database: Database, key_id: str, now: datetime) -> dict[str, Any]:
    """End a key now and return its row, which is kept; one that has ended already stays as it is.

    Raises:
        NotFoundError: there is no such key.
    """

    def work(connection: Connection) -> dict[str, Any]:
        store.revoke(connection, key_id, now)
        return _get(connection, key_id, now)

    return database.run(work)


def no_key(key_id: str) -> NotFoundError:
    """Return the error for an id that no key has."""
    return NotFoundError(f"There is no key {key_id}; GET /admin/keys lists them.")


def _mint(like: StoredKey, pepper: str) -> tuple[Key, StoredKey]:
    key = keys.mint(secrets.token_bytes(keys.ENTROPY_BYTES))
    return key, replace(like, id=key.id, digest=keys.digest(key, pepper))


def _insert(connection: Connection, key: StoredKey, now: datetime, rotated_from: str | None = None) -> dict[str, Any]:
    if not store.insert(connection, key, now, rotated_from):
        raise ConflictError("Another key was just made in the same place; try again.")
    return _get(connection, key.id, now)


def _get(connection: Connection, key_id: str, now: datetime) -> dict[str, Any]:
    row = store.get(connection, key_id, now)
    if row is None:
        raise no_key(key_id)
    return row


def _check_active(connection: Connection, key_id: str, now: datetime) -> None:
    row = _get(connection, key_id, now)
    if row["status"] != "active":
        raise ConflictError(f"The key {key_id} is {row['status']} and cannot be rotated; create a new one.")


def _is_fresh(seen: _Seen, now: datetime) -> bool:
    # A clock that was set back must not make an entry last longer.
    return timedelta(0) <= now - seen.at < (UNKNOWN_FOR if seen.key is None else KNOWN_FOR)
