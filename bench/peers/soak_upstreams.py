"""The upstreams of ``soak.py``: a shop in good health, one that fails in phases, one that breaks rules, a chat.

All of them run in the event loop that asks for them.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from websockets.asyncio.server import ServerConnection, serve

from signalbox.sandbox.rawserver import RawUpstream
from signalbox.sandbox.server import LoopbackServer
from signalbox.sandbox.upstream import UpstreamApp

WELL = "well"
PHASES = (WELL, "500s", WELL, "hangs", WELL, "refused", WELL, "broken bodies")
PHASE_SECONDS = 8.0
RECOVERY_SECONDS = 5.0
"""Into a good phase: the hub's breaker may still be open."""

CLOSE = "close "
"""A message to the chat that begins with this asks to be left, with the code that follows."""

_ANSWERS = {
    WELL: b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfine\n",
    "500s": b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 5\r\n\r\nfail\n",
    "broken bodies": b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n0123456789",
}


class PhasedUpstream:
    """One address whose behaviour ``turn`` changes; where connections are refused, the port stays its own."""

    def __init__(self) -> None:
        self._holder = _bound(("127.0.0.1", 0))
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.port: int = self._holder.getsockname()[1]
        self.phase = WELL
        self.since = 0.0

    async def __aenter__(self) -> Self:
        await self.turn(WELL)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        self._holder.close()

    async def turn(self, phase: str) -> None:
        """Behave otherwise from now on, also on connections that stand."""
        self.phase, self.since = phase, asyncio.get_running_loop().time()
        if phase == "refused":
            self._stop()
        elif self._server is None:
            listener = _bound(("127.0.0.1", self.port))
            self._server = await asyncio.start_server(self._serve, sock=listener)

    def explains(self, now: float) -> bool:
        """Whether a failure that is seen now may be this upstream's doing."""
        return self.phase != WELL or now - self.since < RECOVERY_SECONDS

    def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._answer(reader, writer):
                    pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        await reader.readuntil(b"\r\n\r\n")
        phase = self.phase
        if phase == "hangs":
            await reader.read()  # until the hub gives up
            return False
        writer.write(_ANSWERS.get(phase, b""))
        await writer.drain()
        return phase in {WELL, "500s"}


@dataclass(frozen=True)
class Upstreams:
    """Where they listen, and the one that fails."""

    shop: int
    raw: RawUpstream
    failing: PhasedUpstream
    chat: int

    @property
    def ports(self) -> dict[str, int]:
        """By name."""
        raw = int(self.raw.url.rpartition(":")[2])
        return {"shop": self.shop, "broken": raw, "failing": self.failing.port, "chat": self.chat}


@asynccontextmanager
async def upstreams() -> AsyncIterator[Upstreams]:
    """Start all, until the block ends; the failing one goes from phase to phase by itself."""
    logging.getLogger("websockets").setLevel(logging.CRITICAL)  # clients that leave without a word are part of the load
    async with AsyncExitStack() as stack:
        shop = await stack.enter_async_context(LoopbackServer(UpstreamApp(failures=0)))
        raw = await stack.enter_async_context(RawUpstream())
        failing = await stack.enter_async_context(PhasedUpstream())
        chat = await stack.enter_async_context(serve(_converse, "127.0.0.1", 0, compression=None, ping_interval=None))
        phases = asyncio.create_task(_go_through(failing, raw))
        stack.callback(phases.cancel)
        yield Upstreams(shop.port, raw, failing, next(iter(chat.sockets)).getsockname()[1])


async def _go_through(failing: PhasedUpstream, raw: RawUpstream) -> None:
    while True:
        for phase in PHASES:
            await failing.turn(phase)
            raw.calls.clear()  # it remembers every call
            await asyncio.sleep(PHASE_SECONDS)


async def _converse(connection: ServerConnection) -> None:
    """Say everything back, until the client leaves or asks to be left."""
    async for message in connection:
        if isinstance(message, str) and message.startswith(CLOSE):
            await connection.close(int(message.removeprefix(CLOSE)), "as you wish")
            return
        await connection.send(message)


def _bound(address: tuple[str, int]) -> socket.socket:
    """Return a socket that does not listen yet; several may be bound to one port while none of them listens."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(address)
    return bound
