"""What a report reads: sums of readings, each by the coarsest rollup that tells them apart, and single readings."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from sqlalchemy import Connection, Select, and_, select

from signalbox.core.times import DAY
from signalbox.grid import block_store, chunk_store
from signalbox.grid.block_store import IS_STALE
from signalbox.grid.chunk_store import Span
from signalbox.grid.merging import Readings
from signalbox.grid.models import chunk, rollup, stale_block
from signalbox.grid.periods import BY_DAY, BY_QUARTER, BY_READING, Calendar, Run
from signalbox.grid.rollups import HOURS, QUARTERS, Index, Sums, join_sums, merge_groups, merge_neighbours, unpack
from signalbox.grid.series import MEASUREMENT_TYPES, WIDTH

ROWS: Final = 10_000
"""Rollups that are held in memory at once."""

_SUMS: Final = (rollup.c.n, rollup.c.mean, rollup.c.m2, rollup.c.min, rollup.c.max)
_STALE: Final = stale_block.join(rollup, IS_STALE)
_STALE_CHUNKS: Final = _STALE.join(chunk, and_(chunk.c.series == rollup.c.series, chunk.c.day == rollup.c.day))


class Parts(NamedTuple):
    """Sums, each of some readings of one group: a day of the zone, a type of component, a type of measurement."""

    group: Index
    sums: Sums
    hours: Index
    """Bits: in which hours of their day the readings are."""


class Kinds:
    """Which component is of which type, in the snapshot of the report."""

    def __init__(self, rows: Iterable[tuple[int, str]]) -> None:
        listed = list(rows)
        self.names = sorted({kind for _, kind in listed})
        """Of the types that there are, in the order of their codes."""
        self.groups = len(self.names) * len(MEASUREMENT_TYPES)
        """How many groups a day has."""
        self._code = {name: code for code, name in enumerate(self.names)}
        self._ids = np.array([number for number, _ in listed], np.int64)
        self._codes = np.array([self._code[kind] for _, kind in listed], np.int64)
        self._of_block: dict[str, Index] = {}

    def of_series(self, series: Index) -> Index:
        """The place of each series in the groups of a day."""
        codes: Index = self._codes[np.searchsorted(self._ids, series // WIDTH)]
        return codes * len(MEASUREMENT_TYPES) + series % WIDTH

    def of_block(self, groups: str) -> Index:
        """The same for the groups of a block; most blocks have the same."""
        if groups not in self._of_block:
            places = [self._code[name] * len(MEASUREMENT_TYPES) + measured for name, measured in json.loads(groups)]
            self._of_block[groups] = np.array(places, np.int64)
        return self._of_block[groups]


def read_parts(tx: Connection, calendar: Calendar, kinds: Kinds) -> Iterator[Parts]:
    """All readings of the period."""
    for run in calendar.runs():
        if run.fineness == BY_READING:
            for day in range(run.first, run.last + 1):
                yield from _read_day(tx, day, Span(*calendar.inner), calendar, kinds)
        else:
            yield from _read_blocks(tx, run, calendar, kinds)
            yield from (_read_days if run.fineness == BY_DAY else _read_stale)(tx, run, calendar, kinds)
    yield from _read_edges(tx, calendar, kinds)
    yield _of_readings(chunk_store.read_tail(tx, Span(calendar.start, calendar.end)), calendar, kinds)


def merge_parts(parts: list[Parts], size: int) -> Parts:
    """One part for each group that has any."""
    group = np.concatenate([part.group for part in parts])
    sums = join_sums([part.sums for part in parts])
    merged, hours = merge_groups(sums, group, size), np.zeros(size, np.int64)
    np.bitwise_or.at(hours, group, np.concatenate([part.hours for part in parts]))
    there = np.flatnonzero(merged.n)
    return Parts(there, merged.take(there), hours[there])


def no_parts() -> Parts:
    """Sums of nothing."""
    none, floats = np.empty(0, np.int64), np.empty(0)
    return Parts(none, Sums(none, floats, floats, floats, floats), none)


def _read_day(tx: Connection, day: int, span: Span, calendar: Calendar, kinds: Kinds) -> Iterator[Parts]:
    within = Span(max(span.start, day * DAY), min(span.end, (day + 1) * DAY))
    found = chunk_store.read_day(tx, day, within)
    if found is not None:
        yield _of_readings(found, calendar, kinds)


def _read_edges(tx: Connection, calendar: Calendar, kinds: Kinds) -> Iterator[Parts]:
    days: dict[int, list[Span]] = {}
    for edge in map(Span._make, calendar.edges()):
        for day in range(edge.start // DAY, (edge.end - 1) // DAY + 1):
            days.setdefault(day, []).append(Span(max(edge.start, day * DAY), min(edge.end, (day + 1) * DAY)))
    for day, spans in days.items():  # both may be of one day, whose chunks are read once
        found = chunk_store.read_day(tx, day, Span(spans[0].start, spans[-1].end))
        if found is not None:
            wanted = [(found.at >= span.start) & (found.at < span.end) for span in spans]
            yield _of_readings(found.take(np.logical_or.reduce(wanted)), calendar, kinds)


def _read_blocks(tx: Connection, run: Run, calendar: Calendar, kinds: Kinds) -> Iterator[Parts]:
    by_quarter = run.fineness == BY_QUARTER
    parts = calendar.place_parts(run, QUARTERS if by_quarter else HOURS)
    for rows in block_store.read_blocks(tx, run.first, run.last, by_quarter=by_quarter):
        groups = [kinds.of_block(row.groups) for row in rows]
        day = np.repeat([row.day - run.first for row in rows], [len(each) for each in groups])
        yield _of_pieces(day, np.concatenate(groups), [row.parts for row in rows], parts, kinds)


def _read_days(tx: Connection, run: Run, calendar: Calendar, kinds: Kinds) -> Iterator[Parts]:
    query = select(rollup.c.series, rollup.c.day, rollup.c.occupied, *_SUMS).select_from(_STALE)
    for rows in _partitions(tx, _of_run(query, run)):
        series, day, occupied, *sums = (np.array(column) for column in zip(*rows, strict=True))
        place, hour = calendar.place(day * DAY)
        yield Parts(place * kinds.groups + kinds.of_series(series), Sums(*sums), occupied << hour)


def _read_stale(tx: Connection, run: Run, calendar: Calendar, kinds: Kinds) -> Iterator[Parts]:
    if run.fineness == BY_QUARTER:
        width, query = QUARTERS, select(rollup.c.series, rollup.c.day, chunk.c.quarters).select_from(_STALE_CHUNKS)
    else:
        width, query = HOURS, select(rollup.c.series, rollup.c.day, rollup.c.hours).select_from(_STALE)
    parts = calendar.place_parts(run, width)
    for rows in _partitions(tx, _of_run(query, run)):
        series, day, blobs = zip(*rows, strict=True)
        yield _of_pieces(np.array(day) - run.first, kinds.of_series(np.array(series)), blobs, parts, kinds)


def _of_run(query: Select[Any], run: Run) -> Select[Any]:
    """Ordered by the stale blocks: by the rollups, SQLite would go through all of these to find those of few blocks."""
    return query.where(stale_block.c.day.between(run.first, run.last)).order_by(stale_block.c.day, stale_block.c.block)


def _partitions(tx: Connection, query: Select[Any]) -> Iterator[Any]:
    with tx.execute(query.execution_options(yield_per=ROWS)) as result:
        yield from result.partitions()


def _of_pieces(day: Index, group: Index, blobs: Sequence[bytes], calendar: tuple[Index, Index], kinds: Kinds) -> Parts:
    """Hours or quarters: which of them belongs to which day of the zone is the same for all series.

    ``day`` counts from the first of the run, whose parts ``calendar`` has placed. Neighbours of one group are added up.
    """
    places, hours = calendar
    pieces = unpack(blobs, places.shape[1])
    wanted = (pieces["n"] > 0) & (places >= 0)[day]
    if not wanted.any():
        return no_parts()
    groups = (places[day] * kinds.groups + group[:, np.newaxis])[wanted]
    taken, occupied = pieces[wanted], np.int64(1) << hours[day][wanted]
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    sums = merge_neighbours(Sums(*(taken[name] for name in Sums._fields)), starts)
    return Parts(groups[starts], sums, np.bitwise_or.reduceat(occupied, starts))


def _of_readings(readings: Readings, calendar: Calendar, kinds: Kinds) -> Parts:
    place, hour = calendar.place(readings.at)
    value, count = readings.value, len(readings.at)
    sums = Sums(np.ones(count, np.int64), value, np.zeros(count), value, value)
    return Parts(place * kinds.groups + kinds.of_series(readings.series), sums, np.int64(1) << hour)
