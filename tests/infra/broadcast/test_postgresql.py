import asyncio
import logging
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import sqlalchemy as sa

from signalbox.infra.broadcast.postgresql import PostgresqlBroadcast
from signalbox.infra.db import Database
from tests.support.databases import PostgresqlPlace, PostgresqlServer
from tests.support.processes import ROOT
from tests.support.timing import PATIENCE, until
from tests.support.wire import Wire

pytestmark = pytest.mark.parametrize("place", ["postgresql"], indirect=True)

CHILD = """
import asyncio, sys
from signalbox.infra.broadcast.postgresql import PostgresqlBroadcast
from signalbox.infra.db.postgresql import open_postgresql

async def main():
    database, broadcast = open_postgresql(sys.argv[1]), PostgresqlBroadcast(sys.argv[1])
    for number in range(int(sys.argv[2])):
        await database.write(lambda tx: broadcast.publish(tx, "news", str(number)))
    await database.close()

asyncio.run(main())
"""


@asynccontextmanager
async def opened(
    place: PostgresqlPlace, *, pause: float = 0.05, silence: float = 5.0
) -> AsyncIterator[PostgresqlBroadcast]:
    broadcast = PostgresqlBroadcast(place.url, pause=pause, silence=silence)
    await broadcast.open()
    yield broadcast
    await broadcast.close()


@pytest.fixture
async def elsewhere(place: PostgresqlPlace) -> AsyncIterator[Database]:
    """The database as another process has it open."""
    made = place.open()
    yield made
    await made.close()


def listeners(tx: sa.Connection) -> int:
    of_ours = "datname = current_database() AND application_name = 'signalbox-broadcast'"
    return int(tx.exec_driver_sql(f"SELECT count(*) FROM pg_stat_activity WHERE {of_ours}").scalar_one())


def break_off(place: PostgresqlPlace) -> None:
    engine = place.engine()
    with engine.connect() as tx:
        tx.exec_driver_sql(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'signalbox-broadcast'"
        )
    engine.dispose()


async def test_other_processes_hear_without_being_asked_to_look(place: PostgresqlPlace, elsewhere: Database) -> None:
    async with opened(place) as here, opened(place) as there:
        await until(lambda: here.hears and there.hears)
        heard: list[str | None] = []
        here.subscribe("news", heard.append)
        delays = []
        for number in range(30):
            told = time.perf_counter()
            await elsewhere.write(lambda tx, number=number: there.publish(tx, "news", str(number)))  # type: ignore[misc]
            await until(lambda number=number: len(heard) > number)  # type: ignore[misc]
            delays.append(time.perf_counter() - told)
        assert heard == [str(number) for number in range(30)]
        assert min(delays) < 0.5  # what polls is later; the slower ones tell of the machine


async def test_one_connection_serves_all_channels(place: PostgresqlPlace, database: Database) -> None:
    async with opened(place) as broadcast:
        for number in range(20):
            broadcast.subscribe(f"channel-{number}", print)
        await until(lambda: broadcast.hears)
        assert await database.read(listeners) == 1
    async with asyncio.timeout(PATIENCE):
        while await database.read(listeners):
            await asyncio.sleep(0.01)


async def test_a_real_process_is_heard(place: PostgresqlPlace) -> None:
    async with opened(place) as broadcast:
        await until(lambda: broadcast.hears)
        heard: list[str | None] = []
        broadcast.subscribe("news", heard.append)
        words = [sys.executable, "-c", CHILD, place.url, "25"]
        await asyncio.to_thread(subprocess.run, words, cwd=ROOT, check=True, timeout=30)
        await until(lambda: heard == [str(number) for number in range(25)])


async def test_after_a_break_all_are_told_that_they_may_have_missed_something(
    place: PostgresqlPlace, database: Database, elsewhere: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with opened(place) as here, opened(place) as there:
        await until(lambda: here.hears and there.hears)
        news, weather = list[str | None](), list[str | None]()
        here.subscribe("news", news.append)
        here.subscribe("weather", weather.append)
        await asyncio.to_thread(break_off, place)
        await until(lambda: None in news and None in weather and here.hears)
        assert {"other processes cannot be heard", "other processes are heard again"} <= set(caplog.messages)
        await elsewhere.write(lambda tx: there.publish(tx, "news", "after"))
        await until(lambda: news[-1] == "after")


async def test_without_the_server_it_goes_on_trying_and_hears_itself(
    place: PostgresqlPlace, database: Database, postgresql_server: PostgresqlServer
) -> None:
    await database.write(lambda tx: tx.exec_driver_sql("SELECT 1"))
    with postgresql_server.closed(place):
        async with opened(place) as broadcast:
            heard: list[str | None] = []
            broadcast.subscribe("news", heard.append)
            await asyncio.sleep(0.1)
            assert not broadcast.hears
    async with opened(PostgresqlPlace("postgresql://nobody@127.0.0.1:1/nothing")) as deaf:
        deaf.subscribe("news", heard.append)
        await database.write(lambda tx: deaf.publish(tx, "news", "to myself"))
        assert heard == ["to myself"]
        assert not deaf.hears


async def test_a_peer_that_fell_silent_is_noticed(place: PostgresqlPlace) -> None:
    wire = Wire(place)
    async with wire.open() as behind, opened(behind, silence=0.3) as broadcast:
        await until(lambda: broadcast.hears)
        heard: list[str | None] = []
        broadcast.subscribe("news", heard.append)
        wire.cut = True
        await until(lambda: not broadcast.hears, within=8)  # the driver alone would take 10 s
        wire.cut = False
        await until(lambda: heard and broadcast.hears, within=30)
        assert set(heard) == {None}


async def test_a_silent_connection_is_tried(place: PostgresqlPlace, elsewhere: Database) -> None:
    async with opened(place, silence=0.02) as here:
        await until(lambda: here.hears)
        heard: list[str | None] = []
        here.subscribe("news", heard.append)
        await asyncio.sleep(0.1)
        there = PostgresqlBroadcast(place.url)
        for number in range(50):
            await elsewhere.write(lambda tx, number=number: there.publish(tx, "news", str(number)))  # type: ignore[misc]
            await asyncio.sleep(0.002)
        await until(lambda: heard == [str(number) for number in range(50)])
