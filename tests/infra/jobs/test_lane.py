import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from signalbox.infra.clock.system import SystemClock
from signalbox.infra.db import CommitUnknownError, DatabaseUnavailableError
from signalbox.infra.jobs import Job, Kind, NewJob, Report
from signalbox.infra.jobs.lane import CLAIMED_AT_ONCE, Lane
from signalbox.infra.jobs.memory import MemoryQueue
from signalbox.infra.jobs.reporter import Reporter
from tests.support.jobs import SECOND
from tests.support.timing import PATIENCE, until

CLOCK = SystemClock()


class Counted(MemoryQueue):
    """Counts what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.claims: list[int] = []
        self.failures: list[Exception] = []
        """What the next claims raise."""
        self.old = 0
        """Microseconds by which claims come late."""

    async def claim(self, kind: str, *, worker: str, limit: int, now: int) -> list[Job]:
        self.claims.append(limit)
        if self.failures:
            raise self.failures.pop()
        return await super().claim(kind, worker=worker, limit=limit, now=now - self.old)


@asynccontextmanager
async def running(queue: Counted, kind: Kind) -> AsyncIterator[Lane]:
    def fail(job: Job, error: Exception) -> Report:
        return lane.fail(job, error)

    reporter = Reporter(queue, CLOCK, fail)
    lane = Lane("test.work", kind, queue=queue, clock=CLOCK, reporter=reporter, worker="w")
    await queue.open(lambda _kind, due_at: lane.wake(due_at), now=CLOCK.now())
    reporter.open()
    task = asyncio.create_task(lane.run())
    yield lane
    lane.close()
    await task
    await until(lambda: not lane.running)
    await reporter.close(within=PATIENCE)


def put(queue: MemoryQueue, count: int = 1, due_at: int | None = None) -> list[int]:
    given = [queue.enqueue(NewJob("test.work", {}, due_at or 1), now=CLOCK.now()) for _ in range(count)]
    return [number for number in given if number is not None]


def states(queue: MemoryQueue) -> set[str]:
    return {job.state for job in queue.find_jobs()}


async def nothing(_job: Job) -> None:
    return


async def test_claims_are_as_large_as_the_room_and_few() -> None:
    queue = Counted()
    put(queue, 100)
    async with running(queue, Kind(nothing, concurrency=40)):
        await until(lambda: states(queue) == {"done"})
    assert queue.claims[0] == 40
    assert len(queue.claims) < 12


async def test_where_thousands_may_run_the_next_are_claimed_while_the_first_have_not_ended() -> None:
    queue, gate = Counted(), asyncio.Event()

    async def wait(_job: Job) -> None:
        await gate.wait()

    put(queue, CLAIMED_AT_ONCE + 10)
    async with running(queue, Kind(wait, concurrency=2 * CLAIMED_AT_ONCE)) as lane:
        await until(lambda: len(lane.running) == CLAIMED_AT_ONCE + 10)
        assert queue.claims[:2] == [CLAIMED_AT_ONCE, CLAIMED_AT_ONCE]
        gate.set()


async def test_while_nothing_is_due_nothing_is_asked() -> None:
    queue = Counted()
    async with running(queue, Kind(nothing)):
        await asyncio.sleep(0.15)
        put(queue, due_at=CLOCK.now() + 3_600 * SECOND)
        await asyncio.sleep(0.05)
    assert len(queue.claims) == 1


async def test_a_full_lane_asks_when_there_is_room_again() -> None:
    queue, gate = Counted(), asyncio.Event()

    async def wait(_job: Job) -> None:
        await gate.wait()

    put(queue, 5)
    async with running(queue, Kind(wait, concurrency=2)) as lane:
        await until(lambda: len(lane.running) == 2)
        await asyncio.sleep(0.05)
        assert queue.claims == [2]
        gate.set()
        await until(lambda: states(queue) == {"done"})


@pytest.mark.parametrize("failure", [DatabaseUnavailableError("away"), CommitUnknownError("cut"), RuntimeError("odd")])
async def test_whatever_a_claim_raises_there_is_a_next_one(
    failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    queue = Counted()
    queue.failures = [failure]
    put(queue)
    async with running(queue, Kind(nothing)):
        await until(lambda: states(queue) == {"done"})
    said = [message for message in caplog.messages if "claimed" in message]
    assert said == ["jobs cannot be claimed", "jobs are claimed again"]


async def test_a_claim_whose_lease_has_run_out_already_is_not_begun() -> None:
    queue, begun = Counted(), list[int]()

    async def note(job: Job) -> None:
        begun.append(job.id)

    queue.old = 60 * SECOND
    put(queue)
    async with running(queue, Kind(note)):
        await until(lambda: queue.claims)
        await asyncio.sleep(0.05)
    assert begun == []
    assert states(queue) == {"running"}


async def test_a_job_is_not_begun_beside_its_own_handler_that_does_not_stop() -> None:
    queue, stop, most, now = Counted(), asyncio.Event(), 0, 0

    async def stubborn(_job: Job) -> None:
        nonlocal most, now
        now += 1
        most = max(most, now)
        if now == 1:
            with contextlib.suppress(asyncio.CancelledError):
                await stop.wait()
        await stop.wait()
        now -= 1

    (number,) = put(queue)
    async with running(queue, Kind(stubborn)) as lane:
        await until(lambda: now)
        lane.end(lane.running[number], "lost")
        await queue.recover(now=CLOCK.now() + 60 * SECOND)
        queue.retry(number, now=1)
        await until(lambda: queue.find_job(number).due_at > CLOCK.now())
        assert (queue.find_job(number).state, most) == ("waiting", 1)
        stop.set()


async def test_a_job_that_is_stopped_before_its_first_step_is_given_back() -> None:
    queue, begun = Counted(), list[int]()

    async def note(job: Job) -> None:
        begun.append(job.id)

    async with running(queue, Kind(note)) as lane:
        await until(lambda: queue.claims)
        (number,) = put(queue, due_at=CLOCK.now() + 3_600 * SECOND)
        (job,) = await queue.claim("test.work", worker="w", limit=1, now=CLOCK.now() + 3_600 * SECOND)
        lane._start_all([job])
        lane.end(lane.running[number], "released")
        assert lane.running == {}
        lane.close()
        await until(lambda: states(queue) == {"waiting"})
    assert begun == []
    assert queue.find_job(number).attempts == 0
