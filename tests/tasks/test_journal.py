"""Changes are kept and told."""

import asyncio

from signalbox.infra.context import Context
from signalbox.tasks.journal import CHANNEL, MANY, TOLD, Journal
from signalbox.tasks.schemas import Change
from signalbox.tasks.store import find_history


async def test_changes_are_kept_and_everybody_hears_of_which_tasks(context: Context) -> None:
    heard: list[str | None] = []
    await context.broadcast.open()
    context.broadcast.subscribe(CHANNEL, heard.append)
    journal = Journal(context.broadcast)
    await context.db.write(journal.write, [])
    await context.db.write(journal.write, [Change(n, 5, "Not Started", "Completed", "poll", "d") for n in (2, 1, 2)])
    await context.db.write(journal.write, [Change(n, 6, "Not Started", "Error", "poll") for n in range(TOLD + 1)])
    for ids in ([], [7, 2], list(range(1_000, 1_001 + TOLD))):
        await context.db.write(
            journal.write_alike, ids, status_from="Error", status_to="Completed", source="poll", at=7
        )
    async with asyncio.timeout(10):
        while len(heard) < 4:
            await asyncio.sleep(0.01)
    assert heard == ["1,2", MANY, "7,2", MANY]
    found = await context.db.read(find_history, 2, before=None, limit=9)
    assert [(each.at, each.status_to, each.detail) for each in found] == [
        (7, "Completed", None),
        (6, "Error", None),
        (5, "Completed", "d"),
        (5, "Completed", "d"),
    ]
    await context.broadcast.close()
