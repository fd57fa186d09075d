"""What every queue of jobs holds to."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from signalbox.core.errors import ConflictError
from signalbox.infra.events import Event, find_events, publish
from signalbox.infra.jobs import (
    ABOUT,
    Held,
    NewJob,
    Report,
)
from signalbox.infra.jobs import outcomes as of
from signalbox.infra.jobs.outcomes import LOST
from tests.support.jobs import SECOND, START, VERSIONS, Desk, claim, claim_one, open_desk, place_of, put, record

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


async def test_what_its_kind_forgets_is_gone_when_it_is_done_and_only_then(desk: Desk) -> None:
    for _ in range(3):
        await put(desk)
    first, second, third = await claim(desk.queue)
    said = [
        of.of_outcome(first, None)._replace(forgets=True, then=tell),
        Report(second, "dead", START, error="x", forgets=True),
        Report(third, "waiting", START, forgets=True),
    ]
    assert await record(desk.queue, *said) == ["done", "dead", "waiting"]
    assert {each.id: each.state for each in await desk.find_all()} == {second.id: "dead", third.id: "waiting"}
    assert await told(desk) == 1
    assert await record(desk.queue, *said) == [None] * 3
    again = await claim_one(desk.queue)
    await desk.queue.recover(now=START + LEASE)
    late = of.of_outcome(again, None)._replace(forgets=True)
    assert await record(desk.queue, late) == [None], "a late worker deletes nothing"
