import pytest

from signalbox.infra.db import Database
from signalbox.infra.jobs import NewJob, enqueue_many, find_jobs
from signalbox.infra.jobs.outcomes import LOST
from signalbox.infra.jobs.sqlite import SqliteQueue

NOW = 1_767_225_600_000_000

pytestmark = pytest.mark.parametrize("place", ["sqlite"], indirect=True)


def ignore(_kind: str, _due_at: int) -> None:
    """Nobody waits."""


async def test_what_a_predecessor_left_running_is_free_at_once(database: Database) -> None:
    predecessor = SqliteQueue(database)
    new = [NewJob("test.work", {}), NewJob("test.work", {}, max_attempts=1), NewJob("test.work", {})]
    await database.write(enqueue_many, new, now=NOW)
    first, second = await predecessor.claim("test.work", worker="old", limit=2, now=NOW)
    queue = SqliteQueue(database)
    await queue.open(ignore, now=NOW + 1)
    stored = {job.id: (job.state, job.attempts, job.error) for job in await database.read(find_jobs, limit=9)}
    assert stored[first.id] == ("waiting", 1, LOST)
    assert stored[second.id] == ("dead", 1, LOST), "it may have been what ended the process"
    assert len(await queue.claim("test.work", worker="new", limit=9, now=NOW + 1)) == 2
    await queue.close()
