import asyncio
from collections.abc import AsyncIterator

import pytest

from signalbox.core.rates import parse_rate
from signalbox.gateway.errors import BudgetExhaustedError, HostPausedError
from signalbox.gateway.permits import HostPermits
from signalbox.infra.clock.system import SystemClock
from signalbox.infra.db import Database, DatabaseUnavailableError
from signalbox.infra.limits.budgets import Budgets
from signalbox.infra.limits.settings import BudgetSettings
from tests.support.databases import Place
from tests.support.timing import PATIENCE

HOST = "api.example.com"
LONG = 60.0


class Desk:
    """Permits of a host in one or more processes that share a database."""

    def __init__(self, database: Database) -> None:
        self.database, self.clock = database, SystemClock()
        self._made: list[HostPermits] = []

    def permits(self, limit: str, *, margin: float = 0.1, lasts: float | None = None) -> HostPermits:
        """``lasts``: seconds that blocks last, where a machine that halts must not lose one."""
        settings = BudgetSettings(host=HOST, limits=[parse_rate(limit)])
        self.budgets = Budgets([settings], self.database, self.clock, margin=margin)
        made = HostPermits(HOST, self.budgets, db=self.database, clock=self.clock)
        made._lasts = lasts or made._lasts
        self._made.append(made)
        return made

    async def used(self) -> int:
        status = await self.database.read(self.budgets.status, HOST, now=self.clock.now())
        return status.limits[0].used

    async def close(self) -> None:
        for each in self._made:
            await each.close()


@pytest.fixture
async def desk(database: Database) -> AsyncIterator[Desk]:
    made = Desk(database)
    yield made
    await made.close()


async def outcomes(*permits: HostPermits, calls: int) -> list[float | BaseException]:
    """What came of so many calls at once, spread over the processes."""
    return await asyncio.gather(
        *(permits[number % len(permits)].take() for number in range(calls)), return_exceptions=True
    )


async def test_processes_together_get_the_limit_and_hear_when_to_ask_again(desk: Desk) -> None:
    results = await outcomes(desk.permits("30/1h", lasts=LONG), desk.permits("30/1h", lasts=LONG), calls=50)
    granted = [each for each in results if isinstance(each, float)]
    refused = [each for each in results if isinstance(each, BudgetExhaustedError)]
    assert (len(granted), len(refused)) == (30, 20)
    assert all(3_500 < each.retry_after < 3_602 + LONG for each in refused)


async def test_a_lone_call_takes_one_permit(desk: Desk) -> None:
    permits = desk.permits("1000/1h")
    before = asyncio.get_running_loop().time()
    ends = await permits.take()
    assert before < ends <= asyncio.get_running_loop().time() + 1.0
    assert await desk.used() == 1


async def test_under_load_few_blocks_serve_many_calls(desk: Desk) -> None:
    permits = desk.permits("100000/1h")
    for _ in range(300):
        await permits.take()
    assert 300 <= await desk.used() < 1_200


async def test_a_block_is_at_most_a_tenth_of_the_limit(desk: Desk) -> None:
    permits = desk.permits("200/1h", lasts=LONG)
    for _ in range(100):
        await permits.take()
    assert await desk.used() <= 120


async def test_what_is_left_of_a_block_is_not_used_after_its_end(desk: Desk) -> None:
    permits = desk.permits("100000/1s")
    ends = max([await permits.take() for _ in range(50)])
    loop = asyncio.get_running_loop()
    assert permits._left() > 0
    while loop.time() <= ends:
        await asyncio.sleep(0.02)
    assert await permits.take() > loop.time() - 0.001
    assert all(block.ends > ends for block in permits._blocks)


async def test_an_exhausted_budget_is_not_asked_for_at_each_call(desk: Desk) -> None:
    permits = desk.permits("1/1h")
    await permits.take()
    await outcomes(permits, calls=1)
    assert permits._refill is not None
    await permits._refill
    refill = permits._refill
    with pytest.raises(BudgetExhaustedError):
        await permits.take()
    assert permits._refill is refill


async def test_permits_come_back_with_time(desk: Desk) -> None:
    permits = desk.permits("2/1s", margin=0.0)
    assert len([each for each in await outcomes(permits, calls=5) if isinstance(each, float)]) <= 2
    async with asyncio.timeout(PATIENCE):
        while not isinstance((await outcomes(permits, calls=1))[0], float):
            await asyncio.sleep(0.02)


async def test_a_permit_that_was_given_back_is_used_by_the_next(desk: Desk) -> None:
    permits = desk.permits("1/1h", lasts=LONG)
    ends = await permits.take()
    permits.give_back(ends)
    assert await permits.take() == ends
    with pytest.raises(BudgetExhaustedError):
        await permits.take()


async def test_a_pause_holds_at_once_here_and_soon_elsewhere(desk: Desk) -> None:
    here, elsewhere = desk.permits("100/1h"), desk.permits("100/1h")
    await here.take()
    here.pause(60)
    with pytest.raises(HostPausedError) as raised:
        await here.take()
    assert 50 < raised.value.retry_after <= 60
    await here.close()
    with pytest.raises(HostPausedError) as raised:
        await elsewhere.take()
    assert 50 < raised.value.retry_after <= 60


async def test_who_waits_when_a_pause_begins_is_refused(desk: Desk) -> None:
    permits = desk.permits("100/1h")
    waiting = asyncio.create_task(permits.take())
    await asyncio.sleep(0)
    permits.pause(60)
    with pytest.raises(HostPausedError):
        await waiting


async def test_a_call_that_is_given_up_hinders_nobody(desk: Desk) -> None:
    permits = desk.permits("100/1h")
    given_up, waiting = asyncio.create_task(permits.take()), asyncio.create_task(permits.take())
    await asyncio.sleep(0)
    given_up.cancel()
    assert await waiting > 0


async def test_a_permit_whose_call_is_given_up_in_that_moment_is_used_by_the_next(desk: Desk) -> None:
    permits = desk.permits("1/1h", lasts=LONG)
    call = permits.take()
    waiter = call.send(None)  # as a task does, which would go on as soon as there is a permit
    await asyncio.wait([waiter])
    with pytest.raises(asyncio.CancelledError):
        call.throw(asyncio.CancelledError)
    assert await permits.take() > 0


async def test_without_the_database_nobody_calls(place: Place) -> None:
    database = place.open()
    desk = Desk(database)
    permits = desk.permits("100/1h")
    await database.close()
    with pytest.raises(DatabaseUnavailableError):
        await permits.take()
    await desk.close()
