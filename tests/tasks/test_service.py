"""What clients and people do with tasks."""

from typing import Any

import pytest

from signalbox.auth.audit import AuditFilter, list_entries
from signalbox.auth.principal import Principal
from signalbox.infra.context import Context
from signalbox.tasks import service, store
from signalbox.tasks.errors import (
    TaskEndedError,
    TaskNotFailedError,
    TaskNotFoundError,
    TaskSubmittedError,
    UnknownProviderError,
)
from signalbox.tasks.providers import SubmitRefusedError
from signalbox.tasks.schemas import NewTask, TaskOut, TaskPatch
from signalbox.tasks.store import TaskFilter
from tests.support.task_world import NAME, ScriptedProvider, TaskWorld

APP = Principal("app", "shop", "shop", frozenset())
ANNA = Principal("user", "anna", None, frozenset())


@pytest.fixture
def provider() -> ScriptedProvider:
    return ScriptedProvider()


@pytest.fixture
def world(context: Context, provider: ScriptedProvider) -> TaskWorld:
    return TaskWorld(context, provider, default=NAME)


async def change(world: TaskWorld, number: int, *, by: Principal = APP, **patch: str) -> TaskOut:
    wanted = TaskPatch.model_validate(patch)
    return await world.db.write(service.change_task, number, wanted, by=by, journal=world.journal, now=world.now)


async def retry(world: TaskWorld, number: int, by: Principal = ANNA) -> TaskOut:
    return await world.db.write(
        service.retry_task,
        number,
        desk=world.desk,
        by=by.actor,
        source=service.source_of(by),
        journal=world.journal,
        now=world.now,
    )


async def cancel(world: TaskWorld, number: int) -> None:
    await world.db.write(service.cancel_task, number, by=ANNA.actor, journal=world.journal, now=world.now)


async def test_a_task_that_is_not_there_is_named(world: TaskWorld) -> None:
    with pytest.raises(TaskNotFoundError, match=r"^Task with ID 9999 not found$"):
        await world.db.read(service.show_task, 9999)


async def test_pages_follow_one_another(world: TaskWorld) -> None:
    ids = await world.fill(5, provider=None)
    cursor, seen = None, list[int]()
    for _ in range(3):
        page = await world.db.read(service.list_tasks, TaskFilter(), limit=2, cursor=cursor)
        cursor = page.next_cursor
        seen += [each.id for each in page.items]
    assert (seen, cursor) == (sorted(ids, reverse=True), None)


async def test_clients_change_status_and_error_and_history_tells_who(world: TaskWorld) -> None:
    made = await world.hand_over(None, id=1)
    world.advance(1)
    assert (await change(world, 1, status="In Progress")).status == "In Progress"
    found = await change(world, 1, by=ANNA, validation_error="Invalid IP\0range")
    assert (found.status, found.validation_error) == ("Error", "Invalid IP\ufffdrange")
    entries = await world.history(made.id)
    assert [(each.status_from, each.status_to, each.source) for each in entries] == [
        (None, "Not Started", "client"),
        ("Not Started", "In Progress", "client"),
        ("In Progress", "Error", "operator"),
    ]
    assert (await world.task(1)).phase == "done"


async def test_what_has_ended_does_not_begin_again_by_a_patch(world: TaskWorld) -> None:
    await world.hand_over(None, id=1, status="Completed")
    with pytest.raises(TaskEndedError, match="has ended as Completed"):
        await change(world, 1, status="In Progress")
    assert (await change(world, 1, status="Completed")).status == "Completed"
    with pytest.raises(TaskEndedError, match="which stays"):
        await change(world, 1, validation_error="wrong after all")
    await world.hand_over(None, id=2, validation_error="wrong")
    with pytest.raises(TaskEndedError):
        await change(world, 2, status="Completed")
    assert (await change(world, 2, validation_error="told better")).validation_error == "told better"


async def test_a_patch_that_changes_nothing_is_no_change(world: TaskWorld) -> None:
    await world.hand_over(None, id=1)
    world.advance(1)
    before = await world.task(1)
    await change(world, 1, status="Not Started")
    assert await world.task(1) == before


async def test_a_task_that_a_client_has_ended_is_not_submitted(world: TaskWorld, provider: ScriptedProvider) -> None:
    made = await world.hand_over()
    await change(world, made.id, status="Completed")
    await world.run()
    assert provider.submissions == []


async def test_only_what_was_not_submitted_can_be_cancelled(world: TaskWorld, provider: ScriptedProvider) -> None:
    first = await world.hand_over()
    await cancel(world, first.id)
    await world.run()
    assert (provider.submissions, await world.tasks()) == ([], [])
    second = await world.hand_over()
    await world.run()
    with pytest.raises(TaskSubmittedError, match=f"was handed to {NAME}"):
        await cancel(world, second.id)
    with pytest.raises(TaskNotFoundError):
        await cancel(world, first.id)
    (entry,) = await world.db.read(list_entries, wanted=AuditFilter(action="task.cancel"), limit=9)
    assert (entry.target, entry.actor) == (f"task:{first.id}", "user:anna")


async def test_many_are_changed_at_once_and_each_says_what_became_of_it(world: TaskWorld) -> None:
    await world.hand_over(None, id=1, validation_error="wrong")
    await world.hand_over(id=2)
    hand: dict[str, Any] = {"desk": world.desk, "by": ANNA, "journal": world.journal, "now": world.now}
    said = await world.db.write(service.change_tasks, [2, 1, 9], action="cancel", **hand)
    assert [(each.id, each.done, each.code) for each in said] == [
        (2, True, None),
        (1, True, None),
        (9, False, "task_not_found"),
    ]
    await world.hand_over(None, id=3, validation_error="wrong")
    await world.hand_over(None, id=4)
    said = await world.db.write(service.change_tasks, [3, 4], action="retry", **hand)
    assert [(each.id, each.code) for each in said] == [(3, None), (4, "task_not_failed")]
    assert (await world.history(3))[-1].source == "operator"


@pytest.mark.parametrize("number", [0, -1, 2**53, 2**64])
async def test_what_no_task_can_have_for_an_id_is_not_found(world: TaskWorld, number: int) -> None:
    with pytest.raises(TaskNotFoundError, match=f"ID {number} not found"):
        await world.db.read(service.show_task, number)


async def test_a_failed_task_is_submitted_again_with_a_new_reference(
    world: TaskWorld, provider: ScriptedProvider
) -> None:
    provider.answer = lambda _: SubmitRefusedError("no", permanent=True, sent=False)
    made = await world.hand_over()
    await world.run()
    provider.answer = provider.take
    again = await retry(world, made.id)
    assert (again.status, again.validation_error, again.attempts) == ("Not Started", None, 0)
    await world.run()
    first, second = provider.submissions
    assert first.reference != second.reference
    assert [each.source for each in await world.history(made.id)] == ["client", "submit", "operator", "submit"]
    (entry,) = await world.db.read(list_entries, wanted=AuditFilter(action="task.retry"), limit=9)
    assert entry.target == f"task:{made.id}"


async def test_a_task_that_waits_for_its_next_attempt_is_tried_at_once(
    world: TaskWorld, provider: ScriptedProvider
) -> None:
    provider.answer = lambda _: SubmitRefusedError("busy", permanent=False, retry_after=500, sent=False)
    made = await world.hand_over()
    await world.run()
    provider.answer = provider.take
    await retry(world, made.id, APP)
    found = await world.task(made.id)
    assert (found.phase, found.next_at, found.attempts) == ("queued", world.now, 0)


async def test_what_has_not_failed_is_not_tried_again(world: TaskWorld) -> None:
    made = await world.hand_over()
    await world.run()
    with pytest.raises(TaskNotFailedError, match="is In Progress"):
        await retry(world, made.id)


async def test_a_failed_task_of_a_provider_that_is_gone_is_not_tried_again(
    world: TaskWorld, provider: ScriptedProvider
) -> None:
    made = await world.hand_over()
    await change(world, made.id, validation_error="no")
    world.desk = world.desk._replace(intervals={}, default=None)
    with pytest.raises(UnknownProviderError):
        await retry(world, made.id)


async def test_a_tracked_task_that_failed_is_polled_again(world: TaskWorld, provider: ScriptedProvider) -> None:
    made = await world.hand_over(None, status="Error")
    await retry(world, made.id)
    provider.says((str(made.id), "Completed"))
    await world.run_for(11)
    assert (await world.task(made.id)).status == "Completed"


async def test_history_has_pages_and_ends_with_the_beginning(world: TaskWorld) -> None:
    await world.hand_over(None, id=1)
    for status in ("In Progress", "Not Started", "In Progress"):
        await change(world, 1, status=status)
    page = await world.db.read(service.show_history, 1, limit=2)
    assert len(page.items) == 2
    page = await world.db.read(service.show_history, 1, limit=2, cursor=page.next_cursor)
    assert [each.status_from for each in page.items] == ["Not Started", None]
    assert page.next_cursor is None


async def add(world: TaskWorld, new: NewTask) -> TaskOut:
    return await world.db.write(
        service.add_task, new, desk=world.desk, by=ANNA.actor, journal=world.journal, now=world.now
    )


async def test_a_task_that_is_handed_over_by_hand_is_in_the_audit_trail(world: TaskWorld) -> None:
    made = await add(world, NewTask(provider=NAME, payload={"n": 1}))
    assert (made.app, made.status, made.payload) == ("user:anna", "Not Started", {"n": 1})
    entry = (await world.db.read(list_entries, wanted=AuditFilter(), limit=1))[0]
    assert (entry.actor, entry.action, entry.target) == ("user:anna", "task.add", f"task:{made.id}")


async def test_a_task_is_found_by_its_id_its_reference_and_the_providers_id(world: TaskWorld) -> None:
    made = await add(world, NewTask(provider=NAME))
    await world.db.write(store.change_task, made.id, {"external_id": "ext-7"})
    for text in (str(made.id), made.reference, "ext-7"):
        found = await world.db.read(service.find_task, text)
        assert found is not None
        assert found.id == made.id
    for text in ("nothing like it", "", "0", "9" * 40, "\u0663"):
        assert await world.db.read(service.find_task, text) is None


async def test_tasks_are_listed_by_who_handed_them_over(world: TaskWorld) -> None:
    made = await add(world, NewTask(provider=NAME))
    await world.hand_over()
    page = await world.db.read(service.list_tasks, TaskFilter(app="user:anna"), limit=9)
    assert [each.id for each in page.items] == [made.id]
