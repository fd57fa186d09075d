"""What every queue of jobs holds to."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from signalbox.core.errors import ConflictError, SignalboxError
from signalbox.infra.events import Event, find_events, publish
from signalbox.infra.jobs import (
    ABOUT,
    Every,
    Held,
    JobEndedError,
    JobNotFoundError,
    KeyInUseError,
    NewJob,
    Report,
    Schedule,
    parse_cron,
)
from signalbox.infra.jobs import outcomes as of
from signalbox.infra.jobs.outcomes import LOST
from tests.support.jobs import SECOND, START, VERSIONS, Desk, claim, claim_one, open_desk, place_of, record, until

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])

LEASE = 10 * SECOND
AWKWARD: dict[str, object] = {
    "none": None,
    "text": "é\0\ud800'\"\\",
    "number": 2**53 + 1,
    "real": 0.1,
    "list": [{"deep": [True]}],
    "": {},
}


@pytest.fixture(params=VERSIONS)
async def desk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_desk(request.param, place_of(request, request.param, tmp_path)) as opened:
        yield opened


async def put(desk: Desk, kind: str = "test.work", payload: dict[str, Any] | None = None, **more: Any) -> int:
    found = await desk.enqueue(NewJob(kind, payload or {}, **more))
    assert found is not None
    return found


# -- claims -----------------------------------------------------------------------------------------------------------


async def test_a_job_comes_as_it_was_enqueued(desk: Desk) -> None:
    traceparent = f"00-{'a' * 32}-{'b' * 16}-01"
    given = NewJob("test.work", AWKWARD, START - 5, "k/é", 1, 7, 9 * SECOND, traceparent)
    number = await desk.enqueue(given)
    job = await claim_one(desk.queue)
    assert job.id == number
    assert (job.kind, job.payload, job.key, job.priority, job.traceparent) == (
        "test.work",
        AWKWARD,
        "k/é",
        1,
        traceparent,
    )
    assert (job.attempt, job.max_attempts, job.claim, job.is_last_attempt) == (1, 7, 1, False)
    assert (job.due_at, job.since, job.max_age, job.lease_until) == (START - 5, START, 9 * SECOND, START + LEASE)
    stored = await desk.find(job.id)
    assert (stored.state, stored.worker, stored.started_at, stored.ended_at) == ("running", "w", START, None)
    assert (stored.payload, stored.created_at, stored.attempts, stored.error) == (AWKWARD, START, 1, None)


async def test_the_more_urgent_go_first_then_those_due_longest(desk: Desk) -> None:
    low = await put(desk, priority=-1, due_at=START - 9)
    late = await put(desk, due_at=START - 1)
    early = await put(desk, due_at=START - 2)
    same = await put(desk, due_at=START - 2)
    high = await put(desk, priority=1)
    await put(desk, "test.other")
    assert [job.id for job in await claim(desk.queue, limit=3)] == [high, early, same]
    assert [job.id for job in await claim(desk.queue)] == [late, low]
    assert await claim(desk.queue) == []


async def test_nothing_runs_before_it_is_due(desk: Desk) -> None:
    number = await put(desk, due_at=START + 1)
    assert await claim(desk.queue, now=START) == []
    assert [job.id for job in await claim(desk.queue, now=START + 1)] == [number]


async def test_of_many_who_claim_at_once_each_job_goes_to_one(desk: Desk) -> None:
    given = {await put(desk, priority=number % 3 - 1) for number in range(60)}
    queues = [desk.queue, desk.another(), desk.another()]
    found = await asyncio.gather(*(claim(queues[n % 3], limit=7, worker=f"w{n}") for n in range(12)))
    found.append(await claim(desk.queue))
    assert sorted(job.id for jobs in found for job in jobs) == sorted(given)


async def test_next_due(desk: Desk) -> None:
    assert await desk.queue.next_due(("test.work", "test.other")) == {}
    await put(desk, due_at=START + 9, priority=1)
    await put(desk, due_at=START + 5)
    await put(desk, due_at=START + 7, priority=-1)
    await put(desk, "test.other", due_at=START - 3)
    await put(desk, "test.third")
    assert await desk.queue.next_due(("test.work", "test.other")) == {"test.work": START + 5, "test.other": START - 3}
    await claim(desk.queue, now=START + 99)
    assert await desk.queue.next_due(("test.work",)) == {}
    assert await desk.queue.next_due(()) == {}


# -- reports ----------------------------------------------------------------------------------------------------------


async def test_what_is_done_stays_done(desk: Desk) -> None:
    number = await put(desk)
    job = await claim_one(desk.queue)
    assert await record(desk.queue, of.of_outcome(job, None), now=START + 3) == ["done"]
    assert await claim(desk.queue, now=START + 99 * SECOND) == []
    stored = await desk.find(number)
    assert (stored.state, stored.ended_at, stored.lease_until, stored.attempts) == ("done", START + 3, None, 1)


async def test_what_waits_again_comes_when_it_is_due(desk: Desk) -> None:
    number = await put(desk)
    job = await claim_one(desk.queue)
    assert await record(desk.queue, Report(job, "waiting", START + 5, error="no luck")) == ["waiting"]
    stored = await desk.find(number)
    assert (stored.state, stored.due_at, stored.ended_at, stored.error) == ("waiting", START + 5, None, "no luck")
    assert await claim(desk.queue, now=START + 4) == []
    job = await claim_one(desk.queue, now=START + 5)
    assert (job.attempt, job.claim) == (2, 2)
    await record(desk.queue, of.of_outcome(job, None))
    assert (await desk.find(number)).error == "no luck"


async def test_a_snooze_counts_no_attempt(desk: Desk) -> None:
    number = await put(desk, max_attempts=1)
    for count in range(1, 4):
        job = await claim_one(desk.queue, now=START + count)
        assert (job.attempt, job.claim) == (1, count)
        await record(desk.queue, Report(job, "waiting", START + count + 1, 1, "budget"))
    stored = await desk.find(number)
    assert (stored.state, stored.attempts, stored.error) == ("waiting", 0, "budget")


async def test_who_dies_is_kept_and_told_of(desk: Desk) -> None:
    number = await put(desk, key="k")
    job = await claim_one(desk.queue)
    assert await record(desk.queue, Report(job, "dead", START, error="no such id"), now=START + 2) == ["dead"]
    stored = await desk.find(number)
    assert (stored.state, stored.error, stored.ended_at) == ("dead", "no such id", START + 2)
    told = {"id": number, "kind": "test.work", "key": "k", "attempts": 1, "error": "no such id"}
    assert await desk.events() == [told]


async def test_nobody_is_told_of_the_death_of_what_was_to_tell_of_one(desk: Desk) -> None:
    for topic in ("job.dead", "job.died"):
        await desk.enqueue(NewJob("test.work", {ABOUT: topic}))
    jobs = await claim(desk.queue)
    assert await record(desk.queue, *(Report(job, "dead", START) for job in jobs)) == ["dead", "dead"]
    assert [event["id"] for event in await desk.events()] == [jobs[1].id]


async def test_a_batch_of_all_kinds_of_reports(desk: Desk) -> None:
    for _ in range(4):
        await put(desk)
    first, second, third, fourth = await claim(desk.queue)
    said = [
        Report(first, "done", START),
        Report(second, "waiting", START + 7, 1),
        Report(third, "dead", START, error="x"),
        Report(fourth, "cancelled", START),
    ]
    states = {first.id: "done", second.id: "waiting", third.id: "dead", fourth.id: "cancelled"}
    assert await desk.queue.record(said, now=START) == list(states.values())
    assert {each.id: each.state for each in await desk.find_all()} == states
    assert await desk.queue.record(said, now=START) == [None] * 4
    assert await desk.queue.record([], now=START) == []
    assert len(await desk.events()) == 1


async def test_a_late_worker_records_nothing(desk: Desk) -> None:
    number = await put(desk)
    late = await claim_one(desk.queue, worker="late")
    assert await desk.queue.recover(now=START + LEASE) == 1
    current = await claim_one(desk.queue, now=START + LEASE, worker="current")
    for report in (of.of_outcome(late, None), Report(late, "dead", START, error="x"), Report(late, "waiting", 0, 1)):
        assert await record(desk.queue, report) == [None]
    stored = await desk.find(number)
    assert (stored.state, stored.worker, stored.attempts, stored.error) == ("running", "current", 2, LOST)
    assert await record(desk.queue, of.of_outcome(current, None)) == ["done"]
    assert await record(desk.queue, Report(late, "waiting", START)) == [None]
    assert (await desk.find(number)).state == "done"
    assert await desk.events() == []


async def test_after_a_snooze_the_claim_before_it_is_late_though_its_attempt_is_the_same(desk: Desk) -> None:
    await put(desk)
    before = await claim_one(desk.queue)
    await record(desk.queue, Report(before, "waiting", START, 1))
    current = await claim_one(desk.queue)
    assert (current.attempt, before.attempt) == (1, 1)
    assert await record(desk.queue, of.of_outcome(before, None)) == [None]
    assert await record(desk.queue, of.of_outcome(current, None)) == ["done"]


# -- what is recorded with an outcome ---------------------------------------------------------------------------------


def tell(tx: sa.Connection) -> None:
    publish(tx, Event("test.told", {}), now=START)


def refuse(tx: sa.Connection) -> None:
    tell(tx)
    msg = "not now"
    raise ConflictError(msg)


async def told(desk: Desk) -> int:
    return len(await desk.database.read(find_events, topic="test.told", limit=99))


@pytest.mark.parametrize("state", ["done", "dead", "waiting"])
async def test_what_a_handler_wants_recorded_is_there_with_the_outcome(desk: Desk, state: Any) -> None:
    await put(desk)
    job = await claim_one(desk.queue)
    report = Report(job, state, START, error="x", then=tell)
    assert await record(desk.queue, report) == [state]
    assert await told(desk) == 1
    assert await record(desk.queue, report) == [None]
    assert await told(desk) == 1, "a late report records nothing"


async def test_if_it_cannot_be_recorded_neither_is_the_outcome(desk: Desk) -> None:
    await put(desk)
    await put(desk)
    first, second = await claim(desk.queue)
    with pytest.raises(ConflictError):
        await record(desk.queue, Report(first, "done", START, then=tell), Report(second, "done", START, then=refuse))
    assert await told(desk) == 0
    assert {each.state for each in await desk.find_all()} == {"running"}


async def test_of_reports_of_one_job_in_one_batch_only_the_current_is_recorded(desk: Desk) -> None:
    await put(desk)
    late = await claim_one(desk.queue)
    await desk.queue.recover(now=START + LEASE)
    current = await claim_one(desk.queue, now=START + LEASE)
    said = [Report(each, "done", START, then=tell) for each in (late, current, current, late)]
    assert await desk.queue.record(said, now=START + LEASE) == [None, "done", None, None]
    assert await told(desk) == 1


# -- leases -----------------------------------------------------------------------------------------------------------


async def test_a_lease_that_ran_out_frees_the_job_at_once_the_first_time(desk: Desk) -> None:
    number = await put(desk)
    await claim(desk.queue)
    assert await desk.queue.recover(now=START + LEASE - 1) == 0
    assert await claim(desk.queue, now=START + 99 * SECOND) == []
    assert await desk.queue.recover(now=START + LEASE) == 1
    assert await desk.queue.recover(now=START + LEASE) == 0
    assert (await claim_one(desk.queue, now=START + LEASE)).attempt == 2
    assert await desk.queue.recover(now=START + 2 * LEASE) == 1
    assert START + 2 * LEASE <= (await desk.find(number)).due_at <= START + 2 * LEASE + 2 * SECOND


async def test_who_takes_its_workers_down_is_dead_after_its_attempts(desk: Desk) -> None:
    number, now = await put(desk, max_attempts=3), START
    for attempt in range(1, 4):
        assert (await claim_one(desk.queue, now=now)).attempt == attempt
        now += LEASE + 10 * SECOND
        await desk.queue.recover(now=now)
        now += 10 * SECOND
    stored = await desk.find(number)
    assert (stored.state, stored.attempts, stored.error) == ("dead", 3, LOST)
    assert [each["error"] for each in await desk.events()] == [LOST]


async def test_a_lease_is_extended_while_its_worker_lives(desk: Desk) -> None:
    number = await put(desk)
    await claim_one(desk.queue, worker="alive")
    for _ in range(3):
        await put(desk)
    await claim(desk.queue, worker="dead")
    for count in range(1, 6):
        now = START + count * 5 * SECOND
        assert await desk.queue.renew(worker="alive", now=now) == {number: Held(1, now + LEASE, cancelled=False)}
    assert await desk.queue.recover(now=START + 30 * SECOND) == 3
    assert (await desk.find(number)).state == "running"
    assert await desk.queue.renew(worker="dead", now=START) == {}
    assert await desk.queue.renew(worker="unknown", now=START) == {}


# -- people -----------------------------------------------------------------------------------------------------------


async def test_a_waiting_job_is_cancelled_at_once(desk: Desk) -> None:
    number = await put(desk)
    stored = await desk.cancel(number, START + 1)
    assert (stored.state, stored.ended_at, stored.cancel_at) == ("cancelled", START + 1, START + 1)
    assert await claim(desk.queue, now=START + 9) == []


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
