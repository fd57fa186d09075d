"""Transports that write what is small together, at the end of the event loop's turn.

A write to a connection costs more than a system call: the kernel carries it through its whole network stack, and wakes
who waits at the other end. Between two pieces of Python it finds neither its code nor its data in the processor's caches,
and leaves none of ours there. When all that a turn has to say goes out in one go instead, a proxied call takes a quarter
less processor time (docs/benchmarks.md). What is held back waits for the other events of the same turn, not for more.
"""

import asyncio
import logging
from typing import Any

MOST_HELD = 16 * 1024
"""Bytes of a connection that are held back at most; what is larger is written at once."""

_log = logging.getLogger(__name__)


class WriteBatch:
    """The transports of an event loop that have something to write at the end of its turn."""

    def __init__(self) -> None:
        self.waiting: list[CorkedTransport] = []

    def begin(self) -> None:
        """Have those that will be ``waiting`` written out at the end of this turn."""
        asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        waiting = self.waiting.copy()
        self.waiting.clear()
        for transport in waiting:
            try:
                transport.flush()
            except Exception:  # noqa: BLE001 - one connection's failure must not silence all others
                _log.exception("what a connection was to say could not be written")


class CorkedTransport(asyncio.Transport):
    """A transport in front of another one, whose small writes go out together with those of its ``batch``.

    What is written stays in order, and closing writes what is held back first; aborting drops it, as it does what the
    kernel has not taken yet.
    """

    __slots__ = ("_batch", "_held", "_transport")

    def __init__(self, transport: asyncio.Transport, batch: WriteBatch) -> None:
        super().__init__()
        self._transport, self._batch = transport, batch
        self._held = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write at the end of the loop's turn, or at once where it is much."""
        held = self._held
        if len(held) + len(data) > MOST_HELD:  # not joined: what is large would be copied
            self._held = b""
            if held:
                self._transport.write(held)
            self._transport.write(data)
        elif held:
            self._held = b"".join((held, data))
        elif data:
            waiting = self._batch.waiting
            if not waiting:
                self._batch.begin()
            waiting.append(self)
            self._held = bytes(data)

    def flush(self) -> None:
        """Write now what is held back."""
        held = self._held
        if held:
            self._held = b""
            if not self._transport.is_closing():
                self._transport.write(held)

    def close(self) -> None:
        """Write what is held back, and close."""
        self.flush()
        self._transport.close()

    def abort(self) -> None:
        """Close at once; what is held back is dropped."""
        self._held = b""
        self._transport.abort()

    def write_eof(self) -> None:
        """Write what is held back, and nothing more."""
        self.flush()
        self._transport.write_eof()

    def is_closing(self) -> bool:
        """Whether the connection is closed, or about to be."""
        return self._transport.is_closing()

    def can_write_eof(self) -> bool:
        """Whether one half of the connection can be closed."""
        return self._transport.can_write_eof()

    def get_write_buffer_size(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return len(self._held) + self._transport.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What the other transport knows of the connection."""
        return self._transport.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Have another protocol told of what comes."""
        self._transport.set_protocol(protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Who is told of what comes."""
        return self._transport.get_protocol()

    def is_reading(self) -> bool:
        """Whether what comes is read."""
        return self._transport.is_reading()

    def pause_reading(self) -> None:
        """Read no more for now."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        self._transport.resume_reading()
