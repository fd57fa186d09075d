"""An upstream that misbehaves: raw TCP, scripted by the first path segment of each request.

``misbehaviours.MISBEHAVIOURS`` lists the segments. ``refused_url`` is an address at which every connection is refused.
"""

import asyncio
import contextlib
import socket
from types import TracebackType
from typing import Self

from signalbox.sandbox.misbehaviours import MISBEHAVIOURS, fine
from signalbox.sandbox.wire import HEAD_LIMIT, Call, Wire

RECEIVE_BUFFER = 65_536
"""Bytes that the kernel may hold for a reader that does not read: small, so that back-pressure shows soon."""


class RawUpstream:
    """``async with RawUpstream() as upstream: ... upstream.url + "/garbage" ...``; ``calls`` keeps every request."""

    def __init__(self) -> None:
        self._socket = _bound()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self._refusing = _bound()
        self._connections: set[asyncio.Task[None]] = set()
        self.calls: list[Call] = []
        self.connections = 0
        """Connections accepted since the start."""
        self.url = _address(self._socket)
        self.refused_url = _address(self._refusing)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, sock=self._socket, limit=HEAD_LIMIT)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        self._refusing.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        served = asyncio.create_task(self._converse(reader, writer))
        self._connections.add(served)
        served.add_done_callback(self._connections.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        calls: list[Call] = []
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._one_more(calls, reader, writer):
                    pass
        finally:
            writer.close()
            for call in calls:
                call.closed.set()

    async def _one_more(self, calls: list[Call], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        call = _parse(await reader.readuntil(b"\r\n\r\n"), number=len(calls) + 1)
        calls.append(call)
        self.calls.append(call)
        return await MISBEHAVIOURS.get(call.segments[0], fine)(Wire(call, reader, writer))


def _parse(head: bytes, *, number: int) -> Call:
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ", 2)
    pairs = (line.partition(":") for line in lines)
    return Call(method, target, [(name.lower(), value.strip()) for name, _, value in pairs], number)


def _bound() -> socket.socket:
    """Return a socket with a port of its own that does not listen yet: connections to it are refused."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.bind(("127.0.0.1", 0))
    return bound


def _address(bound: socket.socket) -> str:
    return f"http://127.0.0.1:{bound.getsockname()[1]}"
