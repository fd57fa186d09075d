"""Queries about readings; what they do together is tried by ``test_intake.py``."""

import numpy as np
import sqlalchemy as sa

from signalbox.core.times import DAY, HOUR
from signalbox.grid import chunk_store
from signalbox.grid.chunk_store import Span
from signalbox.grid.merging import Bucket, Readings
from signalbox.grid.series import to_series
from tests.grid.test_intake import lines

POWER = to_series(1, "POWER")


def hourly(series: int, count: int) -> Readings:
    return Readings(np.full(count, series), np.arange(count) * HOUR, np.arange(count, dtype=float))


def test_chunks_are_replaced_and_found(engine: sa.Engine) -> None:
    with lines(engine, 1) as (tx, _):
        chunk_store.write_chunks(tx, hourly(POWER, 10))
        chunk_store.write_chunks(tx, hourly(POWER, 48))
        assert chunk_store.count_readings(tx) == 48
        (part,) = chunk_store.read_chunks(tx, [Bucket(POWER, 1), Bucket(POWER, 2), Bucket(POWER + 1, 1)])
        assert part.value.tolist() == list(range(24, 48))
        found = chunk_store.read_series(tx, [POWER], Span(23 * HOUR, 25 * HOUR))
        assert found is not None
        assert found.value.tolist() == [23, 24]
        assert chunk_store.read_series(tx, [POWER + 1], Span(0, DAY)) is None
        day = chunk_store.read_day(tx, 1, Span(DAY, DAY + 1))
        assert day is not None
        assert (day.value.tolist(), chunk_store.read_day(tx, 5, Span(0, DAY))) == ([24], None)
        assert [chunk_store.is_in_chunk(tx, POWER, at) for at in (0, 1, 47 * HOUR, 48 * HOUR)] == [
            True,
            False,
            True,
            False,
        ]


def test_many_buckets_are_read_and_written(engine: sa.Engine) -> None:
    with lines(engine, 1) as (tx, _):
        days = np.arange(3 * chunk_store.AT_ONCE)
        readings = Readings(np.full(len(days), POWER), days * DAY, days.astype(float))
        chunk_store.write_chunks(tx, readings)
        chunk_store.write_chunks(tx, readings)
        found = chunk_store.read_chunks(tx, [Bucket(POWER, day) for day in days.tolist()])
        assert len(found) == len(days)


def test_the_tail_is_kept_apart(engine: sa.Engine) -> None:
    with lines(engine, 1) as (tx, (number,)):
        assert chunk_store.tail_buckets(tx, [Bucket(POWER, 0)]) == []
        assert [chunk_store.add_to_tail(tx, POWER, at, 1.0) for at in (5, 5, -1)] == [True, False, True]
        assert chunk_store.read_first_of_tail(tx, limit=1).at.tolist() == [-1]
        assert chunk_store.read_tail(tx, Span(0, 9), series=[POWER]).at.tolist() == [5]
        (part,) = chunk_store.tail_buckets(tx, [Bucket(POWER, 0), Bucket(POWER, 3)])
        assert part.at.tolist() == [5]
        chunk_store.clear_tail(tx, [Bucket(POWER, 0)])
        assert chunk_store.read_tail(tx, Span(-9, 9)).at.tolist() == [-1]
        chunk_store.delete_readings(tx, 1)
        assert chunk_store.count_readings(tx) == 0
        assert chunk_store.has_component(tx, number)
        assert chunk_store.find_known(tx, [number, 99]) == {number}
        chunk_store.share(tx)
        chunk_store.own(tx)
        assert len(chunk_store.to_readings([]).at) == 0
