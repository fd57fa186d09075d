"""Tasks of the past."""

import random
from pathlib import Path

from signalbox.app.demo_replay import PastClock, past_context
from signalbox.app.demo_settings import demo_settings
from signalbox.app.demo_tasks import PastTasks
from signalbox.core.times import MICROSECONDS
from signalbox.infra.context import Context
from signalbox.infra.events import find_events
from signalbox.infra.jobs import find_jobs
from signalbox.sandbox.world import opened_world
from signalbox.tasks.runtime import TasksRuntime
from signalbox.tasks.service import list_tasks, show_history
from signalbox.tasks.store import TaskFilter

BEGAN = 1_790_000_000_000_000


async def test_tasks_end_as_the_pumps_would_have_ended_them(tmp_path: Path, context: Context) -> None:
    async with opened_world() as world:
        settings = demo_settings(tmp_path, world, 8123)
    past, _ = past_context(context, settings, PastClock(BEGAN))
    tasks = PastTasks(TasksRuntime(past, settings.tasks), "checks", random.Random(1))
    ended = await context.db.write(tasks.add, count=40, now=BEGAN)
    assert BEGAN < ended < BEGAN + 30 * MICROSECONDS
    found = (await context.db.read(list_tasks, TaskFilter(), limit=50)).items
    assert len(found) == 40
    failed = [task for task in found if task.status == "Error"]
    assert 0 < len(failed) < 20
    assert all(task.validation_error for task in failed)
    assert {task.status for task in found} == {"Completed", "Error"}
    assert len(await context.db.read(find_events, limit=50)) == len(failed)
    refused = next(task for task in failed if task.validation_error == "the address is reserved")
    history = (await context.db.read(show_history, refused.id, limit=5)).items
    assert [entry.source for entry in history] == ["submit", "client"]
    assert await context.db.read(find_jobs, limit=50) == []
