from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core import periods as p
from shared.core.periods import DateRange, GroupBy, Period, PeriodError

ZONES = (
    "UTC",
    "America/New_York",
    "America/Sao_Paulo",  # changed at midnight until 2019
    "America/Havana",  # midnight comes twice
    "America/St_Johns",  # changed at 00:01 until 2011
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Australia/Lord_Howe",  # 30 minutes of daylight saving
    "Pacific/Apia",  # skipped 2011-12-30
    "Pacific/Chatham",
)
GROUPS: tuple[GroupBy, ...] = ("hour", "day", "week", "month")
dates = st.dates(date(2000, 1, 1), date(2199, 12, 31))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def hours(date_: str, zone: str) -> list[Period]:
    day_ = date.fromisoformat(date_)
    return p.periods(day_, day_, "hour", ZoneInfo(zone))


@given(dates, st.integers(0, 45), st.sampled_from(GROUPS), st.sampled_from(ZONES))
def test_periods_partition_the_range_exactly(start: date, more: int, group_by: GroupBy, zone_name: str) -> None:
    zone = ZoneInfo(zone_name)
    end = min(start + timedelta(days=more), date(2199, 12, 31))
    found = p.periods(start, end, group_by, zone)
    whole = p.span(DateRange(start, end), zone)
    edges = [whole.start, *(period.end for period in found)]
    assert [period.start for period in found] == edges[:-1]
    assert edges[-1] == whole.end
    assert all(period.start < period.end for period in found)


@given(dates, st.sampled_from(ZONES), st.integers(0, 86_399_999_999))
def test_an_instant_is_in_the_day_of_its_local_date(date_: date, zone_name: str, micros: int) -> None:
    zone = ZoneInfo(zone_name)
    instant = datetime(date_.year, date_.month, date_.day, tzinfo=UTC) + timedelta(microseconds=micros)
    if zone_name == "America/St_Johns" and instant.year < 2012:
        return  # one minute after midnight the clock went back into the day before
    found = p.day(p.local_date(instant, zone), zone)
    assert found.start <= instant < found.end


@given(dates, st.sampled_from(("day", "week", "month")), st.sampled_from(ZONES))
def test_a_period_is_named_after_its_nominal_first_day(start: date, group_by: GroupBy, zone_name: str) -> None:
    for period in p.periods(start, min(start + timedelta(days=40), p.LAST_DATE), group_by, ZoneInfo(zone_name)):
        assert p.first_day(period.date, group_by) == period.date
        assert p.first_day(p.local_date(period.start, ZoneInfo(zone_name)), group_by) == period.date


@pytest.mark.parametrize(
    ("date_", "zone", "labels", "minutes"),
    [
        ("2026-03-08", "America/New_York", [0, 1, *range(3, 24)], 23 * 60),
        ("2026-11-01", "America/New_York", [0, 1, *range(1, 24)], 25 * 60),
        ("2026-10-04", "Australia/Lord_Howe", list(range(24)), 23 * 60 + 30),
        ("2026-04-05", "Australia/Lord_Howe", [0, 1, *range(1, 24)], 24 * 60 + 30),
        ("2026-11-23", "Asia/Kathmandu", list(range(24)), 24 * 60),
        ("2026-11-23", "Asia/Kolkata", list(range(24)), 24 * 60),
        ("2018-11-04", "America/Sao_Paulo", list(range(1, 24)), 23 * 60),
        ("2011-12-30", "Pacific/Apia", [], 0),
    ],
)
def test_hours_of_a_day(date_: str, zone: str, labels: list[int], minutes: int) -> None:
    found = hours(date_, zone)
    assert [hour.hour for hour in found] == labels
    assert sum((hour.end - hour.start for hour in found), timedelta()) == timedelta(minutes=minutes)
    assert {hour.date for hour in found} <= {date.fromisoformat(date_)}


def test_hours_with_a_45_minute_offset_begin_on_the_local_hour() -> None:
    first, second = hours("2026-11-23", "Asia/Kathmandu")[:2]
    assert first == Period(date(2026, 11, 23), utc("2026-11-22T18:15"), utc("2026-11-22T19:15"), 0)
    assert second.start == utc("2026-11-22T19:15")


def test_the_half_hour_of_lord_howe_is_its_own_period() -> None:
    spring = hours("2026-10-04", "Australia/Lord_Howe")[2]
    assert (spring.start, spring.end, spring.hour) == (utc("2026-10-03T15:30"), utc("2026-10-03T16:00"), 2)
    autumn = hours("2026-04-05", "Australia/Lord_Howe")[2]
    assert (autumn.start, autumn.end, autumn.hour) == (utc("2026-04-04T15:00"), utc("2026-04-04T15:30"), 1)


def test_days_where_daylight_saving_changes() -> None:
    zone = ZoneInfo("America/New_York")
    assert p.day(date(2026, 3, 8), zone) == Period(date(2026, 3, 8), utc("2026-03-08T05:00"), utc("2026-03-09T04:00"))
    assert p.day(date(2026, 11, 1), zone) == Period(date(2026, 11, 1), utc("2026-11-01T04:00"), utc("2026-11-02T05:00"))
    havana = p.day(date(2026, 11, 1), ZoneInfo("America/Havana"))
    assert (havana.start, havana.end - havana.start) == (utc("2026-11-01T04:00"), timedelta(hours=25))


def test_a_skipped_date_is_no_period() -> None:
    found = p.periods(date(2011, 12, 29), date(2011, 12, 31), "day", ZoneInfo("Pacific/Apia"))
    assert [period.date.day for period in found] == [29, 31]


def test_weeks_are_iso_weeks_clipped_to_the_range_under_their_monday() -> None:
    found = p.periods(date(2026, 11, 25), date(2026, 12, 1), "week", ZoneInfo("UTC"))
    assert found == [
        Period(date(2026, 11, 23), utc("2026-11-25"), utc("2026-11-30")),
        Period(date(2026, 11, 30), utc("2026-11-30"), utc("2026-12-02")),
    ]


def test_months_are_clipped_to_the_range_under_their_first_day() -> None:
    found = p.periods(date(2024, 1, 31), date(2024, 3, 1), "month", ZoneInfo("Asia/Kolkata"))
    assert [period.date for period in found] == [date(2024, 1, 1), date(2024, 2, 1), date(2024, 3, 1)]
    assert found[0].start == utc("2024-01-30T18:30")
    assert found[1].end - found[1].start == timedelta(days=29)
    assert found[-1].end == utc("2024-03-01T18:30")


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "europe/berlin", "America/Argentina/Buenos_Aires"])
def test_zone_names(name: str) -> None:
    assert p.parse_zone(name).key.casefold() == name.casefold()


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("New York", "America/New_York"),
        ("berlin", "Europe/Berlin"),
        ("Europe/Berlim", "Europe/Berlin"),
        ("+02:00", "such as"),
        ("", "such as"),
        ("../etc/passwd", "such as"),
        ("America", "IANA"),
        ("localtime", "IANA"),
        ("right/UTC", "IANA"),
        ("a\x00b", "such as"),
        ("x" * 5000, "such as"),
    ],
)
def test_an_unknown_zone_is_refused_with_near_names(name: str, near: str) -> None:
    with pytest.raises(PeriodError, match="is not an IANA name") as refused:
        p.parse_zone(name)
    assert near in str(refused.value)


def test_dates() -> None:
    assert p.parse_date(" 2024-02-29 ") == date(2024, 2, 29)


@pytest.mark.parametrize(
    "text",
    ["2023-02-29", "20240229", "2024-W01-1", "24-02-29", "", "2024-2-9", "٢٠٢٤-٠٢-٢٩", "1999-12-31", "9999-12-31"],
)
def test_other_dates_are_refused(text: str) -> None:
    with pytest.raises(PeriodError):
        p.parse_date(text)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-23T23:59:59.9999995Z", "2026-11-23T23:59:59.999999"),
        ("2026-11-23T23:59:59,9999999999+00:00", "2026-11-23T23:59:59.999999"),
        ("2026-11-23T10:15:00+05:45", "2026-11-23T04:30:00"),
        ("2026-11-23T10:15:00-0330", "2026-11-23T13:45:00"),
        ("2026-11-23 10:15+02", "2026-11-23T08:15:00"),
        ("2026-11-23t10:15:00.5z", "2026-11-23T10:15:00.5"),
        ("2026-11-23T10:15:00", "2026-11-23T10:15:00"),
        ("2026-11-23", "2026-11-23T00:00:00"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.999999"),
    ],
)
def test_instants(text: str, instant: str) -> None:
    found = p.parse_instant(text)
    assert found == utc(instant)
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "1764000000",
        "2026-11-23T24:00:00Z",
        "2026-11-23T10:60:00Z",
        "2026-11-23T10:15:61Z",
        "2026-02-30T10:15:00Z",
        "2026-11-23T10:15:00+24:00",
        "2026-11-23T10:15:00+02:60",
        "2026-11-23T10:15:00 Europe/Berlin",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "1970-01-01T00:00:00Z",
    ],
)
def test_other_instants_are_refused(text: str) -> None:
    with pytest.raises(PeriodError):
        p.parse_instant(text)


instants = st.datetimes(datetime(2000, 1, 2), datetime(2199, 12, 30)).map(  # noqa: DTZ001 - made aware below
    lambda naive: naive.replace(tzinfo=UTC)
)


@given(instants, st.integers(-14 * 60, 14 * 60), st.text("0123456789", max_size=12))
def test_instants_round_trip_in_any_offset_and_are_truncated(instant: datetime, minutes: int, excess: str) -> None:
    local = instant.astimezone(timezone(timedelta(minutes=minutes))).isoformat(timespec="microseconds")
    assert p.parse_instant(local[:26] + excess + local[26:]) == instant


@given(instants)
def test_quarters(instant: datetime) -> None:
    floor = p.floor_quarter(instant.astimezone(ZoneInfo("Asia/Kathmandu")))
    assert floor.tzinfo is UTC
    assert timedelta() <= instant - floor < timedelta(minutes=15)
    assert (floor.minute % 15, floor.second, floor.microsecond) == (0, 0, 0)


TODAY = date(2026, 11, 23)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (None, None, (date(2026, 11, 1), TODAY)),
        (date(2026, 10, 5), None, (date(2026, 10, 5), TODAY)),
        (None, date(2026, 9, 10), (date(2026, 9, 1), date(2026, 9, 10))),
        (date(2026, 12, 24), None, (date(2026, 12, 24), date(2026, 12, 24))),
        (TODAY, TODAY, (TODAY, TODAY)),
    ],
)
def test_the_range_of_a_report(start: date | None, end: date | None, expected: tuple[date, date]) -> None:
    assert p.resolve_range(start, end, today=TODAY) == DateRange(*expected)


def test_ranges_that_are_refused() -> None:
    with pytest.raises(PeriodError, match="reversed"):
        p.resolve_range(TODAY, TODAY - timedelta(days=1), today=TODAY)
    with pytest.raises(PeriodError, match="reversed"):
        p.open_range(TODAY, TODAY - timedelta(days=1))
    with pytest.raises(PeriodError, match="reversed"):
        p.periods(TODAY, TODAY - timedelta(days=1), "day", ZoneInfo("UTC"))
    with pytest.raises(PeriodError, match="at most 31 at once with group_by=hour"):
        p.resolve_range(TODAY - timedelta(days=31), TODAY, today=TODAY, group_by="hour")
    with pytest.raises(PeriodError, match="at most 400 at once"):
        p.resolve_range(TODAY - timedelta(days=400), TODAY, today=TODAY)
    assert p.resolve_range(TODAY - timedelta(days=399), TODAY, today=TODAY).days == 400
    assert p.resolve_range(TODAY - timedelta(days=30), TODAY, today=TODAY, group_by="hour").days == 31


def test_an_open_range_stays_open() -> None:
    assert p.open_range(None, None) == (None, None)
    assert p.open_range(TODAY, None) == (TODAY, None)


def test_windows() -> None:
    week, month = p.weekly(TODAY), p.monthly(TODAY)
    assert (week, week.days) == (DateRange(date(2026, 11, 17), TODAY), 7)
    assert week.previous == DateRange(date(2026, 11, 10), date(2026, 11, 16))
    assert (month.days, month.previous.days, month.previous.end) == (30, 30, date(2026, 10, 24))
