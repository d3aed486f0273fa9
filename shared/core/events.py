"""Usage events as they are sent: one pass over each row, a sentence for each bad one, and what makes two the same.

A row is decoded JSON (`jsontext.loads`): str, int, Decimal, bool, None, list, dict. Rows of one batch resemble each
other, so names are checked once per set of names and texts once per set of texts.
"""

from __future__ import annotations

import difflib
import json
from datetime import datetime, timedelta
from functools import partial
from hashlib import blake2b
from operator import itemgetter
from struct import Struct
from typing import TYPE_CHECKING, Any

from shared.core.conventions import FOREIGN, EventError, count, unify
from shared.core.event_fields import CALL, COUNTS, KNOWN, PURPOSE, WORDS, Call, Event, Purpose
from shared.core.labels import check_label, metadata_json, tags_json
from shared.core.money import parse_money, plain
from shared.core.periods import PeriodError, parse_instant
from shared.core.usage import MAX_COUNT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from decimal import Decimal

__all__ = ["LONGEST_DESCRIPTION", "LONGEST_ID", "MAX_AHEAD", "WORDS", "EventError", "Reader"]

MAX_AHEAD = timedelta(minutes=5)
LONGEST_ID = 300
LONGEST_DESCRIPTION = 4000
# Within every limit of bytes, whatever the characters.
_SHORT = 75

_CALLED = (*CALL, "batch")
_ZERO_AND_ONE = (0, 1)
_REQUESTS = COUNTS.index("requests")
_packed = Struct(f"<{len(COUNTS)}q").pack


# Half of the time that the class itself takes, of which every row would pay.
_event: Callable[[tuple[Any, ...]], Event] = partial(tuple.__new__, Event)


class _Shape:
    """A set of field names: where its counts and texts are, what is missing, and the texts seen so far."""

    __slots__ = ("calls", "counts", "has_more", "missing", "numbers", "purposes", "read_call", "read_purpose", "spread")

    def __init__(self, names: tuple[str, ...], seen: dict[tuple[str, ...], dict[tuple[Any, ...], Any]]) -> None:
        self.counts = [name for name in COUNTS if name in names]
        self.numbers = _getter(self.counts)
        absent = len(self.counts)
        places = [self.counts.index(name) if name in names else absent for name in COUNTS]
        if "requests" not in names:
            places[_REQUESTS] = absent + 1
        self.spread = itemgetter(*places)
        called = tuple(name for name in _CALLED if name in names)
        meant = tuple(name for name in PURPOSE if name in names)
        self.read_call, self.read_purpose = _getter(called), _getter(meant)
        self.missing = [name for name in ("tokens_in", "tokens_out") if name not in names]
        self.has_more = any(name in names for name in ("description", "tags", "metadata"))
        # Rows that differ in other fields only share them.
        self.calls: dict[tuple[Any, ...], Call] = seen.setdefault(called, {})
        self.purposes: dict[tuple[Any, ...], Purpose] = seen.setdefault(meant, {})


class Reader:
    """Reads the rows of one batch that arrived at `now` (UTC)."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._now_text = now.isoformat()
        self._latest = now + MAX_AHEAD
        self._shapes: dict[tuple[str, ...], _Shape] = {}
        self._foreign: set[tuple[str, ...]] = set()
        self._seen: dict[tuple[str, ...], dict[tuple[Any, ...], Any]] = {}

    def key(self, row: object) -> str | None:
        """Return the key of a row's event id before the row is read; None without one, or where it is no text."""
        sent = row.get("event_id") if type(row) is dict else None
        text = sent.strip() if type(sent) is str else ""
        return blake2b(text.encode(), digest_size=16).hexdigest() if text else None

    def read(self, row: object, key: str | None) -> Event:
        """Return what a row with this key says.

        Raises:
            EventError: it cannot be stored as it is; the sentence names the field.
        """
        if type(row) is not dict:
            raise EventError("", "Each row must be a JSON object.")
        shape = self._shapes.get(tuple(row))
        if shape is None:
            row, shape = self._unify(row)
        return self._read(row, shape, key)

    def _unify(self, row: dict[str, Any]) -> tuple[dict[str, Any], _Shape]:
        """Return a row of names not met before, or of foreign ones, with our names only."""
        names = tuple(row)
        if names not in self._foreign:
            _refuse_unknown(names)
            if FOREIGN.isdisjoint(names):
                return row, self._learn(names)
            self._foreign.add(names)
        row = unify(row)
        names = tuple(row)
        return row, self._shapes.get(names) or self._learn(names)

    def _learn(self, names: tuple[str, ...]) -> _Shape:
        self._shapes[names] = found = _Shape(names, self._seen)
        return found

    def _read(self, row: dict[str, Any], shape: _Shape, key: str | None) -> Event:
        call, purpose = _texts(row, shape)
        numbers = shape.numbers(row)
        for number in numbers:
            if type(number) is not int or number < 0 or number > MAX_COUNT:
                return self._read_odd(row, shape, key)
        get = row.get
        cost = get("cost")
        if cost is not None:
            cost = _cost(cost)
        elif shape.missing:
            raise EventError(shape.missing[0], f"Add {shape.missing[0]} (0 where there are none), or cost.")
        at, at_text = self._now, self._now_text
        sent = get("recorded_at")
        if sent is not None:
            at, at_text = self._instant(sent)
        description = tags = metadata = None
        if shape.has_more:
            description = check_label("description", get("description"), LONGEST_DESCRIPTION)
            tags, metadata = tags_json(get("tags")), metadata_json(get("metadata"))
        counts = shape.spread(numbers + _ZERO_AND_ONE)
        event_id = get("event_id")
        if event_id is not None and (type(event_id) is not str or len(event_id) > _SHORT or key is None):
            event_id = check_label("event_id", event_id, LONGEST_ID)
        if key is None or event_id is None:
            return _event((call, purpose, counts, at, at_text, cost, description, tags, metadata, None, None, None))
        # Each part is JSON or has no line breaks, so different rows give different texts.
        when = "" if sent is None else f"{at_text[:19]}.{at.microsecond}"
        said = f"{call.digest}\n{purpose.digest}\n{when}\n{'' if cost is None else plain(cost)}\n{tags}\n{metadata}\n"
        if description is not None:
            said += json.dumps(description)
        event_id = event_id.strip()
        payload = blake2b(_packed(*counts) + said.encode(), digest_size=16).hexdigest()
        return _event((call, purpose, counts, at, at_text, cost, description, tags, metadata, event_id, key, payload))

    def _read_odd(self, row: dict[str, Any], shape: _Shape, key: str | None) -> Event:
        """Read a row with counts that are no plain integers: absent after all, or whole numbers written as `1.0`."""
        plainly = {name: value for name, value in row.items() if value is not None}
        plainly |= {name: count(name, plainly[name]) for name in shape.counts if name in plainly}
        names = tuple(plainly)
        return self._read(plainly, self._shapes.get(names) or self._learn(names), key)

    def _instant(self, sent: object) -> tuple[datetime, str]:
        if not isinstance(sent, str):
            raise EventError("recorded_at", "recorded_at must be text such as 2026-11-23T10:15:00Z.")
        found = _plain_instant(sent)
        if found is None:
            try:
                found = parse_instant(sent)
            except PeriodError as error:
                raise EventError("recorded_at", f"recorded_at: {error}") from error
            sent = found.isoformat()
        if found > self._latest:
            raise EventError(
                "recorded_at",
                f"recorded_at {sent} is more than 5 minutes ahead of our clock, {self._now_text}; correct it.",
            )
        return found, sent


def _texts(row: dict[str, Any], shape: _Shape) -> tuple[Call, Purpose]:
    """Return the texts of a row, read anew only where the batch did not have them yet."""
    called, meant = shape.read_call(row), shape.read_purpose(row)
    try:
        call, purpose = shape.calls.get(called), shape.purposes.get(meant)
    except TypeError:  # an array or object, which cannot be looked up and is no text either
        call = purpose = None
    if call is None:
        call = Call(row)
        shape.calls[called] = call
    if purpose is None:
        purpose = Purpose(row)
        shape.purposes[meant] = purpose
    return call, purpose


def _plain_instant(text: str) -> datetime | None:
    """Read `2026-11-23T10:15:00Z`, with 3 or 6 decimals or none, as `parse_instant` does; None for anything else."""
    if len(text) not in {20, 24, 27} or text[-1] != "Z" or text[10] != "T" or text[11:13] > "23":
        return None
    if not "2000" <= text[:4] <= "2199" or text[4] != "-" or text[13] != ":" or text[19] not in ".Z":
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _cost(value: object) -> Decimal:
    try:
        cost = parse_money(value)
    except ValueError as error:
        raise EventError("cost", f"cost: {error}") from error
    if cost < 0:
        raise EventError("cost", f"cost cannot be negative, not {plain(cost)}.")
    return cost


def _refuse_unknown(names: Iterable[str]) -> None:
    for name in names:
        if name not in KNOWN:
            near = difflib.get_close_matches(name.casefold(), KNOWN, n=1, cutoff=0.6)
            hint = f"did you mean {near[0]}?" if near else "metadata takes what is your own."
            raise EventError(name[:60], f"Unknown field {name[:60]!r}; {hint}")


def _getter(names: Sequence[str]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    """Return a function from a row to the values of these fields, as a tuple however many they are."""
    if len(names) > 1:
        return itemgetter(*names)
    if names:
        [name] = names
        return lambda row: (row[name],)
    return lambda _row: ()
