"""Instants as integer microseconds UTC in storage, RFC 3339 on the wire; spans as ``90d`` in settings."""

import re
from datetime import UTC, datetime, timedelta

from signalbox.core.errors import InvalidError

MICROSECONDS = 1_000_000
MINUTE = 60 * MICROSECONDS
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SPAN = re.compile(r"([0-9]{1,9})([smhd])")
_UNITS = {"s": MICROSECONDS, "m": MINUTE, "h": HOUR, "d": DAY}
_LONGEST = 1_000_000 * DAY


def to_datetime(micros: int) -> datetime:
    """The aware UTC datetime of an instant in microseconds; exact, unlike a float timestamp."""
    return _EPOCH + timedelta(microseconds=micros)


def to_micros(moment: datetime) -> int:
    """Microseconds since 1970 UTC of an aware datetime.

    Raises:
        InvalidError: the datetime has no zone, so it names no instant.
    """
    if moment.utcoffset() is None:
        msg = f"the time {moment.isoformat()} has no zone; write it as in 2026-01-31T10:00:00Z"
        raise InvalidError(msg)
    return (moment - _EPOCH) // timedelta(microseconds=1)


def to_rfc3339(micros: int) -> str:
    """``2026-01-31T10:00:00.000000Z``."""
    return to_datetime(micros).isoformat(timespec="microseconds").replace("+00:00", "Z")


def parse_span(text: str) -> int:
    """Microseconds of a span such as ``30s``, ``15m``, ``12h`` or ``90d``.

    Raises:
        InvalidError: the text is not a whole number and one of s, m, h, d, the span is zero, or over 1,000,000 days.
    """
    match = _SPAN.fullmatch(text.strip())
    if match is None or int(match[1]) == 0:
        msg = f"{text!r} is not a span of time; write a whole number and s, m, h or d, such as 90d"
        raise InvalidError(msg)
    span = int(match[1]) * _UNITS[match[2]]
    if span > _LONGEST:
        msg = f"{text!r} is too long; a span is at most {_LONGEST // DAY}d"
        raise InvalidError(msg)
    return span
