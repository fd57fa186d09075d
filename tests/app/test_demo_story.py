"""What happens in the demo's past, and when; that it happens is for the test of the day."""

import random
from pathlib import Path

from signalbox.app.demo_replay import PastClock, past_context
from signalbox.app.demo_settings import demo_settings
from signalbox.app.demo_story import Story
from signalbox.app.demo_tasks import PastTasks
from signalbox.core.times import DAY, HOUR, MINUTE
from signalbox.criticality.runtime import CriticalityRuntime
from signalbox.criticality.service import consumers
from signalbox.infra.context import Context
from signalbox.infra.events import find_events
from signalbox.notifications.routing import compile_routing
from signalbox.sandbox.past_calls import Span
from signalbox.sandbox.world import opened_world
from signalbox.tasks.runtime import TasksRuntime

BEGAN = 20_000 * DAY
OUTAGE = Span(BEGAN + 15 * HOUR, BEGAN + 15 * HOUR + 10 * MINUTE)


async def test_all_happens_within_the_day_in_the_order_of_time(tmp_path: Path, context: Context) -> None:
    async with opened_world() as world:
        settings = demo_settings(tmp_path, world, 8123)
    clock = PastClock(BEGAN)
    past, _ = past_context(context, settings, clock)
    story = Story(
        past,
        span=Span(BEGAN, BEGAN + DAY),
        outage=OUTAGE,
        routing=compile_routing(settings.notifications),
        criticality=CriticalityRuntime(past, settings.criticality, serves=False),
        tasks=PastTasks(TasksRuntime(past, settings.tasks), "checks", random.Random(1)),
    )
    scenes = story.scenes()
    moments = [scene.at for scene in scenes]
    assert len(moments) > 100
    assert moments == sorted(moments)
    assert BEGAN <= moments[0] <= moments[-1] < BEGAN + DAY
    for scene in scenes:
        clock.move_to(scene.at)
        await scene.act(scene.at)
    (signal,) = await context.db.read(consumers.list_signals)
    assert signal.level in {1, 2, 3}
    events = {event.topic: event.created_at for event in await context.db.read(find_events, limit=200)}
    assert OUTAGE.begins <= events["gateway.upstream_down"] < OUTAGE.begins + MINUTE
    assert events["gateway.upstream_up"] == OUTAGE.ends
    assert {"criticality.raised", "criticality.lowered", "criticality.consumer_silent"} <= set(events)
