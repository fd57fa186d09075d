import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa

from signalbox.infra.db import Database
from signalbox.infra.jobs import NewJob, Report, enqueue, enqueue_many, retry
from signalbox.infra.jobs.postgresql import PostgresqlQueue
from tests.support.databases import PostgresqlPlace
from tests.support.timing import PATIENCE, until

NOW = 1_767_225_600_000_000

pytestmark = pytest.mark.parametrize("place", ["postgresql"], indirect=True)


@pytest.fixture
async def elsewhere(place: PostgresqlPlace) -> AsyncIterator[Database]:
    """The database as another process has it open."""
    opened = place.open()
    yield opened
    await opened.close()


async def is_listening(database: Database) -> bool:
    return bool(await database.read(_listeners))


def _listeners(tx: sa.Connection) -> int:
    of_ours = "datname = current_database() AND application_name = 'signalbox-jobs' AND state = 'idle'"
    return int(tx.exec_driver_sql(f"SELECT count(*) FROM pg_stat_activity WHERE {of_ours}").scalar_one())


async def until_listening(database: Database) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await is_listening(database):
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.02)


async def test_other_processes_are_told(place: PostgresqlPlace, database: Database, elsewhere: Database) -> None:
    heard: list[str] = []
    queue = PostgresqlQueue(database, place.url)
    await queue.open(lambda kind, _due_at: heard.append(kind), now=NOW)
    await until_listening(database)
    number = await elsewhere.write(enqueue, "test.one", {}, now=NOW)
    await until(lambda: heard == ["test.one"])
    await elsewhere.write(enqueue_many, [NewJob("test.two", {}), NewJob("test.three", {})] * 5, now=NOW)
    await until(lambda: sorted(heard) == ["test.one", "test.three", "test.two"])
    heard.clear()
    other = PostgresqlQueue(elsewhere, place.url)
    (job,) = await other.claim("test.one", worker="w", limit=9, now=NOW)
    await other.record([Report(job, "waiting", NOW, 1)], now=NOW)
    await until(lambda: heard == ["test.one"])
    await elsewhere.write(retry, number or 0, now=NOW)
    await until(lambda: heard == ["test.one"] * 2)
    await queue.close()
    assert not await is_listening(database)


async def test_a_connection_that_breaks_is_opened_again(
    place: PostgresqlPlace, database: Database, elsewhere: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    heard: list[str] = []
    queue = PostgresqlQueue(database, place.url, pause=0.05)
    await queue.open(lambda kind, _due_at: heard.append(kind), now=NOW)
    for _ in range(2):
        await until_listening(database)
        engine = place.engine()
        with engine.connect() as tx:
            tx.exec_driver_sql(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'signalbox-jobs'"
            )
        engine.dispose()
        await until(lambda: caplog.messages and "cannot be heard" in caplog.messages[-1])
        await until(lambda: "heard again" in caplog.messages[-1])
    await elsewhere.write(enqueue, "test.one", {}, now=NOW)
    await until(lambda: heard == ["test.one"])
    await queue.close()


async def test_a_wrong_password_is_not_in_the_log(
    place: PostgresqlPlace, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    queue = PostgresqlQueue(database, "postgresql://hub:hunter2@127.0.0.1:1/hub", pause=0.01)
    await queue.open(lambda _kind, _due_at: None, now=NOW)
    await until(lambda: caplog.messages)
    await queue.close()
    assert len(caplog.messages) == 1
    assert "hunter2" not in caplog.text
    assert not any("hunter2" in str(vars(record)) for record in caplog.records)
