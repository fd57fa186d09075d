"""A tunnel: two connections whose bytes pass to each other unread, as after an upgrade to WebSocket."""

import asyncio
import contextlib
import socket
from typing import Any

KEEP_ALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}
"""Nobody may speak for hours, so silence ends no tunnel; that the other machine is gone, TCP's own probes find out:
after a minute of silence one each 15 s, and four without an answer end the connection."""


class _End(asyncio.Protocol):
    """One of the two connections. What it receives goes to the other, as fast as that one takes it."""

    other: "_End"

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.received = 0
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        """Pass on what came."""
        self.received += len(data)
        if not self.other.transport.is_closing():
            self.other.transport.write(data)

    def eof_received(self) -> bool:
        """One side has said all that it had to say; the other may go on."""
        if self.other.transport.is_closing() or not self.other.transport.can_write_eof():
            return False
        self.other.transport.write_eof()
        return True

    def pause_writing(self) -> None:
        """This side takes what comes slower than the other sends."""
        with contextlib.suppress(RuntimeError):  # the other side is closing
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        """This side has caught up."""
        with contextlib.suppress(RuntimeError):
            self.other.transport.resume_reading()

    def connection_lost(self, _exc: Exception | None) -> None:
        """Gone: the other side gets what was meant for it, then ends as well."""
        if not self.lost.done():
            self.lost.set_result(None)
        self.other.transport.close()


class Tunnel:
    """Joins two transports whose reading is paused, and which carry no protocol's answer any more."""

    def __init__(self, client: asyncio.Transport, server: asyncio.Transport) -> None:
        self._client, self._server = _End(client), _End(server)
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
            for end, early in zip(ends, (client_sent, server_sent), strict=True):
                _probe(end.transport)
                end.transport.set_protocol(end)
                if early:
                    end.data_received(early)
            for end in ends:
                _resume(end.transport)
            await asyncio.gather(*(end.lost for end in ends))
        finally:
            for end in ends:
                end.transport.abort()


def _resume(transport: Any) -> None:
    if not transport.is_closing() and not transport.is_reading():
        transport.resume_reading()


def _probe(transport: asyncio.Transport) -> None:
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEP_ALIVE.items():
            if hasattr(socket, name):  # macOS calls the first one otherwise
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
