"""What answers of polls change: pure comparison, and its bounds in the database."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.infra.context import Context
from signalbox.tasks import poll
from signalbox.tasks.errors import LeaseLostError
from signalbox.tasks.poll import Tally, Watched, compare, merge
from signalbox.tasks.providers import Sighting
from signalbox.tasks.schemas import STATUSES, TERMINAL
from tests.support.task_world import NAME, ScriptedProvider, TaskWorld

TASK = Watched(1, "shop", NAME, "x1", "In Progress", None, None, 0, 5)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([*STATUSES, "COOKING"]))))
def test_a_terminal_sighting_wins_whatever_stands_around_it(found: list[tuple[str, str]]) -> None:
    merged = merge(Sighting(key, status, None) for key, status in found)
    assert merged.keys() == {key for key, _ in found}
    for key, sighting in merged.items():
        statuses = [status for each, status in found if each == key]
        terminal = [status for status in statuses if status in TERMINAL]
        assert sighting.status == (terminal[0] if terminal else statuses[-1])


def test_news_are_a_difference_and_the_same_is_none() -> None:
    assert compare(TASK, Sighting("x1", "In Progress", None), missing_after=3) is None
    found = compare(TASK, Sighting("x1", "Error", "Invalid\0IP"), missing_after=3)
    assert found is not None
    assert (found.status, found.phase, found.error) == ("Error", "done", "Invalid\ufffdIP")
    found = compare(TASK, Sighting("x1", "Error", None), missing_after=3)
    assert found is not None
    assert found.error == "failed at the provider"


def test_a_message_beside_a_status_that_is_no_error_is_none() -> None:
    found = compare(TASK, Sighting("x1", "Completed", "all went well"), missing_after=3)
    assert found is not None
    assert found.error is None


def test_misses_are_counted_up_to_the_flag_and_no_further() -> None:
    task = TASK
    for missed in (1, 2, 3):
        found = compare(task, None, missing_after=3)
        assert found is not None
        assert (found.missed, found.flag) == (missed, "missing" if missed == 3 else None)
        assert found.is_visible == (missed == 3)
        task = task._replace(missed=found.missed, flag=found.flag)
    assert compare(task, None, missing_after=3) is None
    back = compare(task, Sighting("x1", "In Progress", None), missing_after=3)
    assert back is not None
    assert (back.missed, back.flag) == (0, None)


async def test_pages_of_tasks_under_way_leave_none_out(context: Context) -> None:
    world = TaskWorld(context, ScriptedProvider(), default=NAME)
    ids = await world.fill(poll.PAGE + 10, provider=None)
    seen, after = list[int](), ("", 0)
    while page := await world.db.read(poll.find_page, "", after=after):
        seen += [each.id for each in page]
        after = page[-1].key, page[-1].id
    assert sorted(seen) == sorted(ids)


async def test_who_has_lost_the_lease_writes_nothing(context: Context) -> None:
    provider = ScriptedProvider()
    world = TaskWorld(context, provider, default=NAME)
    made = await world.hand_over(None)
    world.advance(11)
    (job,) = await world.claim()
    world.advance(20)
    (watched,) = await world.db.read(poll.find_page, "", after=("", 0))
    difference = compare(watched, Sighting("1", "Completed", None), missing_after=3)
    assert difference is not None
    with pytest.raises(LeaseLostError):
        await world.db.write(poll.apply, provider, [difference], job=job, journal=world.journal, now=world.now)
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
