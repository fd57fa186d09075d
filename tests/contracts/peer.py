"""A scripted server: what it says on each connection is a coroutine of the test."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from signalbox.infra.http import Origin
from tests.support.timing import PATIENCE

OK = b"HTTP/1.1 200 OK\r\n"
FINE = OK + b"content-length: 4\r\n\r\nfine"


@dataclass
class Line:
    """One connection, seen from the server; ``number`` counts from 1."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    number: int
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the connection is over."""

    async def head(self) -> bytes:
        """The next request's head, or an error at the end of the connection."""
        return await self.reader.readuntil(b"\r\n\r\n")

    async def say(self, data: bytes) -> None:
        """Write, and wait while the client does not keep up."""
        self.writer.write(data)
        await self.writer.drain()

    async def until_gone(self) -> None:
        """Read until the client closes."""
        while await self.reader.read(65_536):
            pass


Script = Callable[[Line], Awaitable[None]]


class Peer:
    """``async with serve(script) as peer``: its origin, and what it has seen."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.origin = Origin("http", "127.0.0.1", 0)
        self.lines: list[Line] = []
        self.open = 0
        self.most_open = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def line(self, number: int = 1) -> Line:
        """The connection of that number, once it is there."""
        async with asyncio.timeout(PATIENCE):
            while len(self.lines) < number:
                await asyncio.sleep(0.005)
        return self.lines[number - 1]

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = Line(reader, writer, len(self.lines) + 1)
        self.lines.append(line)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        task = asyncio.create_task(self._converse(line))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _converse(self, line: Line) -> None:
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._script(line)
        finally:
            self.open -= 1
            line.writer.close()
            line.gone.set()


@asynccontextmanager
async def serve(script: Script, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Peer]:
    """Run a script for every connection, on a free port."""
    peer = Peer(script)
    server = await asyncio.start_server(peer.accept, "127.0.0.1", 0, ssl=tls)
    peer.origin = Origin("http" if tls is None else "https", "127.0.0.1", server.sockets[0].getsockname()[1])
    try:
        yield peer
    finally:
        server.close()
        await peer.stop()


def answering(*answers: bytes) -> Script:
    """Give these answers to the requests of a connection, one each, then close."""

    async def script(line: Line) -> None:
        for answer in answers:
            await line.head()
            await line.say(answer)

    return script


def always(answer: bytes) -> Script:
    """Give this answer to every request."""

    async def script(line: Line) -> None:
        while True:
            await line.head()
            await line.say(answer)

    return script
