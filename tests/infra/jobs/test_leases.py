import asyncio

import pytest
import sqlalchemy as sa

from signalbox.infra.db import Database
from signalbox.infra.jobs import NewJob, enqueue_many, find_jobs
from signalbox.infra.jobs.leases import end_leases, first_lapse, recover, renew
from signalbox.infra.jobs.outcomes import of_outcome
from signalbox.infra.jobs.queue import claim, record
from tests.support.databases import Place
from tests.support.timing import PATIENCE

NOW = 1_767_225_600_000_000
SECOND = 1_000_000
LEASE = 10 * SECOND


async def put(database: Database, count: int) -> None:
    await database.write(enqueue_many, [NewJob("test.work", {})] * count, now=NOW)


async def test_the_first_lease_to_end(database: Database) -> None:
    assert await database.read(first_lapse) is None
    await put(database, 2)
    assert await database.read(first_lapse) is None
    for now in (NOW + 5, NOW + 3):
        await database.write(claim, "test.work", worker="w", limit=1, now=now, lease=LEASE)
    assert await database.read(first_lapse) == NOW + 3 + LEASE


async def test_what_is_lost_is_taken_back_in_batches(database: Database) -> None:
    await put(database, 10)
    await database.write(claim, "test.work", worker="w", limit=10, now=NOW, lease=LEASE)
    found = [await database.write(recover, now=NOW + LEASE, limit=limit, fractions=[0.5] * 4) for limit in (3, 9, 9, 9)]
    assert found == [3, 4, 3, 0]


async def test_all_leases_can_be_ended_at_once(database: Database) -> None:
    await put(database, 3)
    await database.write(claim, "test.work", worker="w", limit=2, now=NOW, lease=LEASE)
    assert await database.write(end_leases, now=NOW + 1) == 2
    assert await database.write(recover, now=NOW + 1, limit=9, fractions=[0.5] * 9) == 2
    assert {job.state for job in await database.read(find_jobs, limit=9)} == {"waiting"}


async def test_a_fresh_lease_is_not_written_again(database: Database) -> None:
    await put(database, 1)
    await database.write(claim, "test.work", worker="w", limit=1, now=NOW, lease=LEASE)
    held = await database.write(renew, worker="w", now=NOW + SECOND, lease=LEASE)
    assert [each.lease_until for each in held.values()] == [NOW + LEASE]
    held = await database.write(renew, worker="w", now=NOW + 3 * SECOND, lease=LEASE)
    assert [each.lease_until for each in held.values()] == [NOW + 3 * SECOND + LEASE]


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
async def test_who_renews_does_not_wait_for_who_records(place: Place) -> None:
    """The two would otherwise wait for each other where both change the same rows in another order."""
    database = place.open()
    await put(database, 3)
    jobs = await database.write(claim, "test.work", worker="w", limit=3, now=NOW, lease=LEASE)

    def record_and_renew_elsewhere(tx: sa.Connection) -> list[int]:
        record(tx, [of_outcome(jobs[0], None)], now=NOW)
        engine = place.engine()
        with engine.begin() as other:
            other.exec_driver_sql("SET LOCAL lock_timeout = '2s'")
            held = renew(other, worker="w", now=NOW + 5 * SECOND, lease=LEASE)
        engine.dispose()
        return sorted(number for number, each in held.items() if each.lease_until > NOW + LEASE)

    async with asyncio.timeout(PATIENCE):
        renewed = await database.write(record_and_renew_elsewhere)
    assert renewed == [jobs[1].id, jobs[2].id]
    await database.close()
