"""Server-sent events (HTML Living Standard, 9.2): their form on the wire, and streams of them.

A feature makes a ``Mailbox`` for each reader, puts events in from wherever they come, and serves it::

    mailbox = Mailbox()
    forget = context.broadcast.subscribe("tasks", lambda message: mailbox.put(...))
    try:
        await serve_events(scope, receive, send, mailbox, drain=context.drain)
    finally:
        forget()

A reader that falls behind is cut off, never waited for; it comes back with ``Last-Event-ID``.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass

from signalbox.core.asgi import Receive, Scope, Send, until_gone
from signalbox.core.drain import Drain

HEARTBEAT = 15.0
"""Seconds of silence after which a comment is sent, so that nobody between takes the connection for dead."""

CAPACITY = 1_000
"""Events that wait for one reader at most."""

RETRY_MS = 1_000
"""Milliseconds after which a reader is asked to come back."""

HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would hold events back
)

TOO_SLOW = "this reader fell behind; come back with Last-Event-ID"
ENDING = "this server is ending; come back with Last-Event-ID"


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event. ``data`` may have several lines; ``name`` and ``id`` have none, and ``id`` holds no NUL."""

    data: str
    name: str | None = None
    """The event's type; readers take None for ``message``."""
    id: str | None = None
    """What the reader sends as ``Last-Event-ID`` when it comes back."""

    def encode(self) -> bytes:
        """The event on the wire.

        Raises:
            ValueError: a name or an id has a line end, or an id NUL.
        """
        if any(end in (self.name or "") + (self.id or "") for end in "\r\n\0"):
            msg = "the name and the id of an event have neither line ends nor NUL"
            raise ValueError(msg)
        lines = [] if self.id is None else [f"id: {self.id}"]
        if self.name is not None:
            lines.append(f"event: {self.name}")
        data = self.data.replace("\r\n", "\n").replace("\r", "\n")
        lines += [f"data: {line}" for line in data.split("\n")]
        return "\n".join([*lines, "", ""]).encode()


def comment(text: str = "") -> bytes:
    """A line that readers ignore."""
    return f": {text}\n\n".encode()


class Mailbox:
    """Events that wait for one reader. To be used in the event loop."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._waiting: deque[bytes] = deque()
        self._ending: str | None = None
        self._news = asyncio.Event()

    @property
    def closed(self) -> bool:
        """Whether the stream is ending: nothing more is taken."""
        return self._ending is not None

    def put(self, event: ServerSentEvent | bytes) -> None:
        """Add an event, encoded already where many readers get the same; one too many cuts the reader off."""
        if self.closed:
            return
        if len(self._waiting) >= self._capacity:
            self._waiting.clear()
            self.close(TOO_SLOW)
            return
        self._waiting.append(event if isinstance(event, bytes) else event.encode())
        self._news.set()

    def close(self, reason: str = "") -> None:
        """End the stream, after what waits, with a comment that says why."""
        if self._ending is None:
            self._ending = reason
            self._news.set()

    async def pieces(self, *, heartbeat: float = HEARTBEAT) -> AsyncIterator[bytes]:
        """What to send, beginning at once with how soon to come back; ends once the mailbox is closed and empty."""
        yield b"retry: %d\n\n" % RETRY_MS
        while True:
            if self._waiting:
                piece = b"".join(self._waiting)
                self._waiting.clear()
                yield piece
            elif self._ending is not None:
                if self._ending:
                    yield comment(self._ending)
                return
            else:
                self._news.clear()
                try:
                    async with asyncio.timeout(heartbeat):
                        await self._news.wait()
                except TimeoutError:
                    yield comment()


async def serve_events(
    scope: Scope, receive: Receive, send: Send, mailbox: Mailbox, *, drain: Drain, heartbeat: float = HEARTBEAT
) -> None:
    """Stream a mailbox to its reader until it leaves, falls behind, the mailbox is closed, or the process drains."""
    await send({"type": "http.response.start", "status": 200, "headers": list(HEADERS)})
    if scope["method"] == "HEAD":
        await send({"type": "http.response.body"})
        return
    if drain.begun:
        mailbox.close(ENDING)
    forget = drain.listen(lambda: mailbox.close(ENDING))
    watch = asyncio.get_running_loop().create_task(until_gone(receive))
    watch.add_done_callback(lambda _: mailbox.close())
    try:
        async for piece in mailbox.pieces(heartbeat=heartbeat):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})
    finally:
        forget()
        watch.cancel()
