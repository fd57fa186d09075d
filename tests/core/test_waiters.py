import asyncio

import pytest

from signalbox.core.asgi import Message
from signalbox.core.drain import Drain
from signalbox.core.waiters import TooManyWaitersError, Waiters
from tests.support.timing import PATIENCE, until

LONG = 60.0
"""Seconds that nobody here waits for."""


class Client:
    """Its side of a request: nothing until it leaves."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()
        self.begun = False

    async def receive(self) -> Message:
        if not self.begun:
            self.begun = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}


@pytest.fixture
def drain() -> Drain:
    return Drain()


@pytest.fixture
def waiters(drain: Drain) -> Waiters[str, int]:
    return Waiters(drain)


async def test_all_who_wait_for_a_key_get_its_news_and_nobody_else(waiters: Waiters[str, int]) -> None:
    some = [asyncio.create_task(waiters.wait("a", LONG)) for _ in range(1_000)]
    other = asyncio.create_task(waiters.wait("b", LONG))
    await until(lambda: len(waiters) == 1_001)
    assert waiters.wake("a", 7) == 1_000
    assert await asyncio.gather(*some) == [7] * 1_000
    assert not other.done()
    assert len(waiters) == 1
    assert waiters.wake("nobody's", 1) == 0
    waiters.wake("b", 8)
    assert await other == 8


async def test_news_between_join_and_wait_are_not_missed(waiters: Waiters[str, int]) -> None:
    with waiters.join("a") as waiter:
        waiters.wake("a", 1)
        waiters.wake("a", 2)
        assert await waiter.wait(LONG) == 1


async def test_one_may_wait_for_several_keys(waiters: Waiters[str, int]) -> None:
    for key in ("a", "b"):
        with waiters.join("a", "b") as waiter:
            waiters.wake(key, 3)
            assert await waiter.wait(LONG) == 3
    assert waiters.wake("a", 1) == waiters.wake("b", 1) == 0


async def test_without_news_the_time_ends_it(waiters: Waiters[str, int]) -> None:
    assert await waiters.wait("a", 0.01) is None
    assert len(waiters) == 0


async def test_a_client_that_leaves_ends_it(waiters: Waiters[str, int]) -> None:
    client = Client()
    waiting = asyncio.create_task(waiters.wait("a", LONG, receive=client.receive))
    await until(lambda: client.begun)
    assert not waiting.done()
    client.gone.set()
    async with asyncio.timeout(PATIENCE):
        assert await waiting is None
    assert len(waiters) == 0


async def test_news_leave_nobody_who_watches_the_client(waiters: Waiters[str, int]) -> None:
    client = Client()
    before = len(asyncio.all_tasks())
    waiting = asyncio.create_task(waiters.wait("a", LONG, receive=client.receive))
    await until(lambda: client.begun)
    waiters.wake("a", 5)
    assert await waiting == 5
    await until(lambda: len(asyncio.all_tasks()) == before)


async def test_a_cancelled_waiter_is_forgotten(waiters: Waiters[str, int]) -> None:
    waiting = asyncio.create_task(waiters.wait("a", LONG))
    await until(lambda: len(waiters) == 1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert len(waiters) == 0
    assert waiters.wake("a", 1) == 0


async def test_a_drain_sends_all_away_and_nobody_waits_after_it(drain: Drain, waiters: Waiters[str, int]) -> None:
    some = [asyncio.create_task(waiters.wait(key, LONG)) for key in "abc"]
    await until(lambda: len(waiters) == 3)
    drain.begin()
    async with asyncio.timeout(PATIENCE):
        assert await asyncio.gather(*some) == [None] * 3
        assert await waiters.wait("a", LONG) is None


async def test_as_many_wait_as_may(drain: Drain) -> None:
    waiters: Waiters[str, int] = Waiters(drain, limit=2)
    with waiters.join("a"), waiters.join("b"):
        with pytest.raises(TooManyWaitersError, match="2 callers wait already"):
            await waiters.wait("c", LONG)
        assert len(waiters) == 2
    assert await waiters.wait("c", 0.001) is None


async def test_everybody_can_be_woken_with_what_is_true_now(waiters: Waiters[str, int]) -> None:
    some = [asyncio.create_task(waiters.wait(key, LONG)) for key in "aab"]
    await until(lambda: len(waiters) == 3)
    waiters.wake_all({"a": 1}.get)
    assert await asyncio.gather(*some) == [1, 1, None]


async def test_keys_that_nobody_waits_for_take_no_memory(waiters: Waiters[str, int]) -> None:
    for number in range(100):
        await waiters.wait(f"key-{number}", 0)
    assert waiters._by_key == {}
