"""The jobs of tasks."""

import pytest
import sqlalchemy as sa

from signalbox.infra.context import Context
from signalbox.tasks import pump
from signalbox.tasks.jobs import TEND, build_kinds, build_schedules, patience_of
from signalbox.tasks.settings import TasksSettings
from tests.support.task_world import NAME, SECOND, ScriptedProvider, TaskWorld


@pytest.mark.parametrize(
    ("look_up", "idempotent", "resolves"), [(True, False, True), (False, True, True), (False, False, False)]
)
def test_patience_follows_settings_and_provider(look_up: bool, idempotent: bool, resolves: bool) -> None:
    provider = ScriptedProvider(can_look_up=look_up, is_idempotent=idempotent)
    patience = patience_of(TasksSettings(max_attempts=3, max_age="1h", lookup_after="7s"), provider)
    assert (patience.max_attempts, patience.max_age, patience.lookup_after) == (3, 3_600 * SECOND, 7 * SECOND)
    assert (patience.poll_after, patience.can_resolve) == (10 * SECOND, resolves)


async def test_every_provider_has_pumps_that_run_beside_each_other(context: Context) -> None:
    world = TaskWorld(context, ScriptedProvider(), ScriptedProvider("other"))
    kinds = build_kinds(world.pumps)
    assert kinds.keys() == {pump.SUBMIT, pump.POLL, pump.LATER, TEND}
    assert kinds[pump.SUBMIT].concurrency == 2
    assert [each.kind for each in build_schedules()] == [TEND]


async def test_tending_wakes_pumps_that_have_work_and_no_others(context: Context) -> None:
    world = TaskWorld(context, ScriptedProvider(), ScriptedProvider("other"), default=NAME)

    async def tend() -> set[tuple[str, str | None]]:
        done = await world.pumps.tend(None)  # type: ignore[arg-type]
        assert done.then is not None
        await world.db.write(done.then)
        return {(each.kind, each.key) for each in await world.jobs()}

    assert await tend() == set()
    await world.hand_over("other")
    await world.hand_over(None)
    await world.execute(sa.text("DELETE FROM job"))
    assert await tend() == {(pump.SUBMIT, "other"), (pump.POLL, NAME)}


async def test_a_task_that_waited_wakes_its_pump(context: Context) -> None:
    world = TaskWorld(context, ScriptedProvider())
    await world.db.write(pump.wake_later, NAME, due_at=world.now + SECOND, now=world.now)
    await world.db.write(pump.wake_later, NAME, due_at=world.now + SECOND, now=world.now)
    assert len(await world.jobs()) == 1
    world.advance(1)
    (job,) = await world.claim()
    done = await world.pumps.later(job)
    assert done.then is not None
    await world.db.write(done.then)
    assert (pump.SUBMIT, NAME) in {(each.kind, each.key) for each in await world.jobs()}
