"""Whether the client of a call is still there."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Protocol

from signalbox.core.asgi import DROP_IF_GONE, Receive, Scope
from signalbox.core.beat import until_beat
from signalbox.gateway.body import RequestBody

INTERVAL = 0.25
"""Seconds between looks at the calls that wait, twice as many while none does. A call is watched from its second look
on: most have ended by then, and a task for each of them would cost more than the rest of the call."""

_log = logging.getLogger(__name__)


class Watched(Protocol):
    """A call that is looked at while it waits."""

    def look(self, tick: int) -> None:
        """Look at the call at a tick of ``WaitingCalls``."""
        ...


class WaitingCalls:
    """The calls that wait for an upstream, or read a body, and are not watched yet."""

    def __init__(self) -> None:
        self.tick = 0
        self.loop: asyncio.AbstractEventLoop | None = None
        """Set once running: to ask for the running loop costs a system call on Python 3.11."""
        self.watches: set[Watched] = set()
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to look; needs a running event loop."""
        self.loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(until_beat(INTERVAL if self.watches else 2 * INTERVAL))
            self.tick += 1
            for watch in list(self.watches):
                try:
                    watch.look(self.tick)
                except Exception:  # noqa: BLE001 - one call must not end the watching of all others
                    self.watches.discard(watch)
                    _log.exception("a call cannot be watched any more")


class ClientWatch:
    """Cancels the task that serves a call when its client leaves.

    While a request body is still read, its reader notices that instead: there is one reader at a time. An upstream
    that takes no more of the body keeps the reader from reading, so the connection itself is looked at as well.
    """

    __slots__ = ("_receive", "_scope", "_task", "_waiting", "_watcher", "armed_at", "body", "gone")

    def __init__(self, scope: Scope, receive: Receive, waiting: WaitingCalls) -> None:
        self.gone = False
        """Whether the client has left, so that a cancellation means just that."""
        self.body: RequestBody | None = None
        """The request body, where there is one."""
        self.armed_at = 0
        self._scope, self._receive, self._waiting = scope, receive, waiting
        self._task: asyncio.Task[None] | None = None
        self._watcher: asyncio.Task[None] | None = None

    def arm(self) -> None:
        """Watch in a while, if the call lasts so long."""
        self._task = asyncio.current_task(self._waiting.loop)
        self.armed_at = self._waiting.tick
        self._waiting.watches.add(self)

    def look(self, tick: int) -> None:
        """Look at the call at a tick of ``WaitingCalls``."""
        if self.body is None or self.body.complete:
            if tick - self.armed_at > 1:
                self.start()
        elif self._scope["extensions"][DROP_IF_GONE]():
            self._begin()

    def start(self) -> None:
        """Watch from now on, or from the end of the request body."""
        if self.body is None or self.body.complete:
            self._begin()

    def stop(self) -> None:
        """Watch no more."""
        self._waiting.watches.discard(self)
        if self._watcher is not None:
            self._watcher.cancel()

    def take_back(self) -> bool:
        """Take the cancellation back that told the task of a client that left; False where it came from elsewhere."""
        task = asyncio.current_task()
        if self.gone and task is not None:
            task.uncancel()
        return self.gone

    def follow(self, body: RequestBody) -> AsyncIterator[bytes]:
        """Watch once this body has been read; returns its pieces."""
        self._task = asyncio.current_task()
        self.body = body
        if DROP_IF_GONE in self._scope.get("extensions", ()):
            self._waiting.watches.add(self)
        return self._pieces(body)

    async def _pieces(self, body: RequestBody) -> AsyncIterator[bytes]:
        async for piece in body.stream():
            yield piece
        self.start()

    def _begin(self) -> None:
        self._waiting.watches.discard(self)
        if self._watcher is None:
            self._watcher = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):  # a task keeps what ended it, with all frames, and so itself
            while (await self._receive())["type"] != "http.disconnect":
                pass
            self.gone = True
            if self._task is not None:
                self._task.cancel()
