"""Who waits for changes of tasks in this process: long polls and streams. They are told of states, not of changes."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import msgspec
from sqlalchemy import Connection

from signalbox.core.sse import Mailbox, ServerSentEvent
from signalbox.core.waiters import Waiters
from signalbox.infra.context import Context
from signalbox.infra.db import DatabaseUnavailableError
from signalbox.tasks import store
from signalbox.tasks.journal import CHANNEL, MANY
from signalbox.tasks.schemas import TaskOut, to_out

MOST: Final = 500
"""Tasks that are told of one by one; where more change at once, readers are told to list them."""

RESYNC: Final = ServerSentEvent("{}", name="resync").encode()

_ENCODER: Final = msgspec.json.Encoder()

_log = logging.getLogger(__name__)


class Feed:
    """Hears of changes from all processes, and tells those who wait in this one."""

    def __init__(self, context: Context) -> None:
        self.waiters: Waiters[int, str] = Waiters(context.drain)
        """Who waits for a task, by its id."""
        self._context = context
        self._readers: set[Mailbox] = set()
        self._pending: set[int] = set()
        self._changed = asyncio.Event()
        self._forget: Callable[[], None] | None = None
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to hear."""
        self._forget = self._context.broadcast.subscribe(CHANNEL, self._hear)
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Hear no more."""
        if self._forget is not None:
            self._forget()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def join(self, mailbox: Mailbox) -> Callable[[], None]:
        """Put every change into a mailbox from now on; returns a function that ends this."""
        self._readers.add(mailbox)
        return lambda: self._readers.discard(mailbox)

    def _hear(self, message: str | None) -> None:
        if message is None or message == MANY:
            self._tell_all()
            return
        ids = [int(word) for word in message.split(",")]
        for number in ids:
            self.waiters.wake(number, CHANNEL)
        if self._readers:
            self._pending.update(ids)
            self._changed.set()

    def _tell_all(self) -> None:
        """Something has changed, or may have: everybody is to look."""
        self.waiters.wake_all(lambda _: CHANNEL)
        self._put(RESYNC)

    def _put(self, piece: bytes) -> None:
        for mailbox in self._readers:
            mailbox.put(piece)

    async def _run(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            ids, self._pending = self._pending, set()
            if len(ids) > MOST:
                self._put(RESYNC)
                continue
            try:
                found = await self._context.db.read(_find, sorted(ids))
                pieces = [to_event(each).encode() for each in found]
            except DatabaseUnavailableError as error:
                _log.warning("readers of tasks miss changes", extra={"reason": str(error)})
                self._put(RESYNC)
                continue
            except Exception:  # noqa: BLE001 - one failure must not end the feed for good
                _log.exception("readers of tasks miss changes")
                self._put(RESYNC)
                continue
            gone = sorted(ids - {each.id for each in found})
            for piece in [*pieces, *(ServerSentEvent(f'{{"id":{each}}}', name="deleted").encode() for each in gone)]:
                self._put(piece)


def to_event(of: TaskOut) -> ServerSentEvent:
    """A task as a stream tells of it."""
    return ServerSentEvent(_ENCODER.encode(of).decode(), name="task")


def _find(tx: Connection, ids: list[int]) -> list[TaskOut]:
    found = (store.find_task(tx, number) for number in ids)
    return [to_out(each) for each in found if each is not None]
