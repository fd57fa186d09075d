"""Showing readings: lists, downsampled lines, and all of a period."""

import base64
import binascii
import json
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from sqlalchemy import Connection, select

from signalbox.core.errors import Fault, UnprocessableError
from signalbox.core.pagination import InvalidCursorError, Page
from signalbox.core.times import DAY, to_datetime
from signalbox.grid import chunk_store
from signalbox.grid.chunk_store import Span
from signalbox.grid.downsample import Method, downsample
from signalbox.grid.merging import Marks, Readings, join, sort
from signalbox.grid.models import rollup
from signalbox.grid.schemas import ReadingOut
from signalbox.grid.series import CODES, MEASUREMENT_TYPES, WIDTH, MeasurementType, component_of, to_series, type_of

MOST_READINGS: Final = 5_000_000
"""Readings that one request is given, or that a line is made of: 120 MB of memory."""

_BEGINNING: Final = -(2**62)
_END: Final = 2**62
_SEVERAL: Final = 16


class Wanted(NamedTuple):
    """Which readings are wanted; None stands for all."""

    component: int | None = None
    kind: MeasurementType | None = None
    since: int | None = None
    """Included, microseconds UTC."""
    until: int | None = None
    """Not included."""

    @property
    def span(self) -> Span:
        """The period."""
        return Span(
            _BEGINNING if self.since is None else self.since,
            _END if self.until is None else self.until,
        )

    @property
    def series(self) -> list[int] | None:
        """The series of the component; None where there is none."""
        if self.component is None:
            return None
        kinds = MEASUREMENT_TYPES if self.kind is None else [self.kind]
        return [to_series(self.component, kind) for kind in kinds]


def list_readings(tx: Connection, wanted: Wanted, *, limit: int, cursor: str | None = None) -> Page[ReadingOut]:
    """One page of the readings, newest first.

    Raises:
        InvalidCursorError: the cursor was not made by this list.
    """
    behind = None if cursor is None else decode_position(cursor)
    if behind is not None:
        wanted = wanted._replace(until=min(wanted.span.end, behind[0] + 1))
    parts, found = [_tail(tx, wanted)], 0
    for day in _days(tx, wanted):
        parts.append(_day(tx, wanted, day))
        newer = join(parts)
        found = int(_before(newer, behind)[newer.at >= day * DAY].sum())
        if found > limit:
            break
    readings = join(parts)
    readings = readings.take(_before(readings, behind))
    order = np.lexsort((readings.series, readings.at))[::-1]
    more = len(order) > limit
    shown = readings.take(order[:limit])
    position = encode_position(int(shown.at[-1]), int(shown.series[-1])) if more else None
    return Page(to_out(shown), position)


def read_line(tx: Connection, wanted: Wanted, *, points: int, method: Method) -> list[ReadingOut]:
    """The points of ``read_points`` as they are shown.

    Raises:
        UnprocessableError: it is not said which series, or the period has more readings than 5,000,000.
    """
    return to_out(read_points(tx, wanted, points=points, method=method))


def read_points(tx: Connection, wanted: Wanted, *, points: int, method: Method) -> Readings:
    """At most ``points`` points of one series, oldest first; see ``downsample``.

    Raises:
        UnprocessableError: it is not said which series, or the period has more readings than 5,000,000.
    """
    if wanted.component is None or wanted.kind is None:
        raise UnprocessableError([Fault("points", "needs component_id and measurement_type beside it")])
    found = read_period(tx, wanted)
    at, value = downsample(found.at, found.value, points=points, method=method)
    return Readings(np.full(len(at), to_series(wanted.component, wanted.kind), np.int64), at, value)


def read_period(tx: Connection, wanted: Wanted) -> Readings:
    """All readings of a period, by series and time.

    Raises:
        UnprocessableError: they are more than 5,000,000.
    """
    days, parts, count = _days(tx, wanted), [_tail(tx, wanted)], 0
    for day in days:
        parts.append(_day(tx, wanted, day))
        count += len(parts[-1].at)
        if count > MOST_READINGS:
            raise UnprocessableError([Fault("until", f"the period has over {MOST_READINGS} readings; ask in parts")])
    return sort(join(parts))[0]


def to_out(readings: Readings) -> list[ReadingOut]:
    """Readings as they are shown."""
    columns = zip(readings.series.tolist(), readings.at.tolist(), readings.value.tolist(), strict=True)
    return [ReadingOut(component_of(one), to_datetime(at), value, type_of(one)) for one, at, value in columns]


def to_csv(readings: Readings) -> Iterator[str]:
    """Readings as CSV, as an import takes it, in pieces."""
    yield "component_id,timestamp,value,measurement_type\n"
    for start in range(0, len(readings.at), 10_000):
        part = readings.take(slice(start, start + 10_000))
        times = np.datetime_as_string(part.at.astype("M8[us]"), timezone="UTC").tolist()
        rows = zip(part.series.tolist(), times, part.value.tolist(), strict=True)
        yield "".join(f"{one // WIDTH},{time},{value!r},{type_of(one)}\n" for one, time, value in rows)


def encode_position(at: int, series: int) -> str:
    """An opaque cursor that stands behind a reading."""
    return base64.urlsafe_b64encode(json.dumps([at, series]).encode()).decode().rstrip("=")


def decode_position(cursor: str) -> tuple[int, int]:
    """Time and series of the reading that a cursor stands behind.

    Raises:
        InvalidCursorError: the text is no cursor of this list.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        at, series = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, TypeError, RecursionError):
        at, series = None, None
    if type(at) is not int or type(series) is not int or not _BEGINNING <= at < _END or not 0 <= series < _END:
        msg = "the cursor is not one of this list; take it unchanged from the Link header"
        raise InvalidCursorError(msg)
    return at, series


def _before(readings: Readings, behind: tuple[int, int] | None) -> Marks:
    if behind is None:
        return np.ones(len(readings.at), dtype=np.bool_)
    at, series = behind
    marks: Marks = (readings.at < at) | ((readings.at == at) & (readings.series < series))
    return marks


def _days(tx: Connection, wanted: Wanted) -> Iterator[int]:
    """UTC days of the period that have chunks, newest first."""
    series, span = wanted.series, wanted.span
    query = select(rollup.c.day).distinct().order_by(rollup.c.day.desc()).limit(_SEVERAL)
    if series is not None:
        query = query.where(rollup.c.series.in_(series))
    below, first = (span.end - 1) // DAY + 1, max(span.start // DAY, -(2**31))
    below = min(below, 2**31 - 1)
    while some := tx.execute(query.where(rollup.c.day < below, rollup.c.day >= first)).scalars().all():
        yield from some
        below = some[-1]


def _day(tx: Connection, wanted: Wanted, day: int) -> Readings:
    span = Span(max(wanted.span.start, day * DAY), min(wanted.span.end, (day + 1) * DAY))
    series = wanted.series
    found = chunk_store.read_day(tx, day, span) if series is None else chunk_store.read_series(tx, series, span)
    return _of_kind(join([]) if found is None else found, wanted.kind)


def _tail(tx: Connection, wanted: Wanted) -> Readings:
    return _of_kind(chunk_store.read_tail(tx, wanted.span, series=wanted.series), wanted.kind)


def _of_kind(readings: Readings, kind: MeasurementType | None) -> Readings:
    return readings if kind is None else readings.take(readings.series % WIDTH == CODES[kind])
