"""Moments as people write them into filters: ``2026-01-31T10:00`` of a date field, in UTC, or a span back from now."""

from datetime import UTC, datetime

from signalbox.core.errors import Fault, InvalidError, UnprocessableError
from signalbox.core.times import parse_span, to_micros


def parse_moment(text: str | None, *, name: str, now: int) -> int | None:
    """Microseconds UTC of ``2026-01-31``, ``2026-01-31T10:00``, RFC 3339, or ``15m``: so long before ``now``.

    Without a zone, UTC is meant. None for nothing.

    Raises:
        UnprocessableError: it is none of these; ``name`` names the filter.
    """
    if not text:
        return None
    try:
        return now - parse_span(text)
    except InvalidError:
        pass
    try:
        moment = datetime.fromisoformat(text)
        return to_micros(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        msg = f"{text[:60]!r} is no time; write 2026-01-31T10:00 (UTC), or a span back from now such as 15m or 2h"
        raise UnprocessableError([Fault(name, msg)]) from None
