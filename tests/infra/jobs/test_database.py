from signalbox.infra.db import Database
from signalbox.infra.jobs import NewJob, enqueue_many
from signalbox.infra.jobs.database import RECOVERED_AT_ONCE, DatabaseQueue

NOW = 1_767_225_600_000_000
LEASE = 5_000_000


async def test_all_that_is_lost_is_taken_back_however_much_it_is(database: Database) -> None:
    queue = DatabaseQueue(database, lease=LEASE)
    count = RECOVERED_AT_ONCE + 10
    await database.write(enqueue_many, [NewJob("test.work", {})] * count, now=NOW)
    jobs = await queue.claim("test.work", worker="w", limit=count, now=NOW)
    assert {job.lease_until for job in jobs} == {NOW + LEASE}
    assert await queue.recover(now=NOW + LEASE - 1) == 0
    assert await queue.recover(now=NOW + LEASE) == count
    assert await queue.next_due(("test.work",)) == {"test.work": NOW + LEASE}


async def test_one_that_was_never_opened_can_be_closed(database: Database) -> None:
    await DatabaseQueue(database).close()
