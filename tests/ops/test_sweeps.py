import asyncio
import logging
from collections.abc import AsyncIterator, Callable

import pytest
import sqlalchemy as sa

from signalbox.core.errors import UnavailableError
from signalbox.infra.clock.manual import ManualClock
from signalbox.infra.db import Database
from signalbox.ops.sweeps import BATCH, IDLE_ROUNDS, Sweep, Sweeper
from tests.support.databases import Place
from tests.support.timing import PATIENCE

things = sa.Table("test_things", sa.MetaData(), sa.Column("id", sa.BigInteger, primary_key=True))


@pytest.fixture
async def filled(place: Place, database: Database) -> AsyncIterator[Callable[[int], None]]:
    """A table, and the function that adds so many rows to it."""
    engine = place.engine()
    things.create(engine)

    def add(count: int) -> None:
        with engine.begin() as tx:
            first = (tx.execute(sa.select(sa.func.max(things.c.id))).scalar() or 0) + 1
            tx.execute(things.insert(), [{"id": number} for number in range(first, first + count)])

    yield add
    things.drop(engine)
    engine.dispose()


class Deletes:
    """A sweep's function; notes when it ran, and how much it deleted."""

    def __init__(self) -> None:
        self.at: list[int] = []
        self.deleted: list[int] = []

    def __call__(self, tx: sa.Connection, now: int, limit: int) -> int:
        self.at.append(now)
        oldest = sa.select(things.c.id).order_by(things.c.id).limit(limit)
        self.deleted.append(tx.execute(things.delete().where(things.c.id.in_(oldest))).rowcount)
        return self.deleted[-1]


def fail(tx: sa.Connection, now: int, limit: int) -> int:
    msg = "this table is broken"
    raise RuntimeError(msg)


def be_away(tx: sa.Connection, now: int, limit: int) -> int:
    msg = "the database is away"
    raise UnavailableError(msg)


def count(tx: sa.Connection) -> int:
    return tx.execute(sa.select(sa.func.count()).select_from(things)).scalar_one()


async def until_swept(db: Database) -> None:
    async with asyncio.timeout(PATIENCE):
        while await db.read(count):
            await asyncio.sleep(0.01)


async def test_rows_go_in_batches_until_none_is_left(
    filled: Callable[[int], None], database: Database, clock: ManualClock
) -> None:
    filled(2 * BATCH + 10)
    deletes = Deletes()
    assert await Sweeper([Sweep("things", database, deletes)], clock).sweep() == 2 * BATCH + 10
    assert deletes.deleted == [BATCH, BATCH, 10, 0]
    assert set(deletes.at) == {clock.now()}
    assert await database.read(count) == 0


async def test_others_write_between_batches(
    filled: Callable[[int], None], database: Database, clock: ManualClock
) -> None:
    filled(3 * BATCH)
    deletes = Deletes()
    sweeping = asyncio.create_task(Sweeper([Sweep("things", database, deletes)], clock).sweep())
    while not deletes.deleted:
        await asyncio.sleep(0)
    await database.write(lambda tx: tx.execute(things.insert().values(id=10**9)) and None)
    between = len(deletes.deleted)
    assert await sweeping == 3 * BATCH + 1
    assert between < len(deletes.deleted)


async def test_a_failing_table_stops_no_other(
    filled: Callable[[int], None], database: Database, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    filled(5)
    sweeps = [Sweep("broken", database, fail), Sweep("away", database, be_away), Sweep("things", database, Deletes())]
    assert await Sweeper(sweeps, clock).sweep() == 5
    told = {record.table: record.levelno for record in caplog.records if hasattr(record, "table")}
    assert told == {"broken": logging.ERROR, "away": logging.WARNING}


async def test_sweeps_come_again_and_again(
    filled: Callable[[int], None], database: Database, clock: ManualClock
) -> None:
    sweeps = [Sweep("broken", database, fail), Sweep("things", database, Deletes())]
    sweeper = Sweeper(sweeps, clock, interval=0.01)
    sweeper.open()
    try:
        for _ in range(3):
            filled(5)
            await until_swept(database)
    finally:
        await sweeper.close()


async def test_a_table_that_had_nothing_to_do_is_left_alone_for_some_rounds(
    database: Database, clock: ManualClock
) -> None:
    looks = dict.fromkeys(("idle", "busy"), 0)

    def look(name: str) -> Callable[[sa.Connection, int, int], int]:
        def step(_tx: sa.Connection, _now: int, _limit: int) -> int:
            looks[name] += 1
            return looks[name] % 2 if name == "busy" else 0  # one step of work in each round

        return step

    sweeper = Sweeper([Sweep(name, database, look(name)) for name in looks], clock, interval=0.01)
    sweeper.open()
    async with asyncio.timeout(PATIENCE):
        while looks["idle"] < 3:
            await asyncio.sleep(0.01)
    await sweeper.close()
    assert looks["busy"] // 2 >= 2 * IDLE_ROUNDS - 1  # it begins a round later, so that not all are swept in one


async def test_closing_ends_it_at_once(filled: Callable[[int], None], database: Database, clock: ManualClock) -> None:
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def endless(tx: sa.Connection, now: int, limit: int) -> int:
        loop.call_soon_threadsafe(begun.set)
        return limit

    deletes = Deletes()
    sweeper = Sweeper([Sweep("endless", database, endless), Sweep("things", database, deletes)], clock, interval=0.01)
    sweeper.open()
    async with asyncio.timeout(PATIENCE):
        await begun.wait()
        await sweeper.close()
    filled(5)
    assert deletes.at == []
    assert await database.read(count) == 5


async def test_one_that_was_never_opened_can_be_closed(clock: ManualClock) -> None:
    await Sweeper([], clock).close()
