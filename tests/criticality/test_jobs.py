import asyncio

from signalbox.criticality import jobs
from signalbox.criticality.schemas import NewConsumer
from signalbox.criticality.service import consumers, silence
from signalbox.infra.clock.manual import ManualClock
from signalbox.infra.context import Context
from signalbox.infra.events import find_events
from signalbox.infra.jobs.memory import MemoryQueue
from signalbox.infra.jobs.worker import Worker
from tests.support.timing import PATIENCE


async def test_a_worker_tells_of_silence(context: Context, clock: ManualClock) -> None:
    await context.db.write(silence.begin, alone=True, now=clock.now())
    new = NewConsumer(app="a", interval="1s")
    await context.db.write(consumers.register, new, actor="test", now=clock.now())
    clock.advance(5)
    queue = MemoryQueue(database=context.db)
    worker = Worker(queue, jobs.kinds(context), clock, name="w", schedules=jobs.schedules())
    await worker.open()
    queue.enqueue(jobs.schedules()[0].to_job(), now=clock.now())
    async with asyncio.timeout(PATIENCE):
        while not (events := await context.db.read(find_events, limit=5)):
            await asyncio.sleep(0.01)
    await worker.close()
    assert [each.topic for each in events] == [silence.SILENT]
