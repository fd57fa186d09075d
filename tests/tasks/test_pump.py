"""One job at a time for each pump, there exactly while there is work."""

import asyncio
import threading

import pytest

from signalbox.infra.context import Context
from signalbox.tasks import pump
from signalbox.tasks.errors import LeaseLostError
from tests.support.databases import Place
from tests.support.task_world import NAME, SECOND, ScriptedProvider, TaskWorld


@pytest.fixture
def world(context: Context) -> TaskWorld:
    return TaskWorld(context, ScriptedProvider())


async def test_waking_twice_is_waking_once_and_pumps_have_a_job_each(world: TaskWorld) -> None:
    for kind in (pump.SUBMIT, pump.SUBMIT, pump.POLL):
        await world.db.write(pump.wake, kind, NAME, now=world.now)
    await world.db.write(pump.wake, pump.SUBMIT, "other", now=world.now)
    assert sorted((each.kind, each.key) for each in await world.jobs()) == [
        (pump.POLL, NAME),
        (pump.SUBMIT, NAME),
        (pump.SUBMIT, "other"),
    ]


async def test_a_run_that_has_ended_leaves_room_for_the_next_and_does_nothing_more(world: TaskWorld) -> None:
    await world.db.write(pump.wake, pump.SUBMIT, NAME, now=world.now)
    (job,) = await world.claim()
    await world.db.write(pump.end, job, following=world.now + 5 * SECOND, now=world.now)
    (following,) = [each for each in await world.jobs() if each.state == "waiting"]
    assert (following.key, following.due_at) == (NAME, world.now + 5 * SECOND)
    await world.db.write(pump.wake, pump.SUBMIT, NAME, now=world.now)
    assert len(await world.jobs()) == 2
    world.advance(20)
    await world.queue.recover(now=world.now)
    again = next(each for each in await world.claim() if each.id == job.id)
    assert again.key is None
    await world.pumps.submit(again)
    with pytest.raises(LeaseLostError):
        await world.db.write(pump.end, job, following=None, now=world.now)


async def test_a_lease_is_relied_on_only_while_it_lasts(world: TaskWorld) -> None:
    await world.db.write(pump.wake, pump.SUBMIT, NAME, now=world.now)
    (job,) = await world.claim()
    assert await world.db.read(pump.lease_of, job, now=world.now) == job.lease_until
    with pytest.raises(LeaseLostError):
        await world.db.read(pump.lease_of, job, now=job.lease_until - pump.SAFETY + 1)
    with pytest.raises(LeaseLostError):
        await world.db.read(pump.lease_of, job._replace(claim=7), now=world.now)


async def test_who_adds_work_is_waited_for(place: Place, world: TaskWorld) -> None:
    if place.dialect == "sqlite":
        return  # one writer at a time: nobody else can be in the middle of it
    other, begun, go_on = place.open(), asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def add(tx: object) -> None:
        pump.wake(tx, pump.SUBMIT, NAME, now=world.now)  # type: ignore[arg-type]
        loop.call_soon_threadsafe(begun.set)
        assert go_on.wait(20)

    adding = asyncio.create_task(other.write(add))
    await begun.wait()
    closing = asyncio.create_task(world.db.write(pump.close, pump.SUBMIT, NAME))
    _, waiting = await asyncio.wait([closing], timeout=0.3)
    go_on.set()
    await asyncio.gather(adding, closing)
    await other.close()
    assert waiting
