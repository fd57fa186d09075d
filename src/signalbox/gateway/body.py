"""The request body on its way through: small ones in one piece, others streamed; and whether the client is still there."""

import asyncio
from collections.abc import AsyncIterator

from signalbox.core.asgi import Receive
from signalbox.core.errors import SignalboxError
from signalbox.gateway.errors import BodyTooLargeError

SMALL = 64 * 1024
"""Bodies of known length up to this are read whole before anything is sent."""

WATCH_AFTER = 0.25
"""Seconds after which a waiting call begins to watch its client; most calls have ended by then."""


class ClientGoneError(SignalboxError):
    """The client closed the connection before its answer was whole; nobody is left to be told."""

    code = "client_gone"


class RequestBody:
    """Reads a request body and counts it.

    Raises while reading:
        ClientGoneError: the client left.
        BodyTooLargeError: the body is larger than ``limit``.
    """

    __slots__ = ("_limit", "_receive", "complete", "size")

    def __init__(self, receive: Receive, *, limit: int) -> None:
        self._receive, self._limit = receive, limit
        self.size = 0
        self.complete = False

    async def whole(self) -> bytes:
        """All of it, in one piece."""
        pieces = [piece async for piece in self.stream()]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def stream(self) -> AsyncIterator[bytes]:
        """Piece by piece, as fast as they are taken."""
        while not self.complete:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                msg = "the client left before its request was whole"
                raise ClientGoneError(msg)
            piece: bytes = message.get("body", b"")
            self.complete = not message.get("more_body", False)
            self.size += len(piece)
            if self.size > self._limit:
                raise too_large(self._limit)
            if piece:
                yield piece


class ClientWatch:
    """Cancels the task that serves a call when its client leaves.

    While a request body is still read, its reader notices that instead: there is one reader at a time.
    """

    __slots__ = ("_receive", "_task", "_timer", "_watcher", "body", "gone")

    def __init__(self, receive: Receive) -> None:
        self.gone = False
        """Whether the client has left, so that a cancellation means just that."""
        self.body: RequestBody | None = None
        """The request body, where there is one."""
        self._receive = receive
        self._task = asyncio.current_task()
        self._timer: asyncio.TimerHandle | None = None
        self._watcher: asyncio.Task[None] | None = None

    def arm(self) -> None:
        """Watch after ``WATCH_AFTER`` seconds."""
        self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER, self.start)

    def start(self) -> None:
        """Watch from now on, or from the end of the request body."""
        if self._watcher is None and (self.body is None or self.body.complete):
            self._watcher = asyncio.get_running_loop().create_task(self._watch())

    def stop(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()

    async def stream(self, body: "RequestBody") -> AsyncIterator[bytes]:
        """A streamed request body, at whose end the watch begins."""
        self.body = body
        async for piece in body.stream():
            yield piece
        self.start()

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        if self._task is not None:
            self._task.cancel()


def too_large(limit: int) -> BodyTooLargeError:
    """The error for a body over ``limit`` bytes."""
    return BodyTooLargeError(f"the request body is larger than the {limit} bytes that this upstream takes")
