"""What every ``Database`` holds to."""

import asyncio
import random
import threading
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError

from signalbox.core.errors import InvalidError, NotFoundError
from signalbox.infra.db import Database, DatabaseUnavailableError
from signalbox.infra.db.postgresql import WRITERS
from tests.contracts.conftest import item
from tests.support.databases import Place
from tests.support.timing import PATIENCE

pytestmark = [pytest.mark.asyncio(loop_factories=["asyncio"]), pytest.mark.usefixtures("items")]


class StopNowError(BaseException):
    """What no ``except Exception`` catches."""


class Gate:
    """Holds functions of a transaction until it is opened."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._arrived = threading.Semaphore(0)

    def hold(self, _tx: sa.Connection) -> None:
        self._arrived.release()
        assert self._open.wait(10)

    async def arrival(self) -> None:
        """Wait until one more function is held."""
        assert await asyncio.to_thread(self._arrived.acquire, timeout=10)

    def open(self) -> None:
        self._open.set()


def insert(tx: sa.Connection, number: int, name: str = "") -> int:
    tx.execute(item.insert().values(id=number, name=name))
    return number


def find_all(tx: sa.Connection) -> list[int]:
    return list(tx.execute(sa.select(item.c.id).order_by(item.c.id)).scalars())


def nothing(_tx: sa.Connection) -> None:
    """Do no work at all."""


def _refuse(tx: sa.Connection, number: int) -> int:
    raise NotFoundError(str(number))


def _insert_and_refuse(tx: sa.Connection, number: int) -> int:
    insert(tx, number)
    raise InvalidError(str(number))


def _insert_and_crash(tx: sa.Connection, number: int) -> int:
    insert(tx, number)
    raise ZeroDivisionError(str(number))


def _insert_and_stop(tx: sa.Connection, number: int) -> int:
    insert(tx, number)
    raise StopNowError(str(number))


def _insert_and_run_out(tx: sa.Connection, number: int) -> int:
    insert(tx, number)
    return next(iter([]))


def _insert_twice(tx: sa.Connection, number: int) -> int:
    insert(tx, number)
    return insert(tx, number)


def _write_nonsense(tx: sa.Connection, number: int) -> int:
    insert(tx, number)
    tx.exec_driver_sql("INSERT INTO nowhere VALUES (1)")
    return number


FAILING: dict[Callable[[sa.Connection, int], int], type[BaseException]] = {
    _refuse: NotFoundError,
    _insert_and_refuse: InvalidError,
    _insert_and_crash: ZeroDivisionError,
    _insert_and_stop: StopNowError,
    _insert_and_run_out: RuntimeError,
    _insert_twice: IntegrityError,
    _write_nonsense: DBAPIError,
}


async def block_writers(database: Database) -> tuple[Gate, list[asyncio.Task[None]]]:
    """Occupy every thread that writes."""
    gate = Gate()
    held = []
    for _ in range({"sqlite": 1, "postgresql": WRITERS}[database.dialect]):
        held.append(asyncio.create_task(database.write(gate.hold)))
        await gate.arrival()
    return gate, held


async def test_a_write_returns_the_value_of_its_function(database: Database) -> None:
    assert await database.write(insert, 7, name="seven") == 7
    assert await database.write(lambda tx: {"any": "value"}) == {"any": "value"}
    done: object = await database.write(nothing)
    assert done is None


async def test_what_a_write_returned_is_committed(database: Database, place: Place) -> None:
    engine = place.engine()
    for number in range(20):
        await database.write(insert, number)
        with engine.connect() as other:
            assert find_all(other) == list(range(number + 1))
    engine.dispose()


@pytest.mark.parametrize("failing", FAILING, ids=lambda each: each.__name__)
async def test_a_failing_function_undoes_what_it_wrote(
    database: Database, failing: Callable[[sa.Connection, int], int]
) -> None:
    await database.write(insert, 1)
    with pytest.raises(FAILING[failing]):
        await database.write(failing, 2)
    assert await database.write(insert, 3) == 3
    assert await database.read(find_all) == [1, 3]


@pytest.mark.parametrize("seed", range(4))
async def test_a_failing_function_harms_no_other(database: Database, seed: int) -> None:
    dice = random.Random(seed)
    share = (0.02, 0.1, 0.5, 1.0)[seed]
    chosen = [dice.choice(list(FAILING)) if dice.random() < share else insert for _ in range(200)]
    results = await asyncio.gather(
        *(database.write(fn, number) for number, fn in enumerate(chosen)), return_exceptions=True
    )
    for number, (fn, result) in enumerate(zip(chosen, results, strict=True)):
        if fn is insert:
            assert result == number
        else:
            assert isinstance(result, FAILING[fn])
    assert await database.read(find_all) == [number for number, fn in enumerate(chosen) if fn is insert]


async def test_writers_that_come_one_after_another_are_all_served(database: Database) -> None:
    async def write(start: int) -> None:
        for number in range(start, start + 10):
            await database.write(insert, number)

    await asyncio.gather(*(write(start) for start in range(0, 400, 10)))
    assert await database.read(find_all) == list(range(400))


async def test_a_refusal_says_what_was_wrong(database: Database) -> None:
    with pytest.raises(InvalidError, match=r"^5$"):
        await database.write(_insert_and_refuse, 5)


async def test_a_mistake_in_sql_is_no_absence_of_the_database(database: Database) -> None:
    def ask_nowhere(tx: sa.Connection) -> None:
        tx.exec_driver_sql("SELECT * FROM nowhere")

    for run in (database.read, database.write):
        with pytest.raises(DBAPIError, match="nowhere"):
            await run(ask_nowhere)


async def test_a_read_returns_the_value_of_its_function(database: Database) -> None:
    await database.write(insert, 1)
    assert await database.read(find_all) == [1]


async def test_a_read_cannot_write(database: Database) -> None:
    with pytest.raises(DBAPIError, match=r"read-?only"):
        await database.read(insert, 1)
    assert await database.read(find_all) == []


async def test_a_failing_read_raises_and_harms_no_other(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        await database.read(lambda tx: 1 / 0)
    with pytest.raises(RuntimeError, match="StopIteration"):
        await database.read(lambda tx: next(iter(())))
    assert await database.read(find_all) == []


async def test_a_read_sees_one_moment(database: Database) -> None:
    gate = Gate()

    def look_twice(tx: sa.Connection) -> tuple[list[int], list[int]]:
        before = find_all(tx)
        gate.hold(tx)
        return before, find_all(tx)

    await database.write(insert, 1)
    reading = asyncio.create_task(database.read(look_twice))
    await gate.arrival()
    await database.write(insert, 2)
    gate.open()
    assert await reading == ([1], [1])
    assert await database.read(find_all) == [1, 2]


async def test_reads_do_not_wait_for_writes(database: Database) -> None:
    gate, held = await block_writers(database)
    assert await asyncio.wait_for(database.read(find_all), PATIENCE) == []
    gate.open()
    await asyncio.gather(*held)


async def test_a_write_of_another_process_is_seen(database: Database, place: Place) -> None:
    other = place.open()
    await other.write(insert, 1)
    assert await database.read(find_all) == [1]
    await database.write(insert, 2)
    assert await other.read(find_all) == [1, 2]
    await other.close()


async def test_the_stamp_changes_with_what_is_committed_by_whomever(database: Database, place: Place) -> None:
    async def settled() -> object:
        """The stamp once nothing changes any more: on PostgreSQL others may use the same server."""
        await asyncio.sleep(0.45)  # a look may serve others for 0.4 seconds
        return await database.stamp()

    before = await settled()
    if place.dialect == "sqlite":
        await database.read(lambda tx: tx.execute(sa.select(item)).all())
        assert await settled() == before, "a read changes nothing"
    await database.write(lambda tx: tx.execute(item.insert(), {"id": 1, "name": "own"}).rowcount)
    after = await settled()
    assert after != before
    engine = place.engine()
    with engine.begin() as tx:
        tx.execute(item.insert(), {"id": 2, "name": "of another process"})
    assert await settled() != after
    engine.dispose()


async def test_close_finishes_the_writes_that_wait(place: Place) -> None:
    database = place.open()
    gate, held = await block_writers(database)
    writing = [asyncio.create_task(database.write(insert, number)) for number in range(500)]
    await asyncio.sleep(0)
    closing = asyncio.create_task(database.close())
    await asyncio.sleep(0)
    gate.open()
    await asyncio.gather(closing, *held)
    assert [each.result() for each in writing] == list(range(500))
    again = place.open()
    assert await again.read(find_all) == list(range(500))
    await again.close()


async def test_nothing_is_taken_after_close(place: Place) -> None:
    database = place.open()
    await database.close()
    await database.close()
    for run in (database.read, database.write):
        with pytest.raises(DatabaseUnavailableError, match="closing"):
            await run(nothing)


async def test_more_writes_than_may_wait_are_refused_and_those_that_wait_are_done(database: Database) -> None:
    gate, held = await block_writers(database)
    writing = [asyncio.create_task(database.write(nothing)) for _ in range(10_100)]
    await asyncio.sleep(0)
    gate.open()
    results = await asyncio.gather(*writing, *held, return_exceptions=True)
    refused = [each for each in results if each is not None]
    assert len(refused) == 100
    assert all(isinstance(each, DatabaseUnavailableError) for each in refused)
    assert await database.write(insert, 1) == 1


async def test_more_reads_than_may_wait_are_refused_and_those_that_wait_are_done(database: Database) -> None:
    gate = Gate()
    held = asyncio.create_task(database.read(gate.hold))
    await gate.arrival()
    reading = [asyncio.create_task(database.read(gate.hold)) for _ in range(1_010)]
    await asyncio.sleep(0)
    gate.open()
    results = await asyncio.gather(held, *reading, return_exceptions=True)
    assert len([each for each in results if isinstance(each, DatabaseUnavailableError)]) == 11
    assert results.count(None) == 1_000


async def test_a_caller_that_left_is_skipped_and_the_others_are_served(database: Database) -> None:
    gate, held = await block_writers(database)
    writing = [asyncio.create_task(database.write(insert, number)) for number in range(10)]
    await asyncio.sleep(0)
    for task in writing[::2]:
        task.cancel()
    await asyncio.sleep(0)
    gate.open()
    await asyncio.gather(*held, *writing[1::2])
    assert await database.read(find_all) == [1, 3, 5, 7, 9]


async def test_a_caller_that_leaves_while_it_is_served_harms_no_other(database: Database) -> None:
    gate, held = await block_writers(database)
    writing = asyncio.create_task(database.write(insert, 1))
    await asyncio.sleep(0)
    held[0].cancel()
    await asyncio.sleep(0)
    gate.open()
    assert await writing == 1
    assert await database.write(insert, 2) == 2


async def test_callers_of_a_loop_that_has_ended_harm_no_other(database: Database) -> None:
    gate, held = await block_writers(database)

    async def ask_and_leave() -> None:
        asyncio.create_task(database.write(insert, 1)).add_done_callback(lambda task: None)
        await asyncio.sleep(0)

    async def ask_elsewhere() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(database.write(insert, 2), 0.01)

    await asyncio.to_thread(asyncio.run, ask_elsewhere())
    await asyncio.to_thread(asyncio.run, ask_and_leave())
    gate.open()
    await asyncio.gather(*held)
    assert await database.write(insert, 3) == 3
    assert await database.read(find_all) == [3]
