import asyncio
import threading
import time

import pytest
import sqlalchemy as sa

from signalbox.infra.db import Database, DatabaseUnavailableError
from signalbox.infra.db import database as database_module
from signalbox.infra.db.sqlite import READERS
from tests.support.databases import Place
from tests.support.timing import PATIENCE


def answer(_tx: sa.Connection, *, value: int = 42) -> int:
    return value


async def test_reads_run_beside_each_other(place: Place) -> None:
    opened = place.open()
    together = threading.Barrier(READERS)
    await asyncio.gather(*(opened.read(lambda tx: together.wait(PATIENCE)) for _ in range(READERS)))
    await opened.close()


async def test_a_read_that_no_thread_takes_in_time_is_refused(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, release = threading.Semaphore(0), threading.Event()

    def hold(_tx: sa.Connection) -> bool:
        begun.release()
        return release.wait(PATIENCE)

    held = [asyncio.create_task(database.read(hold)) for _ in range(READERS)]
    for _ in range(READERS):
        assert await asyncio.to_thread(begun.acquire, timeout=PATIENCE)
    with monkeypatch.context() as patched:
        patched.setattr(database_module, "MAX_READ_WAIT_S", 0)
        late = asyncio.create_task(database.read(answer))
        await asyncio.sleep(0)
        release.set()
        with pytest.raises(DatabaseUnavailableError, match="no thread was free"):
            await late
    assert await asyncio.gather(*held) == [True] * READERS
    assert await database.read(answer) == 42


async def test_arguments_reach_the_function(database: Database) -> None:
    assert await database.read(answer, value=1) == 1
    assert await database.write(answer, value=2) == 2


async def test_close_waits_for_reads_under_way(place: Place) -> None:
    opened = place.open()
    begun, release = threading.Event(), threading.Event()

    def hold(tx: sa.Connection) -> int:
        begun.set()
        assert release.wait(PATIENCE)
        return tx.execute(sa.select(sa.literal(7))).scalar_one()

    reading = asyncio.create_task(opened.read(hold))
    await asyncio.to_thread(begun.wait, PATIENCE)
    closing = asyncio.create_task(opened.close())
    await asyncio.sleep(0)
    release.set()
    await closing
    assert await reading == 7


async def test_no_thread_is_left_after_close(place: Place) -> None:
    before = set(threading.enumerate())
    opened = place.open()
    await opened.read(answer)
    await opened.write(answer)
    ours = [each for each in threading.enumerate() if each not in before and each.name.startswith("signalbox")]
    assert ours
    await opened.close()
    assert not any(each.is_alive() for each in ours)


async def test_a_lone_write_does_not_wait_for_company(database: Database) -> None:
    await database.write(answer)
    spent = []
    for _ in range(20):
        started = time.perf_counter()
        await database.write(answer)
        spent.append(time.perf_counter() - started)
    assert min(spent) < 0.1  # the others may tell of a machine that halted
