"""Whether the client of a call is still there."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from signalbox.core.asgi import Receive
from signalbox.gateway.body import RequestBody

INTERVAL = 0.25
"""Seconds between looks at the calls that wait. A call is watched from its second look on: most have ended by then,
and a task for each of them would cost more than the rest of the call."""


class WaitingCalls:
    """The calls that wait for an upstream and are not watched yet."""

    def __init__(self) -> None:
        self.tick = 0
        self.watches: set[ClientWatch] = set()
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to look; needs a running event loop."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            self.tick += 1
            for watch in [each for each in self.watches if self.tick - each.armed_at > 1]:
                watch.start()


class ClientWatch:
    """Cancels the task that serves a call when its client leaves.

    While a request body is still read, its reader notices that instead: there is one reader at a time.
    """

    __slots__ = ("_receive", "_task", "_waiting", "_watcher", "armed_at", "body", "gone")

    def __init__(self, receive: Receive, waiting: WaitingCalls) -> None:
        self.gone = False
        """Whether the client has left, so that a cancellation means just that."""
        self.body: RequestBody | None = None
        """The request body, where there is one."""
        self.armed_at = 0
        self._receive, self._waiting = receive, waiting
        self._task: asyncio.Task[None] | None = None
        self._watcher: asyncio.Task[None] | None = None

    def arm(self) -> None:
        """Watch in a while, if the call lasts so long."""
        self._task = asyncio.current_task()
        self.armed_at = self._waiting.tick
        self._waiting.watches.add(self)

    def start(self) -> None:
        """Watch from now on, or from the end of the request body."""
        self._waiting.watches.discard(self)
        if self._watcher is None and (self.body is None or self.body.complete):
            self._watcher = asyncio.get_running_loop().create_task(self._watch())

    def stop(self) -> None:
        """Watch no more."""
        self._waiting.watches.discard(self)
        if self._watcher is not None:
            self._watcher.cancel()

    def follow(self, body: RequestBody) -> AsyncIterator[bytes]:
        """Watch once this body has been read; returns its pieces."""
        self._task = asyncio.current_task()
        self.body = body
        return self._pieces(body)

    async def _pieces(self, body: RequestBody) -> AsyncIterator[bytes]:
        async for piece in body.stream():
            yield piece
        self.start()

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        if self._task is not None:
            self._task.cancel()
