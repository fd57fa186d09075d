"""No-op jobs in PgQueuer: ``fill COUNT`` installs its tables and enqueues; ``work`` works until it is stopped."""

import os
import sys

import asyncpg
import uvloop
from pgqueuer import AsyncpgDriver, Job, PgQueuer, Queries
from progress import Progress

BATCH = int(os.environ.get("BATCH", "1000"))


async def fill(count: int) -> None:
    """Enqueue so many."""
    connection = await asyncpg.connect(os.environ["DATABASE"])
    queries = Queries(AsyncpgDriver(connection))
    await queries.install()
    for start in range(0, count, 1_000):
        size = min(1_000, count - start)
        await queries.enqueue(["noop"] * size, [b"%d" % (start + number) for number in range(size)], [0] * size)
    await connection.close()


async def work() -> None:
    """Do what is there."""
    connection = await asyncpg.connect(os.environ["DATABASE"])
    queuer, progress = PgQueuer(AsyncpgDriver(connection)), Progress()

    @queuer.entrypoint("noop")
    async def noop(_job: Job) -> None:
        progress.mark()

    await queuer.run(batch_size=BATCH)


if __name__ == "__main__":
    uvloop.run(fill(int(sys.argv[2])) if sys.argv[1] == "fill" else work())
