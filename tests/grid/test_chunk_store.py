"""Queries about readings; what they do together is tried by ``test_intake.py``."""

import asyncio
import threading
from collections.abc import Iterator

import numpy as np
import pytest
import sqlalchemy as sa

from signalbox.core.times import DAY, HOUR
from signalbox.grid import chunk_store, components, intake
from signalbox.grid.chunk_store import Span
from signalbox.grid.errors import GridBusyError
from signalbox.grid.kinds import check
from signalbox.grid.merging import Bucket, Readings
from signalbox.grid.series import to_series
from signalbox.infra.context import Context
from signalbox.infra.db.postgresql import WRITERS, postgresql_engine
from tests.grid.conftest import LINE
from tests.grid.test_intake import NOW, lines, reading
from tests.support.databases import PostgresqlPlace
from tests.support.timing import until

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
        waiting = [(Bucket(POWER, -1), 1, 0), (Bucket(POWER, 0), 1, 0)]
        assert sorted(chunk_store.count_tail(tx)) == waiting
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


@pytest.fixture
def connections(place: PostgresqlPlace) -> Iterator[sa.Engine]:
    made = postgresql_engine(place.url, pool_size=3)
    yield made
    made.dispose()


on_postgresql = pytest.mark.parametrize("place", ["postgresql"], indirect=True)


@on_postgresql
def test_who_shares_readings_does_not_wait_to_own_them(connections: sa.Engine) -> None:
    with connections.begin() as first:
        chunk_store.share(first)
        with connections.begin() as second:
            chunk_store.share(second)
            with pytest.raises(GridBusyError):
                chunk_store.own(first)
        chunk_store.own(first)
        chunk_store.share(first)
        chunk_store.own(first)


@on_postgresql
def test_a_new_transaction_shares_nothing_and_waits(connections: sa.Engine) -> None:
    owned = threading.Event()

    def work() -> None:
        with connections.connect() as tx:
            with tx.begin():
                chunk_store.share(tx)
            with tx.begin():
                chunk_store.own(tx)
                owned.set()

    with connections.begin() as other:
        chunk_store.share(other)
        thread = threading.Thread(target=work)
        thread.start()
        assert not owned.wait(0.3)
    assert owned.wait(10)
    thread.join()


@on_postgresql
async def test_a_batch_that_must_not_wait_is_written_one_by_one(context: Context, connections: sa.Engine) -> None:
    """A single reading is taken though the many behind it in its batch have to wait for another process."""
    number = (await context.db.write(components.add, check(LINE), by="test", now=NOW)).id
    begun, gates = threading.Semaphore(0), [threading.Event() for _ in range(WRITERS)]

    def hold(_tx: sa.Connection, gate: threading.Event) -> None:
        begun.release()
        assert gate.wait(30)

    held = []
    for gate in gates:  # no writer is free, so that both come into one batch
        held.append(asyncio.create_task(context.db.write(hold, gate)))
        assert await asyncio.to_thread(begun.acquire, timeout=10)
    with connections.begin() as other:
        chunk_store.share(other)
        single = asyncio.create_task(context.db.write(intake.accept, reading(number, 0), now=NOW))
        many = asyncio.create_task(context.db.write(intake.accept_many, [reading(number, 1)], now=NOW))
        await asyncio.sleep(0)
        gates[0].set()
        try:
            await until(lambda: chunk_store.count_readings(other) == 1)
            assert not many.done()
        finally:
            for gate in gates:
                gate.set()
    assert (await many).inserted == 1
    await asyncio.gather(single, *held)
