"""Broadcast within one process: for SQLite, which has one server process, and for tests."""

from collections.abc import Callable

from sqlalchemy import Connection

from signalbox.infra.broadcast import Listener
from signalbox.infra.broadcast.local import Listeners, check
from signalbox.infra.db import after_commit


class MemoryBroadcast:
    """A ``Broadcast`` for a process that has no others beside it. Nothing is missed between ``open`` and ``close``."""

    hears = True

    def __init__(self) -> None:
        self._listeners = Listeners()

    async def open(self) -> None:
        """Begin to hear."""
        self._listeners.open()

    async def close(self) -> None:
        """Hear no more."""
        self._listeners.close()

    def publish(self, tx: Connection, channel: str, *messages: str) -> None:
        """Tell the listeners once ``tx`` is committed; see ``Broadcast.publish``."""
        for message in messages:
            check(message)
        after_commit(tx, lambda: self._listeners.post(channel, messages))

    def subscribe(self, channel: str, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` with what is published to ``channel``."""
        return self._listeners.add(channel, listener)
