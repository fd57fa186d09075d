"""No-op jobs in the hub's engine.

``fill COUNT`` makes the tables and enqueues; ``work`` works until it is stopped;
``latency COUNT`` enqueues single jobs on an idle worker and prints the milliseconds until each began, as JSON.

``DATABASE`` is an address of PostgreSQL, or the folder for a file of SQLite.
"""

import asyncio
import json
import os
import random
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path

import uvloop
from progress import Progress

from signalbox.infra.clock.system import SystemClock
from signalbox.infra.db import Database
from signalbox.infra.db.migrate import upgrade
from signalbox.infra.db.postgresql import open_postgresql, postgresql_engine
from signalbox.infra.db.sqlite import open_sqlite, sqlite_engine
from signalbox.infra.jobs import Handler, Job, JobQueue, Kind, NewJob, enqueue, enqueue_many
from signalbox.infra.jobs.postgresql import PostgresqlQueue
from signalbox.infra.jobs.sqlite import SqliteQueue
from signalbox.infra.jobs.worker import Worker

KIND = "bench.noop"
PLACE = os.environ["DATABASE"]
IS_POSTGRESQL = PLACE.startswith("postgresql:")
FILE = Path(PLACE) / "jobs.db"
AT_ONCE = 2_000
CLOCK = SystemClock()


def open_database() -> Database:
    """Open the database."""
    return open_postgresql(PLACE) if IS_POSTGRESQL else open_sqlite(FILE)


async def fill(count: int) -> None:
    """Enqueue so many."""
    engine = postgresql_engine(PLACE) if IS_POSTGRESQL else sqlite_engine(FILE)
    upgrade(engine, "main")
    db = open_database()
    for start in range(0, count, 1_000):
        new = [NewJob(KIND, {"number": number}) for number in range(start, min(start + 1_000, count))]
        await db.write(enqueue_many, new, now=CLOCK.now())
    await db.close()
    if IS_POSTGRESQL:  # what autovacuum does by itself a minute later
        with engine.connect() as tx:
            tx.exec_driver_sql("ANALYZE job")
    engine.dispose()


async def work() -> None:
    """Do what is there."""
    progress = Progress()

    async def noop(_job: Job) -> None:
        progress.mark()

    async with AsyncExitStack() as stack:
        await _start(stack, noop)
        await asyncio.Event().wait()


async def latency(count: int) -> None:
    """Enqueue now and then, and see how long it takes until the job begins.

    On PostgreSQL from a connection that the worker does not watch, as another process would: it hears by NOTIFY.
    """
    begun: asyncio.Queue[float] = asyncio.Queue()

    async def note(_job: Job) -> None:
        begun.put_nowait(time.perf_counter())

    async with AsyncExitStack() as stack:
        db = await _start(stack, note)
        if IS_POSTGRESQL:
            db = open_database()
            stack.push_async_callback(db.close)
        await asyncio.sleep(1)
        found = []
        for _ in range(count):
            await asyncio.sleep(random.uniform(0.005, 0.02))
            started = time.perf_counter()
            await db.write(enqueue, KIND, {}, now=CLOCK.now())
            found.append(1_000 * (await begun.get() - started))
        print(json.dumps(found))


async def _start(stack: AsyncExitStack, handle: Handler) -> Database:
    db = open_database()
    stack.push_async_callback(db.close)
    queue: JobQueue = PostgresqlQueue(db, PLACE) if IS_POSTGRESQL else SqliteQueue(db)
    worker = Worker(queue, {KIND: Kind(handle, concurrency=AT_ONCE)}, CLOCK, name="bench")
    await worker.open()
    stack.push_async_callback(worker.close, drain=0)
    return db


if __name__ == "__main__":
    what, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0  # noqa: PLR2004
    uvloop.run({"fill": lambda: fill(count), "work": work, "latency": lambda: latency(count)}[what]())
