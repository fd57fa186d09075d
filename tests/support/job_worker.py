"""A process that works on jobs: ``python -m tests.support.job_worker URL WORKER``.

``test.note`` writes a row in the transaction in which its job is done; ``test.poison`` kills its process.
"""

import asyncio
import os
import random
import signal
import sys
from pathlib import Path

import sqlalchemy as sa
import uvloop

from signalbox.infra.clock.system import SystemClock
from signalbox.infra.db.postgresql import open_postgresql, postgresql_engine
from signalbox.infra.db.sqlite import open_sqlite, sqlite_engine
from signalbox.infra.jobs import Backoff, Done, Job, Kind
from signalbox.infra.jobs.database import DatabaseQueue
from signalbox.infra.jobs.postgresql import PostgresqlQueue
from signalbox.infra.jobs.sqlite import SqliteQueue
from signalbox.infra.jobs.worker import Worker

LEASE = 1_000_000
HEARTBEAT = 0.25

note = sa.Table("test_note", sa.MetaData(), sa.Column("job", sa.BigInteger), sa.Column("claim", sa.BigInteger))


def open_engine(url: str) -> sa.Engine:
    """A plain engine; whoever asks for it disposes of it."""
    if url.startswith("sqlite:///"):
        return sqlite_engine(Path(url.removeprefix("sqlite:///")))
    return postgresql_engine(url)


async def take_note(job: Job) -> Done:
    """Some work, then a row that is there exactly if the job is done."""
    await asyncio.sleep(random.uniform(0, 0.02))

    def write(tx: sa.Connection) -> None:
        tx.execute(note.insert().values(job=job.id, claim=job.claim))

    return Done(write)


async def poison(_job: Job) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def work(url: str, name: str) -> None:
    if url.startswith("sqlite:///"):
        db = open_sqlite(Path(url.removeprefix("sqlite:///")))
        queue: DatabaseQueue = SqliteQueue(db, lease=LEASE)
    else:
        db = open_postgresql(url)
        queue = PostgresqlQueue(db, url, lease=LEASE)
    kinds = {
        "test.note": Kind(take_note, concurrency=20, backoff=Backoff(50_000, 100_000)),
        "test.poison": Kind(poison),
    }
    worker = Worker(queue, kinds, SystemClock(), name=name, heartbeat=HEARTBEAT)
    await worker.open()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    print("working", flush=True)  # noqa: T201 - read by the test
    await stop.wait()
    await worker.close(drain=5)
    await db.close()


if __name__ == "__main__":
    uvloop.run(work(*sys.argv[1:]))
