"""Days, weeks and months of a time zone."""

from zoneinfo import ZoneInfo

import pytest

from signalbox.core.times import DAY, HOUR
from signalbox.grid.schedule_periods import Every, Period, name_period, period_after, period_at
from tests.grid.test_periods import at as instant

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("every", "name", "start", "end"),
    [
        ("day", "2026-03-29", "2026-03-28T23:00Z", "2026-03-29T22:00Z"),
        ("week", "2026-W13", "2026-03-22T23:00Z", "2026-03-29T22:00Z"),
        ("month", "2026-03", "2026-02-28T23:00Z", "2026-03-31T22:00Z"),
    ],
)
def test_the_period_of_a_moment_is_one_of_the_zone(every: Every, name: str, start: str, end: str) -> None:
    found = period_at(every, BERLIN, instant("2026-03-29T12:00Z"))
    assert found == Period(instant(start), instant(end))
    assert name_period(every, BERLIN, found) == name
    assert period_at(every, BERLIN, found.start) == found
    assert period_at(every, BERLIN, found.end - 1) == found
    assert period_after(every, BERLIN, found).start == found.end


@pytest.mark.parametrize(
    ("zone", "moment", "hours"),
    [
        ("Europe/Berlin", "2026-03-29T12:00Z", 23),
        ("Europe/Berlin", "2026-10-25T12:00Z", 25),
        ("Asia/Kolkata", "2026-03-29T12:00Z", 24),
        ("Asia/Beirut", "2022-03-27T12:00Z", 23),  # clocks go forward at midnight
        ("America/Havana", "2026-11-01T12:00Z", 25),  # and there back to it
    ],
)
def test_a_day_has_the_hours_that_it_has(zone: str, moment: str, hours: int) -> None:
    found = period_at("day", ZoneInfo(zone), instant(moment))
    assert found.end - found.start == hours * HOUR


@pytest.mark.parametrize("every", ["day", "week", "month"])
@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Kolkata", "Pacific/Apia", "Asia/Beirut", "UTC"])
def test_periods_follow_each_other_without_gaps(every: Every, zone: str) -> None:
    found = period_at(every, ZoneInfo(zone), instant("2011-11-30T12:00Z"))
    names = []
    while found.start < instant("2012-12-01T00:00Z"):
        following = period_after(every, ZoneInfo(zone), found)
        assert (following.start, following.start > found.start) == (found.end, True)
        names.append(name_period(every, ZoneInfo(zone), found))
        found = following
    assert len(names) == len(set(names))
    assert sorted(names) == names


def test_a_day_that_a_zone_left_out_is_none() -> None:
    apia = ZoneInfo("Pacific/Apia")
    before = period_at("day", apia, instant("2011-12-29T12:00-10:00"))
    assert name_period("day", apia, period_after("day", apia, before)) == "2011-12-31"
    assert before.end - before.start == DAY


def test_weeks_are_those_of_the_year_that_has_their_thursday() -> None:
    found = period_at("week", BERLIN, instant("2027-01-01T12:00Z"))
    assert name_period("week", BERLIN, found) == "2026-W53"
