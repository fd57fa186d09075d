"""Days, weeks and months of a time zone, one after the other: what scheduled reports are about."""

from datetime import date, datetime, timedelta
from typing import Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

from signalbox.core.times import to_datetime, to_micros

Every = Literal["day", "week", "month"]

_WEEK: Final = timedelta(days=7)
_OVER_A_MONTH: Final = timedelta(days=32)


class Period(NamedTuple):
    """[start, end), microseconds UTC."""

    start: int
    end: int


def period_at(every: Every, zone: ZoneInfo, moment: int) -> Period:
    """The day, week (Monday to Sunday, ISO 8601) or month of the zone that holds a moment.

    Its ends are midnights of the zone, so where clocks change a day has 23 or 25 hours.
    """
    first = _first(every, to_datetime(moment).astimezone(zone).date())
    return Period(_midnight(first, zone), _midnight(_following(every, first), zone))


def period_after(every: Every, zone: ZoneInfo, period: Period) -> Period:
    """The one that begins where ``period`` ends."""
    return period_at(every, zone, period.end)


def name_period(every: Every, zone: ZoneInfo, period: Period) -> str:
    """``2026-01-31``, ``2026-W05`` or ``2026-01``."""
    first = to_datetime(period.start).astimezone(zone).date()
    if every == "day":
        return first.isoformat()
    if every == "month":
        return f"{first:%Y-%m}"
    year, week, _ = first.isocalendar()
    return f"{year}-W{week:02}"


def _first(every: Every, day: date) -> date:
    """The first day of the period that a day is in."""
    if every == "day":
        return day
    return day - timedelta(days=day.weekday()) if every == "week" else day.replace(day=1)


def _following(every: Every, first: date) -> date:
    """The first day of the period behind the one that begins on ``first``."""
    if every == "day":
        return first + timedelta(days=1)
    return first + _WEEK if every == "week" else (first + _OVER_A_MONTH).replace(day=1)


def _midnight(day: date, zone: ZoneInfo) -> int:
    """When a day begins; where clocks go forward at midnight, the moment at which they do."""
    return to_micros(datetime(day.year, day.month, day.day, tzinfo=zone))
