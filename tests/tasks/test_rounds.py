"""Whose turn it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.infra.context import Context
from signalbox.tasks import rounds
from signalbox.tasks.rounds import Turn, interleave
from tests.support.task_world import NAME, ScriptedProvider, TaskWorld


@pytest.fixture
def world(context: Context) -> TaskWorld:
    return TaskWorld(context, ScriptedProvider(), ScriptedProvider("other"))


async def choose(world: TaskWorld, limit: int, provider: str = NAME) -> list[Turn]:
    return await world.db.read(rounds.choose, provider, limit=limit, now=world.now)


async def test_each_app_has_one_before_any_has_two_and_each_app_its_oldest_first(world: TaskWorld) -> None:
    many = await world.fill(20, app="b")
    few = await world.fill(2, app="a")
    assert await choose(world, 5) == [
        Turn("a", few[0]),
        Turn("b", many[0]),
        Turn("a", few[1]),
        Turn("b", many[1]),
        Turn("b", many[2]),
    ]


async def test_the_next_round_begins_behind_whose_turn_it_was(world: TaskWorld) -> None:
    for app in ("a", "b", "c"):
        await world.fill(3, app=app)
    await world.db.write(rounds.note_turn, NAME, "a")
    assert [each.app for each in await choose(world, 1)] == ["b"]
    await world.db.write(rounds.note_turn, NAME, "c")
    assert [each.app for each in await choose(world, 2)] == ["a", "b"]


async def test_shares_that_apps_leave_go_to_the_others(world: TaskWorld) -> None:
    await world.fill(10, app="a")
    await world.fill(1, app="b")
    assert [each.app for each in await choose(world, 8)].count("a") == 7
    assert len(await choose(world, 100)) == 11


async def test_more_apps_than_turns(world: TaskWorld) -> None:
    for number in range(10):
        await world.fill(2, app=f"app{number}")
    assert len({each.app for each in await choose(world, 4)}) == 4


async def test_providers_and_tasks_that_are_not_due_are_left_out(world: TaskWorld) -> None:
    await world.fill(2, provider="other")
    assert await choose(world, 5) == []
    assert len(await choose(world, 5, "other")) == 2
    assert await choose(world, 0, "other") == []
    assert await world.db.read(rounds.first_due, NAME) is None
    assert await world.db.read(rounds.first_due, "other") == world.now
    world.advance(-1)
    assert await choose(world, 5, "other") == []


@given(st.lists(st.integers(0, 6), max_size=5))
def test_no_app_is_more_than_one_ahead_of_another_that_still_has_some(counts: list[int]) -> None:
    rows = [[Turn(str(app), number) for number in range(count)] for app, count in enumerate(counts)]
    turns = interleave(rows)
    assert len(turns) == sum(counts)
    for end in range(len(turns)):
        had = [sum(each.app == str(app) for each in turns[:end]) for app in range(len(counts))]
        left = [mine for mine, count in zip(had, counts, strict=True) if mine < count]
        assert not left or max(had) - min(left) <= 1
