"""How providers stand."""

from signalbox.core.rates import parse_rate
from signalbox.infra.context import Context
from signalbox.tasks import overview
from signalbox.tasks.providers import PollFailedError
from signalbox.tasks.runtime import TasksRuntime
from signalbox.tasks.schemas import ProviderOut
from signalbox.tasks.settings import TasksSettings
from tests.support.task_world import NAME, SECOND, ScriptedProvider, TaskWorld

ACME = {"name": NAME, "kind": "http-json", "list_url": "http://127.0.0.1:1/tasks"}


async def look(world: TaskWorld) -> ProviderOut:
    settings = TasksSettings.model_validate({"providers": [ACME], "default_provider": NAME})
    assert list(TasksRuntime(world.context, settings).providers) == [NAME]
    (found,) = await world.db.read(
        overview.list_providers,
        world.providers,
        settings=settings,
        budgets=world.context.budgets,
        now=world.now,
    )
    return found


async def test_backlog_limits_pause_and_last_poll_are_told(context: Context) -> None:
    provider = ScriptedProvider(limits=["5/1000s"])
    world = TaskWorld(context, provider, default=NAME)
    await world.fill(7)
    await world.fill(2, provider=None)
    found = await look(world)
    assert (found.queued, found.submitting, found.in_flight, found.last_poll) == (7, 0, 2, None)
    assert [each.limit for each in found.limits] == [str(parse_rate("5/1000s"))]
    assert (found.is_default, found.host, found.kind) == (True, "acme.test", "http-json")
    await world.run()
    found = await look(world)
    assert (found.queued, found.in_flight) == (2, 7)
    assert [each.used for each in found.limits] == [5], "of limits of its own settings too"
    provider.limits = {}
    provider.sightings = PollFailedError("busy", retry_after=60)
    await world.run_for(2_000, step=100)
    found = await look(world)
    assert found.last_poll is not None
    assert found.last_poll.error == "busy"
    await world.db.write(context.budgets.pause, "acme.test", until=world.now + SECOND)
    assert (await look(world)).paused_until is not None
