"""Queries about tasks, and that they find their rows by an index."""

import pytest
import sqlalchemy as sa

from signalbox.infra.context import Context
from signalbox.tasks import poll, rounds, store, submit
from signalbox.tasks.schemas import STATUSES, Status
from signalbox.tasks.store import Counts, TaskFilter
from tests.support.task_world import NAME, SECOND, ScriptedProvider, TaskWorld


@pytest.fixture
def world(context: Context) -> TaskWorld:
    return TaskWorld(context, ScriptedProvider(), default=NAME)


async def test_counts_are_by_what_is_to_be_done(world: TaskWorld) -> None:
    await world.fill(3)
    await world.fill(2, provider=None)
    assert await world.db.read(store.count_open, NAME) == Counts(3, 0, 0)
    await world.run()
    assert await world.db.read(store.count_open, NAME) == Counts(0, 0, 3)
    assert await world.db.read(store.count_open, "") == Counts(0, 0, 2)


async def test_a_task_is_deleted_with_its_history(world: TaskWorld) -> None:
    made = await world.hand_over()
    await world.run()
    await world.db.write(store.delete_task, made.id)
    assert await world.tasks() == []
    assert await world.db.read(store.find_history, made.id, before=None, limit=9) == []


async def test_only_what_ended_long_ago_is_swept_in_steps(world: TaskWorld) -> None:
    for _ in range(3):
        await world.hand_over(None, status="Completed")
    await world.hand_over(None)
    world.advance(10)
    young = await world.hand_over(None, status="Completed")
    older_than = world.now - 5 * SECOND
    assert await world.db.write(store.delete_ended, older_than=older_than, limit=2) == 2
    assert await world.db.write(store.delete_ended, older_than=older_than, limit=2) == 1
    assert await world.db.write(store.delete_ended, older_than=older_than, limit=2) == 0
    assert {each.status for each in await world.tasks()} == {"Not Started", "Completed"}
    assert (await world.task(young.id)).status == "Completed"


async def test_since_is_when_it_last_changed(world: TaskWorld) -> None:
    made = await world.hand_over()
    await world.hand_over(None)
    world.advance(5)
    await world.run()
    found = await world.db.read(store.find_tasks, TaskFilter(since=world.now), before=None, limit=9)
    assert [each.id for each in found] == [made.id]


@pytest.mark.parametrize("status", ["Not Started", "In Progress", "Completed", "Error"])
async def test_tasks_are_found_by_their_status(world: TaskWorld, status: Status) -> None:
    made = {each: await world.hand_over(None, status=each) for each in STATUSES}
    found = await world.db.read(store.find_tasks, TaskFilter(status=status), before=None, limit=9)
    assert [each.id for each in found] == [made[status].id]


@pytest.mark.parametrize(
    ("wanted", "values", "index"),
    [
        (TaskFilter(status="Error"), ("Error",), "ix_task_status_id"),
        (TaskFilter(status="Error", app="shop"), ("Error", "", "shop"), "ix_task_status_id"),
        (TaskFilter(app="shop"), ("shop",), "ix_task_app"),
        (TaskFilter(provider=NAME), (NAME,), "ix_task_provider_id"),
    ],
)
async def test_what_is_rare_is_found_by_an_index(
    world: TaskWorld, wanted: TaskFilter, values: tuple[str, ...], index: str
) -> None:
    if world.db.dialect == "postgresql":
        return  # its planner chooses by the size of tables, which is nothing here

    def explain(tx: sa.Connection) -> list[str]:
        statements: list[str] = []
        sa.event.listen(tx, "before_cursor_execute", lambda *seen: statements.append(seen[2]))
        store.find_tasks(tx, wanted, before=9, limit=9)
        plan = tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {statements[-1]}", (*values, 9, 9, 0))
        return [str(row) for row in plan]

    assert index in str(await world.db.read(explain))


HOT = (
    (rounds._APPS, {"provider": NAME}, "ix_task_queued"),
    (rounds._NEXT, {"provider": NAME, "app": "a", "now": 1, "limit": 5}, "ix_task_queued"),
    (submit._UNCLEAR, {"provider": NAME, "now": 1, "limit": 5}, "ix_task_unclear"),
    (submit._ORPHANS, {"provider": NAME}, "ix_task_submitting"),
    (poll._PAGE, {"provider": NAME, "after": 0}, "ix_task_submitted "),
    (poll._DUE, {"provider": NAME, "now": 1, "limit": 5}, "ix_task_submitted_next"),
    (submit._FIRST_UNCLEAR, {"provider": NAME}, "ix_task_unclear"),
    (store._COUNTS, {"provider": NAME}, "ix_task_submitting"),
    (poll._FIRST, {"provider": NAME}, "ix_task_submitted_next"),
)


@pytest.mark.parametrize(("statement", "values", "index"), HOT)
async def test_the_pumps_find_their_tasks_by_an_index(
    world: TaskWorld, statement: sa.Select[object], values: dict[str, object], index: str
) -> None:
    if world.db.dialect == "postgresql":
        return  # its planner chooses by the size of tables, which is nothing here

    def explain(tx: sa.Connection) -> str:
        compiled = statement.compile(dialect=tx.dialect)
        plan = tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", tuple(_given(compiled, values)))
        return "\n".join(str(row) for row in plan)

    plan = await world.db.read(explain)
    assert index in plan, plan
    assert "SCAN task\n" not in plan, plan


def _given(compiled: object, values: dict[str, object]) -> list[object]:
    names: list[str] = compiled.positiontup  # type: ignore[attr-defined]
    bound: dict[str, object] = compiled.params  # type: ignore[attr-defined]
    return [values.get(name, bound.get(name)) for name in names]


async def test_tasks_of_an_app_are_found_whatever_else_is_asked(world: TaskWorld) -> None:
    failed = await world.hand_over(None, status="Error")
    await world.hand_over(None, app="till", status="Error")
    waiting = await world.hand_over(None)
    for wanted, ids in (
        (TaskFilter(app="shop"), [waiting.id, failed.id]),
        (TaskFilter("Error", app="shop"), [failed.id]),
    ):
        found = await world.db.read(store.find_tasks, wanted, before=None, limit=9)
        assert [each.id for each in found] == ids
    assert await world.db.read(store.find_tasks, TaskFilter(app="nobody"), before=None, limit=9) == []
