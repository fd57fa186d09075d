from typing import Any

from signalbox.app.settings import RetentionSettings
from signalbox.app.upkeep import build_sweeps
from signalbox.infra.clock.manual import ManualClock
from signalbox.infra.context import Context
from signalbox.infra.events import Event, find_events, publish
from signalbox.infra.jobs import NewJob, Report, enqueue_many, find_jobs
from signalbox.infra.jobs.queue import claim, record
from signalbox.ops.sweeps import Sweeper

DAY = 86_400.0


async def test_each_table_is_kept_for_the_time_in_force(context: Context, clock: ManualClock) -> None:
    kept: list[Any] = [RetentionSettings(jobs="2d", dead_jobs="5d", events="3d")]
    sweeper = Sweeper(build_sweeps(context, lambda: kept[0]), clock)
    await context.db.write(enqueue_many, [NewJob("test.work", {})] * 4, now=clock.now())
    jobs = await context.db.write(claim, "test.work", worker="w", limit=3, now=clock.now(), lease=9)
    states: list[Any] = ["done", "cancelled", "dead"]
    ended = [Report(job, state, 0) for job, state in zip(jobs, states, strict=True)]
    await context.db.write(record, ended, now=clock.now())
    await context.db.write(publish, Event("test.happened", {}), now=clock.now())

    async def left() -> tuple[list[str], list[str]]:
        await sweeper.sweep()
        found = await context.db.read(find_jobs, limit=9)
        events = await context.db.read(find_events, limit=9)
        return sorted(job.state for job in found), sorted(event.topic for event in events)

    published = ["job.cancelled", "job.dead", "test.happened"]
    assert await left() == (["cancelled", "dead", "done", "waiting"], published)
    clock.advance(2 * DAY + 1)
    assert await left() == (["dead", "waiting"], published)
    clock.advance(DAY)
    assert await left() == (["dead", "waiting"], [])
    kept[0] = RetentionSettings(dead_jobs="1d")
    assert await left() == (["waiting"], [])
