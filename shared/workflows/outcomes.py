"""What became of the rows of a batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shared.core.conventions import EventError
    from shared.core.event_fields import Event

CREATED, DUPLICATE, REJECTED = "created", "duplicate", "rejected"
INVALID, CONFLICT = "invalid_input", "conflict"


class Outcome(NamedTuple):
    """What became of one row: `created`, `duplicate` (of the line `id`) or `rejected` with its code and sentence.

    A conflict has the `id` of the line that was kept.
    """

    status: str
    id: int | None
    code: str | None = None
    message: str | None = None
    field: str | None = None


UNSEEN = Outcome(REJECTED, None)


@dataclass(frozen=True, slots=True)
class Report:
    """An outcome per row, in the order sent, and sentences about models without a price.

    `unpriced` counts the new rows without one by model as sent. `records` are the stored lines by id, with the columns
    of `kept_records`, where they were asked for.
    """

    outcomes: Sequence[Outcome]
    warnings: Sequence[str] = ()
    records: dict[int, dict[str, Any]] = field(default_factory=dict)
    unpriced: dict[str, int] = field(default_factory=dict)


# Half of the time that the class itself takes, of which every row would pay.
_outcome: Callable[[tuple[Any, ...]], Outcome] = partial(tuple.__new__, Outcome)


def created(line_id: int) -> Outcome:
    """Return the outcome of a row that is now the line of this id."""
    return _outcome((CREATED, line_id, None, None, None))


def duplicate(line_id: int) -> Outcome:
    """Return the outcome of a row that says what the line of this id says."""
    return _outcome((DUPLICATE, line_id, None, None, None))


def rejected(error: EventError) -> Outcome:
    """Return the outcome of a row that cannot be stored."""
    return Outcome(REJECTED, None, INVALID, str(error), error.field)


def conflict(event: Event, line_id: int) -> Outcome:
    """Return the outcome of a row whose event id is taken by the line of this id, which says something else."""
    return Outcome(
        REJECTED,
        line_id,
        CONFLICT,
        f"The event {event.event_id} is stored with other content, which was kept; send a correction under a new id "
        "and void the old one.",
        "event_id",
    )
