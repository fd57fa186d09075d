import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, ProgrammingError

from signalbox.core.errors import InvalidError
from signalbox.infra.db import CommitUnknownError, DatabaseUnavailableError
from signalbox.infra.db.sqlite import sqlite_engine
from signalbox.infra.db.writer import MAX_BATCH, ChangeCount, Write, WriteQueue, Writer, to_unavailable


class Room:
    """A queue and the engine of a file; each commit is noted."""

    def __init__(self, path: Path) -> None:
        self.engine = sqlite_engine(path)
        self.queue = WriteQueue()
        self.commits = self.rollbacks = 0
        with self.engine.begin() as tx:
            tx.exec_driver_sql("CREATE TABLE item (id INTEGER PRIMARY KEY)")
        sa.event.listen(self.engine, "commit", self._committed)
        sa.event.listen(self.engine, "rollback", self._rolled_back)

    def put(self, fn: Any) -> "asyncio.Future[Any]":
        loop = asyncio.get_running_loop()
        write = Write(fn, loop, loop.create_future())
        self.queue.put(write)
        return write.future

    async def work(self, change_count: ChangeCount | None = None) -> None:
        """Let one writer do what waits, and end."""
        writer = Writer(self.engine, self.queue, change_count=change_count)
        self.queue.stop()
        writer.start()
        await asyncio.to_thread(writer.join)
        await asyncio.sleep(0)

    def rows(self) -> list[int]:
        with self.engine.connect() as tx:
            return list(tx.exec_driver_sql("SELECT id FROM item ORDER BY id").scalars())

    def _committed(self, _tx: sa.Connection) -> None:
        self.commits += 1

    def _rolled_back(self, _tx: sa.Connection) -> None:
        self.rollbacks += 1


class Insert:
    """Inserts a row, and counts how often it is run."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.runs = 0

    def __call__(self, tx: sa.Connection) -> int:
        self.runs += 1
        tx.exec_driver_sql("INSERT INTO item VALUES (?)", (self.number,))
        return self.number


def refuse(_tx: sa.Connection) -> None:
    msg = "no"
    raise InvalidError(msg)


def insert_and_refuse(tx: sa.Connection) -> None:
    tx.exec_driver_sql("INSERT INTO item VALUES (1000)")
    refuse(tx)


def count_changes(tx: sa.Connection) -> int:
    connection: Any = tx.connection.driver_connection
    return int(connection.total_changes)


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    made = Room(tmp_path / "room.db")
    yield made
    made.engine.dispose()


# -- the queue --------------------------------------------------------------------------------------------------------


@pytest.fixture
def write() -> Iterator[Write]:
    loop = asyncio.new_event_loop()
    yield Write(refuse, loop, loop.create_future())
    loop.close()


def test_all_that_waits_is_taken_in_order(room_queue: WriteQueue, write: Write) -> None:
    other = Write(insert_and_refuse, write.loop, write.future)
    room_queue.put(write)
    room_queue.put(other)
    batch, ended = room_queue.take()
    assert [each.fn for each in batch] == [refuse, insert_and_refuse]
    assert not ended


def test_a_batch_is_bounded(room_queue: WriteQueue, write: Write) -> None:
    for _ in range(MAX_BATCH + 3):
        room_queue.put(write)
    room_queue.stop()
    first, ended = room_queue.take()
    assert (len(first), ended) == (MAX_BATCH, False)
    rest, ended = room_queue.take()
    assert (len(rest), ended) == (3, True)


def test_each_stop_ends_one_thread(room_queue: WriteQueue) -> None:
    room_queue.stop()
    room_queue.stop()
    assert [room_queue.take(), room_queue.take()] == [([], True), ([], True)]


def test_a_full_queue_refuses(write: Write) -> None:
    queue = WriteQueue(capacity=2)
    queue.put(write)
    queue.put(write)
    with pytest.raises(DatabaseUnavailableError, match="2 writes already wait"):
        queue.put(write)
    queue.take()
    queue.put(write)


@pytest.fixture
def room_queue() -> WriteQueue:
    return WriteQueue()


# -- groups -----------------------------------------------------------------------------------------------------------


async def test_what_waits_together_is_committed_together(room: Room) -> None:
    answers = [room.put(Insert(number)) for number in range(200)]
    await room.work()
    assert [each.result() for each in answers] == list(range(200)) == room.rows()
    assert room.commits == 1


async def test_a_refusal_before_any_change_costs_its_batch_nothing(room: Room) -> None:
    inserts = [Insert(number) for number in range(10)]
    answers = [room.put(fn) for fn in (*inserts[:5], refuse, *inserts[5:])]
    await room.work(count_changes)
    assert isinstance(answers[5].exception(), InvalidError)
    assert [each.runs for each in inserts] == [1] * 10
    assert room.commits == 1
    assert room.rows() == list(range(10))


@pytest.mark.parametrize("count", [count_changes, None])
async def test_after_a_refusal_that_changed_something_each_is_run_alone(room: Room, count: ChangeCount | None) -> None:
    inserts = [Insert(number) for number in range(10)]
    answers = [room.put(fn) for fn in (*inserts, insert_and_refuse)]
    await room.work(count)
    assert isinstance(answers[10].exception(), InvalidError)
    assert [each.runs for each in inserts] == [2] * 10
    assert room.commits == 10
    assert room.rows() == list(range(10))


async def test_a_lone_function_that_fails_is_not_repeated(room: Room) -> None:
    insert = Insert(1)
    assert await_all(await work_on(room, insert)) == [1]
    (answer,) = await work_on(room, insert)
    assert isinstance(answer.exception(), IntegrityError)
    assert insert.runs == 2


async def work_on(room: Room, *functions: Any) -> list["asyncio.Future[Any]"]:
    answers = [room.put(fn) for fn in functions]
    await room.work()
    return answers


def await_all(answers: list["asyncio.Future[Any]"]) -> list[Any]:
    return [each.result() for each in answers]


async def test_a_caller_that_has_left_is_not_served(room: Room) -> None:
    inserts = [Insert(1), Insert(2)]
    answers = [room.put(fn) for fn in inserts]
    answers[0].cancel()
    await room.work()
    assert [each.runs for each in inserts] == [0, 1]
    assert room.rows() == [2]


async def test_where_no_transaction_begins_all_are_told_at_once_and_none_has_run(tmp_path: Path) -> None:
    room = Room(tmp_path / "room.db")
    attempts = []

    def refuse_to_connect(*_arguments: Any) -> None:
        attempts.append(1)
        msg = "away"
        raise sqlite3.OperationalError(msg)

    room.engine.dispose()
    sa.event.listen(room.engine, "do_connect", refuse_to_connect)
    inserts = [Insert(number) for number in range(100)]
    answers = await work_on(room, *inserts)
    assert {type(each.exception()) for each in answers} == {DatabaseUnavailableError}
    assert "away" in str(answers[0].exception())
    assert sum(each.runs for each in inserts) == 0
    assert len(attempts) == 1


async def test_a_commit_that_is_refused_is_repeated_for_each_alone(room: Room) -> None:
    with room.engine.begin() as tx:
        tx.exec_driver_sql(
            "CREATE TABLE child (id INTEGER REFERENCES item DEFERRABLE INITIALLY DEFERRED)",
        )

    def orphan(tx: sa.Connection) -> None:
        tx.exec_driver_sql("INSERT INTO child VALUES (77)")

    answers = await work_on(room, Insert(1), orphan, Insert(2))
    assert isinstance(answers[1].exception(), IntegrityError)
    assert room.rows() == [1, 2]


# -- what callers are told --------------------------------------------------------------------------------------------


def sqlite_error(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("first line\nsecond line")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    "code", [sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY]
)
def test_an_absent_or_locked_database_is_unavailable(code: int) -> None:
    error = OperationalError("SELECT 1", None, sqlite_error(code))
    told = to_unavailable(error)
    assert isinstance(told, DatabaseUnavailableError)
    assert str(told) == "the database does not answer: first line"
    assert told.__cause__ is error


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("SELECT 1", None, sqlite_error(sqlite3.SQLITE_ERROR)),
        ProgrammingError("SELECT 1", None, Exception("syntax")),
        IntegrityError("SELECT 1", None, Exception("twice")),
        CommitUnknownError("perhaps"),
        InvalidError("no"),
        KeyError("key"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_all_else_stays_itself(error: Exception) -> None:
    assert to_unavailable(error) is error


def test_writing_in_a_read_is_the_reader_s_mistake() -> None:
    error = OperationalError("INSERT", None, sqlite_error(sqlite3.SQLITE_READONLY))
    assert to_unavailable(error, reading=True) is error
    assert isinstance(error, DBAPIError)
