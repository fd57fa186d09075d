"""What the raw upstream's behaviours read from and write to: one request on one TCP connection."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

HEAD_LIMIT = 65_536
"""Bytes of a request head; also the most that is buffered of a body that nobody reads."""

_NO_LINGER = struct.pack("ii", 1, 0)


@dataclass
class Call:
    """A request as it arrived; ``number`` counts from 1 on its connection."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    number: int
    body_received: int = 0
    """Bytes of the request body read so far."""
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the connection is over, from either side."""

    @property
    def segments(self) -> list[str]:
        """The path, split at its slashes, without the query."""
        return self.target.split("?")[0].lstrip("/").split("/")

    def header(self, name: str) -> str | None:
        """Return the first header of that (lower-case) name."""
        return next((value for key, value in self.headers if key == name), None)


@dataclass
class Wire:
    """A connection with one request on it; behaviours read and write here."""

    call: Call
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Write and wait until the peer keeps up."""
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """End the connection with RST instead of FIN."""
        connection: socket.socket = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.writer.transport.abort()

    async def read_body(self) -> None:
        """Read the request body to its end and forget it."""
        async for _ in self.body(HEAD_LIMIT):
            pass

    async def body(self, most: int) -> AsyncIterator[bytes]:
        """Yield the request body in pieces of at most ``most`` bytes (chunked: as the chunks come)."""
        if "chunked" in (self.call.header("transfer-encoding") or ""):
            async for piece in self._chunks():
                yield piece
            return
        left = int(self.call.header("content-length") or 0)
        while left and (piece := await self.reader.read(min(most, left))):
            left -= len(piece)
            self.call.body_received += len(piece)
            yield piece

    async def _chunks(self) -> AsyncIterator[bytes]:
        while size := int((await self.reader.readline()).split(b";")[0], 16):
            piece = await self.reader.readexactly(size + 2)
            self.call.body_received += size
            yield piece[:size]
        while (await self.reader.readline()).strip():
            pass
