"""Cron expressions: five fields, all in UTC.

Minute, hour, day of the month, month, day of the week; each is ``*``, a number, a range ``1-5``, a step ``*/15`` or
``10-50/5``, or a list of these. Months and days of the week may be named by three letters; Sunday is 0 or 7. Where
both days are given, either suffices. This is what crontab(5) of Vixie cron says.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from signalbox.core.errors import InvalidError
from signalbox.core.times import to_datetime, to_micros

_MONTHS = dict(zip("jan feb mar apr may jun jul aug sep oct nov dec".split(), range(1, 13), strict=True))
_DAYS = dict(zip("sun mon tue wed thu fri sat".split(), range(7), strict=True))
_FIELDS = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of the month", 1, 31, {}),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 7, _DAYS),
)
_SUNDAY_TOO = 7
_YEARS = 9
"""29 February is at most eight years away (1896 to 1904, 2096 to 2104)."""


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
        while not (self._has(day) and (found := self._within(first))):
            day, first = self._following(day), (0, 0)
        return to_micros(day.replace(hour=found[0], minute=found[1]))

    def _has(self, day: datetime) -> bool:
        if day.month not in self.months:
            return False
        in_month, in_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
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
    minutes, hours, days, months, weekdays = (
        _field(word, *field) for word, field in zip(words, _FIELDS, strict=True)
    )
    either_day = not words[2].startswith("*") and not words[4].startswith("*")
    weekdays = {day % _SUNDAY_TOO for day in weekdays}
    cron = Cron(
        " ".join(words),
        tuple(sorted(minutes)),
        tuple(sorted(hours)),
        frozenset(days),
        frozenset(months),
        frozenset(weekdays),
        either_day,
    )
    _check_happens(cron)
    return cron


def _check_happens(cron: Cron) -> None:
    if cron.either_day or cron.weekdays != frozenset(range(7)):
        if cron.either_day or cron.days & set(range(1, 29)):
            return
    first = datetime(2000, 1, 1, tzinfo=UTC)
    if not any(cron._has(first + timedelta(days=number)) for number in range(366)):
        msg = f"{cron.text!r} names a day that never comes"
        raise InvalidError(msg)


def _field(word: str, name: str, low: int, high: int, names: dict[str, int]) -> set[int]:
    found: set[int] = set()
    for part in word.split(","):
        span, slash, step = part.partition("/")
        first, last = _span(span, low, high, names)
        if slash and not span.endswith("*") and "-" not in span:
            last = high
        if first is None or last is None or first > last or (slash and not _is_count(step)):
            msg = f"{part!r} is no {name} of a cron expression; it is {low} to {high}"
            raise InvalidError(msg)
        found.update(range(first, last + 1, int(step) if slash else 1))
    return found
