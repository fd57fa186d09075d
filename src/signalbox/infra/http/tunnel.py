"""A tunnel: two connections whose bytes pass to each other unread, as after an upgrade to WebSocket."""

import asyncio
import contextlib
import select
import socket
from collections.abc import Callable

KEEP_ALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}
"""Nobody may speak for hours, so silence ends no tunnel; that the other machine is gone, TCP's own probes find out:
after a minute of silence one each 15 s, and four without an answer end the connection."""

LAST_WORDS = 10.0
"""Seconds that one side has to say and to take the rest, once the other has ended: WebSocket's closing handshake is
over by then, and nothing else has a meaning on half a connection."""

LOOK = 0.5
"""Seconds between looks at a side that is not read, because the other takes no more: it may be gone meanwhile."""

_BROKEN = select.POLLERR | select.POLLHUP


class _End(asyncio.Protocol):
    """One of the two connections. What it receives goes to the other, as fast as that one takes it."""

    other: "_End"

    def __init__(self, transport: asyncio.Transport, on_end: Callable[[], None]) -> None:
        self.transport = transport
        self.received = 0
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._on_end = on_end
        self._full = self._heard_all = self._said_all = False
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Take the connection over; one that is closing may have told its end to its last protocol already."""
        if self.transport.is_closing():
            self.connection_lost(None)
        else:
            self.transport.set_protocol(self)

    def data_received(self, data: bytes) -> None:
        """Pass on what came."""
        self.received += len(data)
        self.other.say(data)

    def eof_received(self) -> bool:
        """This side has said all that it had to say; the other is told."""
        self._heard_all = True
        self._on_end()
        stays_open = self.other.finish()
        if not stays_open:
            self.transport.close()  # with what waits to be written; the loop would close what lies beneath
        return stays_open

    def say(self, data: bytes) -> None:
        """Write, unless nothing can be written any more."""
        if not (self._said_all or self.transport.is_closing()):
            self.transport.write(data)

    def finish(self) -> bool:
        """Write nothing more; whether the connection stays open, for its other half."""
        if self._heard_all or self.transport.is_closing() or not self.transport.can_write_eof():
            self.transport.close()
            return False
        if not self._said_all:
            self._said_all = True
            self.transport.write_eof()
        return True

    def pause_writing(self) -> None:
        """This side takes what comes slower than the other sends."""
        self._full = True
        if not self.other.transport.is_closing():
            self.other.transport.pause_reading()
        self._look_later()

    def resume_writing(self) -> None:
        """This side has caught up."""
        self._full = False
        if self._timer is not None:
            self._timer.cancel()
        self.other.resume()

    def resume(self) -> None:
        """Read on, if the other side takes it and there may be more."""
        transport = self.transport
        if not (self.other._full or self._heard_all or transport.is_closing() or transport.is_reading()):  # noqa: SLF001 - one of its own
            transport.resume_reading()

    def connection_lost(self, _exc: Exception | None) -> None:
        """Gone: the other side gets what was meant for it, then ends as well."""
        if self._timer is not None:
            self._timer.cancel()
        if not self.lost.done():
            self.lost.set_result(None)
        self._on_end()
        self.other.transport.close()

    def _look_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(LOOK, self._look)

    def _look(self) -> None:
        if _is_broken(self.other.transport):
            self.other.transport.abort()
        else:
            self._look_later()


class Tunnel:
    """Joins two transports whose reading is paused, and which carry no protocol's answer any more."""

    def __init__(self, client: asyncio.Transport, server: asyncio.Transport) -> None:
        self._ended = asyncio.Event()
        self._client, self._server = _End(client, self._ended.set), _End(server, self._ended.set)
        self._client.other, self._server.other = self._server, self._client

    @property
    def from_client(self) -> int:
        """Bytes that the client sent."""
        return self._client.received

    @property
    def from_server(self) -> int:
        """Bytes that the server sent."""
        return self._server.received

    async def run(self, *, client_sent: bytes, server_sent: bytes) -> None:
        """Pass on what has come already, then all that comes, until both connections are gone."""
        ends = (self._client, self._server)
        try:
            for end in ends:
                _probe(end.transport)
                end.begin()
            for end, early in zip(ends, (client_sent, server_sent), strict=True):
                if early:
                    end.data_received(early)
            for end in ends:
                end.resume()
            await self._ended.wait()
            await asyncio.wait([end.lost for end in ends], timeout=LAST_WORDS)
        finally:
            for end in ends:
                end.transport.abort()


def _is_broken(transport: asyncio.Transport) -> bool:
    """Whether a connection that is not read was reset."""
    sock = transport.get_extra_info("socket")
    if sock is None or transport.is_closing():
        return True
    poll = select.poll()
    poll.register(sock.fileno(), _BROKEN)
    return bool(poll.poll(0))


def _probe(transport: asyncio.Transport) -> None:
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEP_ALIVE.items():
            if hasattr(socket, name):  # macOS calls the first one otherwise
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
