"""What a report says, worked out in one snapshot of the database."""

import hashlib
import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from sqlalchemy import Connection, and_, select

from signalbox.core.times import DAY, to_rfc3339
from signalbox.grid import chunk_store, store
from signalbox.grid.chunk_store import Span
from signalbox.grid.merging import Readings
from signalbox.grid.models import chunk, rollup
from signalbox.grid.periods import BY_DAY, BY_HOUR, BY_READING, Calendar, Run
from signalbox.grid.rollups import HOURS, QUARTERS, Index, Sums, join_sums, merge_groups, unpack
from signalbox.grid.series import MEASUREMENT_TYPES, WIDTH

ROWS: Final = 10_000
"""Rollups that are held in memory at once."""

Progress = Callable[[float], None]

_SUMS: Final = (rollup.c.n, rollup.c.mean, rollup.c.m2, rollup.c.min, rollup.c.max)


class Parts(NamedTuple):
    """Sums, each of some readings of one group."""

    group: Index
    sums: Sums
    hours: Index
    """Bits: in which hours of their day the readings are."""


class _Kinds:
    """Which component is of which type, in the snapshot of the report."""

    def __init__(self, rows: list[tuple[int, str, str]]) -> None:
        self.names = sorted({kind for _, kind, _ in rows})
        codes = {name: code for code, name in enumerate(self.names)}
        self._ids = np.array([number for number, _, _ in rows], np.int64)
        self._codes = np.array([codes[kind] for _, kind, _ in rows], np.int64)

    def of(self, series: Index) -> Index:
        """The type of each series' component."""
        return self._codes[np.searchsorted(self._ids, series // WIDTH)]


def build(tx: Connection, start: int, end: int, zone: ZoneInfo, *, progress: Progress) -> dict[str, Any]:
    """The report of a period [start, end), microseconds UTC, by the days of a zone. JSON-safe.

    ``progress`` is told from time to time how much is done, from 0 to 1.
    """
    rows = store.read_kinds(tx)
    calendar, kinds = Calendar(start, end, zone), _Kinds(rows)
    size = len(calendar) * len(kinds.names) * len(MEASUREMENT_TYPES)
    parts = [Parts(*_nothing())]
    for found in _read(tx, calendar, kinds):
        parts = [_merge([*parts, found], size)]
        progress(_share_done(calendar, found, kinds))
    averages = _to_averages(_merge(parts, size), calendar, kinds.names)
    said = {"summary": _summary(rows), "daily_averages": averages}
    provenance = {
        "start": to_rfc3339(start),
        "end": to_rfc3339(end),
        "timezone": zone.key,
        "readings": sum(each["count"] for each in averages),
        "data_version": hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16],
    }
    return {**said, "provenance": provenance}


def _read(tx: Connection, calendar: Calendar, kinds: _Kinds) -> Iterator[Parts]:
    for run in calendar.runs():
        if run.fineness == BY_DAY:
            yield from _read_days(tx, run, calendar, kinds)
        elif run.fineness == BY_READING:
            for day in range(run.first, run.last + 1):
                span = Span(max(calendar.start, day * DAY), min(calendar.end, (day + 1) * DAY))
                found = chunk_store.read_day(tx, day, span)
                if found is not None:
                    yield _of_readings(found, calendar, kinds)
        else:
            yield from _read_pieces(tx, run, calendar, kinds)
    yield _of_readings(chunk_store.read_tail(tx, Span(calendar.start, calendar.end)), calendar, kinds)


def _read_days(tx: Connection, run: Run, calendar: Calendar, kinds: _Kinds) -> Iterator[Parts]:
    query = select(rollup.c.series, rollup.c.day, rollup.c.occupied, *_SUMS)
    for rows in _partitions(tx, query, run):
        series, day, occupied, *sums = (np.array(column) for column in zip(*rows, strict=True))
        place, hour = calendar.place(day * DAY)
        yield Parts(_group(place, series, kinds), Sums(*sums), occupied << hour)


def _read_pieces(tx: Connection, run: Run, calendar: Calendar, kinds: _Kinds) -> Iterator[Parts]:
    """Hours or quarters: which of them belongs to which day of the zone is the same for all series."""
    if run.fineness == BY_HOUR:
        width, query = HOURS, select(rollup.c.series, rollup.c.day, rollup.c.hours)
    else:
        joined = rollup.join(chunk, and_(chunk.c.series == rollup.c.series, chunk.c.day == rollup.c.day))
        width, query = QUARTERS, select(rollup.c.series, rollup.c.day, chunk.c.quarters).select_from(joined)
    begins = run.first * DAY + np.arange((run.last - run.first + 1) * width) * (DAY // width)
    places, hours = (each.reshape(-1, width) for each in calendar.place(begins))
    for rows in _partitions(tx, query, run):
        series, day, blobs = zip(*rows, strict=True)
        pieces, offset = unpack([bytes(blob) for blob in blobs], width), np.array(day) - run.first
        row, column = np.nonzero((pieces["n"] > 0) & (places[offset] >= 0))
        taken, of_day = pieces[row, column], offset[row]
        sums = Sums(*(taken[name] for name in Sums._fields))
        group = _group(places[of_day, column], np.array(series)[row], kinds)
        yield Parts(group, sums, np.int64(1) << hours[of_day, column])


def _partitions(tx: Connection, query: Any, run: Run) -> Iterator[Any]:
    ordered = query.where(rollup.c.day.between(run.first, run.last)).order_by(rollup.c.day, rollup.c.series)
    with tx.execute(ordered.execution_options(yield_per=ROWS)) as result:
        yield from result.partitions()


def _of_readings(readings: Readings, calendar: Calendar, kinds: _Kinds) -> Parts:
    place, hour = calendar.place(readings.at)
    value, count = readings.value, len(readings.at)
    sums = Sums(np.ones(count, np.int64), value, np.zeros(count), value, value)
    return Parts(_group(place, readings.series, kinds), sums, np.int64(1) << hour)


def _group(place: Index, series: Index, kinds: _Kinds) -> Index:
    return (place * len(kinds.names) + kinds.of(series)) * len(MEASUREMENT_TYPES) + series % WIDTH


def _merge(parts: list[Parts], size: int) -> Parts:
    """One part for each group that has any."""
    group = np.concatenate([part.group for part in parts])
    sums = join_sums([part.sums for part in parts])
    merged, hours = merge_groups(sums, group, size), np.zeros(size, np.int64)
    np.bitwise_or.at(hours, group, np.concatenate([part.hours for part in parts]))
    there = np.flatnonzero(merged.n)
    return Parts(there, merged.take(there), hours[there])


def _nothing() -> tuple[Index, Sums, Index]:
    none, floats = np.empty(0, np.int64), np.empty(0)
    return none, Sums(none, floats, floats, floats, floats), none


def _share_done(calendar: Calendar, found: Parts, kinds: _Kinds) -> float:
    if not len(found.group):
        return 0.0
    day = int(found.group.max()) // (len(kinds.names) * len(MEASUREMENT_TYPES))
    return (day + 1) / len(calendar)


def _to_averages(parts: Parts, calendar: Calendar, names: list[str]) -> list[dict[str, Any]]:
    hours_of_day: list[int] = calendar.hours.tolist()
    found = []
    columns = [parts.group.tolist(), *(column.tolist() for column in parts.sums), parts.hours.tolist()]
    for group, n, mean, m2, low, high, hours in zip(*columns, strict=True):
        rest, kind = divmod(group, len(MEASUREMENT_TYPES))
        place, of = divmod(rest, len(names))
        day: date = calendar.names[place]
        found.append(
            {
                "day": day.isoformat(),
                "measurement_type": MEASUREMENT_TYPES[kind],
                "component_type": names[of],
                "avg_value": min(max(mean, low), high),  # rounding may carry the mean of equal readings past them
                "count": n,
                "min_value": low,
                "max_value": high,
                "stddev": math.sqrt(m2 / n),
                "coverage": hours.bit_count() / hours_of_day[place],
            }
        )
    return sorted(found, key=lambda each: (each["day"], each["measurement_type"], each["component_type"]))


def _summary(rows: list[tuple[int, str, str]]) -> dict[str, Any]:
    """Key figures over all components, with readings or without."""
    counts = Counter(kind for _, kind, _ in rows)
    return {
        "components_by_type": [{"component_type": kind, "count": counts[kind]} for kind in sorted(counts)],
        "transformer_capacity_by_voltage": _by_voltage(rows, "TRANSFORMER", "capacity_mva", "total_capacity_mva"),
        "line_length_by_voltage": _by_voltage(rows, "LINE", "length_km", "total_length_km"),
    }


def _by_voltage(rows: list[tuple[int, str, str]], kind: str, field: str, total: str) -> list[dict[str, float]]:
    found: dict[float, list[float]] = defaultdict(list)
    for _, of, text in rows:
        if of == kind:
            fields = json.loads(text)
            found[float(fields["voltage_kv"])].append(float(fields[field]))
    return [{"voltage_kv": level, total: math.fsum(found[level])} for level in sorted(found)]
