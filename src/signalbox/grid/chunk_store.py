"""Queries about readings: chunks, their rollups, and the tail.

Whoever rewrites chunks reads them first, so on PostgreSQL two writers could undo each other's work. One advisory lock
keeps them apart: those who rewrite chunks hold it alone, those who add single readings share it, all until their
transactions end. SQLite has one writer anyway.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from sqlalchemy import Connection, and_, bindparam, delete, exists, func, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from signalbox.core.times import DAY
from signalbox.grid.chunks import Times, decode_chunk, encode_chunk
from signalbox.grid.merging import Bucket, Readings, bucket_starts, buckets_at
from signalbox.grid.models import chunk, component, rollup, tail
from signalbox.grid.rollups import roll_up_days
from signalbox.grid.series import WIDTH
from signalbox.infra.db.bulk import insert_rows

LOCK: Final = 0x5167_0007

AT_ONCE: Final = 400
"""Buckets in one statement."""

_CHUNK_COLUMNS: Final = [column.name for column in chunk.c]
_ROLLUP_COLUMNS: Final = [column.name for column in rollup.c]

_ADDS: Final = {
    dialect: insert(tail).on_conflict_do_nothing(index_elements=["series", "at"]).returning(tail.c.at)
    for dialect, insert in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert))
}
_HAS_COMPONENT: Final = select(component.c.id).where(component.c.id == bindparam("wanted"))
_COVERING: Final = select(chunk.c.data).where(
    chunk.c.series == bindparam("series"),
    chunk.c.day == bindparam("day"),
    chunk.c.first_at <= bindparam("at"),
    chunk.c.last_at >= bindparam("at"),
)
_TAIL: Final = select(tail.c.series, tail.c.at, tail.c.value)
_FIRST_TAIL: Final = _TAIL.order_by(tail.c.series, tail.c.at).limit(bindparam("limit"))


class Span(NamedTuple):
    """A stretch of time, [start, end), microseconds UTC."""

    start: int
    end: int


def share(tx: Connection) -> None:
    """Be among those who add single readings, until ``tx`` ends."""
    if tx.dialect.name == "postgresql":
        tx.exec_driver_sql("SELECT pg_advisory_xact_lock_shared(%s)", (LOCK,))


def own(tx: Connection) -> None:
    """Be the only one who changes readings, until ``tx`` ends."""
    if tx.dialect.name == "postgresql":
        tx.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (LOCK,))


def has_component(tx: Connection, number: int) -> bool:
    """Whether there is such a component."""
    return tx.execute(_HAS_COMPONENT, {"wanted": number}).first() is not None


def find_known(tx: Connection, numbers: Iterable[int]) -> set[int]:
    """Which of these components there are."""
    wanted, known = sorted(set(numbers)), set[int]()
    for start in range(0, len(wanted), AT_ONCE):
        some = wanted[start : start + AT_ONCE]
        known.update(tx.execute(select(component.c.id).where(component.c.id.in_(some))).scalars())
    return known


def is_in_chunk(tx: Connection, series: int, at: int) -> bool:
    """Whether a chunk holds a reading of this instant."""
    data = tx.execute(_COVERING, {"series": series, "day": at // DAY, "at": at}).scalar()
    if data is None:
        return False
    times: Times = decode_chunk(bytes(data))[0]
    place = int(np.searchsorted(times, at))
    return bool(times[place] == at)  # the chunk's last reading is not before it


def add_to_tail(tx: Connection, series: int, at: int, value: float) -> bool:
    """Keep a single reading; False where the tail has one of this instant."""
    row = {"series": series, "at": at, "value": value}
    return tx.execute(_ADDS[tx.dialect.name], row).first() is not None


def read_first_of_tail(tx: Connection, *, limit: int) -> Readings:
    """At most ``limit`` readings of the tail, sorted by series and time."""
    return to_readings(tx.execute(_FIRST_TAIL, {"limit": limit}).all())


def read_tail(tx: Connection, span: Span, *, series: Sequence[int] | None = None) -> Readings:
    """Readings of the tail within ``span``, sorted by series and time."""
    query = _TAIL.where(tail.c.at >= span.start, tail.c.at < span.end).order_by(tail.c.series, tail.c.at)
    if series is not None:
        query = query.where(tail.c.series.in_(series))
    return to_readings(tx.execute(query).all())


def clear_tail(tx: Connection, buckets: Sequence[Bucket]) -> None:
    """Delete what the tail has of these buckets."""
    for each in buckets:
        begin = each.day * DAY
        tx.execute(delete(tail).where(tail.c.series == each.series, tail.c.at >= begin, tail.c.at < begin + DAY))


def tail_buckets(tx: Connection, buckets: Sequence[Bucket]) -> list[Readings]:
    """What the tail has of these buckets; most often nothing, which is found out by one look."""
    if not tx.execute(select(exists(select(tail.c.at)))).scalar():
        return []
    series, days, wanted = sorted({each.series for each in buckets}), [each.day for each in buckets], set(buckets)
    span = Span(min(days, default=0) * DAY, (max(days, default=0) + 1) * DAY)
    found = []
    for start in range(0, len(series), AT_ONCE):
        part = read_tail(tx, span, series=series[start : start + AT_ONCE])
        places = zip(part.series.tolist(), (part.at // DAY).tolist(), strict=True)
        found.append(part.take(np.array([place in wanted for place in places], np.bool_)))
    return [part for part in found if len(part.at)]


def read_chunks(tx: Connection, buckets: Sequence[Bucket]) -> list[Readings]:
    """The readings of those buckets that have a chunk."""
    columns = [chunk.c.series, chunk.c.n, chunk.c.data]
    found = []
    for start in range(0, len(buckets), AT_ONCE):
        wanted = tuple_(chunk.c.series, chunk.c.day).in_([tuple(each) for each in buckets[start : start + AT_ONCE]])
        found += [_to_part(row) for row in tx.execute(select(*columns).where(wanted))]
    return found


def read_series(tx: Connection, series: Sequence[int], span: Span) -> Readings | None:
    """Readings of the chunks of some series within ``span``; None where there are none."""
    wanted = and_(chunk.c.series.in_(series), chunk.c.first_at < span.end, chunk.c.last_at >= span.start)
    days = and_(chunk.c.day >= span.start // DAY, chunk.c.day <= (span.end - 1) // DAY)
    rows = tx.execute(select(chunk.c.series, chunk.c.n, chunk.c.data).where(wanted, days))
    return _within([_to_part(row) for row in rows], span)


def read_day(tx: Connection, day: int, span: Span) -> Readings | None:
    """Readings of all chunks of a day within ``span``; None where there are none."""
    joined = and_(chunk.c.series == rollup.c.series, chunk.c.day == rollup.c.day)
    query = select(chunk.c.series, chunk.c.n, chunk.c.data).select_from(rollup.join(chunk, joined))
    return _within([_to_part(row) for row in tx.execute(query.where(rollup.c.day == day))], span)


def write_chunks(tx: Connection, readings: Readings) -> None:
    """Replace the chunks of all buckets of these readings, which are sorted and without repeats, and their rollups."""
    starts = bucket_starts(readings)
    buckets = buckets_at(readings, starts)
    rolled = roll_up_days(readings.at, readings.value, starts)
    _delete_chunks(tx, buckets)
    ends = [*starts[1:].tolist(), len(readings.at)]
    chunks: list[Sequence[Any]] = []
    for place, (begin, end) in enumerate(zip(starts.tolist(), ends, strict=True)):
        at = readings.at[begin:end]
        data = encode_chunk(at, readings.value[begin:end])
        chunks.append((*buckets[place], end - begin, int(at[0]), int(at[-1]), rolled.quarters[place], data))
    insert_rows(tx, chunk, _CHUNK_COLUMNS, chunks)
    sums = zip(*(column.tolist() for column in rolled.day), strict=True)
    rollups = [
        (each.day, each.series, *row, occupied, hours)
        for each, row, occupied, hours in zip(buckets, sums, rolled.occupied.tolist(), rolled.hours, strict=True)
    ]
    insert_rows(tx, rollup, _ROLLUP_COLUMNS, rollups)


def delete_readings(tx: Connection, number: int) -> None:
    """Delete all readings of a component, with their rollups."""
    for table in (chunk, rollup, tail):
        first = number * WIDTH
        tx.execute(delete(table).where(table.c.series >= first, table.c.series < first + WIDTH))


def count_readings(tx: Connection) -> int:
    """How many readings there are."""
    in_chunks = tx.execute(select(func.sum(rollup.c.n))).scalar() or 0
    return int(in_chunks) + int(tx.execute(select(func.count()).select_from(tail)).scalar() or 0)


def to_readings(rows: Sequence[Any]) -> Readings:
    """Rows of series, time and value as columns."""
    series, at, value = zip(*rows, strict=True) if rows else ((), (), ())
    return Readings(np.array(series, np.int64), np.array(at, np.int64), np.array(value, np.float64))


def _delete_chunks(tx: Connection, buckets: Sequence[Bucket]) -> None:
    for start in range(0, len(buckets), AT_ONCE):
        some = [tuple(each) for each in buckets[start : start + AT_ONCE]]
        tx.execute(delete(chunk).where(tuple_(chunk.c.series, chunk.c.day).in_(some)))
        tx.execute(delete(rollup).where(tuple_(rollup.c.series, rollup.c.day).in_(some)))


def _to_part(row: Any) -> Readings:
    at, value = decode_chunk(bytes(row.data))
    return Readings(np.full(row.n, row.series, np.int64), at, value)


def _within(parts: list[Readings], span: Span) -> Readings | None:
    if not parts:
        return None
    found = Readings(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    return found.take((found.at >= span.start) & (found.at < span.end))
