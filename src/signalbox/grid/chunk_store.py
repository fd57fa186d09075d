"""Queries about readings: chunks, their rollups, and the tail.

Whoever rewrites chunks reads them first, so on PostgreSQL two writers could undo each other's work. One advisory lock
keeps them apart: those who rewrite chunks hold it alone, those who add single readings share it, all until their
transactions end. SQLite has one writer anyway.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from sqlalchemy import Connection, Delete, Select, and_, bindparam, delete, exists, func, select, text
from sqlalchemy.dialects import postgresql, sqlite

from signalbox.core.times import DAY
from signalbox.grid import block_store
from signalbox.grid.blobs import fetch_blobs
from signalbox.grid.chunks import Times, decode_chunk, encode_chunk
from signalbox.grid.errors import GridBusyError
from signalbox.grid.merging import Bucket, Readings, bucket_starts, buckets_at, join
from signalbox.grid.models import chunk, component, rollup, tail
from signalbox.grid.rollups import roll_up_days
from signalbox.grid.series import WIDTH
from signalbox.infra.db.bulk import insert_rows
from signalbox.infra.db.prepared import Prepared
from signalbox.infra.db.rows import DIALECTS, encode_rows, is_bound_row

LOCK: Final = 0x5167_0007
_SHARED: Final = "signalbox.grid.shared"
"""Where a connection keeps the transaction that shared the lock."""

AT_ONCE: Final = 400
"""Components or series in one statement."""

_CHUNK_COLUMNS: Final = [column.name for column in chunk.c]
_ROLLUP_COLUMNS: Final = [column.name for column in rollup.c]

_TAIL_ROW: Final[dict[str, Any]] = {"series": bindparam("series"), "at": bindparam("at"), "value": text(":value")}
"""SQLAlchemy would have its ``Double`` convert the value, which is a float anyway; so it is given without a type."""
_ADD: Final = Prepared(
    {
        "sqlite": sqlite.insert(tail).values(_TAIL_ROW).on_conflict_do_nothing().returning(tail.c.at),
        "postgresql": postgresql.insert(tail).values(_TAIL_ROW).on_conflict_do_nothing().returning(tail.c.at),
    }
)
_HAS_COMPONENT: Final = Prepared(select(component.c.id).where(component.c.id == bindparam("wanted")))
_COVERING: Final = Prepared(
    select(chunk.c.data).where(
        chunk.c.series == bindparam("series"),
        chunk.c.day == bindparam("day"),
        chunk.c.first_at <= bindparam("at"),
        chunk.c.last_at >= bindparam("at"),
    )
)
_TAIL: Final = select(tail.c.series, tail.c.at, tail.c.value)
_OF_BUCKETS: Final = {each: is_bound_row(each, (chunk.c.series, chunk.c.day), "buckets") for each in DIALECTS}
_FIND: Final[dict[str, Select[Any]]] = {
    dialect: select(chunk.c.series, chunk.c.n, chunk.c.data).where(wanted) for dialect, wanted in _OF_BUCKETS.items()
}
_DELETE: Final[dict[str, Delete]] = {dialect: delete(chunk).where(wanted) for dialect, wanted in _OF_BUCKETS.items()}
_DELETE_ROLLUPS: Final[dict[str, Delete]] = {
    each: delete(rollup).where(is_bound_row(each, (rollup.c.series, rollup.c.day), "buckets")) for each in DIALECTS
}


class Span(NamedTuple):
    """A stretch of time, [start, end), microseconds UTC."""

    start: int
    end: int


class Waiting(NamedTuple):
    """A bucket with readings in the tail."""

    bucket: Bucket
    fresh: int
    """How many there."""
    stored: int
    """How many in its chunk."""


def share(tx: Connection) -> None:
    """Be among those who add single readings, until ``tx`` ends."""
    if tx.dialect.name == "postgresql":
        tx.exec_driver_sql("SELECT pg_advisory_xact_lock_shared(%s)", (LOCK,))
        tx.info[_SHARED] = tx.get_transaction()


def own(tx: Connection) -> None:
    """Be the only one who changes readings, until ``tx`` ends.

    A batch of group commit may have had a single reading before. Two of those would wait for each other until PostgreSQL
    ends one after a second, so none waits: its members are run again by themselves, at once.

    Raises:
        GridBusyError: ``tx`` is among those who add single readings, and another transaction is, or owns them.
    """
    if tx.dialect.name != "postgresql":
        return
    shared = tx.info.get(_SHARED)
    if shared is None or shared is not tx.get_transaction():
        tx.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
    elif not tx.exec_driver_sql("SELECT pg_try_advisory_xact_lock(%s)", (LOCK,)).scalar_one():
        msg = "others change readings; try again"
        raise GridBusyError(msg)


def has_component(tx: Connection, number: int) -> bool:
    """Whether there is such a component."""
    return bool(_HAS_COMPONENT.run(tx, {"wanted": number}))


def find_known(tx: Connection, numbers: Iterable[int]) -> set[int]:
    """Which of these components there are."""
    wanted, known = sorted(set(numbers)), set[int]()
    for start in range(0, len(wanted), AT_ONCE):
        some = wanted[start : start + AT_ONCE]
        known.update(tx.execute(select(component.c.id).where(component.c.id.in_(some))).scalars())
    return known


def is_in_chunk(tx: Connection, series: int, at: int) -> bool:
    """Whether a chunk holds a reading of this instant."""
    found = _COVERING.run(tx, {"series": series, "day": at // DAY, "at": at})
    if not found:
        return False
    times: Times = decode_chunk(bytes(found[0][0]))[0]
    place = int(np.searchsorted(times, at))
    return bool(times[place] == at)  # the chunk's last reading is not before it


def add_to_tail(tx: Connection, series: int, at: int, value: float) -> bool:
    """Keep a single reading; False where the tail has one of this instant."""
    return bool(_ADD.run(tx, {"series": series, "at": at, "value": value}))


def count_tail(tx: Connection) -> list[Waiting]:
    """How many readings of each bucket are in the tail."""
    of_day = (tail.c.at % DAY + DAY) % DAY  # SQL rounds towards 1970
    day = ((tail.c.at - of_day) // DAY).label("day")
    counted = select(tail.c.series, day, func.count().label("count")).group_by(tail.c.series, day).subquery()
    joined = counted.outerjoin(rollup, and_(rollup.c.series == counted.c.series, rollup.c.day == counted.c.day))
    stored = func.coalesce(rollup.c.n, 0)
    rows = tx.execute(select(counted.c.series, counted.c.day, counted.c.count, stored).select_from(joined))
    return [Waiting(Bucket(series, found), count, there) for series, found, count, there in rows]


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
    query = _FIND[tx.dialect.name].params(buckets=encode_rows(buckets))
    return [_to_part(*row) for row in fetch_blobs(tx, query)]


def read_series(tx: Connection, series: Sequence[int], span: Span) -> Readings | None:
    """Readings of the chunks of some series within ``span``; None where there are none."""
    wanted = and_(chunk.c.series.in_(series), chunk.c.first_at < span.end, chunk.c.last_at >= span.start)
    days = and_(chunk.c.day >= span.start // DAY, chunk.c.day <= (span.end - 1) // DAY)
    rows = fetch_blobs(tx, select(chunk.c.series, chunk.c.n, chunk.c.data).where(wanted, days))
    return _within([_to_part(*row) for row in rows], span)


def read_day(tx: Connection, day: int, span: Span) -> Readings | None:
    """Readings of all chunks of a day within ``span``; None where there are none."""
    joined = and_(chunk.c.series == rollup.c.series, chunk.c.day == rollup.c.day)
    query = select(chunk.c.series, chunk.c.n, chunk.c.data).select_from(rollup.join(chunk, joined))
    wanted = and_(rollup.c.day == day, chunk.c.first_at < span.end, chunk.c.last_at >= span.start)
    return _within([_to_part(*row) for row in fetch_blobs(tx, query.where(wanted))], span)


def write_chunks(tx: Connection, readings: Readings, *, replace: bool = True) -> None:
    """Write the chunks of all buckets of these readings, which are sorted and without repeats, and their rollups.

    They take the place of those that are there; without ``replace`` the caller knows that there are none.
    """
    starts = bucket_starts(readings)
    buckets = buckets_at(readings, starts)
    rolled = roll_up_days(readings.at, readings.value, starts)
    block_store.make_stale(tx, readings.series[starts], readings.at[starts] // DAY)
    if replace:
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
    block_store.make_component_stale(tx, number)
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
    tx.execute(_DELETE[tx.dialect.name], {"buckets": encode_rows(buckets)})
    tx.execute(_DELETE_ROLLUPS[tx.dialect.name], {"buckets": encode_rows(buckets)})


def _to_part(series: int, count: int, data: bytes) -> Readings:
    at, value = decode_chunk(bytes(data))
    return Readings(np.full(count, series, np.int64), at, value)


def _within(parts: list[Readings], span: Span) -> Readings | None:
    """Those of each part, which is sorted by time, that are within ``span``."""
    if not parts:
        return None
    cuts = [np.searchsorted(part.at, span).tolist() for part in parts]
    return join([part.take(slice(*cut)) for part, cut in zip(parts, cuts, strict=True)])
