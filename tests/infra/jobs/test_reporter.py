import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import pytest

from signalbox.infra.clock.manual import ManualClock
from signalbox.infra.clock.system import SystemClock
from signalbox.infra.db import CommitUnknownError, DatabaseUnavailableError
from signalbox.infra.jobs import Job, Kind, NewJob, Report, State
from signalbox.infra.jobs.memory import MemoryQueue
from signalbox.infra.jobs.reporter import CAPACITY, PATIENCE, Reporter
from signalbox.infra.jobs.worker import Worker
from tests.support import timing
from tests.support.timing import until

NOW = ManualClock().now()


class Shaky(MemoryQueue):
    """A queue whose database is away now and then, and does not get some ``then`` done."""

    def __init__(self) -> None:
        super().__init__()
        self.away: list[Exception] = []
        self.batches: list[int] = []

    async def record(self, reports: Sequence[Report], *, now: int) -> list[State | None]:
        if self.away:
            raise self.away.pop(0)
        self.batches.append(len(reports))
        for report in reports:
            if report.then is not None:
                report.then(None)  # type: ignore[arg-type]
        return await super().record([each._replace(then=None) for each in reports], now=now)


def fail(job: Job, error: Exception) -> Report:
    return Report(job, "dead", job.due_at, error=str(error))


def be_away(_tx: Any) -> None:
    msg = "this statement takes too long"
    raise DatabaseUnavailableError(msg)


async def claimed(queue: MemoryQueue, count: int) -> list[Job]:
    for _ in range(count):
        queue.enqueue(NewJob("test.work", {}), now=NOW)
    return await queue.claim("test.work", worker="w", limit=count, now=NOW)


def done(job: Job) -> Report:
    return Report(job, "done", job.due_at)


def start(queue: MemoryQueue) -> Reporter:
    reporter = Reporter(queue, ManualClock(), fail, pause=0.01)
    reporter.open()
    return reporter


async def test_what_ends_meanwhile_goes_into_the_next_batch() -> None:
    queue = Shaky()
    reporter = start(queue)
    for job in await claimed(queue, 50):
        reporter.put(done(job))
    await until(lambda: reporter.ended["test.work", "done"] == 50)
    assert queue.batches == [50]
    assert reporter.room == CAPACITY
    await reporter.close(within=timing.PATIENCE)


@pytest.mark.parametrize("error", [DatabaseUnavailableError("away"), CommitUnknownError("broken")])
async def test_an_absent_database_is_waited_for(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    queue = Shaky()
    queue.away = [error] * (PATIENCE + 2)
    reporter = start(queue)
    for job in await claimed(queue, 3):
        reporter.put(done(job))
    await until(lambda: reporter.ended["test.work", "done"] == 3)
    await reporter.close(within=timing.PATIENCE)
    assert [message.partition(";")[0] for message in caplog.messages] == [
        "what became of jobs cannot be recorded",
        "what became of jobs is recorded again",
    ]


async def test_a_then_that_the_database_does_not_get_done_fails_its_job_only() -> None:
    queue = Shaky()
    reporter = start(queue)
    jobs = await claimed(queue, 4)
    for job in jobs:
        reporter.put(done(job)._replace(then=be_away if job is jobs[1] else None))
    await until(lambda: reporter.ended.total() == 4)
    await reporter.close(within=timing.PATIENCE)
    assert reporter.ended == {("test.work", "done"): 3, ("test.work", "dead"): 1}
    assert queue.find_job(jobs[1].id).error == "this statement takes too long"


async def test_late_reports_are_counted() -> None:
    queue = Shaky()
    reporter = start(queue)
    (job,) = await claimed(queue, 1)
    reporter.put(done(job._replace(claim=7)))
    reporter.put(done(job))
    await until(reporter.ended.total)
    assert reporter.late == {"test.work": 1}
    await reporter.close(within=timing.PATIENCE)


async def test_a_report_that_breaks_the_queue_is_dropped_and_the_others_are_kept(
    caplog: pytest.LogCaptureFixture,
) -> None:
    queue = Shaky()
    reporter = start(queue)
    first, second = await claimed(queue, 2)
    reporter.put(done(first._replace(id=[])))  # type: ignore[arg-type]
    reporter.put(done(second))
    await until(reporter.ended.total)
    await reporter.close(within=timing.PATIENCE)
    assert [each.levelno for each in caplog.records] == [logging.ERROR]
    assert queue.find_job(second.id).state == "done"


async def test_closing_writes_what_waits() -> None:
    queue = Shaky()
    reporter = start(queue)
    for job in await claimed(queue, 9):
        reporter.put(done(job))
    await reporter.close(within=timing.PATIENCE)
    assert reporter.ended["test.work", "done"] == 9


async def test_closing_does_not_wait_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    queue = Shaky()
    queue.away = [DatabaseUnavailableError("away")] * 9_999
    reporter = start(queue)
    for job in await claimed(queue, 9):
        reporter.put(done(job))
    async with asyncio.timeout(timing.PATIENCE):
        await reporter.close(within=0.1)
    assert [getattr(each, "jobs", None) for each in caplog.records][-1] == 9
    await Reporter(queue, ManualClock(), fail).close(within=timing.PATIENCE)


class Slow(MemoryQueue):
    """A queue whose database writes nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = asyncio.Event()

    async def record(self, reports: Sequence[Report], *, now: int) -> list[State | None]:
        await self.let_go.wait()
        return await super().record(reports, now=now)


async def test_jobs_that_waited_until_a_slow_database_had_caught_up_begin_then() -> None:
    """All that could run have run, nothing more can be noted: no handler's end will have the next ones claimed."""
    queue, clock, count = Slow(), SystemClock(), CAPACITY + 3_000

    async def nothing(_job: Job) -> None:
        """Done at once."""

    for _ in range(count):
        queue.enqueue(NewJob("test.work", {}), now=clock.now())
    worker = Worker(queue, {"test.work": Kind(nothing, concurrency=2_000)}, clock, name="w")
    await worker.open()
    try:
        await until(lambda: worker.reporter.room <= 0)
        await asyncio.sleep(0.05)  # the lane has seen that there is no room
        queue.let_go.set()
        await until(lambda: worker.reporter.ended["test.work", "done"] == count)
    finally:
        queue.let_go.set()
        await worker.close()
