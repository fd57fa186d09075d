import asyncio

import pytest
import sqlalchemy as sa

from signalbox.core.errors import ConflictError
from signalbox.infra.db import Database
from signalbox.infra.db.wake import CommitWatch, mark, notify
from tests.support.timing import until


def mark_some(tx: sa.Connection, *marks: tuple[str, int]) -> None:
    for kind, due_at in marks:
        mark(tx, kind, due_at)


def read_nothing(tx: sa.Connection) -> None:
    tx.exec_driver_sql("SELECT 1")


class Ear(list[tuple[str, int]]):
    def __call__(self, kind: str, due_at: int) -> None:
        assert asyncio.get_running_loop()
        self.append((kind, due_at))


async def test_each_kind_is_told_once_with_its_soonest_moment(database: Database) -> None:
    ear = Ear()
    watch = CommitWatch(database, ear)
    await watch.open()
    await database.write(mark_some, ("a.b", 5), ("a.b", 3), ("a.b", 4), ("c.d", 9))
    await until(lambda: len(ear) == 2)
    assert sorted(ear) == [("a.b", 3), ("c.d", 9)]
    await database.write(read_nothing)
    await database.write(mark_some, ("a.b", 7))
    await until(lambda: len(ear) == 3)
    assert ear[2] == ("a.b", 7)
    watch.close()
    await database.write(mark_some, ("a.b", 8))
    await asyncio.sleep(0.05)
    assert len(ear) == 3
    watch.close()


async def test_several_may_watch(database: Database) -> None:
    ears = [Ear(), Ear()]
    watches = [CommitWatch(database, ear) for ear in ears]
    for watch in watches:
        await watch.open()
    await database.write(mark_some, ("a.b", 5))
    await until(lambda: all(ears))
    for watch in watches:
        watch.close()


async def test_a_failed_transaction_harms_nobody(database: Database) -> None:
    def fail(tx: sa.Connection) -> None:
        mark(tx, "a.b", 1)
        msg = "no"
        raise ConflictError(msg)

    ear = Ear()
    watch = CommitWatch(database, ear)
    await watch.open()
    with pytest.raises(ConflictError):
        await database.write(fail)
    await database.write(mark_some, ("c.d", 2))
    await until(lambda: ("c.d", 2) in ear)
    watch.close()


async def test_a_loop_that_has_ended_harms_nobody(database: Database) -> None:
    watch = CommitWatch(database, Ear())
    await asyncio.to_thread(asyncio.run, watch.open())
    await database.write(mark_some, ("a.b", 1))
    await database.write(notify, {"a.b"})
    watch.close()
