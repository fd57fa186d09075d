"""Periods, and the days of a time zone in them."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from signalbox.core.errors import UnprocessableError
from signalbox.core.times import DAY, HOUR, MINUTE, to_micros
from signalbox.grid.periods import BY_DAY, BY_HOUR, BY_QUARTER, BY_READING, Calendar, Run, find_zone, parse_period


def at(text: str) -> int:
    return to_micros(datetime.fromisoformat(text).replace(tzinfo=UTC))


def calendar(start: str, end: str, zone: str = "UTC") -> Calendar:
    return Calendar(at(start), at(end), ZoneInfo(zone))


def test_whole_utc_days_need_their_sums_only() -> None:
    made = calendar("2026-01-01", "2026-01-11")
    first = at("2026-01-01") // DAY
    assert (made.runs(), len(made)) == ([Run(BY_DAY, first, first + 9)], 10)


def test_edges_need_what_tells_their_sides_apart() -> None:
    first = at("2026-01-01") // DAY
    made = calendar("2026-01-01T05:00", "2026-01-03T00:15")
    assert made.runs() == [
        Run(BY_HOUR, first, first),
        Run(BY_DAY, first + 1, first + 1),
        Run(BY_QUARTER, first + 2, first + 2),
    ]
    assert calendar("2026-01-01T05:00:01", "2026-01-02").runs() == [Run(BY_QUARTER, first, first)]


def test_what_is_no_whole_quarter_is_at_the_edges() -> None:
    made = calendar("2026-01-01T05:00:01", "2026-01-01T07:40")
    assert made.inner == (at("2026-01-01T05:15"), at("2026-01-01T07:30"))
    assert made.edges() == [(made.start, made.inner[0]), (made.inner[1], made.end)]
    (run,) = made.runs()
    day, hour = made.place_parts(run, 96)
    assert np.flatnonzero(day[0] == 0).tolist() == list(range(21, 30))
    assert (day.min(), hour[0, 21:30].tolist()) == (-1, [5, 5, 5, 6, 6, 6, 6, 7, 7])
    whole = calendar("2026-01-01", "2026-01-02")
    assert (whole.inner, whole.edges()) == ((whole.start, whole.end), [])


def test_a_period_without_a_whole_quarter_is_all_edge() -> None:
    for start, end in (("2026-01-01T23:55", "2026-01-02T00:05:01"), ("2026-01-01T05:01", "2026-01-01T05:14")):
        made = calendar(start, end)
        assert (made.runs(), made.edges()) == ([], [(made.start, made.end)])


def test_midnights_within_a_quarter_need_readings() -> None:
    made = calendar("1971-01-01", "1971-01-03", "Africa/Monrovia")  # 44 minutes and 30 seconds behind until 1972
    assert {run.fineness for run in made.runs()} == {BY_READING}


@pytest.mark.parametrize(
    ("zone", "fineness"), [("Europe/Berlin", BY_HOUR), ("Asia/Kolkata", BY_QUARTER), ("Asia/Kathmandu", BY_QUARTER)]
)
def test_zones_need_hours_or_quarters(zone: str, fineness: int) -> None:
    assert {run.fineness for run in calendar("2026-03-27", "2026-04-02", zone).runs()} == {fineness}


@pytest.mark.parametrize(
    ("zone", "start", "hours"),
    [
        ("Europe/Berlin", "2026-03-28T12:00", [24, 23, 24]),
        ("Europe/Berlin", "2026-10-24T12:00", [24, 25, 24]),
        ("Australia/Lord_Howe", "2026-04-03T14:00", [24, 25, 24]),
        ("America/Sao_Paulo", "2018-11-03T12:00", [24, 23, 24]),
    ],
)
def test_days_have_their_own_length(zone: str, start: str, hours: list[int]) -> None:
    made = Calendar(at(start), at(start) + 2 * DAY, ZoneInfo(zone))
    assert made.hours.tolist() == hours


def test_a_day_that_never_was_is_none() -> None:
    made = calendar("2011-12-29T12:00", "2011-12-31T12:00", "Pacific/Apia")
    assert date(2011, 12, 30) not in made.names
    assert (np.diff(made.midnights) > 0).all()


def test_instants_have_their_day_and_hour() -> None:
    made = calendar("2026-03-28T23:00", "2026-03-29T22:00", "Europe/Berlin")
    day, hour = made.place(made.start + np.array([-1, 0, HOUR - 1, 2 * HOUR, 23 * HOUR - 1, 23 * HOUR]))
    assert (day.tolist(), hour.tolist()[1:5], made.names) == ([-1, 0, 0, 0, 0, -1], [0, 0, 2, 22], [date(2026, 3, 29)])


def test_periods_are_read_in_their_zone() -> None:
    berlin = find_zone("Europe/Berlin")
    assert parse_period("2026-03-29", "2026-03-30", berlin) == (at("2026-03-28T23:00"), at("2026-03-29T22:00"))
    start = at("2026-01-01")
    assert parse_period("2026-01-01T00:00Z", "2026-01-01T01:30+01:00", berlin) == (start, start + 30 * MINUTE)
    for wrong in (
        ("2026-01-02", "2026-01-01"),
        ("1800-01-01", "2026-01-01"),
        ("", "2026-01-01"),
        ("2026", "2027-01-01"),
    ):
        with pytest.raises(UnprocessableError):
            parse_period(*wrong, berlin)
    for name in ("Mars", "", "../x", "a\0b", "/etc/passwd"):
        with pytest.raises(UnprocessableError):
            find_zone(name)


@pytest.mark.parametrize(
    ("start", "end", "zone", "field"),
    [
        ("9999-12-30", "9999-12-31T12:00", "UTC", "start_date"),
        ("9998-12-30", "9999-01-01", "UTC", "end_date"),
        ("0001-01-01", "0002-01-01", "Asia/Kolkata", "start_date"),
        ("9999-12-31T23:00-14:00", "9999-12-31T23:30-14:00", "UTC", "start_date"),
    ],
)
def test_the_ends_of_the_calendar_are_refused(start: str, end: str, zone: str, field: str) -> None:
    with pytest.raises(UnprocessableError, match="is in the years 2 to 9998") as refused:
        parse_period(start, end, find_zone(zone))
    assert [fault.where for fault in refused.value.faults] == [field]


@pytest.mark.parametrize("zone", ["Etc/GMT+12", "Asia/Kolkata", "Pacific/Kiritimati"])
@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("0002-01-01", "0002-01-03"),
        ("9998-12-30", "9998-12-31T23:59:59.999999"),
        ("0002-01-01T00:00+23:59", "0002-01-01T00:01+23:59"),
        ("9998-12-31T23:58-23:59", "9998-12-31T23:59-23:59"),
    ],
)
def test_the_first_and_the_last_years_have_their_days(zone: str, start: str, end: str) -> None:
    info = find_zone(zone)
    made = Calendar(*parse_period(start, end, info), info)
    assert len(made) in {1, 2}
    assert made.place(np.array([made.start, made.end - 1]))[0].tolist() == [0, len(made) - 1]
