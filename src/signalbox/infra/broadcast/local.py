"""Who listens in this process; what every version of the broadcast shares."""

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress

from signalbox.infra.broadcast import MAX_MESSAGE, Listener

CAPACITY = 10_000
"""Messages on their way from writers' threads to the event loop; beyond them listeners hear that they missed some."""

_log = logging.getLogger(__name__)


def check(message: str) -> str:
    """The message, if every version can carry it.

    Raises:
        ValueError: it is longer than ``MAX_MESSAGE`` bytes, or holds NUL or half of a surrogate pair.
    """
    if "\0" in message:
        msg = "a message holds no NUL"
        raise ValueError(msg)
    if (size := len(message.encode())) > MAX_MESSAGE:
        msg = f"a message has at most {MAX_MESSAGE} bytes, this one {size}; tell what changed and let others look it up"
        raise ValueError(msg)
    return message


class Listeners:
    """The listeners of this process. ``post`` may be called in any thread, all else in the event loop."""

    def __init__(self) -> None:
        self._by_channel: dict[str, dict[object, Listener]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._posted: list[tuple[str, str]] = []
        self._missed = False

    def open(self) -> None:
        """Begin to deliver."""
        self._loop = asyncio.get_running_loop()

    def close(self) -> None:
        """Deliver no more."""
        self._loop = None

    def add(self, channel: str, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` with messages to ``channel``; returns a function that ends this."""
        kept, mark = self._by_channel.setdefault(channel, {}), object()
        kept[mark] = listener

        def remove() -> None:
            kept.pop(mark, None)
            if not kept and self._by_channel.get(channel) is kept:
                del self._by_channel[channel]

        return remove

    def post(self, channel: str, messages: tuple[str, ...]) -> None:
        """Deliver soon, in the event loop; before all that the same thread hands to that loop later."""
        loop = self._loop
        if loop is None:
            return
        with self._lock:
            idle = not self._posted and not self._missed  # otherwise the delivery that is coming takes these too
            self._missed = self._missed or len(self._posted) + len(messages) > CAPACITY
            if self._missed:
                self._posted = []
            else:
                self._posted += [(channel, message) for message in messages]
        if idle:
            with suppress(RuntimeError):  # the loop has been closed: nobody listens any more
                loop.call_soon_threadsafe(self._deliver_posted)

    def deliver(self, channel: str, message: str | None) -> None:
        """Call the listeners of a channel now."""
        for listener in tuple(self._by_channel.get(channel, {}).values()):
            try:
                listener(message)
            except Exception:  # noqa: BLE001 - one failing listener must not keep the news from the others
                _log.exception("a listener failed", extra={"channel": channel})

    def tell_all_they_missed(self) -> None:
        """Call every listener with None."""
        for channel in tuple(self._by_channel):
            self.deliver(channel, None)

    def _deliver_posted(self) -> None:
        with self._lock:
            posted, self._posted = self._posted, []
            missed, self._missed = self._missed, False
        for channel, message in posted:
            self.deliver(channel, message)
        if missed:
            self.tell_all_they_missed()
