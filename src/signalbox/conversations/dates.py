"""Publish dates as data sets and callers write them."""

from datetime import UTC, date, datetime, time
from typing import Final

from signalbox.core.times import DAY, to_micros

_SPELLINGS: Final = ("%Y/%m/%d", "%d.%m.%Y", "%B %d, %Y", "%b %d, %Y", "%d %B %Y", "%d %b %Y")
"""Beside ISO 8601; spellings that leave open which number is the month are not among them."""


def parse_published(text: str) -> int | None:
    """Microseconds UTC of a publish date, UTC where it names no zone; None where it cannot be read."""
    text = text.strip()
    moment = _from_iso(text) or next(filter(None, (_from_spelling(text, each) for each in _SPELLINGS)), None)
    if moment is None:
        return None
    try:
        return to_micros(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))
    except OverflowError:  # the first or last day there is, in another zone
        return None


def parse_bound(text: str, *, end: bool) -> int:
    """Microseconds UTC of a bound that a caller named: a day, or an instant with its zone. ``end``: the day's last one.

    Raises:
        ValueError: it is neither.
    """
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return to_micros(datetime.fromisoformat(text))
    return to_micros(datetime.combine(day, time(tzinfo=UTC))) + (DAY - 1 if end else 0)


def _from_iso(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _from_spelling(text: str, spelling: str) -> datetime | None:
    try:
        return datetime.strptime(text, spelling)  # noqa: DTZ007 - parse_published supplies the zone
    except ValueError:
        return None
