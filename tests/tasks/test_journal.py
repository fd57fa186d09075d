"""Changes are kept and told."""

import asyncio
from typing import Any

import sqlalchemy as sa

from signalbox.infra.context import Context
from signalbox.infra.db import Dialect
from signalbox.infra.db.rows import DIALECTS, encode_ids, is_bound_id
from signalbox.tasks.journal import CHANNEL, MANY, TOLD, Alike, Journal
from signalbox.tasks.models import task
from signalbox.tasks.schemas import Change
from signalbox.tasks.store import find_history
from tests.support.task_world import ScriptedProvider, TaskWorld
from tests.support.timing import PATIENCE


async def test_changes_are_kept_and_everybody_hears_of_which_tasks(context: Context) -> None:
    heard: list[str | None] = []
    await context.broadcast.open()
    context.broadcast.subscribe(CHANNEL, heard.append)
    journal = Journal(context.broadcast)
    await context.db.write(journal.write, [])
    await context.db.write(journal.write, [Change(n, 5, "Not Started", "Completed", "poll", "d") for n in (2, 1, 2)])
    await context.db.write(journal.write, [Change(n, 6, "Not Started", "Error", "poll") for n in range(TOLD + 1)])
    async with asyncio.timeout(PATIENCE):
        while len(heard) < 2:
            await asyncio.sleep(0.01)
    assert heard == ["1,2", MANY]
    found = await context.db.read(find_history, 2, before=None, limit=9)
    assert [(each.at, each.status_to, each.detail) for each in found] == [
        (6, "Error", None),
        (5, "Completed", "d"),
        (5, "Completed", "d"),
    ]
    await context.broadcast.close()


async def test_the_same_change_of_many_is_made_kept_and_told(context: Context) -> None:
    world = TaskWorld(context, ScriptedProvider())
    ids = await world.fill(3, provider=None)
    heard: list[str | None] = []
    await context.broadcast.open()
    context.broadcast.subscribe(CHANNEL, heard.append)

    async def change(wanted: list[int]) -> int:
        noted: dict[str, Any] = {"status_from": "Not Started", "status_to": "Error", "source": "poll", "at": 7}
        changes: dict[Dialect, sa.Update] = {
            dialect: sa.update(task)
            .where(is_bound_id(dialect, task.c.id, "ids"), task.c.flag.is_(None))
            .values(flag="missing")
            .returning(task.c.id)
            for dialect in DIALECTS
        }
        values = {"ids": encode_ids(wanted)}
        return await context.db.write(world.journal.change_alike, Alike(changes), values, **noted)

    assert [await change([ids[0], ids[2], 999]), await change(ids), await change(ids)] == [2, 1, 0]
    async with asyncio.timeout(PATIENCE):
        while len(heard) < 2:
            await asyncio.sleep(0.01)
    assert heard == [f"{ids[0]},{ids[2]}", str(ids[1])]
    for number in ids:
        (entry,) = await context.db.read(find_history, number, before=None, limit=9)
        assert (entry.at, entry.status_from, entry.status_to, entry.source) == (7, "Not Started", "Error", "poll")
        assert (await world.task(number)).flag == "missing"
    await context.broadcast.close()
