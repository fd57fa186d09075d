import asyncio
from collections.abc import Callable, Sequence

import pytest

from signalbox.core.drain import Drain
from signalbox.core.waiters import TooManyWaitersError
from signalbox.criticality.crowd import AT_ONCE, Crowd
from signalbox.criticality.models import Current
from signalbox.criticality.service.ask import Claims
from signalbox.criticality.store import Pair
from signalbox.criticality.view import Known
from signalbox.infra.db import DatabaseUnavailableError
from tests.criticality.conftest import cancel


class Database:
    """Tells whom to tell: apps that were not told of the revision by ``claim`` or otherwise."""

    def __init__(self) -> None:
        self.revision = 0
        self.told: set[tuple[Pair, int]] = set()
        self.claims: list[int] = []
        self.away = False
        self.pause = 0.0
        """Seconds that each claim takes."""

    async def claim(self, pairs: Sequence[Pair]) -> Claims:
        await asyncio.sleep(self.pause)
        if self.away:
            msg = "away"
            raise DatabaseUnavailableError(msg)
        self.claims.append(len(pairs))
        won = frozenset(pair for pair in pairs if (pair, self.revision) not in self.told)
        self.told |= {(pair, self.revision) for pair in won}
        return Claims({"s": Current("s", self.revision, 3, 0, 0, "p", None)}, won)


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def drain() -> Drain:
    return Drain()


@pytest.fixture
def crowd(database: Database, drain: Drain) -> Crowd:
    return Crowd(drain, database.claim, Known.of)


Change = Callable[[], None]


@pytest.fixture
def change(crowd: Crowd, database: Database) -> Change:
    def make() -> None:
        database.revision += 1
        crowd.stir("s")

    return make


async def waiting(crowd: Crowd, *who: tuple[str, int | None], seconds: float = 5) -> "list[asyncio.Task[Known | None]]":
    tasks = [asyncio.create_task(crowd.wait((app, "s"), since, seconds)) for app, since in who]
    await asyncio.sleep(0)
    return tasks


def revisions(found: Sequence[Known | None]) -> list[int | None]:
    return [None if each is None else each.revision for each in found]


async def test_all_hear_of_a_change_by_few_statements(crowd: Crowd, database: Database, change: Change) -> None:
    tasks = await waiting(crowd, *((f"app-{number}", None) for number in range(AT_ONCE + 1)))
    assert (len(crowd), len(set(crowd.pairs()))) == (AT_ONCE + 1, AT_ONCE + 1)
    change()
    found = await asyncio.gather(*tasks)
    assert set(revisions(found)) == {1}
    assert len({id(each) for each in found if each is not None}) <= len(database.claims)
    assert database.claims == [AT_ONCE, 1]
    assert len(crowd) == 0
    assert list(crowd.pairs()) == []


async def test_of_one_apps_asks_one_is_told_and_the_others_go_on(crowd: Crowd, change: Change) -> None:
    tasks = await waiting(crowd, ("a", None), ("a", None), ("a", None))
    for left in (2, 1, 0):
        change()
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        await crowd.close()
        assert len(crowd) == left
        tasks = [task for task in tasks if not task.done()]


async def test_who_says_what_it_has_is_told_of_all_else(crowd: Crowd, database: Database, change: Change) -> None:
    database.told.add((("a", "s"), 1))
    tasks = await waiting(crowd, ("a", 0), ("a", 0), ("a", 1), ("a", None))
    change()
    assert revisions(await asyncio.gather(*tasks[:2])) == [1, 1]
    assert len(crowd) == 2, "the third has it, and to the fourth it has been told"
    change()
    assert revisions(await asyncio.gather(tasks[2])) == [2]
    assert len(crowd) == 1, "the app was told by the answer to its other ask"
    change()
    assert revisions(await asyncio.gather(tasks[3])) == [3]


async def test_nothing_comes_in_time(crowd: Crowd, change: Change) -> None:
    [task] = await waiting(crowd, ("a", None), seconds=0.01)
    assert await task is None
    change()
    await crowd.close()


async def test_one_whose_client_left_waits_no_more(crowd: Crowd, database: Database, change: Change) -> None:
    left = asyncio.Event()

    async def receive() -> dict[str, str]:
        await left.wait()
        return {"type": "http.disconnect"}

    leaves = asyncio.create_task(crowd.wait(("a", "s"), None, 5, receive=receive))
    [stays] = await waiting(crowd, ("b", None))
    left.set()
    assert await leaves is None
    change()
    assert revisions(await asyncio.gather(stays)) == [1]
    assert database.claims == [1], "for one who has left nothing is claimed"


async def test_who_is_claimed_hears_of_it_though_the_time_is_over(
    crowd: Crowd, database: Database, change: Change
) -> None:
    database.pause = 0.05
    [task] = await waiting(crowd, ("a", None), seconds=0.01)
    change()
    assert revisions(await asyncio.gather(task)) == [1]


async def test_who_is_claimed_hears_of_it_though_the_process_drains(
    crowd: Crowd, database: Database, drain: Drain, change: Change
) -> None:
    database.told.add((("b", "s"), 1))
    tasks = await waiting(crowd, ("a", None), ("b", None))
    database.pause = 0.05
    change()
    await asyncio.sleep(0.01)
    drain.begin()
    assert revisions(await asyncio.gather(*tasks)) == [1, None], "to the second it has been told"
    assert len(crowd) == 0


async def test_for_one_whose_time_is_over_nothing_is_claimed(crowd: Crowd, database: Database, drain: Drain) -> None:
    """It has its answer, and is only about to leave."""
    tasks = await waiting(crowd, ("a", None))
    database.revision = 1
    crowd.stir("s")
    drain.begin()
    await crowd.close()
    assert revisions(await asyncio.gather(*tasks)) == [None]
    assert database.claims == []


async def test_who_left_before_its_turn_is_not_claimed(crowd: Crowd, database: Database, change: Change) -> None:
    """A thousand others come first."""
    tasks = await waiting(crowd, *((f"app-{number}", None) for number in range(AT_ONCE)))
    late = await waiting(crowd, ("late", None), seconds=0.01)
    database.pause = 0.05
    change()
    await crowd.close()
    assert revisions(await asyncio.gather(*late)) == [None]
    assert database.claims == [AT_ONCE]
    assert set(revisions(await asyncio.gather(*tasks))) == {1}


async def test_of_two_asks_the_one_that_stays_is_told(crowd: Crowd, database: Database, change: Change) -> None:
    leaves = (await waiting(crowd, ("a", None), seconds=0.01))[0]
    stays = (await waiting(crowd, ("a", None)))[0]
    database.pause = 0.05
    change()
    assert revisions(await asyncio.gather(leaves, stays)) == [None, 1]


async def test_what_cannot_be_taken_is_told_to_all_and_the_next_change_is_heard_of(
    database: Database, drain: Drain
) -> None:
    def take(current: Current) -> Known:
        if current.revision == 1:
            msg = "of another release"
            raise ValueError(msg)
        return Known.of(current)

    crowd = Crowd(drain, database.claim, take)
    for expected in ([ValueError], [Known]):
        tasks = await waiting(crowd, ("a", None))
        database.revision += 1
        crowd.stir("s")
        assert [type(each) for each in await asyncio.gather(*tasks, return_exceptions=True)] == expected


async def test_one_that_is_cancelled_leaves_nothing(crowd: Crowd, change: Change) -> None:
    [task] = await waiting(crowd, ("a", None))
    change()
    await cancel(task)
    await crowd.close()
    assert len(crowd) == 0


async def test_a_drain_sends_all_away_and_keeps_nobody(crowd: Crowd, drain: Drain) -> None:
    tasks = await waiting(crowd, ("a", None), ("b", 3))
    drain.begin()
    assert await asyncio.gather(*tasks) == [None, None]
    assert await crowd.wait(("c", "s"), None, 5) is None


async def test_a_database_that_is_away_is_told_to_all(crowd: Crowd, database: Database, change: Change) -> None:
    tasks = await waiting(crowd, ("a", None), ("b", 0))
    database.away = True
    change()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(each) for each in found} == {DatabaseUnavailableError}
    database.away = False
    tasks = await waiting(crowd, ("a", None))
    change()
    assert revisions(await asyncio.gather(*tasks)) == [2]


async def test_only_so_many_may_wait(database: Database, drain: Drain) -> None:
    crowd = Crowd(drain, database.claim, Known.of, limit=1)
    [task] = await waiting(crowd, ("a", None))
    with pytest.raises(TooManyWaitersError):
        await crowd.wait(("b", "s"), None, 1)
    await cancel(task)


async def test_other_signals_are_not_disturbed(crowd: Crowd, database: Database) -> None:
    crowd.stir("other")
    tasks = await waiting(crowd, ("a", None))
    crowd.stir("other")
    await crowd.close()
    assert database.claims == []
    for task in tasks:
        await cancel(task)
