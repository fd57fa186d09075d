"""The transactions of the submit pump."""

import pytest
import sqlalchemy as sa

from signalbox.infra.context import Context
from signalbox.tasks import submit, verdicts
from signalbox.tasks.errors import LeaseLostError
from signalbox.tasks.jobs import patience_of
from signalbox.tasks.models import task as table
from signalbox.tasks.providers import Receipt
from signalbox.tasks.submit import Step
from tests.support.task_world import ScriptedProvider, TaskWorld


@pytest.fixture
def provider() -> ScriptedProvider:
    return ScriptedProvider()


@pytest.fixture
def world(context: Context, provider: ScriptedProvider) -> TaskWorld:
    return TaskWorld(context, provider)


async def step(world: TaskWorld, provider: ScriptedProvider, *given: verdicts.Verdict, room: int = 10) -> Step:
    if not hasattr(world, "job"):
        (world.job,) = await world.claim()  # type: ignore[attr-defined]
    return await world.db.write(
        submit.step,
        provider,
        given,
        job=world.job,  # type: ignore[attr-defined]
        budgets=world.context.budgets,
        journal=world.journal,
        room=room,
        hold=0,
        now=world.now,
    )


async def test_what_is_taken_is_marked_and_not_taken_again(world: TaskWorld, provider: ScriptedProvider) -> None:
    ids = await world.fill(5)
    first, second = await step(world, provider, room=3), await step(world, provider)
    assert [each.id for each in (*first.batch, *second.batch)] == ids
    assert {(each.phase, each.attempts) for each in await world.tasks()} == {("submitting", 1)}
    assert (await step(world, provider)).batch == []


async def test_a_verdict_of_an_earlier_attempt_changes_nothing(world: TaskWorld, provider: ScriptedProvider) -> None:
    made = await world.hand_over()
    (early,) = (await step(world, provider)).batch
    (late,) = (await step(world, provider, verdicts.unsent(early, until=world.now)._replace(uncounted=0))).batch
    assert (early.attempt, late.attempt) == (1, 2)
    patience = patience_of(world.settings, provider)
    arrived = verdicts.submitted(early, Receipt("x", None), now=world.now, patience=patience)
    assert (await step(world, provider, arrived)).taken == []
    assert (await world.task(made.id)).phase == "submitting"


async def test_a_verdict_of_before_a_retry_changes_nothing(world: TaskWorld, provider: ScriptedProvider) -> None:
    made = await world.hand_over()
    (early,) = (await step(world, provider)).batch
    await world.execute(sa.update(table).values(phase="queued", attempts=0, reference="new"))  # as a retry does
    (late,) = (await step(world, provider)).batch
    assert (early.attempt, late.attempt, late.reference) == (1, 1, "new")
    patience = patience_of(world.settings, provider)
    arrived = verdicts.submitted(early, Receipt("x", None), now=world.now, patience=patience)
    assert (await step(world, provider, arrived)).taken == []
    assert (await world.task(made.id)).phase == "submitting"


async def test_who_has_lost_the_lease_takes_nothing(world: TaskWorld, provider: ScriptedProvider) -> None:
    await world.fill(2)
    await step(world, provider, room=1)
    world.advance(20)
    with pytest.raises(LeaseLostError):
        await step(world, provider)
    assert sorted(each.phase for each in await world.tasks()) == ["queued", "submitting"]


async def test_many_failures_at_once_are_one_event(world: TaskWorld, provider: ScriptedProvider) -> None:
    await world.fill(submit.TOLD + 1)
    batch = (await step(world, provider, room=100)).batch
    failed = [verdicts.Verdict(each, "done", "Error", world.now, "no", topic="task.error") for each in batch]
    await step(world, provider, *failed)
    (event,) = await world.events("task.error")
    assert (event["count"], len(event["ids"]), event["reason"]) == (submit.TOLD + 1, submit.TOLD, "no")


async def test_unclear_tasks_do_not_take_all_the_room(world: TaskWorld, provider: ScriptedProvider) -> None:
    await world.fill(8)
    batch = (await step(world, provider)).batch
    doubts = [verdicts.Verdict(each, "unclear", "Not Started", world.now) for each in batch]
    fresh = await world.fill(8)
    await step(world, provider, *doubts, room=0)
    found = (await step(world, provider, room=4)).batch
    assert [each.doubtful for each in found] == [True, True, False, False]
    assert [each.id for each in found[2:]] == fresh[:2]
    assert found[0].sent_at == batch[0].sent_at


async def test_the_first_due_of_what_waits(world: TaskWorld, provider: ScriptedProvider) -> None:
    assert await world.db.read(submit.first_due, provider.name) is None
    assert not await world.db.read(submit.has_orphans, provider.name)
    await world.hand_over()
    assert await world.db.read(submit.first_due, provider.name) == world.now
    await step(world, provider)
    assert await world.db.read(submit.first_due, provider.name) is None
    assert await world.db.read(submit.has_orphans, provider.name)
