"""Periods, and the days of a time zone in them."""

from datetime import MAXYEAR, MINYEAR, UTC, date, datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from signalbox.core.errors import Fault, UnprocessableError
from signalbox.core.times import DAY, HOUR, to_micros
from signalbox.grid.rollups import QUARTER, Index

BY_DAY: Final = 0
BY_HOUR: Final = 1
BY_QUARTER: Final = 2
BY_READING: Final = 3

LONGEST: Final = 100 * 366 * DAY
FIRST_YEAR: Final = MINYEAR + 1
LAST_YEAR: Final = MAXYEAR - 1
"""Around a period there is a day more, and each must be a date in UTC and in any zone."""


Stretch = tuple[int, int]
"""Of time: its start and, not included, its end, microseconds UTC."""


class Run(NamedTuple):
    """UTC days one after the other, both ends included, for which rollups of one fineness do."""

    fineness: int
    first: int
    last: int


class Calendar:
    """The days of a zone in a period [start, end), microseconds UTC."""

    def __init__(self, start: int, end: int, zone: ZoneInfo) -> None:
        self.start, self.end = start, end
        days = _days(start, end, zone)
        begins = np.array([to_micros(datetime(day.year, day.month, day.day, tzinfo=zone)) for day in days], np.int64)
        real = np.diff(begins) > 0  # Samoa had no 30 December 2011
        self.names: list[date] = [day for day, is_real in zip(days[:-1], real.tolist(), strict=True) if is_real]
        self.midnights: Index = np.append(begins[:-1][real], begins[-1])
        """Where each day begins, and where the last ends."""

    def __len__(self) -> int:
        """How many days it touches."""
        return len(self.names)

    @property
    def hours(self) -> Index:
        """How many hours each day has: 23 and 25 where clocks change."""
        return -(-np.diff(self.midnights) // HOUR)

    def place(self, at: Index) -> tuple[Index, Index]:
        """For instants: which day each is in, -1 outside of the period, and which hour of that day."""
        day = np.searchsorted(self.midnights, at, side="right") - 1
        hour = (at - self.midnights[day]) // HOUR
        return np.where((at >= self.start) & (at < self.end), day, -1), hour

    @property
    def inner(self) -> Stretch:
        """The whole quarters of an hour in the period; it ends where it begins if there are none."""
        begin, end = -(-self.start // QUARTER) * QUARTER, self.end // QUARTER * QUARTER
        return begin, max(begin, end)

    def edges(self) -> list[Stretch]:
        """What the period has besides, at its ends: less than half an hour, of which rollups say nothing."""
        begin, end = self.inner
        if begin == end:
            return [(self.start, self.end)]
        return [(first, last) for first, last in ((self.start, begin), (end, self.end)) if first < last]

    def place_parts(self, run: Run, parts: int) -> tuple[Index, Index]:
        """As ``place``, for equal parts of the days of a run: arrays of a row for each day; -1 outside of ``inner``."""
        begins = run.first * DAY + np.arange((run.last - run.first + 1) * parts) * (DAY // parts)
        day, hour = self.place(begins)
        begin, end = self.inner
        day[(begins < begin) | (begins >= end)] = -1
        return day.reshape(-1, parts), hour.reshape(-1, parts)

    def runs(self) -> list[Run]:
        """UTC days of ``inner`` by how fine a rollup they need.

        A day that lies within one day of the zone needs its sums only. Where a day of the zone begins within it, or
        the period does, hours are needed, or quarters, or the readings, as the moment lies. So that hours of the zone's
        day can be counted, its midnight must be full by the same measure.
        """
        start, end = self.inner
        if start == end:
            return []
        first, last = start // DAY, (end - 1) // DAY
        fineness = np.zeros(last - first + 1, np.int64)
        cuts = np.concatenate([self.midnights, [start, end]])
        cuts = cuts[(cuts >= start) & (cuts <= end) & (cuts % DAY != 0)]
        np.maximum.at(fineness, cuts // DAY - first, np.maximum(_fineness(cuts), BY_HOUR))
        by_midnight = _fineness(self.midnights[:-1])
        for day in np.flatnonzero(by_midnight).tolist():
            begin, until = self.midnights[day : day + 2].tolist()
            touched = slice(max(begin // DAY - first, 0), max((until - 1) // DAY - first + 1, 0))
            fineness[touched] = np.maximum(fineness[touched], by_midnight[day])
        edges = np.flatnonzero(np.diff(fineness, prepend=-1))
        ends = [*edges[1:].tolist(), len(fineness)]
        return [Run(int(fineness[a]), first + a, first + b - 1) for a, b in zip(edges.tolist(), ends, strict=True)]


def find_zone(name: str) -> ZoneInfo:
    """The time zone of this name.

    Raises:
        UnprocessableError: there is none.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UnprocessableError(
            [Fault("timezone", "is no name of the IANA database, such as Europe/Berlin")]
        ) from None


def parse_period(start: str, end: str, zone: ZoneInfo) -> tuple[int, int]:
    """The period between two dates or times, microseconds UTC.

    Raises:
        UnprocessableError: they are none, not in the years 2 to 9998, not in order, or over 100 years apart.
    """
    first, last = _parse("start_date", start, zone), _parse("end_date", end, zone)
    if first >= last:
        raise UnprocessableError([Fault("end_date", "is after start_date")])
    if last - first > LONGEST:
        raise UnprocessableError([Fault("end_date", "is at most 100 years after start_date")])
    return first, last


def _parse(field: str, text: str, zone: ZoneInfo) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UnprocessableError(
            [Fault(field, "is a date or a time, such as 2026-01-31 or 2026-01-31T10:00Z")]
        ) from None
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise UnprocessableError([Fault(field, f"is in the years {FIRST_YEAR} to {LAST_YEAR}")])
    return to_micros(moment if moment.tzinfo is not None else moment.replace(tzinfo=zone))


def _days(start: int, end: int, zone: ZoneInfo) -> list[date]:
    """Dates of the zone from the one that holds ``start`` to the first that begins at or after ``end``."""
    first, last = (_date(moment, zone) for moment in (start, end - 1))
    return [first + timedelta(days=number) for number in range((last - first).days + 2)]


def _date(moment: int, zone: ZoneInfo) -> date:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=moment)).astimezone(zone).date()


def _fineness(moments: Index) -> Index:
    """What is needed to tell what is before a moment from what is after."""
    return np.where(moments % HOUR == 0, BY_DAY, np.where(moments % QUARTER == 0, BY_QUARTER, BY_READING))
