import threading
from typing import Any

import pytest
import sqlalchemy as sa

from signalbox.infra.db import Database
from signalbox.infra.jobs import (
    JobEndedError,
    KeyInUseError,
    NewJob,
    Report,
    delete_ended,
    enqueue,
    enqueue_many,
    find_jobs,
    free_key,
    is_live,
    retry,
    retry_many,
)
from signalbox.infra.jobs.queue import claim, record
from tests.support.databases import Place

NOW = 1_767_225_600_000_000


async def fill(database: Database) -> list[int]:
    """Ten jobs of two kinds, two of each state; their ids."""
    new = [NewJob(f"test.{'ab'[number % 2]}", {"n": number}) for number in range(10)]
    await database.write(enqueue_many, new, now=NOW)
    states: list[Any] = ["done", "dead", "cancelled"]
    for kind in ("test.a", "test.b"):
        jobs = await database.write(claim, kind, worker="w", limit=4, now=NOW, lease=9)
        for number, (job, state) in enumerate(zip(jobs, states, strict=False)):
            await database.write(record, [Report(job, state, NOW, error="x")], now=NOW + number)
    return [job.id for job in await database.read(find_jobs, limit=99)]


async def ids(database: Database, **wanted: Any) -> list[int]:
    return [job.id for job in await database.read(find_jobs, **{"limit": 99, **wanted})]


async def test_lists(database: Database) -> None:
    given = await fill(database)
    assert given == sorted(given, reverse=True)
    assert await ids(database, limit=3) == given[:3]
    assert await ids(database, before=given[2], limit=3) == given[3:6]
    assert await ids(database, kind="test.a") == given[1::2]
    by_state: list[Any] = ["waiting", "running", "cancelled", "dead", "done"]
    for position, state in enumerate(by_state):
        assert await ids(database, state=state) == given[2 * position : 2 * position + 2]
    assert await ids(database, state="dead", kind="test.b", before=given[6] + 1) == [given[6]]


async def test_what_has_ended_is_swept_by_age(database: Database) -> None:
    given = await fill(database)
    assert await database.write(delete_ended, state="dead", older_than=NOW + 1, limit=9) == 0
    assert await database.write(delete_ended, state="dead", older_than=NOW + 2, limit=1) == 1
    assert await database.write(delete_ended, state="dead", older_than=NOW + 2, limit=9) == 1
    assert await database.write(delete_ended, state="done", older_than=NOW + 99, limit=9) == 2
    assert await ids(database) == given[:6]
    for state in ("waiting", "running"):
        with pytest.raises(JobEndedError):
            await database.write(delete_ended, state=state, older_than=NOW + 99, limit=9)


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
async def test_a_key_that_comes_into_use_meanwhile_is_told(place: Place, database: Database) -> None:
    number = await database.write(enqueue, "test.work", {}, now=NOW, key="k")
    (job,) = await database.write(claim, "test.work", worker="w", limit=1, now=NOW, lease=9)
    await database.write(record, [Report(job, "dead", NOW)], now=NOW)
    engine = place.engine()
    with engine.connect() as other:
        enqueue(other, "test.work", {}, now=NOW, key="k")
        timer = threading.Timer(0.3, other.commit)

        def retry_while_the_other_is_not_committed(tx: sa.Connection) -> None:
            timer.start()
            retry(tx, number or 0, now=NOW)

        with pytest.raises(KeyInUseError):
            await database.write(retry_while_the_other_is_not_committed)
        timer.join()
    engine.dispose()


async def test_many_run_again_those_that_ended_first_before_others(database: Database) -> None:
    await fill(database)
    assert await database.write(retry_many, state="dead", kind="test.c", limit=9, now=NOW + 9) == 0
    assert await database.write(retry_many, state="dead", ended_before=NOW + 1, limit=9, now=NOW + 9) == 0
    assert await database.write(retry_many, state="dead", kind="test.b", limit=9, now=NOW + 9) == 1
    assert await database.write(retry_many, state="dead", limit=1, now=NOW + 9) == 1
    assert await database.write(retry_many, state="dead", limit=9, now=NOW + 9) == 0
    assert await database.write(retry_many, state="cancelled", limit=9, now=NOW + 9) == 2
    again = [job for job in await database.read(find_jobs, state="waiting", limit=99) if job.due_at == NOW + 9]
    assert [(job.attempts, job.ended_at, job.cancel_at) for job in again] == [(0, None, None)] * 4
    for state in ("done", "waiting", "running"):
        with pytest.raises(JobEndedError):
            await database.write(retry_many, state=state, limit=9, now=NOW)


async def test_of_many_with_one_key_one_runs_again(database: Database) -> None:
    async def die(key: str | None) -> int:
        number = await database.write(enqueue, "test.work", {}, now=NOW, key=key)
        (job,) = await database.write(claim, "test.work", worker="w", limit=1, now=NOW, lease=9)
        await database.write(record, [Report(job, "dead", NOW)], now=NOW)
        assert number == job.id
        return number

    numbers = [await die(key) for key in ("a", "a", "b", "b", None, None)]
    live = await database.write(enqueue, "test.work", {}, now=NOW, key="b")
    assert await database.write(retry_many, state="dead", limit=9, now=NOW) == 3
    assert await ids(database, state="waiting") == [live, numbers[5], numbers[4], numbers[0]]
    assert await database.write(retry_many, state="dead", limit=9, now=NOW) == 0


async def test_what_runs_again_wakes_its_workers(place: Place) -> None:
    engine = place.engine()
    with engine.begin() as tx:
        enqueue(tx, "test.work", {}, now=NOW)
        record(
            tx,
            [Report(job, "dead", NOW) for job in claim(tx, "test.work", worker="w", limit=1, now=NOW, lease=9)],
            now=NOW,
        )
        tx.info.clear()
        retry_many(tx, state="dead", limit=9, now=NOW + 1)
        assert tx.info["signalbox_jobs"] == {"test.work": NOW + 1}
    engine.dispose()


async def test_a_running_job_can_give_up_its_key_and_still_ends(database: Database) -> None:
    first = await database.write(enqueue, "test.a", {}, now=NOW, key="k")
    (job,) = await database.write(claim, "test.a", worker="w", limit=1, now=NOW, lease=9)
    assert await database.write(enqueue, "test.a", {}, now=NOW, key="k") is None
    assert not await database.write(free_key, job._replace(claim=job.claim + 1))
    assert await database.write(free_key, job)
    second = await database.write(enqueue, "test.a", {}, now=NOW, key="k")
    assert second is not None
    assert await database.write(record, [Report(job, "done", NOW)], now=NOW) == ["done"]
    assert await ids(database, state="done") == [first]
    assert not await database.write(free_key, job)


async def test_a_key_is_live_while_its_job_waits_or_runs(database: Database) -> None:
    async def live() -> tuple[bool, ...]:
        return tuple(
            [await database.read(is_live, kind, key) for kind, key in (("a.b", "k"), ("a.c", "k"), ("a.b", "o"))]
        )

    assert await live() == (False, False, False)
    await database.write(enqueue_many, [NewJob("a.b", {}, key="k")], now=NOW)
    assert await live() == (True, False, False)
    (job,) = await database.write(claim, "a.b", worker="w", limit=1, now=NOW, lease=9)
    assert await live() == (True, False, False)
    await database.write(record, [Report(job, "done", NOW)], now=NOW)
    assert await live() == (False, False, False)
