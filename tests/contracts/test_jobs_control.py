"""What every queue of jobs holds to when people, keys and schedules come in, and how it wakes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from signalbox.core.errors import SignalboxError
from signalbox.infra.jobs import (
    ABOUT,
    CANCELLED,
    Every,
    JobEndedError,
    JobNotFoundError,
    KeyInUseError,
    NewJob,
    Report,
    Schedule,
    parse_cron,
)
from signalbox.infra.jobs import outcomes as of
from tests.support.jobs import SECOND, START, VERSIONS, Desk, claim, claim_one, open_desk, place_of, put, record
from tests.support.timing import until

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])

LEASE = 10 * SECOND


@pytest.fixture(params=VERSIONS)
async def desk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_desk(request.param, place_of(request, request.param, tmp_path)) as opened:
        yield opened


# -- people -----------------------------------------------------------------------------------------------------------


async def test_a_waiting_job_is_cancelled_at_once(desk: Desk) -> None:
    number = await put(desk)
    stored = await desk.cancel(number, START + 1)
    assert (stored.state, stored.ended_at, stored.cancel_at) == ("cancelled", START + 1, START + 1)
    assert await claim(desk.queue, now=START + 9) == []


async def test_others_are_told_of_what_was_cancelled_once_it_has_ended(desk: Desk) -> None:
    running = await put(desk, key="runs")
    job = await claim_one(desk.queue)
    await desk.cancel(running)
    assert await desk.events(CANCELLED) == [], "it may yet come to its end"
    await record(desk.queue, of.of_cancellation(job))
    waiting, about_another = await put(desk, key="waits"), await put(desk, payload={ABOUT: CANCELLED})
    for number in (waiting, about_another):
        await desk.cancel(number)
    again = await put(desk)
    await claim_one(desk.queue)
    await desk.cancel(again)
    await desk.queue.recover(now=START + LEASE)
    told = [(each["id"], each["key"], each["attempts"]) for each in await desk.events(CANCELLED)]
    assert told == [(running, "runs", 1), (waiting, "waits", 0), (again, None, 1)]
    assert await desk.events() == []


async def test_a_running_job_is_cancelled_through_its_worker(desk: Desk) -> None:
    number = await put(desk)
    job = await claim_one(desk.queue)
    stored = await desk.cancel(number, START + 1)
    assert (stored.state, stored.cancel_at, stored.ended_at) == ("running", START + 1, None)
    assert (await desk.cancel(number, START + 2)).cancel_at == START + 1
    assert (await desk.queue.renew(worker="w", now=START + 5 * SECOND))[number].cancelled
    assert await record(desk.queue, of.of_cancellation(job)) == ["cancelled"]


async def test_a_cancelled_job_that_wants_to_wait_does_not(desk: Desk) -> None:
    for _ in range(3):
        await put(desk)
    jobs = await claim(desk.queue)
    for job in jobs:
        await desk.cancel(job.id)
    first, second, third = jobs
    assert await record(desk.queue, Report(first, "waiting", START, 1), Report(second, "done", START)) == [
        "cancelled",
        "done",
    ]
    await desk.queue.recover(now=START + LEASE)
    stored = await desk.find(third.id)
    assert (stored.state, stored.ended_at) == ("cancelled", START + LEASE)
    assert await claim(desk.queue, now=START + 99 * SECOND) == []


@pytest.mark.parametrize("state", ["done", "dead", "cancelled"])
async def test_what_has_ended_cannot_be_cancelled(desk: Desk, state: Any) -> None:
    number = await put(desk)
    await record(desk.queue, Report(await claim_one(desk.queue), state, START))
    with pytest.raises(JobEndedError, match=f"is {state}"):
        await desk.cancel(number)
    assert (await desk.find(number)).cancel_at is None


@pytest.mark.parametrize("state", ["dead", "cancelled"])
async def test_what_did_not_succeed_can_be_run_again_from_the_start(desk: Desk, state: Any) -> None:
    number = await put(desk, max_attempts=1, max_age=SECOND)
    await record(desk.queue, Report(await claim_one(desk.queue), state, START, error="x"))
    later = START + 99 * SECOND
    stored = await desk.retry(number, later)
    assert (stored.state, stored.attempts, stored.due_at, stored.ended_at) == ("waiting", 0, later, None)
    job = await claim_one(desk.queue, now=later)
    assert (job.id, job.attempt, job.claim, job.since, job.max_age) == (number, 1, 2, later, SECOND)


async def test_a_waiting_job_can_be_run_now(desk: Desk) -> None:
    number = await put(desk, due_at=START + 99 * SECOND)
    await desk.retry(number)
    assert (await claim_one(desk.queue)).id == number


async def test_what_runs_or_is_done_cannot_be_run_again(desk: Desk) -> None:
    number = await put(desk)
    job = await claim_one(desk.queue)
    with pytest.raises(JobEndedError, match="is running"):
        await desk.retry(number)
    await record(desk.queue, of.of_outcome(job, None))
    with pytest.raises(JobEndedError, match="is done"):
        await desk.retry(number)
    assert (await desk.find(number)).state == "done"


async def test_there_is_no_such_job(desk: Desk) -> None:
    for action in (desk.find, desk.cancel, desk.retry):
        with pytest.raises(JobNotFoundError, match="no job 99"):
            await action(99)


# -- keys -------------------------------------------------------------------------------------------------------------


async def test_of_jobs_with_one_key_one_is_taken_until_it_has_ended(desk: Desk) -> None:
    new = NewJob("test.work", {}, key="k")
    for _ in range(3):
        number = await desk.enqueue(new)
        assert number is not None
        assert await desk.enqueue(new) is None
        job = await claim_one(desk.queue)
        assert job.id == number
        assert await desk.enqueue(new) is None
        await record(desk.queue, of.of_outcome(job, None))
    assert await desk.enqueue(NewJob("test.other", {}, key="k")) is not None
    assert await desk.enqueue(NewJob("test.work", {}, key="K")) is not None
    assert len(await desk.find_all()) == 5


async def test_a_job_is_not_run_again_beside_another_with_its_key(desk: Desk) -> None:
    number = await put(desk, key="k")
    await record(desk.queue, Report(await claim_one(desk.queue), "dead", START, error="x"))
    other = await put(desk, key="k")
    with pytest.raises(KeyInUseError):
        await desk.retry(number)
    await desk.cancel(other)
    assert (await desk.retry(number)).state == "waiting"
    assert (await desk.retry(number)).state == "waiting", "its own key is not in its way"


async def test_many_at_once_enqueue_one_job_of_a_key(desk: Desk) -> None:
    new = NewJob("test.work", {}, key="k")
    given = await asyncio.gather(*(desk.enqueue(new) for _ in range(60)))
    assert sum(each is not None for each in given) == 1


# -- schedules --------------------------------------------------------------------------------------------------------

MINUTELY = Schedule("sweep", "test.work", Every(60 * SECOND), {"all": True})


async def test_a_schedule_fires_at_each_of_its_moments(desk: Desk) -> None:
    assert await desk.queue.fire([MINUTELY], now=START + 1) == START + 60 * SECOND
    assert await desk.find_all() == [], "the first moment is yet to come"
    assert await desk.queue.fire([MINUTELY], now=START + 60 * SECOND - 1) == START + 60 * SECOND
    assert await desk.queue.fire([MINUTELY], now=START + 60 * SECOND) == START + 120 * SECOND
    job = await claim_one(desk.queue, now=START + 60 * SECOND)
    assert job.payload == {"all": True}
    await record(desk.queue, of.of_outcome(job, None))
    assert await desk.queue.fire([MINUTELY], now=START + 61 * SECOND) == START + 120 * SECOND
    await desk.queue.fire([MINUTELY], now=START + 120 * SECOND)
    assert len(await desk.find_all()) == 2


async def test_many_processes_fire_once(desk: Desk) -> None:
    both = [MINUTELY, Schedule("daily", "test.other", parse_cron("0 0 * * *"))]
    queues = [desk.queue, desk.another(), desk.another()]
    for now in (START, START + 86_400 * SECOND, START + 2 * 86_400 * SECOND):
        found = await asyncio.gather(*(queues[number % 3].fire(both, now=now) for number in range(12)))
        assert set(found) == {now + 60 * SECOND}
        for kind in ("test.work", "test.other"):
            jobs = await claim(desk.queue, kind, now=now)
            assert len(jobs) == (now != START)
            await record(desk.queue, *(of.of_outcome(job, None) for job in jobs))


async def test_missed_moments_are_made_up_for_once_and_none_overlap(desk: Desk) -> None:
    await desk.queue.fire([MINUTELY], now=START)
    assert await desk.queue.fire([MINUTELY], now=START + 3_600 * SECOND + 1) == START + 3_660 * SECOND
    await claim_one(desk.queue, now=START + 3_600 * SECOND + 1)
    await desk.queue.fire([MINUTELY], now=START + 3_660 * SECOND)
    assert len(await desk.find_all()) == 1, "the one before still runs"


async def test_a_changed_rule_holds_from_now_on(desk: Desk) -> None:
    await desk.queue.fire([MINUTELY], now=START)
    hourly = Schedule("sweep", "test.work", Every(3_600 * SECOND))
    assert await desk.queue.fire([hourly], now=START + 61 * SECOND) == START + 3_600 * SECOND
    assert await desk.find_all() == []
    await desk.queue.fire([hourly], now=START + 3_600 * SECOND)
    assert len(await desk.find_all()) == 1
    assert await desk.queue.fire([], now=START) is None


# -- wake-ups ---------------------------------------------------------------------------------------------------------


async def test_whatever_becomes_due_wakes(desk: Desk) -> None:
    heard: list[tuple[str, int]] = []
    await desk.queue.open(lambda kind, due_at: heard.append((kind, due_at)), now=START)

    async def is_heard(kind: str, due_at: int) -> None:
        await until(lambda: (kind, due_at) in heard)
        heard.clear()

    number = await put(desk)
    await is_heard("test.work", START)
    await put(desk, "test.other", due_at=START + 9)
    await is_heard("test.other", START + 9)
    await record(desk.queue, Report(await claim_one(desk.queue), "waiting", START + 5, error="x"))
    await is_heard("test.work", START + 5)
    await desk.cancel(number)
    await desk.retry(number, START + 7)
    await is_heard("test.work", START + 7)
    await desk.queue.close()
    await put(desk)
    await asyncio.sleep(0.05)
    assert heard == []


async def test_what_is_lost_wakes(desk: Desk) -> None:
    heard: list[tuple[str, int]] = []
    await desk.queue.open(lambda kind, due_at: heard.append((kind, due_at)), now=START)
    await put(desk)
    await claim(desk.queue)
    await until(lambda: heard)
    heard.clear()
    await desk.queue.recover(now=START + LEASE)
    await until(lambda: ("test.work", START + LEASE) in heard)
    await desk.queue.close()


async def test_errors_are_expected_ones(desk: Desk) -> None:
    for error in (JobNotFoundError, JobEndedError, KeyInUseError):
        assert issubclass(error, SignalboxError)
        assert error.code.startswith("job_")
