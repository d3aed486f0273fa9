"""Which copies of a response count: one of each, the fullest, whatever the order in which files are read.

Copies share the response's id. Of those with the same request id the fullest counts. A side chain may repeat its parent
under a request id of its own, so where any copy is the parent's, copies of side chains do not count; where none is,
the fullest side chain does. What was imported before takes part, so that runs add up to what one run would have done.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from cost_tracker.imports.units import COPIED, COPY, KNOWN, NESTED, REPLAYED, SIDE, WRAPPED, Unit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence


class Stored(NamedTuple):
    """A unit that was imported before: its digests, rank and total, and the ids of its ledger lines."""

    group: bytes
    part: bytes
    rank: int
    total: int
    ids: tuple[int, ...]


class Winner(NamedTuple):
    """A unit to send, and what was imported in its place before: to be voided once the unit is stored."""

    unit: Unit
    instead_of: tuple[Stored, ...]


class Pool:
    """The units of a run. `dropped` counts copies by reason.

    `doubtful` are copies that do not count, whose like nobody remembers: an import that is forgotten may have counted
    them, when the copy that does was not there yet.
    """

    def __init__(self) -> None:
        self.dropped: Counter[str] = Counter()
        self.doubtful: list[Unit] = []
        self._groups: dict[bytes, Unit | list[Unit]] = {}
        # Requests of a parent whose fullest copy is a side chain's.
        self._parents: set[tuple[bytes, bytes]] = set()

    def __len__(self) -> int:
        return len(self._groups)

    def add(self, units: Iterable[Unit]) -> None:
        """Take in the units of a file; of the same request only the best one stays."""
        groups = self._groups
        for unit in units:
            held = groups.get(unit.group)
            if held is None:
                groups[unit.group] = unit
            else:
                others = held if isinstance(held, list) else [held]
                groups[unit.group] = self._joined(others, unit)

    def groups(self) -> list[bytes]:
        """Return the digest of every response."""
        return list(self._groups)

    def settle(self, stored: Mapping[bytes, Sequence[Stored]]) -> Iterator[Winner]:
        """Yield what has to be sent, given by group what was imported before; the pool is empty then."""
        while self._groups:
            group, held = self._groups.popitem()
            before = stored.get(group, ())
            if not before and not isinstance(held, list):
                yield Winner(held, ())
            else:
                yield from self._settled(held if isinstance(held, list) else [held], before)

    def _joined(self, others: list[Unit], unit: Unit) -> Unit | list[Unit]:
        for place, other in enumerate(others):
            if other.part == unit.part:
                better, worse = (unit, other) if _order(unit) > _order(other) else (other, unit)
                self.dropped[WRAPPED if worse.rank == NESTED else COPIED] += 1
                if better.rank <= SIDE < worse.rank:
                    self._parents.add((unit.group, unit.part))
                others[place] = better
                return others if len(others) > 1 else better
        return [*others, unit]

    def _settled(self, units: list[Unit], before: Sequence[Stored]) -> Iterator[Winner]:
        same = {old.part: old for old in before}
        fresh = []
        for unit in units:
            old = same.get(unit.part)
            is_parent = unit.rank > SIDE or (unit.group, unit.part) in self._parents
            if old is not None and old.total >= unit.total and (old.rank > SIDE or not is_parent):
                self.dropped[KNOWN] += 1
            else:
                # What turns out to be a parent's is sent again: the ledger knows it, and from now on we do.
                is_parent = is_parent or (old is not None and old.rank > SIDE)
                total = max(unit.total, old.total) if old is not None else unit.total
                fresh.append(unit._replace(rank=max(unit.rank, COPY) if is_parent else unit.rank, total=total))
        direct = [unit for unit in fresh if unit.rank > SIDE]
        named = [unit for unit in direct if unit.part]
        has_direct = bool(direct) or any(old.rank > SIDE for old in before)
        has_named = bool(named) or any(old.rank > SIDE and old.part for old in before)
        chosen = direct
        if has_named and len(named) < len(direct):
            # One copy lost its request id: the same response all the same.
            chosen = named
            self.dropped[COPIED] += len(direct) - len(named)
        if not has_direct:
            best = max(fresh, key=_order, default=None)
            most = max((old.total for old in before), default=-1)
            chosen = [best] if best is not None and best.total > most else []
        self.dropped[REPLAYED] += sum(1 for unit in fresh if unit.rank <= SIDE) - (0 if has_direct else len(chosen))
        if not before:
            self.doubtful += [unit for unit in fresh if unit not in chosen]
        for number, unit in enumerate(chosen):
            mine = same.get(unit.part)
            # Whatever no longer counts goes with the first one that is stored.
            gone = [old for old in before if old.part not in {each.part for each in chosen} and _is_out(old, chosen)]
            yield Winner(unit, (*([mine] if mine else []), *(gone if number == 0 else [])))


def _is_out(old: Stored, chosen: Sequence[Unit]) -> bool:
    """Return whether what was imported before no longer counts beside what is new."""
    if old.rank <= SIDE:
        return True
    return not old.part and any(unit.part for unit in chosen)


def _order(unit: Unit) -> tuple[int, int, bytes]:
    # Of equal copies any will do, as long as it is the same one however the files are read.
    return unit.total, unit.rank, unit.rows
