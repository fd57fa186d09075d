"""Long polls: wait until somebody says that a thing has changed, without asking anything meanwhile.

Whoever changes the thing wakes its key with the news, so a thousand waiters cost a thousand wake-ups and no query.
"""

import asyncio
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from signalbox.core.asgi import Receive, until_gone
from signalbox.core.drain import Drain
from signalbox.core.errors import UnavailableError

Key = TypeVar("Key", bound=Hashable)
News = TypeVar("News")

LIMIT = 20_000


class TooManyWaitersError(UnavailableError):
    """As many callers wait in this process as may."""

    code = "too_many_waiters"


class Waiter(Generic[News]):
    """One who waits; made by ``Waiters.join``. News that come before ``wait`` is called are not missed."""

    def __init__(self) -> None:
        self._woken: asyncio.Future[News | None] = asyncio.get_running_loop().create_future()

    def wake(self, news: News | None) -> None:
        """End the waiting; of several news the first counts."""
        if not self._woken.done():
            self._woken.set_result(news)

    async def wait(self, timeout: float, *, receive: Receive | None = None) -> News | None:  # noqa: ASYNC109 - no cancellation: to hear nothing is an answer
        """The news; None after ``timeout`` seconds, when the process drains, or when the client of ``receive`` left."""
        loop = asyncio.get_running_loop()
        timer = loop.call_later(timeout, self.wake, None)
        watch = None if receive is None else loop.create_task(until_gone(receive))
        if watch is not None:
            watch.add_done_callback(lambda _: self.wake(None))
        try:
            return await self._woken
        finally:
            timer.cancel()
            if watch is not None:
                watch.cancel()


class Waiters(Generic[Key, News]):
    """Who waits for what in this process; at most ``limit`` at once."""

    def __init__(self, drain: Drain, *, limit: int = LIMIT) -> None:
        self._drain, self._limit = drain, limit
        self._by_key: dict[Key, dict[Waiter[News], None]] = {}
        self._count = 0
        drain.listen(self._release)

    def __len__(self) -> int:
        """How many wait."""
        return self._count

    @contextmanager
    def join(self, *keys: Key) -> Iterator[Waiter[News]]:
        """A waiter for any of these keys. Join first, then look at the thing, then wait: nothing is missed between.

        Raises:
            TooManyWaitersError: ``limit`` wait already.
        """
        if self._count >= self._limit:
            msg = f"{self._limit} callers wait already; ask again without waiting"
            raise TooManyWaitersError(msg)
        waiter: Waiter[News] = Waiter()
        if self._drain.begun:
            waiter.wake(None)
        self._count += 1
        for key in keys:
            self._by_key.setdefault(key, {})[waiter] = None
        try:
            yield waiter
        finally:
            self._leave(waiter, keys)

    async def wait(self, key: Key, timeout: float, *, receive: Receive | None = None) -> News | None:  # noqa: ASYNC109 - as Waiter.wait
        """Join and wait at once, for things that are in memory; see ``Waiter.wait``."""
        with self.join(key) as waiter:
            return await waiter.wait(timeout, receive=receive)

    def wake(self, key: Key, news: News) -> int:
        """Give news to all who wait for a key; how many they are. Call it in the event loop."""
        waiters = self._by_key.get(key, {})
        for waiter in waiters:
            waiter.wake(news)
        return len(waiters)

    def wake_all(self, news_of: Callable[[Key], News | None]) -> None:
        """Give everybody news, by key; None sends them away empty-handed. For when changes may have been missed."""
        for key, waiters in self._by_key.items():
            news = news_of(key)
            for waiter in waiters:
                waiter.wake(news)

    def _release(self) -> None:
        self.wake_all(lambda _: None)

    def _leave(self, waiter: Waiter[News], keys: tuple[Key, ...]) -> None:
        self._count -= 1
        for key in keys:
            waiters = self._by_key.get(key)
            if waiters is not None:
                waiters.pop(waiter, None)
                if not waiters:
                    del self._by_key[key]
