"""Tells open pages which topics have changed, at most once a second, by server-sent events.

Pages then ask for their fragments again. What has changed is found in two ways: the hub's own broadcasts, and *marks*,
small values that one read in each second compares with those of the second before. Nothing is read while nobody looks.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection
from starlette.responses import Response

from signalbox.auth.sessions import BrowserSession, Sessions
from signalbox.console.errors import TooManyStreamsError
from signalbox.core.asgi import Receive, Scope, Send
from signalbox.core.errors import SignalboxError
from signalbox.core.sse import Mailbox, ServerSentEvent, serve_events
from signalbox.infra.broadcast import Listener
from signalbox.infra.context import Context

TICK = 1.0
"""Seconds between two looks."""
MAX_STREAMS = 200
"""Pages that one process keeps up to date at once."""
MAX_STREAMS_OF_ONE = 20
"""Pages of one session among them: nobody takes all places."""

Mark = Callable[[Connection], object]
"""What stands for the state of a topic; another value says that it has changed. Cheap, and a read."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sources:
    """Where changes are found."""

    channels: Mapping[str, str] = field(default_factory=dict)
    """Topics by the channel of the broadcast that tells of them."""
    marks: Mapping[str, Mark] = field(default_factory=dict)
    """Marks by topic, read from the main database."""
    ticks: Mapping[str, int] = field(default_factory=dict)
    """Topics that change all the time, and every how many seconds they are told."""


@dataclass(frozen=True, slots=True, eq=False)
class _Reader:
    session: BrowserSession
    mailbox: Mailbox


class EventStream(Response):
    """An answer that lasts as long as the page is open."""

    def __init__(self, live: "Live", reader: _Reader) -> None:
        super().__init__()
        self._live, self._reader = live, reader

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve it."""
        with self._live.following(self._reader):
            await serve_events(scope, receive, send, self._reader.mailbox, drain=self._live.drain)


class Live:
    """Made once in a process; ``open`` it in the event loop that serves."""

    def __init__(
        self,
        context: Context,
        sessions: Sessions,
        sources: Sources,
        *,
        most: int = MAX_STREAMS,
        most_of_one: int = MAX_STREAMS_OF_ONE,
    ) -> None:
        self.drain = context.drain
        self._context, self._sessions, self._sources = context, sessions, sources
        self._most, self._most_of_one = most, most_of_one
        self._readers: set[_Reader] = set()
        self._heard: set[str] = set()
        self._marks: dict[str, object] = {}
        self._ticks = 0
        self._wanted = asyncio.Event()
        self._forget: list[Callable[[], None]] = []
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin to hear of changes."""
        for channel, topic in self._sources.channels.items():
            self._forget.append(self._context.broadcast.subscribe(channel, self._listener(topic)))
        self._task = asyncio.create_task(self._run(), name="console-live")

    async def close(self) -> None:
        """End all streams."""
        for forget in self._forget:
            forget()
        for reader in self._readers:
            reader.mailbox.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def streams(self) -> int:
        """Pages that are followed now."""
        return len(self._readers)

    def tell(self, topic: str) -> None:
        """Note that a topic has changed."""
        self._heard.add(topic)

    def stream(self, session: BrowserSession) -> EventStream:
        """A stream for one page.

        Raises:
            TooManyStreamsError: there are as many as this process lets, or lets one session have.
        """
        if len(self._readers) >= self._most:
            msg = f"{self._most} pages are followed already; this one is as old as its last load"
            raise TooManyStreamsError(msg, retry_after=30)
        if sum(reader.session.token == session.token for reader in self._readers) >= self._most_of_one:
            msg = f"you have {self._most_of_one} pages open already; this one is as old as its last load"
            raise TooManyStreamsError(msg, retry_after=30)
        return EventStream(self, _Reader(session, Mailbox(capacity=100)))

    @contextlib.contextmanager
    def following(self, reader: _Reader) -> Iterator[None]:
        """Tell a reader while the block runs."""
        self._readers.add(reader)
        self._wanted.set()
        try:
            yield
        finally:
            self._readers.discard(reader)

    async def look(self) -> set[str]:
        """The topics that have changed since the last look that did not fail.

        Raises:
            DatabaseUnavailableError: the database is away; nothing is forgotten.
        """
        marks = await self._context.db.read(_read_marks, self._sources.marks)
        self._ticks += 1
        changed, self._heard = self._heard, set()
        changed |= {topic for topic, every in self._sources.ticks.items() if self._ticks % every == 0}
        changed |= {topic for topic, mark in marks.items() if self._marks.get(topic, mark) != mark}
        self._marks = marks
        return changed

    def _listener(self, topic: str) -> Listener:
        return lambda _: self.tell(topic)

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            if not self._readers:
                self._wanted.clear()
                self._marks = {}
                continue
            try:
                await self._tell_all(await self.look())
            except SignalboxError as error:
                _log.debug("pages are not told of changes: %s", error)
            except Exception:  # noqa: BLE001 - whatever it was, the next look must come
                _log.exception("pages are not told of changes")
            await asyncio.sleep(TICK)

    async def _tell_all(self, changed: set[str]) -> None:
        try:
            held = await self._sessions.holding({reader.session.token for reader in self._readers})
        except Exception:
            self._heard |= changed  # to be told after the next look
            raise
        event = ServerSentEvent(" ".join(sorted(changed)), name="changed").encode() if changed else b""
        for reader in tuple(self._readers):
            if reader.session.token not in held:
                reader.mailbox.put(ServerSentEvent("signed out", name="ended"))
                reader.mailbox.close()
            elif event:
                reader.mailbox.put(event)


def _read_marks(tx: Connection, marks: Mapping[str, Mark]) -> dict[str, object]:
    return {topic: mark(tx) for topic, mark in marks.items()}
