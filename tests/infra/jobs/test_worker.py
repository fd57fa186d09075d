"""The engine over every version of the queue, with real time."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from signalbox.core.errors import ConflictError, InvalidError, UnavailableError
from signalbox.infra.clock import Clock
from signalbox.infra.clock.manual import ManualClock
from signalbox.infra.clock.system import SystemClock
from signalbox.infra.db import DatabaseUnavailableError
from signalbox.infra.db.wake import mark
from signalbox.infra.events import Event, find_events, publish
from signalbox.infra.jobs import (
    Backoff,
    Done,
    Every,
    Fail,
    Job,
    Kind,
    NewJob,
    Outcome,
    Schedule,
    Snooze,
    StoredJob,
    enqueue,
)
from signalbox.infra.jobs.memory import MemoryQueue
from signalbox.infra.jobs.worker import Worker
from tests.support.databases import SqliteTemplate
from tests.support.jobs import SECOND, Desk, open_desk, place_of
from tests.support.timing import PATIENCE, until

CLOCK = SystemClock()
AT_ONCE = Backoff(base=0, cap=0)
SOON = Backoff(base=20_000, cap=20_000)


class Work:
    """A handler that notes what it gets and does as told."""

    def __init__(self, do: Callable[[Job], Outcome | None] = lambda job: None) -> None:
        self.jobs: list[Job] = []
        self._do = do

    async def __call__(self, job: Job) -> Outcome | None:
        self.jobs.append(job)
        return self._do(job)


class Held:
    """A handler that waits until it is let go; notes how it ended."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.begun: list[int] = []
        self.stopped: list[int] = []
        self.most = self.now = 0

    async def __call__(self, job: Job) -> None:
        self.begun.append(job.id)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.stopped.append(job.id)
            raise
        finally:
            self.now -= 1


@asynccontextmanager
async def working(
    desk: Desk, kinds: Mapping[str, Kind], *, name: str = "w", drain: float = 5, clock: Clock = CLOCK, **more: Any
) -> AsyncIterator[Worker]:
    worker = Worker(desk.another(), kinds, clock, name=name, **more)
    await worker.open()
    try:
        yield worker
    finally:
        await worker.close(drain=drain)


async def put(desk: Desk, count: int = 1, kind: str = "test.work", **more: Any) -> list[int]:
    found = [await desk.enqueue(NewJob(kind, {"n": n}, **more), CLOCK.now()) for n in range(count)]
    return [number for number in found if number is not None]


async def ended(desk: Desk, number: int) -> StoredJob:
    async with asyncio.timeout(PATIENCE):
        while (stored := await desk.find(number)).ended_at is None:
            await asyncio.sleep(0.005)
    return stored


async def renewed(desk: Desk, number: int, lease_until: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while (await desk.find(number)).lease_until != lease_until:
            await asyncio.sleep(0.005)


async def test_jobs_that_wait_and_jobs_that_come_are_done_once(desk: Desk) -> None:
    work = Work()
    given = await put(desk, 30)
    async with working(desk, {"test.work": Kind(work, concurrency=4)}) as worker:
        given += await put(desk, 30)
        await until(lambda: worker.reporter.ended["test.work", "done"] == 60)
    assert sorted(job.id for job in work.jobs) == sorted(given)
    assert {job.state for job in await desk.find_all()} == {"done"}
    assert worker.running == {"test.work": 0}


async def test_each_kind_has_its_own_concurrency(desk: Desk) -> None:
    few, many = Held(), Held()
    kinds = {"test.few": Kind(few, concurrency=2), "test.many": Kind(many, concurrency=7)}
    async with working(desk, kinds) as worker:
        await put(desk, 9, "test.few")
        await put(desk, 9, "test.many")
        await until(lambda: (few.now, many.now) == (2, 7))
        assert worker.running == {"test.few": 2, "test.many": 7}
        few.gate.set()
        many.gate.set()
        await until(lambda: (len(few.begun), len(many.begun)) == (9, 9))
    assert (few.most, many.most) == (2, 7)


async def test_a_job_due_later_runs_when_it_is_due(desk: Desk) -> None:
    work = Work()
    async with working(desk, {"test.work": Kind(work)}):
        due_at = CLOCK.now() + SECOND // 5
        await put(desk, due_at=due_at)
        await until(lambda: work.jobs)
    assert due_at <= CLOCK.now()


async def test_failures_are_repeated_and_the_last_one_is_kept(desk: Desk) -> None:
    def fail(job: Job) -> None:
        msg = f"attempt {job.attempt}"
        raise ValueError(msg)

    work = Work(fail)
    async with working(desk, {"test.work": Kind(work, backoff=AT_ONCE)}):
        (number,) = await put(desk, max_attempts=3)
        stored = await ended(desk, number)
    assert [job.attempt for job in work.jobs] == [1, 2, 3]
    assert (stored.state, stored.error) == ("dead", "ValueError: attempt 3")
    assert [(each["id"], each["error"]) for each in await desk.events()] == [(number, "ValueError: attempt 3")]


async def test_a_job_succeeds_after_failures(desk: Desk) -> None:
    def fail_twice(job: Job) -> None:
        if job.attempt < 3:
            raise OSError

    work = Work(fail_twice)
    async with working(desk, {"test.work": Kind(work, backoff=SOON)}):
        (number,) = await put(desk)
        stored = await ended(desk, number)
    assert (stored.state, stored.attempts, stored.error) == ("done", 3, "OSError")


async def test_a_snoozed_job_comes_back_and_nothing_is_counted(desk: Desk) -> None:
    def snooze_twice(job: Job) -> Outcome | None:
        return Snooze(CLOCK.now() + 20_000, "budget") if job.claim < 3 else None

    work = Work(snooze_twice)
    async with working(desk, {"test.work": Kind(work)}):
        (number,) = await put(desk, max_attempts=1)
        stored = await ended(desk, number)
    assert [job.attempt for job in work.jobs] == [1, 1, 1]
    assert (stored.state, stored.attempts, stored.error) == ("done", 1, "budget")


async def test_a_failure_for_good_is_dead_at_once(desk: Desk) -> None:
    async with working(desk, {"test.work": Kind(Work(lambda job: Fail("no such provider")))}):
        (number,) = await put(desk)
        stored = await ended(desk, number)
    assert (stored.state, stored.attempts, stored.error) == ("dead", 1, "no such provider")


async def test_a_handler_that_takes_too_long_has_failed(memory: Desk) -> None:
    held = Held()
    async with working(memory, {"test.work": Kind(held, timeout=0.05)}):
        (number,) = await put(memory, max_attempts=1)
        stored = await ended(memory, number)
    assert (stored.state, stored.error, held.stopped) == ("dead", _timeout_text(), [number])


def _timeout_text() -> str:
    return "signalbox.infra.jobs.lane.JobTimeoutError: not done within 0.05 s"


async def test_an_answer_that_is_no_outcome_is_a_failure(memory: Desk) -> None:
    async with working(memory, {"test.work": Kind(Work(lambda job: {"ok": True}))}):  # type: ignore[arg-type,return-value]
        (number,) = await put(memory, max_attempts=1)
        assert "returned dict" in str((await ended(memory, number)).error)


async def test_a_handler_that_cancels_itself_has_failed(memory: Desk) -> None:
    def cancel_oneself(_job: Job) -> None:
        raise asyncio.CancelledError

    async with working(memory, {"test.work": Kind(Work(cancel_oneself))}):
        (number,) = await put(memory, max_attempts=1)
        assert (await ended(memory, number)).state == "dead"


async def test_a_retryable_error_says_how_soon_at_the_soonest(memory: Desk) -> None:
    def be_away(_job: Job) -> None:
        msg = "away"
        raise UnavailableError(msg, retry_after=50)

    async with working(memory, {"test.work": Kind(Work(be_away), backoff=AT_ONCE)}) as worker:
        (number,) = await put(memory)
        await until(lambda: worker.reporter.ended["test.work", "waiting"])
        assert (await memory.find(number)).due_at > CLOCK.now() + 40 * SECOND


# -- what is recorded with an outcome ---------------------------------------------------------------------------------


def tell(tx: sa.Connection) -> None:
    publish(tx, Event("test.told", {}), now=CLOCK.now())


def refuse(tx: sa.Connection) -> None:
    tell(tx)
    msg = "the task is gone"
    raise ConflictError(msg)


def break_down(tx: sa.Connection) -> None:
    tx.exec_driver_sql("SELECT 1 FROM nowhere")


async def told(desk: Desk) -> int:
    return len(await desk.database.read(find_events, topic="test.told", limit=500))


async def test_what_cannot_be_recorded_fails_its_job_and_no_other(desk: Desk) -> None:
    thens = {0: tell, 1: refuse, 2: tell, 3: break_down, 4: None, 5: tell}
    held = asyncio.Event()

    async def work(job: Job) -> Outcome:
        await held.wait()  # so that all of them end together, in one batch
        return Done(thens[job.payload["n"]])

    async with working(desk, {"test.work": Kind(work)}) as worker:
        numbers = await put(desk, 6, max_attempts=1)
        await until(lambda: worker.running["test.work"] == 6)
        held.set()
        stored = [await ended(desk, number) for number in numbers]
    assert [each.state for each in stored] == ["done", "dead", "done", "dead", "done", "done"]
    assert "the task is gone" in str(stored[1].error)
    assert "nowhere" in str(stored[3].error)
    assert await told(desk) == 3


# -- leases, cancelling, closing --------------------------------------------------------------------------------------


async def test_a_long_job_keeps_its_lease(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    async with open_desk("sqlite", place_of(request, "sqlite", tmp_path), lease=60 * SECOND) as desk:
        held, clock = Held(), ManualClock(CLOCK.now())
        async with working(desk, {"test.work": Kind(held)}, heartbeat=0.04, clock=clock):
            (number,) = await put(desk, due_at=clock.now())
            await until(lambda: held.now)
            for _ in range(3):
                clock.advance(50)
                await renewed(desk, number, clock.now() + 60 * SECOND)
            assert held.begun == [number]
            assert held.stopped == []
            held.gate.set()
            assert (await ended(desk, number)).attempts == 1


async def test_a_cancelled_job_is_stopped_at_the_next_heartbeat(desk: Desk) -> None:
    held = Held()
    async with working(desk, {"test.work": Kind(held)}, heartbeat=0.05):
        number, other = await put(desk, 2)
        await until(lambda: held.now == 2)
        await desk.cancel(number, CLOCK.now())
        assert (await ended(desk, number)).state == "cancelled"
        assert held.stopped == [number]
        held.gate.set()
        assert (await ended(desk, other)).state == "done"


async def test_a_handler_is_stopped_when_another_has_its_job(desk: Desk) -> None:
    held = Held()
    async with working(desk, {"test.work": Kind(held, concurrency=1)}, heartbeat=0.05) as worker:
        (number,) = await put(desk)
        await until(lambda: held.now)
        queue = desk.another()
        assert await queue.recover(now=CLOCK.now() + 60 * SECOND) == 1
        for _ in range(50):
            if await queue.claim("test.work", worker="another", limit=1, now=CLOCK.now() + 3_600 * SECOND):
                break
        await until(lambda: held.stopped)
        assert worker.reporter.ended["test.work", "done"] == 0
        assert held.most == 1
        held.gate.set()
    assert number in held.begun


async def test_closing_finishes_what_runs_and_takes_nothing_new(desk: Desk) -> None:
    held = Held()
    async with working(desk, {"test.work": Kind(held, concurrency=3)}):
        await put(desk, 6)
        await until(lambda: held.now == 3)
        asyncio.get_running_loop().call_later(0.1, held.gate.set)  # when it is closing already
    states = [job.state for job in await desk.find_all()]
    assert (states.count("done"), states.count("waiting")) == (3, 3)


async def test_what_does_not_finish_in_time_is_given_back_and_runs_at_once_elsewhere(desk: Desk) -> None:
    held, work = Held(), Work()
    async with working(desk, {"test.work": Kind(work, concurrency=5)}, name="other"):
        pass  # closed again: it only shows that a second one opens and closes beside the first
    async with working(desk, {"test.work": Kind(held)}, drain=0.05):
        numbers = await put(desk, 3, max_attempts=1)
        await until(lambda: held.now == 3)
    assert sorted(held.stopped) == numbers
    assert {(job.state, job.attempts) for job in await desk.find_all()} == {("waiting", 0)}
    async with working(desk, {"test.work": Kind(work)}, name="another"):
        await until(lambda: len(work.jobs) == 3)
    assert {job.attempt for job in work.jobs} == {1}


async def test_a_worker_that_stops_takes_no_more_and_finishes_what_runs(desk: Desk) -> None:
    held = Held()
    async with working(desk, {"test.work": Kind(held, concurrency=3)}) as worker:
        await put(desk, 2)
        await until(lambda: held.now == 2)
        worker.stop()
        await put(desk, 1)
        await asyncio.sleep(0.1)
        assert held.now == 2
        held.gate.set()
        await until(lambda: worker.reporter.ended["test.work", "done"] == 2)
    assert [job.state for job in await desk.find_all()] == ["waiting", "done", "done"]


async def test_what_is_given_back_waits_for_the_next(desk: Desk) -> None:
    held = Held()
    async with working(desk, {"test.work": Kind(held)}, drain=60) as worker:
        await put(desk, 2)
        await until(lambda: held.now == 2)
        worker.stop()
        worker.give_back()
        worker.give_back()
        await until(lambda: held.now == 0)
    assert {(job.state, job.attempts) for job in await desk.find_all()} == {("waiting", 0)}


async def test_how_long_jobs_had_been_due_is_measured(memory: Desk) -> None:
    work = Work()
    await memory.enqueue(NewJob("test.work", {}), CLOCK.now() - 3 * SECOND)
    async with working(memory, {"test.work": Kind(work), "test.other": Kind(work)}) as worker:
        await until(lambda: work.jobs)
        histogram, total = worker.lags["test.work"]
        assert (histogram.count, worker.lags["test.other"][1]) == (1, 0)
        assert 3 * SECOND <= total < 13 * SECOND


async def test_wake_ups_by_other_names_go_to_their_listeners(desk: Desk) -> None:
    called: list[str] = []
    listeners = {"news": lambda: called.append("news"), "test.work": lambda: called.append("never")}
    if isinstance(desk.queue, MemoryQueue):
        pytest.skip("its wake-ups do not come from a database")
    async with working(desk, {"test.work": Kind(Work())}, listeners=listeners):
        await put(desk, 1)

        def tell(tx: sa.Connection) -> None:
            mark(tx, "news", 0)
            mark(tx, "unknown", 0)

        await desk.database.write(tell)
        await until(lambda: called)
    assert called == ["news"]


async def test_a_job_whose_handler_has_not_begun_is_given_back_too(memory: Desk) -> None:
    worker = Worker(memory.queue, {"test.work": Kind(Work())}, CLOCK, name="w")
    await put(memory)
    await worker.open()
    await worker.close(drain=0)
    (job,) = await memory.find_all()
    assert job.state in ("waiting", "done")
    assert job.lease_until is None


async def test_a_handler_that_does_not_stop_keeps_its_job_until_the_lease_ends(
    memory: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    stop = asyncio.Event()

    async def stubborn(_job: Job) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await stop.wait()
        await stop.wait()

    async with working(memory, {"test.work": Kind(stubborn)}, drain=0.01) as worker:
        (number,) = await put(memory)
        await until(lambda: worker.running["test.work"])
    assert (await memory.find(number)).state == "running"
    assert [each.levelno for each in caplog.records if "do not stop" in each.getMessage()] == [logging.ERROR]
    stop.set()
    await asyncio.sleep(0)


class Away(MemoryQueue):
    """A queue that cannot be asked for leases while ``away``; counts who asked then."""

    away = False
    asked = 0

    async def renew(self, *, worker: str, now: int) -> Any:
        if self.away:
            self.asked += 1
            msg = "away"
            raise DatabaseUnavailableError(msg)
        return await super().renew(worker=worker, now=now)


async def test_without_the_database_a_handler_is_stopped_when_its_lease_ends(caplog: pytest.LogCaptureFixture) -> None:
    queue, held, clock = Away(lease=60 * SECOND), Held(), ManualClock()
    worker = Worker(queue, {"test.work": Kind(held)}, clock, name="w", heartbeat=0.05)
    queue.enqueue(NewJob("test.work", {}), now=clock.now())
    await worker.open()
    await until(lambda: held.now)
    queue.away = True
    clock.advance(59)
    await until(lambda: queue.asked > 1)
    assert held.stopped == [], "the lease holds yet"
    clock.advance(1)
    await until(lambda: held.stopped)
    queue.away = False
    held.gate.set()
    await until(lambda: worker.reporter.ended["test.work", "done"] == 1)
    await worker.close()
    assert (held.begun, held.most) == ([1, 1], 1)
    assert [each.levelno for each in caplog.records] == [logging.WARNING]


async def test_jobs_that_nothing_tells_of_are_found_by_polling(sqlite_template: SqliteTemplate, tmp_path: Path) -> None:
    place, work = sqlite_template.copy_to(tmp_path), Work()
    async with open_desk("sqlite", place) as desk, working(desk, {"test.work": Kind(work)}):
        await asyncio.sleep(0.05)
        engine = place.engine()
        with engine.begin() as tx:
            enqueue(tx, "test.work", {}, now=CLOCK.now())
        engine.dispose()
        await until(lambda: work.jobs)


# -- schedules and odds and ends --------------------------------------------------------------------------------------


async def test_schedules_run_once_for_all_workers(desk: Desk) -> None:
    work, often = Work(), Schedule("often", "test.work", Every(SECOND))
    kinds = {"test.work": Kind(work)}
    async with (
        working(desk, kinds, name="a", schedules=[often]),
        working(desk, kinds, name="b", schedules=[often]),
    ):
        await until(lambda: len(work.jobs) >= 2)
    moments = [job.since // SECOND for job in work.jobs]
    assert len(set(moments)) == len(moments)


async def test_kinds_without_a_handler_are_left_to_others(memory: Desk) -> None:
    async with working(memory, {"test.work": Kind(Work())}):
        await put(memory, kind="test.other")
        await asyncio.sleep(0.05)
    assert [job.state for job in await memory.find_all()] == ["waiting"]


def test_wrong_registrations_are_refused(memory: Desk) -> None:
    for kind in ("", "work", "Test.work"):
        with pytest.raises(InvalidError):
            Worker(memory.queue, {kind: Kind(Work())}, CLOCK, name="w")
    same = Schedule("x", "test.work", Every(SECOND))
    with pytest.raises(InvalidError, match="same name"):
        Worker(memory.queue, {}, CLOCK, name="w", schedules=[same, same])
