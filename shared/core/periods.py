"""Everything about time: zones, days as people write them, the periods a range is cut into, and instants.

Dates are local to a zone and inclusive; instants are aware UTC datetimes; intervals of instants are half-open.
The current date is always an argument.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Literal, TypeAlias
from zoneinfo import ZoneInfo, available_timezones

if TYPE_CHECKING:
    from collections.abc import Iterator

GroupBy: TypeAlias = Literal["hour", "day", "week", "month"]

# Dates outside are typing errors or the wrong unit; inside, every zone's offset is a multiple of 15 minutes.
FIRST_DATE = date(2000, 1, 1)
LAST_DATE = date(2199, 12, 31)

LONGEST_DAYS = 400  # a report answers at most this many days
LONGEST_HOURLY_DAYS = 31  # and this many by the hour

_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
_QUARTER_SECONDS = 15 * 60

# These exist on some machines only and mean something else on each, or count leap seconds (`right/`).
_MACHINE_ZONES = ("localtime", "posix/", "posixrules", "right/")

_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})", re.ASCII)
_EXCESS_DIGITS = re.compile(r"([.,]\d{6})\d+", re.ASCII)
_INSTANT = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})"
    r"(?:[T ](?P<hour>\d{2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d+))?)?"
    r" ?(?P<offset>Z|[+-]\d{2}(?::?\d{2})?)?)?",
    re.ASCII | re.IGNORECASE,
)


class PeriodError(ValueError):
    """A date, zone, instant or range that cannot be used; the message is one sentence for the caller."""


@dataclass(frozen=True, slots=True)
class DateRange:
    """Inclusive local dates `start`..`end`, never reversed."""

    start: date
    end: date

    @property
    def days(self) -> int:
        """How many dates, both ends included."""
        return (self.end - self.start).days + 1

    @property
    def previous(self) -> DateRange:
        """The window of equal length that ends the day before."""
        return DateRange(self.start - timedelta(days=self.days), self.start - _DAY)


@dataclass(frozen=True, slots=True)
class Period:
    """One slice of a range: UTC instants `[start, end)`.

    `date` is the local date it is named after: the first day of its day, ISO week or month, even where the range
    cut that off. `hour` is the local hour 0..23 it starts in (hourly periods only; in autumn one hour comes twice,
    and `start` tells the two apart).
    """

    date: date
    start: datetime
    end: datetime
    hour: int | None = None


def parse_zone(name: str) -> ZoneInfo:
    """Return the IANA zone of that name; upper and lower case do not matter.

    Raises:
        PeriodError: no such zone; the sentence names near ones.
    """
    if name and not name.startswith(_MACHINE_ZONES):
        try:
            return ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            pass
    known = {zone.casefold(): zone for zone in available_timezones() if not zone.startswith(_MACHINE_ZONES)}
    wanted = name.strip().casefold().replace(" ", "_")
    if wanted in known:
        return ZoneInfo(known[wanted])
    near = _near_zones(wanted, known)
    hint = f"; did you mean {' or '.join(near)}?" if near else ", such as Europe/Berlin, America/New_York or UTC."
    raise PeriodError(f"The time zone {name[:60]!r} is not an IANA name{hint}")


def _near_zones(wanted: str, known: dict[str, str]) -> list[str]:
    cities = sorted(zone for key, zone in known.items() if key.rpartition("/")[2] == wanted)
    return cities[:3] or [known[key] for key in difflib.get_close_matches(wanted, sorted(known), n=3, cutoff=0.75)]


def parse_date(text: str) -> date:
    """Return the date of `YYYY-MM-DD`, the only form accepted.

    Raises:
        PeriodError: another form, a day that does not exist, or a year outside 2000..2199.
    """
    match = _DATE.fullmatch(text.strip())
    try:
        day_ = date(*(int(part) for part in match.groups())) if match else None
    except ValueError:
        day_ = None
    if day_ is None:
        raise PeriodError(f"{text[:60]!r} is not a date; write YYYY-MM-DD, such as 2026-11-23.")
    if not FIRST_DATE <= day_ <= LAST_DATE:
        raise PeriodError(f"The date {day_} is outside {FIRST_DATE} to {LAST_DATE}.")
    return day_


def truncate_microseconds(text: str) -> str:
    """Cut fractions of a second to 6 digits, so that 23:59:59.9999995 stays in its day instead of being rounded."""
    return _EXCESS_DIGITS.sub(r"\1", text)


def parse_instant(text: str) -> datetime:
    """Return the instant of an ISO 8601 text in UTC, truncated to microseconds.

    Any offset is understood; without one the text is UTC, and a bare date is its midnight. A leap second (`:60`)
    is the last microsecond of its minute.

    Raises:
        PeriodError: not ISO 8601, or outside 2000..2199.
    """
    match = _INSTANT.fullmatch(truncate_microseconds(text.strip()))
    try:
        instant = _instant(match) if match else None
    except (ValueError, OverflowError):
        instant = None
    if instant is None:
        raise PeriodError(
            f"{text[:60]!r} is not an instant; write ISO 8601 with an offset, such as 2026-11-23T10:15:00Z."
        )
    if not FIRST_DATE <= instant.date() <= LAST_DATE:
        raise PeriodError(f"The instant {text!r} is outside {FIRST_DATE} to {LAST_DATE}.")
    return instant


def _instant(match: re.Match[str]) -> datetime:
    parts = match.groupdict(default="")
    second, micros = int(parts["second"] or 0), int(parts["fraction"].ljust(6, "0") or 0)
    if second == 60:  # noqa: PLR2004 - a leap second
        second, micros = 59, 999_999
    day_ = date.fromisoformat(parts["date"])
    clock = (int(parts["hour"] or 0), int(parts["minute"] or 0), second, micros)
    return datetime(day_.year, day_.month, day_.day, *clock, tzinfo=_offset(parts["offset"])).astimezone(UTC)


def _offset(text: str) -> timezone:
    if text in {"", "Z", "z"}:
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    if int(digits[2:]) > 59:  # noqa: PLR2004 - minutes
        raise ValueError(text)
    size = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-size if text[0] == "-" else size)


def floor_quarter(instant: datetime) -> datetime:
    """Return the start of the UTC quarter hour that holds an aware instant: the grain of the fine roll-up."""
    utc = instant.astimezone(UTC)
    into = (utc.minute * 60 + utc.second) % _QUARTER_SECONDS
    return utc - timedelta(seconds=into, microseconds=utc.microsecond)


def local_date(instant: datetime, zone: ZoneInfo) -> date:
    """Return the local date that holds an aware instant."""
    return instant.astimezone(zone).date()


def midnight(date_: date, zone: ZoneInfo) -> datetime:
    """Return the UTC instant at which a local date begins.

    Where midnight comes twice it is the first one; where it is skipped, the instant of the change. Both are what
    PEP 495 gives for `fold=0`.
    """
    return datetime(date_.year, date_.month, date_.day, tzinfo=zone).astimezone(UTC)


def day(date_: date, zone: ZoneInfo) -> Period:
    """Return a local date as a period: 23 to 25 hours, and none at all where a zone skipped the date."""
    return Period(date_, midnight(date_, zone), midnight(date_ + _DAY, zone))


def span(range_: DateRange, zone: ZoneInfo) -> Period:
    """Return a whole range as one period, named after its first date."""
    return Period(range_.start, midnight(range_.start, zone), midnight(range_.end + _DAY, zone))


def periods(start: date, end: date, group_by: GroupBy, zone: ZoneInfo) -> list[Period]:
    """Cut the inclusive local dates `start`..`end` into hours, days, ISO weeks (Monday) or months, oldest first.

    The periods are clipped to the range and partition it exactly: no gap, no overlap, none empty. Hours are the real
    ones, 23 to 25 a day, cut on the local clock; where it moves by half an hour, so does an hour's length.

    Raises:
        PeriodError: the range is reversed.
    """
    _check_order(start, end)
    if group_by == "hour":
        found = [hour for offset in range((end - start).days + 1) for hour in _hours(start + offset * _DAY, zone)]
    else:
        found = [
            Period(first, midnight(max(first, start), zone), midnight(min(following - _DAY, end) + _DAY, zone))
            for first, following in _nominal(start, end, group_by)
        ]
    return [period for period in found if period.start < period.end]


def _hours(date_: date, zone: ZoneInfo) -> Iterator[Period]:
    whole = day(date_, zone)
    start = whole.start
    while start < whole.end:
        local = start.astimezone(zone)
        past = timedelta(minutes=local.minute, seconds=local.second)
        end = min(start + _HOUR - past, whole.end)
        yield Period(date_, start, end, local.hour)
        start = end


def _nominal(start: date, end: date, group_by: GroupBy) -> Iterator[tuple[date, date]]:
    """Yield the first day of each period that touches the range, and that of the one after it."""
    first = first_day(start, group_by)
    while first <= end:
        # 31 days after the first of a month is always in the next month.
        step = timedelta(days={"day": 1, "week": 7, "month": 31}[group_by])
        following = first_day(first + step, group_by)
        yield first, following
        first = following


def first_day(date_: date, group_by: GroupBy) -> date:
    """Return the nominal first day of the day, ISO week or month that holds a date."""
    if group_by == "week":
        return date_ - timedelta(days=date_.weekday())
    return date_.replace(day=1) if group_by == "month" else date_


def resolve_range(
    start: date | None, end: date | None, *, today: date, group_by: GroupBy = "day", longest: int | None = None
) -> DateRange:
    """Return the range of a report: what was asked, completed.

    Without both it is the current month to date; without `end` it ends today (or at `start`, if that is later);
    without `start` it begins with the month of `end`. `longest` is the limit in days, by default 400, or 31 by hour.

    Raises:
        PeriodError: reversed, or longer than the limit.
    """
    last = end if end is not None else max(today, start or today)
    first = start if start is not None else last.replace(day=1)
    _check_order(first, last)
    found = DateRange(first, last)
    limit = longest or (LONGEST_HOURLY_DAYS if group_by == "hour" else LONGEST_DAYS)
    if found.days > limit:
        by = f" with group_by={group_by}" if group_by == "hour" else ""
        raise PeriodError(f"{first} to {last} is {found.days} days; ask for at most {limit} at once{by}.")
    return found


def open_range(start: date | None, end: date | None) -> tuple[date | None, date | None]:
    """Return the range of a list or export, where what is left out is unlimited.

    Raises:
        PeriodError: reversed.
    """
    if start is not None and end is not None:
        _check_order(start, end)
    return start, end


def _check_order(start: date, end: date) -> None:
    if end < start:
        raise PeriodError(f"The range is reversed: its start {start} is after its end {end}; swap them.")


def weekly(today: date) -> DateRange:
    """Return today and the 6 days before."""
    return DateRange(today - timedelta(days=6), today)


def monthly(today: date) -> DateRange:
    """Return today and the 29 days before."""
    return DateRange(today - timedelta(days=29), today)
