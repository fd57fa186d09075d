"""How a connection ends so that its client still learns why (RFC 9112, 9.6)."""

import array
import asyncio
import contextlib
import fcntl
import json
import socket
import struct
import termios
from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus

from signalbox.core.asgi import AsgiApp

LINGER = 5.0
"""Seconds between two looks at a client that sends on after its answer; one that was quiet meanwhile is dropped."""

MOST_LOOKS = 6

MAX_UNWANTED = 64 * 1024 * 1024
"""Bytes of a request that are read and dropped once its answer is complete. To close at once would lose the answer for
clients that first send and then read; to read without end would let them waste the line."""


def linger(transport: asyncio.Transport, on_lost: Callable[[Exception | None], None]) -> None:
    """Say that nothing more will come, drop what the client still sends, and close when it does.

    To close with something unread would reset the connection, and the reset may overtake the answer.
    """
    transport.write_eof()
    transport.set_protocol(_Lingering(transport, on_lost))
    transport.resume_reading()


class _Lingering(asyncio.Protocol):
    """What is left of a connection whose answer is complete."""

    def __init__(self, transport: asyncio.Transport, on_lost: Callable[[Exception | None], None]) -> None:
        self._transport, self._on_lost = transport, on_lost
        self._loop = asyncio.get_running_loop()
        self._quiet = False
        self._left, self._looks_left = MAX_UNWANTED, MOST_LOOKS
        self._timer = self._loop.call_later(LINGER, self._look)

    def data_received(self, data: bytes) -> None:
        """Drop it."""
        self._quiet = False
        self._left -= len(data)
        if self._left < 0:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has closed its side too."""
        self._timer.cancel()
        self._on_lost(exc)

    def _look(self) -> None:
        self._looks_left -= 1
        if self._quiet or not self._looks_left:
            self._transport.abort()
            return
        self._quiet = True
        self._timer = self._loop.call_later(LINGER, self._look)


class RefusedError(ValueError):
    """Well-formed HTTP that is not served, with what the client is told; raised in callbacks of the parser."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail


class Deaf:
    """In place of a parser: behind what was refused nothing is a request any more."""

    def feed_data(self, data: bytes) -> None:
        """Drop what comes."""


class Refusal:
    """A refusal that waits until the requests before it are answered."""

    def __init__(self, say: Callable[[], None]) -> None:
        self._say = say

    def start(self, _app: AsgiApp, _loop: asyncio.AbstractEventLoop, _tasks: set[asyncio.Task[None]]) -> None:
        """Its turn has come."""
        self._say()

    def drop(self) -> None:
        """The client is gone."""


def refusal(status: int, code: str, detail: str, *, now: float) -> bytes:
    """An answer to what is no request that could be served; ``now`` in seconds since 1970."""
    title = HTTPStatus(status).phrase
    problem = {"type": "about:blank", "title": title, "status": status, "detail": detail, "code": code}
    body = json.dumps(problem).encode()
    head = (
        f"HTTP/1.1 {status} {title}\r\ndate: {formatdate(now, usegmt=True)}\r\ncontent-type: application/problem+json\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body


def reset_on_close(transport: asyncio.Transport, *, on: bool) -> None:
    """Whether closing resets the connection: what the kernel still holds for the client is then dropped."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", on, 0))


def not_taken(transport: asyncio.Transport) -> int:
    """Bytes that wait for the client to take them, with those in the kernel; 0 where the kernel took them all."""
    waiting = transport.get_write_buffer_size()
    sock = transport.get_extra_info("socket")
    if not waiting or sock is None:
        return waiting
    in_kernel = array.array("i", [0])
    with contextlib.suppress(OSError, AttributeError):  # not every system tells
        fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, in_kernel)
    return waiting + in_kernel[0]
