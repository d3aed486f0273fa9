"""What readers find in files: units of usage, and what was left out and why. Counts, ids and names; never a text."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

import orjson

from shared.core.event_ids import digest
from shared.core.naming import provider_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from shared.core.projects import Rule

# How much a copy of a response says about where it belongs, least first.
NESTED, SIDE, COPY, DIRECT = range(4)

# Why a copy of what is counted already was dropped.
STREAMED = "streamed"  # the same response again in the same file, with fewer tokens or as many
COPIED = "copied"  # the same response in another file: a resumed or forked session
REPLAYED = "replayed"  # a side chain that repeats its parent under a new request id
WRAPPED = "nested"  # the same response inside of a progress line
KNOWN = "imported before"

_NUL = b"\\u0000"
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class Unit(NamedTuple):
    """One response: rows for `POST /api/usage` that come and go together.

    `group` and `part` are digests of the response's id and of its request's (empty without one); `rank` is one of
    `NESTED` to `DIRECT`; `total` are its tokens, by which the fullest version is known; `at` is ISO 8601 in UTC;
    `rows` are JSON objects with commas between, `size` of them, each beginning with its `event_id`; `source` is what
    their records will say they are.
    """

    group: bytes
    part: bytes
    rank: int
    total: int
    at: str
    rows: bytes
    size: int
    source: str = "import"


@dataclass(frozen=True, slots=True)
class Terms:
    """What the caller decided, for every reader.

    `account` is None where each format decides, empty for none at all. `rules` are in the order they are tried.
    `since` and `settled` are ISO 8601 in UTC: what is older is left out, what is younger is left for the next time.
    `zone` is the IANA zone of times without an offset. `columns` are pairs of our name and theirs.
    """

    account: str | None = None
    project: str | None = None
    rules: tuple[Rule, ...] = ()
    since: str = ""
    settled: str = ""
    zone: str = "UTC"
    columns: tuple[tuple[str, str], ...] = ()

    def account_of(self, default: str) -> str:
        """Return the account of an event whose format would say `default`; empty for none."""
        return default if self.account is None else self.account


@dataclass(slots=True)
class Reading:
    """What was found in a file up to the byte `end`, the end of a line; `is_held` where younger lines wait behind.

    `accounts` are names that its rows give, with their providers.
    """

    end: int = 0
    is_held: bool = False
    lines: int = 0
    units: list[Unit] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    noted: dict[str, int] = field(default_factory=dict)
    accounts: set[tuple[str, str]] = field(default_factory=set)

    def skip(self, reason: str, count: int = 1) -> None:
        """Count lines that are no usage although they look like it."""
        self.skipped[reason] = self.skipped.get(reason, 0) + count

    def want(self, account: str | None, provider: object) -> None:
        """Note that rows name an account, if they do, and whose it is."""
        if account and provider and isinstance(provider, str):
            self.accounts.add((account, provider_id(provider)))

    def note(self, what: str) -> None:
        """Count what was kept, but on an assumption that the reader should know."""
        self.noted[what] = self.noted.get(what, 0) + 1

    def refuse(self, reason: str) -> None:
        """Count a row that is usage and cannot be understood."""
        self.refused[reason] = self.refused.get(reason, 0) + 1

    def drop(self, reason: str, count: int = 1) -> None:
        """Count copies."""
        self.dropped[reason] = self.dropped.get(reason, 0) + count


def rows_of(rows: Iterable[Mapping[str, object]]) -> bytes:
    """Return rows as a unit holds them, fields without a value left out."""
    given = [{name: value for name, value in row.items() if value is not None and value != ""} for row in rows]
    try:
        made = b",".join(orjson.dumps(row, default=_decimal) for row in given)
    except orjson.JSONEncodeError:  # half a surrogate pair
        made = _NUL
    return b",".join(orjson.dumps(_storable(row), default=_decimal) for row in given) if _NUL in made else made


def _storable(value: object) -> object:
    """Return a value without the characters that Postgres has no form for."""
    if isinstance(value, str):
        return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, dict):
        return {_storable(name): _storable(item) for name, item in value.items()}
    return [_storable(item) for item in value] if isinstance(value, list) else value


def _decimal(value: object) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    raise TypeError


def single(event_id: str, row: Mapping[str, object], at: str, total: int) -> Unit:
    """Return the unit of a source whose rows have an id of their own."""
    rows = rows_of([{"event_id": event_id, **row, "recorded_at": at}])
    return Unit(digest(event_id), b"", DIRECT, total, at, rows, 1)
