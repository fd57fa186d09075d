"""How tasks come in."""

import asyncio
from typing import Any

import pytest

from signalbox.core.errors import UnprocessableError
from signalbox.infra.context import Context
from signalbox.tasks import intake, pump
from signalbox.tasks.errors import DuplicateTaskError, UnknownProviderError
from signalbox.tasks.schemas import NewTask, RowResult
from tests.support.task_world import NAME, SECOND, ScriptedProvider, TaskWorld


@pytest.fixture
def world(context: Context) -> TaskWorld:
    return TaskWorld(context, ScriptedProvider(), default=NAME)


async def accept_many(world: TaskWorld, *new: NewTask | UnprocessableError) -> list[RowResult]:
    hand: dict[str, Any] = {"desk": world.desk, "journal": world.journal, "app": "shop", "now": world.now}
    return await world.db.write(intake.accept_many, list(new), **hand)


async def test_a_task_for_a_provider_waits_for_its_pump(world: TaskWorld) -> None:
    made = await world.hand_over(payload={"a": 1})
    assert made == await world.task(made.id)
    assert (made.status, made.phase, made.provider, made.payload) == ("Not Started", "queued", NAME, '{"a":1}')
    (job,) = await world.jobs()
    assert (job.kind, job.key, job.due_at) == (pump.SUBMIT, NAME, world.now)


async def test_a_task_without_a_provider_is_tracked_in_the_status_it_was_given(world: TaskWorld) -> None:
    made = await world.hand_over(None, id=1, status="In Progress")
    assert (made.id, made.status, made.phase, made.provider) == (1, "In Progress", "submitted", "")
    (job,) = await world.jobs()
    assert (job.kind, job.due_at) == (pump.POLL, world.now + 10 * SECOND)


async def test_a_tracked_task_that_has_ended_is_not_polled(world: TaskWorld) -> None:
    made = await world.hand_over(None, validation_error="Invalid IP\0range")
    assert (made.status, made.phase, made.validation_error) == ("Error", "done", "Invalid IP\ufffdrange")
    assert await world.jobs() == []


async def test_many_tasks_enqueue_one_job(world: TaskWorld) -> None:
    for _ in range(5):
        await world.hand_over()
    await world.fill(50)
    assert len(await world.jobs()) == 1


async def test_an_id_is_taken_once(world: TaskWorld) -> None:
    await world.hand_over(None, id=5)
    with pytest.raises(DuplicateTaskError, match="Task with ID 5 already exists"):
        await world.hand_over(id=5)
    assert len(await world.tasks()) == 1


async def test_ids_that_clients_give_never_clash_with_ours(world: TaskWorld) -> None:
    for number in (1, 2, 3):
        await world.hand_over(None, id=number)
    ours = [await world.hand_over(None) for _ in range(3)]
    assert len({1, 2, 3} | {each.id for each in ours}) == 6
    results = await accept_many(world, *(NewTask(id=50) if number == 2 else NewTask() for number in range(5)))
    assert len({each.id for each in results}) == 5
    assert [each.status for each in results] == [201] * 5
    await asyncio.gather(*(world.hand_over(None, id=number) for number in range(60, 80)))
    assert len({(await world.hand_over(None)).id for _ in range(5)}) == 5


async def test_an_unknown_provider_is_refused(world: TaskWorld) -> None:
    with pytest.raises(UnknownProviderError, match=f"no provider 'emca'; known are: {NAME}"):
        await world.hand_over("emca")


async def test_a_task_to_submit_has_not_begun(world: TaskWorld) -> None:
    with pytest.raises(UnprocessableError, match="begins as Not Started"):
        await world.hand_over(status="Completed")


async def test_each_row_of_a_batch_has_its_own_result(world: TaskWorld) -> None:
    await world.hand_over(None, id=3)
    results = await accept_many(
        world,
        NewTask(id=1),
        NewTask(id=3),
        NewTask(provider="emca"),
        NewTask(),
        NewTask(id=1, provider=NAME),
        UnprocessableError([]),
        NewTask(provider=NAME, payload={"a": "\0"}),
    )
    assert [each.status for each in results] == [201, 409, 422, 201, 409, 422, 201]
    assert [each.code for each in results][1:3] == ["duplicate_task", "unknown_provider"]
    found = await world.tasks()
    assert len(found) == 4
    assert {job.kind for job in await world.jobs()} == {pump.SUBMIT, pump.POLL}
    unnamed = next(each for each in results[3:4])
    await world.run_for(11)
    assert (await world.task(unnamed.id or 0)).flag is None


async def test_batches_with_the_same_ids_in_opposite_order_do_not_wait_for_each_other(world: TaskWorld) -> None:
    for start in range(0, 2_000, 200):
        ids = range(start + 1, start + 201)
        results = await asyncio.gather(
            *(accept_many(world, *(NewTask(id=each) for each in order)) for order in (ids, reversed(ids)))
        )
        statuses = sorted(each.status for result in results for each in result)
        assert statuses == [201] * 200 + [409] * 200


async def test_a_batch_of_nothing_is_nothing(world: TaskWorld) -> None:
    assert await accept_many(world) == []
    assert await world.jobs() == []


async def test_tracked_tasks_of_a_batch_are_polled_by_their_ids(world: TaskWorld) -> None:
    ids = await world.fill(3, provider=None)
    world.providers[NAME].says(*((str(number), "Completed") for number in ids))
    await world.run_for(11)
    assert {each.status for each in await world.tasks()} == {"Completed"}
