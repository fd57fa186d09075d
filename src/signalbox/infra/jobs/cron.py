"""Cron expressions: five fields, all in UTC.

Minute, hour, day of the month, month, day of the week; each is ``*``, a number, a range ``1-5``, a step ``*/15`` or
``10-50/5``, or a list of these. Months and days of the week may be named by three letters; Sunday is 0 or 7. Where
both days are given, either suffices. This is what crontab(5) of Vixie cron says.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from signalbox.core.errors import InvalidError
from signalbox.core.times import to_datetime, to_micros

_MONTHS = {"jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6}
_MONTHS |= {"jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11, "dec": 12}
_DAYS = {"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}
_FIELDS: tuple[tuple[str, int, int, Mapping[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of the month", 1, 31, {}),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 7, _DAYS),
)
_WEEK = 7

_PART = re.compile(
    r"(?:(?P<all>\*)|(?P<first>[0-9]{1,2}|[a-z]{3})(?:-(?P<last>[0-9]{1,2}|[a-z]{3}))?)(?:/(?P<step>[0-9]{1,2}))?",
    re.ASCII,
)

_FIRST_DAY = datetime(2000, 1, 1, tzinfo=UTC)
_CALENDAR = 28 * 366
"""Days after which, between 1901 and 2099, the days of the week fall on the same dates again."""


@dataclass(frozen=True, slots=True)
class Cron:
    """Which minutes an expression names."""

    text: str
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    """0 is Sunday."""
    either_day: bool
    """Both days are restricted, so that one of them suffices."""

    def after(self, moment: int) -> int:
        """The first named minute after ``moment``; both microseconds UTC."""
        start = to_datetime(moment).replace(second=0, microsecond=0) + timedelta(minutes=1)
        day = start.replace(hour=0, minute=0)
        first = (start.hour, start.minute)
        while not (self.has(day) and (found := self._within(first))):
            day, first = self._following(day), (0, 0)
        return to_micros(day.replace(hour=found[0], minute=found[1]))

    def has(self, day: datetime) -> bool:
        """Whether a day is meant."""
        if day.month not in self.months:
            return False
        in_month, in_week = day.day in self.days, day.isoweekday() % _WEEK in self.weekdays
        return in_month or in_week if self.either_day else in_month and in_week

    def _within(self, first: tuple[int, int]) -> tuple[int, int] | None:
        """The first hour and minute of a day from ``first`` on."""
        return next(((hour, minute) for hour in self.hours for minute in self.minutes if (hour, minute) >= first), None)

    def _following(self, day: datetime) -> datetime:
        """The next day that may be meant: months that are not are passed over."""
        if day.month in self.months:
            return day + timedelta(days=1)
        return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


def parse_cron(text: str) -> Cron:
    """Read an expression such as ``*/5 * * * *`` or ``30 6 * * mon-fri``.

    Raises:
        InvalidError: it has not five fields, one of them is wrong, or no day is meant by it, as in ``0 0 30 2 *``.
    """
    words = text.lower().split()
    if len(words) != len(_FIELDS):
        msg = f"{text!r} is no cron expression: it has {len(words)} fields instead of minute, hour, day, month, weekday"
        raise InvalidError(msg)
    minutes, hours, days, months, weekdays = (_field(word, *field) for word, field in zip(words, _FIELDS, strict=True))
    either_day = not words[2].startswith("*") and not words[4].startswith("*")
    cron = Cron(
        " ".join(words),
        tuple(sorted(minutes)),
        tuple(sorted(hours)),
        frozenset(days),
        frozenset(months),
        frozenset(day % _WEEK for day in weekdays),
        either_day,
    )
    _check_happens(cron)
    return cron


def _check_happens(cron: Cron) -> None:
    if not any(cron.has(_FIRST_DAY + timedelta(days=number)) for number in range(_CALENDAR)):
        msg = f"{cron.text!r} names a day that never comes"
        raise InvalidError(msg)


def _field(word: str, name: str, low: int, high: int, names: Mapping[str, int]) -> set[int]:
    found: set[int] = set()
    for part in word.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise _wrong(part, name, low, high)
        first, last = _span(match, low, high, names)
        step = int(match["step"] or 1)
        if step < 1 or not low <= first <= last <= high:
            raise _wrong(part, name, low, high)
        found.update(range(first, last + 1, step))
    return found


def _span(match: re.Match[str], low: int, high: int, names: Mapping[str, int]) -> tuple[int, int]:
    """First and last number; what is neither a number nor a name is -1, which is in no field."""
    if match["all"]:
        return low, high
    first = _number(match["first"], names)
    if match["last"]:
        return first, _number(match["last"], names)
    return first, high if match["step"] else first


def _number(word: str, names: Mapping[str, int]) -> int:
    return int(word) if word.isdecimal() else names.get(word, -1)


def _wrong(part: str, name: str, low: int, high: int) -> InvalidError:
    return InvalidError(f"{part!r} is no {name} of a cron expression; it is from {low} to {high}")
