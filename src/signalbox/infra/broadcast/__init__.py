"""The seam to the other processes: a hint that something has changed, to all who share the database.

Hints are told at most once, after COMMIT, in milliseconds, and may be lost when a connection breaks; the truth is in
the database. Whoever may have missed some is told that too.
"""

from collections.abc import Callable
from typing import Protocol

from sqlalchemy import Connection

MAX_MESSAGE = 4_000
"""Bytes of a message in UTF-8; PostgreSQL takes 8,000 together with what stands around it."""

Listener = Callable[[str | None], None]
"""Called in the event loop with a message; with None when messages may have been missed: look at the database then.
It must return soon and not raise."""


class Broadcast(Protocol):
    """Tells every process of the hub, this one included, what one of them says."""

    @property
    def hears(self) -> bool:
        """Whether messages of other processes arrive now; None is told to all when they do again."""
        ...

    async def open(self) -> None:
        """Begin to hear. With the database away this returns at once too, and goes on trying."""
        ...

    async def close(self) -> None:
        """Hear no more."""
        ...

    def publish(self, tx: Connection, channel: str, *messages: str) -> None:
        """Tell everybody once ``tx`` is committed, this process before ``Database.write`` returns; one statement.

        A channel is one word, such as ``criticality``.

        Raises:
            ValueError: a message is longer than ``MAX_MESSAGE`` bytes, or holds NUL or half of a surrogate pair.
        """
        ...

    def subscribe(self, channel: str, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` with what is published to ``channel`` from now on; returns a function that ends this."""
        ...
