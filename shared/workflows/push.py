"""Push: the summaries that Context Vault is still to get, once per day and payload however often this runs.

`daily_summaries` is the outbox. A day is claimed with a short lease in one transaction, sent outside of any, and
settled in another; a claim that is never settled, because its process was killed, runs out, and the next push sends
the same payload under the same `Idempotency-Key`. Only the vault can know whether it had arrived: folding the two is
its job. The payload of the last acknowledgement is not sent again unless another one was sent since: the vault may
have taken that one, answer or no answer.

A limit of the contract, whose key is made of date and payload alone: figures that return to an earlier state are sent
under the key they had then. A vault that folds by key, without regard to what came in between, may answer such a
request from its memory and keep the figures in between.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from random import SystemRandom
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from shared.core.periods import local_date
from shared.core.vault import Message, Style, compose
from shared.errors import InvalidInputError, NotFoundError
from shared.store import summaries
from shared.workflows.summarise import compute, first_day, summarise

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from zoneinfo import ZoneInfo

    from shared.outbound.vault import Sent, Vault
    from shared.store.database import Connection, Database
    from shared.store.summaries import Figures, Summary

# Closed days, yesterday the first of them, that are sent again when their figures change.
WINDOW_DAYS = 35
# Longer than a request may take, shorter than the minute after which Lambda tries a failed push again: by then the
# claim of one that was killed has to be over.
LEASE = timedelta(seconds=50)
_DAY = timedelta(days=1)
_BUSY = "Another push is sending this day; look again in a minute."
_NO_TIME = "No time was left to send it; the next push does."
# Less time than this is not worth a request.
_LEAST_SECONDS = 0.05

Status = Literal["pushed", "unchanged", "failed", "busy", "dry_run", "not_configured"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long and how often one push may try, and where its time and chance come from.

    `left` gives the seconds that remain, zero or less when the push has to end; each day is tried `tries` times at
    most, each time for `timeout` seconds.
    """

    left: Callable[[], float]
    tries: int = 4
    timeout: float = 10.0
    backoff: float = 0.5
    sleep: Callable[[float], None] = time.sleep
    random: Callable[[], float] = SystemRandom().random

    @classmethod
    def lasting(cls, seconds: float) -> Pace:
        """Return a pace that ends `seconds` from now."""
        deadline = time.monotonic() + seconds
        return cls(left=lambda: deadline - time.monotonic())


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbox:
    """What a push needs. `vault` is None where none is configured; `clock` gives the present instant, in UTC."""

    database: Database
    vault: Vault | None
    style: Style
    zone: ZoneInfo
    clock: Callable[[], datetime]
    pace: Pace

    def today(self) -> date:
        """Return the local date that is not over yet."""
        return local_date(self.clock(), self.zone)

    def message(self, figures: Figures) -> Message:
        """Return what the vault gets for a day."""
        return compose(figures.date, figures.total_cost, figures.by_model, figures.by_project, self.style)


@dataclass(slots=True)
class Delivery:
    """What became of one day. `attempts` counts the requests of this push, `http_status` is the last answer's."""

    date: date
    status: Status = "failed"
    payload: Any = None
    http_status: int | None = None
    attempts: int = 0
    error: str | None = None
    retry_after: float | None = field(default=None, repr=False)


def push_due(outbox: Outbox, scheduled: datetime) -> list[Delivery]:
    """Push the local day that ended before `scheduled` (UTC), and what is still due of the days before it.

    Summaries are brought up to date first, vault or no vault. Due are, oldest first: the day itself; of the last 35
    days, from the one of the first scheduled push on, those that are not acknowledged or whose payload changed since;
    and whatever was due once and is not acknowledged yet, however old. One day that fails does not hold the others up.
    Without a vault there is one delivery that says so.

    Raises:
        DatabaseUnavailableError: Postgres is away; what was not noted as sent stays due.
    """
    today = outbox.today()
    target = min(local_date(scheduled, outbox.zone), today) - _DAY
    summarise(outbox.database, today, outbox.zone)
    if outbox.vault is None:
        return [Delivery(target, "not_configured")]
    due = outbox.database.run(lambda c: _due(c, outbox, target, today))
    return _deliver(outbox, outbox.vault, due)


def push_day(outbox: Outbox, day: date | None) -> Delivery:
    """Push one closed local day now, yesterday by default, however old it is.

    Raises:
        InvalidInputError: the day is not over yet.
        NotFoundError: it lies before the first usage.
        DatabaseUnavailableError: see `push_due`.
    """
    day = _closed(outbox, day)
    summarise(outbox.database, outbox.today(), outbox.zone)
    row = outbox.database.run(lambda c: _ask(c, outbox, day))
    if outbox.vault is None:
        return Delivery(day, "not_configured", None if row is None else outbox.message(row).payload)
    if row is None:
        raise _nothing_on(day)
    return _deliver(outbox, outbox.vault, [day])[0]


def preview(outbox: Outbox, day: date | None) -> Delivery:
    """Return what `push_day` would send; nothing is sent or stored.

    Raises:
        InvalidInputError, NotFoundError: see `push_day`.
    """
    day = _closed(outbox, day)

    def read(connection: Connection) -> Figures:
        first = first_day(connection, outbox.zone)
        if first is None or day < first:
            raise _nothing_on(day)
        return compute(connection, day, outbox.zone)

    return Delivery(day, "dry_run", outbox.message(outbox.database.run(read)).payload)


def _closed(outbox: Outbox, day: date | None) -> date:
    today = outbox.today()
    day = today - _DAY if day is None else day
    if day >= today:
        raise InvalidInputError(
            f"{day} is not over yet in {outbox.zone.key}; the last day that can be pushed is {today - _DAY}.",
            [{"field": "date", "message": f"It must be {today - _DAY} or earlier."}],
        )
    return day


def _nothing_on(day: date) -> NotFoundError:
    return NotFoundError(f"There is no summary of {day}: no usage is known up to that day.")


def _ask(connection: Connection, outbox: Outbox, day: date) -> Summary | None:
    """Note that one day is asked for, where there is a vault to send it to; return its row."""
    row = summaries.get(connection, day, for_update=True)
    if row is not None and outbox.vault is not None:
        summaries.want(connection, day, day)
        if _is_owed(outbox, row):
            summaries.owe(connection, [day])
    return row


def _due(connection: Connection, outbox: Outbox, target: date, today: date) -> list[date]:
    state = summaries.lock(connection)
    since = today - WINDOW_DAYS * _DAY
    # What lies before the first scheduled push is history. Every day after it is due, also one that gets its row days
    # later, because there was no usage to sum yet.
    if state.push_from is None:
        summaries.set_push_from(connection, target)
    summaries.want(connection, max(state.push_from or target, since), target)
    summaries.want(connection, target, target)
    rows = summaries.outstanding(connection, since, today - _DAY)
    owed = [row.date for row in rows if _is_owed(outbox, row)]
    # Noted before anything is sent: a day that gets no time today may lie outside the window tomorrow.
    summaries.owe(connection, owed)
    return [row.date for row in rows if row.date == target or row.date in owed]


def _is_owed(outbox: Outbox, row: Summary) -> bool:
    return not row.synced_to_cv or row.payload_hash != outbox.message(row).digest


def _deliver(outbox: Outbox, vault: Vault, days: Sequence[date]) -> list[Delivery]:
    """Try every day once, then again those that may succeed: in rounds, so that none waits for another's retries."""
    pace = outbox.pace
    found = [Delivery(day) for day in days]
    waiting = found
    for number in range(1, pace.tries + 1):
        again = []
        for index, delivery in enumerate(waiting):
            # A vault that hangs must leave time for the days behind this one.
            seconds = min(pace.timeout, pace.left() / (len(waiting) - index))
            if seconds < _LEAST_SECONDS:
                delivery.error = delivery.error or _NO_TIME
            elif _attempt(outbox, vault, delivery, seconds):
                again.append(delivery)
        # Whom the vault asks to wait longer than there is time, the next push serves.
        waiting = [delivery for delivery in again if (delivery.retry_after or 0) < pace.left()]
        if not waiting or number == pace.tries:
            break
        pause = pace.random() * pace.backoff * 2**number
        pause = max(pause, *(delivery.retry_after or 0 for delivery in waiting))
        if pause >= pace.left():
            break
        pace.sleep(pause)
    return found


def _attempt(outbox: Outbox, vault: Vault, delivery: Delivery, seconds: float) -> bool:
    """Claim, send and settle one day; return whether it may be tried again."""
    holder = uuid4().hex
    delivery.retry_after = None
    message = outbox.database.run(lambda c: _claim(c, outbox, delivery, holder))
    if message is None:
        return delivery.status == "busy"
    sent = vault.send(message.body, message.idempotency_key, seconds)
    delivery.attempts += 1
    delivery.http_status = sent.status
    delivery.retry_after = sent.retry_after
    outbox.database.run(lambda c: _settle(c, outbox, message, holder, sent))
    delivery.status, delivery.error = ("pushed", None) if sent.error is None else ("failed", sent.error)
    return sent.may_retry


def _claim(connection: Connection, outbox: Outbox, delivery: Delivery, holder: str) -> Message | None:
    """Take the day for this request; None where it needs none or another one has it, as `delivery` then says."""
    row = summaries.get(connection, delivery.date, for_update=True)
    if row is None:  # the zone of the setting changed meanwhile, and the day is not over in the new one
        delivery.status, delivery.error = "failed", str(_nothing_on(delivery.date))
        return None
    now = outbox.clock()
    message = outbox.message(row)
    delivery.payload = message.payload
    if not _is_owed(outbox, row):
        delivery.status, delivery.error = "unchanged", None
        return None
    is_free = row.leased_by in {None, holder} or row.leased_until is None or row.leased_until <= now
    if not is_free:
        delivery.status, delivery.error = "busy", _BUSY
        return None
    summaries.lease(connection, delivery.date, holder, now + LEASE)
    return message


def _settle(connection: Connection, outbox: Outbox, message: Message, holder: str, sent: Sent) -> None:
    # Whoever took the day over after our lease ran out knows better; our word would only overwrite its.
    if sent.error is None:
        summaries.acknowledge(connection, message.date, holder, message.digest, outbox.clock())
    else:
        summaries.fail(connection, message.date, holder, sent.error)
