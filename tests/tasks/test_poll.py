"""What answers of polls change in the database."""

from collections.abc import Mapping

import pytest
import sqlalchemy as sa

from signalbox.infra.context import Context
from signalbox.tasks import poll
from signalbox.tasks.errors import LeaseLostError
from signalbox.tasks.models import task as table
from signalbox.tasks.poll import News, Tally
from signalbox.tasks.providers import Sighting
from tests.support.task_world import NAME, ScriptedProvider, TaskWorld


async def look(world: TaskWorld, seen: Mapping[str, Sighting], *, after: int = 0, began: int = 0) -> News:
    return await world.db.read(poll.find_news, "", seen, after=after, missing_after=3, began=began)


async def test_pages_of_tasks_under_way_leave_none_out(context: Context) -> None:
    world = TaskWorld(context, ScriptedProvider(), default=NAME)
    ids = await world.fill(poll.PAGE * poll.AT_ONCE + 10, provider=None)
    news = await look(world, {}, began=world.now + 1)
    missed = [each.of.id for page in news.pages for each in page.differences]
    assert [len(page.differences) for page in news.pages] == [poll.PAGE] * poll.AT_ONCE
    news = await look(world, {}, after=news.last or 0, began=world.now + 1)
    missed += [each.of.id for page in news.pages for each in page.differences]
    assert missed == sorted(ids)
    assert (await look(world, {}, after=news.last or 0, began=world.now + 1)).last is None


async def test_what_clients_changed_meanwhile_is_left_alone(context: Context) -> None:
    provider = ScriptedProvider()
    world = TaskWorld(context, provider, default=NAME)
    ids = await world.fill(6, provider=None)
    world.advance(11)
    (job,) = await world.claim()
    statuses = ("In Progress", "Completed", "Error") * 2
    seen = {str(number): Sighting(str(number), status, None) for number, status in zip(ids, statuses, strict=True)}
    (page,) = (await look(world, seen)).pages
    await world.execute(sa.update(table).where(table.c.id.in_(ids[:3])).values(status="Completed", phase="done"))
    changed = await world.db.write(poll.apply, provider, page, job=job, journal=world.journal, now=world.now)
    assert changed == 3
    assert {each.id: each.status for each in await world.tasks()} == dict(
        zip(ids, ["Completed"] * 3 + ["In Progress", "Completed", "Error"], strict=True)
    )
    assert [len(await world.history(number)) for number in ids] == [1, 1, 1, 2, 2, 2]


async def test_who_has_lost_the_lease_writes_nothing(context: Context) -> None:
    provider = ScriptedProvider()
    world = TaskWorld(context, provider, default=NAME)
    made = await world.hand_over(None)
    world.advance(11)
    (job,) = await world.claim()
    world.advance(20)
    (page,) = (await look(world, {str(made.id): Sighting(str(made.id), "Completed", None)})).pages
    with pytest.raises(LeaseLostError):
        await world.db.write(poll.apply, provider, page, job=job, journal=world.journal, now=world.now)
    assert (await world.task(made.id)).status == "Not Started"


async def test_streaks_are_counted(context: Context) -> None:
    world = TaskWorld(context, ScriptedProvider())
    quiet, news = Tally(), Tally(found=1, changed=1)

    async def note(tally: Tally, error: str | None = None) -> poll.Streaks:
        return await world.db.write(poll.note, NAME, tally, error=error, now=world.now)

    assert await note(quiet) == (0, 1)
    assert await note(quiet, "502") == (1, 1)
    assert await note(quiet, "502") == (2, 1)
    assert await note(quiet) == (0, 2)
    assert await note(news) == (0, 0)
