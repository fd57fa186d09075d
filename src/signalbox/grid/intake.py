"""Taking readings in: one, and many."""

from collections.abc import Sequence

import numpy as np
from sqlalchemy import Connection

from signalbox.core.errors import Fault, UnprocessableError
from signalbox.core.times import to_datetime, to_micros
from signalbox.grid import chunk_store, rule_watch
from signalbox.grid.errors import ComponentNotFoundError, DuplicateMeasurementError, RejectedBatchError
from signalbox.grid.merging import Bucket, Marks, Readings, bucket_starts, buckets_at, join, repeats, sort
from signalbox.grid.rollups import Index
from signalbox.grid.schemas import (
    EARLIEST,
    LARGEST_VALUE,
    LATEST,
    OUT_OF_TIME,
    BatchResult,
    NewReading,
    ReadingOut,
    RowResult,
)
from signalbox.grid.series import CODES, LARGEST_ID, WIDTH, to_series


def accept(tx: Connection, new: NewReading, *, now: int) -> ReadingOut:
    """Take one reading; without a time it is of ``now``.

    Raises:
        UnprocessableError: its value is beyond all measure, or its time beyond the calendar.
        ComponentNotFoundError: there is no such component.
        DuplicateMeasurementError: the component has a reading of the type at this instant.
    """
    fault = why_not(new)
    if fault is not None and fault.where != "component_id":
        raise UnprocessableError([fault])
    chunk_store.share(tx)
    if fault is not None or not chunk_store.has_component(tx, new.component_id):
        raise ComponentNotFoundError(_no_component(new.component_id))
    at, series = _moment(new, now), to_series(new.component_id, new.measurement_type)
    watched = rule_watch.look_at(tx, series, at, new.value, now=now)
    if chunk_store.is_in_chunk(tx, series, at) or not chunk_store.add_to_tail(tx, series, at, new.value):
        msg = f"component {new.component_id} has a reading of {new.measurement_type} at this time"
        raise DuplicateMeasurementError(msg)
    rule_watch.watch(tx, watched, now=now)
    return ReadingOut(new.component_id, to_datetime(at), new.value, new.measurement_type)


def accept_many(
    tx: Connection, rows: Sequence[NewReading | str], *, all_or_nothing: bool = False, now: int
) -> BatchResult:
    """Take many readings; what became of each row, in their order. A row that is a text is rejected for that reason.

    Raises:
        RejectedBatchError: all or nothing was asked for, and a row is rejected or there already.
    """
    results: list[RowResult] = [RowResult("rejected", row) if isinstance(row, str) else _INSERTED for row in rows]
    known = chunk_store.find_known(tx, {row.component_id for row in rows if not isinstance(row, str)})
    places = []
    for place, row in enumerate(rows):
        if isinstance(row, str):
            continue
        fault = why_not(row)
        if fault is not None:
            results[place] = RowResult("rejected", fault.message)
        elif row.component_id not in known:
            results[place] = RowResult("rejected", _no_component(row.component_id))
        else:
            places.append(place)
    taken = [row for place in places if not isinstance(row := rows[place], str)]
    for place, inserted in zip(places, insert_watched(tx, _to_columns(taken, now), now=now).tolist(), strict=True):
        if not inserted:
            results[place] = RowResult("duplicate")
    return _summed(results, all_or_nothing=all_or_nothing)


def insert_watched(tx: Connection, new: Readings, *, now: int) -> Marks:
    """As ``insert``, and threshold rules are held against them."""
    chunk_store.own(tx)  # before looking: nobody adds a reading between
    watched = rule_watch.look_at_many(tx, new, now=now)
    marks = insert(tx, new)
    rule_watch.watch(tx, watched, now=now)
    return marks


def insert(tx: Connection, new: Readings) -> Marks:
    """Write readings of known components into chunks, in any order; which of them were not there yet.

    Of several with the same series and time the first is taken.
    """
    ordered, order = sort(new)
    fresh = ~repeats(ordered)
    marks = np.zeros(len(new.at), dtype=np.bool_)
    if len(new.at):
        marks[np.flatnonzero(fresh)] = _merge(tx, ordered.take(fresh))
    if order is None:
        return marks
    unsorted = np.empty_like(marks)
    unsorted[order] = marks
    return unsorted


def why_not(row: NewReading) -> Fault | None:
    """Why a reading cannot be taken, whatever is there, and which field is wrong; None where it can."""
    if not -LARGEST_VALUE <= row.value <= LARGEST_VALUE:  # neither is NaN
        return Fault("value", f"the value is no number from -{LARGEST_VALUE:g} to {LARGEST_VALUE:g}")
    if row.timestamp is not None and not EARLIEST <= to_micros(row.timestamp) <= LATEST:  # its offset may carry it over
        return Fault("timestamp", OUT_OF_TIME)
    if not 0 < row.component_id <= LARGEST_ID:
        return Fault("component_id", _no_component(row.component_id))
    return None


def _no_component(number: int) -> str:
    return f"there is no component {number}"


def _merge(tx: Connection, new: Readings) -> Marks:
    """Merge sorted readings without repeats into their buckets; which were not there yet."""
    chunk_store.own(tx)
    buckets = buckets_at(new, bucket_starts(new))
    in_tail = chunk_store.tail_buckets(tx, buckets)
    there = join([*chunk_store.read_chunks(tx, buckets), *in_tail])
    if not len(there.at):
        chunk_store.write_chunks(tx, new, replace=False)
        return np.ones(len(new.at), dtype=np.bool_)
    merged, order = sort(join([there, new]))
    order = np.arange(len(merged.at)) if order is None else order
    inserted = ~repeats(merged) & (order >= len(there.at))
    marks = np.zeros(len(new.at), dtype=np.bool_)
    marks[order[inserted] - len(there.at)] = True
    if inserted.any():
        _rewrite(tx, merged, inserted)
    return marks


def _rewrite(tx: Connection, merged: Readings, inserted: Marks) -> None:
    """Write those buckets to which something comes; what their tail has goes with it."""
    starts = bucket_starts(merged)
    which = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(merged.at)))
    changed: Index = np.unique(which[inserted])
    wanted = np.isin(which, changed) & ~repeats(merged)
    chunk_store.write_chunks(tx, merged.take(wanted))
    buckets = buckets_at(merged, starts)
    changed_buckets = {buckets[place] for place in changed.tolist()}
    waiting = {each for part in chunk_store.tail_buckets(tx, sorted(changed_buckets)) for each in _buckets_of(part)}
    chunk_store.clear_tail(tx, sorted(waiting))


def _buckets_of(part: Readings) -> list[Bucket]:
    return buckets_at(part, bucket_starts(part))


def _to_columns(rows: Sequence[NewReading], now: int) -> Readings:
    return Readings(
        np.array([row.component_id * WIDTH + CODES[row.measurement_type] for row in rows], np.int64),
        np.array([_moment(row, now) for row in rows], np.int64),
        np.array([row.value for row in rows], np.float64),
    )


def _moment(row: NewReading, now: int) -> int:
    return now if row.timestamp is None else to_micros(row.timestamp)


_INSERTED = RowResult("inserted")


def _summed(results: list[RowResult], *, all_or_nothing: bool) -> BatchResult:
    counts = {
        status: sum(each.status == status for each in results) for status in ("inserted", "duplicate", "rejected")
    }
    if all_or_nothing and counts["inserted"] < len(results):
        place = next(place for place, each in enumerate(results) if each.status != "inserted")
        wrong = results[place]
        msg = f"nothing was taken: row {place} is {wrong.status}" + (f", {wrong.reason}" if wrong.reason else "")
        raise RejectedBatchError(msg)
    return BatchResult(counts["inserted"], counts["duplicate"], counts["rejected"], results)
