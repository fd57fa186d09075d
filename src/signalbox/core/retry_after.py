"""``Retry-After``: how long a server wants to be left alone (RFC 9110, 10.2.3)."""

from collections.abc import Iterable
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from signalbox.core.times import MICROSECONDS, to_micros

LONGEST: Final = 86_400.0
"""Seconds that a server is believed at most: a mistaken date must not silence it for a year."""

_DIGITS: Final = 12


def parse_retry_after(value: str, *, now: int) -> float | None:
    """Seconds from ``now`` (microseconds UTC) of a number of seconds or a date, 0 to ``LONGEST``; None for neither."""
    text = value.strip()
    if text.isascii() and text.isdigit():
        return LONGEST if len(text) > _DIGITS else min(float(text), LONGEST)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, IndexError, OverflowError):
        return None
    at = to_micros(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))  # HTTP's dates are all GMT
    return min(max(0.0, (at - now) / MICROSECONDS), LONGEST)


def find_retry_after(headers: Iterable[tuple[bytes, bytes]], *, now: int) -> float | None:
    """The same of an answer's headers, names in lower case; None where none can be read."""
    found = next((value for name, value in headers if name == b"retry-after"), None)
    return None if found is None else parse_retry_after(found.decode("latin-1"), now=now)
