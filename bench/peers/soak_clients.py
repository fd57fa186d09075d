"""The clients of ``soak.py``: some call as they should, others read slowly, leave in mid-answer or in mid-request.

An *act* is what one client does before it starts anew; ``ACTS`` says how many clients of each kind there are.
"""

import asyncio
import contextlib
import hashlib
import random
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from peers.soak_upstreams import CLOSE, PhasedUpstream
from signalbox.sandbox.behaviours import PATTERN
from signalbox.sandbox.misbehaviours import MISBEHAVIOURS
from signalbox.sandbox.traffic import pick

MEGABYTE = 1_000_000
BODY = (PATTERN * (MEGABYTE // len(PATTERN) + 1))[:MEGABYTE]
LONGEST_ACT = 90.0
"""Seconds after which an act counts as stuck."""

EXPLAINED = frozenset({"failing upstream", "broken upstream"})
"""Kinds of clients that may meet failures, since their upstream fails."""
BROKEN_OFF = "broken off"

_CALLS_IN_A_ROW = 100
_SERVER_ERROR = 500
_LEFT = "left"
_RESET = struct.pack("ii", 1, 0)
_LOSSES = (OSError, EOFError, TimeoutError, WebSocketException)


@dataclass
class World:
    """What clients share: the hub's port, the upstream that fails, when to stop, and what they have seen."""

    port: int
    failing: PhasedUpstream
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By kind of client and status (or another outcome)."""
    unexplained: list[str] = field(default_factory=list)
    """What no upstream explains."""

    def note(self, kind: str, outcome: int | str, detail: str = "") -> None:
        """Count an outcome; a failure that the upstream does not explain is remembered, with ``detail``."""
        self.outcomes[kind, str(outcome)] += 1
        failed = outcome == BROKEN_OFF or (isinstance(outcome, int) and outcome >= _SERVER_ERROR)
        if failed and not self._explains(kind):
            self.unexplained.append(f"{kind}: {outcome} {detail}".rstrip())

    def _explains(self, kind: str) -> bool:
        if kind == "failing upstream":
            return self.failing.explains(asyncio.get_running_loop().time())
        return kind in EXPLAINED


Act = Callable[[World, random.Random], Awaitable[None]]


class Client:
    """One connection to the hub."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, method: str, target: str, body: bytes = b"", *, length: int | None = None) -> None:
        """Send a request; ``length`` announces another length than that of ``body``."""
        length = len(body) if length is None else length
        said = f"Content-Length: {length}\r\n" if length else ""
        self.writer.write(f"{method} {target} HTTP/1.1\r\nHost: hub.test\r\n{said}\r\n".encode() + body)
        await self.writer.drain()

    async def head(self) -> tuple[int, Mapping[str, str]]:
        """Read the head of an answer."""
        while True:
            first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
            status = int(first.split(" ", 2)[1])
            if status >= HTTPStatus.OK:
                pairs = (line.partition(":") for line in lines)
                return status, {name.lower(): value.strip() for name, _, value in pairs}

    async def answer(self) -> tuple[int, bytes]:
        """Read a whole answer."""
        status, headers = await self.head()
        if headers.get("transfer-encoding") == "chunked":
            return status, await self._chunks()
        if "content-length" not in headers:
            return status, b"" if status in {204, 304} else await self.reader.read()
        return status, await self.reader.readexactly(int(headers["content-length"]))

    async def _chunks(self) -> bytes:
        pieces = []
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            pieces.append((await self.reader.readexactly(size + 2))[:-2])
        await self.reader.readexactly(2)
        return b"".join(pieces)

    def leave(self, dice: random.Random) -> None:
        """Go without another word, politely (FIN) or not (RST)."""
        if dice.random() < 0.5:  # noqa: PLR2004 (a coin)
            self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.writer.transport.abort()


@asynccontextmanager
async def _client(world: World, *, receive_buffer: int | None = None) -> AsyncIterator[Client]:
    opened = socket.socket()
    opened.setblocking(False)  # noqa: FBT003 (the name of the method says it)
    if receive_buffer is not None:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    await asyncio.get_running_loop().sock_connect(opened, ("127.0.0.1", world.port))
    reader, writer = await asyncio.open_connection(sock=opened, limit=receive_buffer or 65_536)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _call_as_usual(world: World, dice: random.Random) -> None:
    """Many calls of a shop's customers over one connection."""
    async with _client(world) as client:
        for _ in range(_CALLS_IN_A_ROW):
            errand = pick(dice)
            await client.send(errand.method, f"/shop{errand.path}", errand.body)
            status, _ = await client.answer()
            world.note("normal", status)
            if world.stop.is_set():
                return
            await asyncio.sleep(dice.expovariate(30))


async def _read_slowly(world: World, dice: random.Random) -> None:
    """1 MB in small pieces with pauses, through a small buffer, so that the hub must wait."""
    async with _client(world, receive_buffer=16_384) as client:
        await client.send("GET", f"/shop/bytes/{MEGABYTE}")
        status, _ = await client.head()
        left = MEGABYTE
        while left and (piece := await client.reader.read(32_768)):
            left -= len(piece)
            await asyncio.sleep(dice.uniform(0.02, 0.1))
        world.note("slow reader", BROKEN_OFF if left else status)


async def _leave_in_answer(world: World, dice: random.Random) -> None:
    """Ask for much, or for what comes late, and leave before it has come."""
    target = dice.choice(("/shop/bytes/5000000", "/shop/stream/1000/20", "/shop/delay/5000"))
    async with _client(world) as client:
        await client.send("GET", target)
        if "delay" in target:
            await asyncio.sleep(dice.uniform(0, 1))
        else:
            await client.head()
            await client.reader.read(10_000)
        client.leave(dice)
        world.note("leaves in answer", _LEFT)


async def _leave_in_request(world: World, dice: random.Random) -> None:
    """Send a part of a head or of a body, and leave."""
    async with _client(world) as client:
        way = dice.choice(("head", "length", "chunks"))
        if way == "head":
            client.writer.write(b"POST /shop/echo HTTP/1.1\r\nHost: hub.t")
        elif way == "length":
            await client.send("POST", "/shop/echo", BODY[: dice.randrange(MEGABYTE)], length=MEGABYTE)
        else:
            head = b"POST /shop/echo HTTP/1.1\r\nHost: hub.test\r\nTransfer-Encoding: chunked\r\n\r\n"
            client.writer.write(head + b"10000\r\n" + BODY[: dice.randrange(65_536)])
        await asyncio.sleep(dice.uniform(0, 0.5))
        client.leave(dice)
        world.note("leaves in request", _LEFT)


async def _download(world: World, dice: random.Random) -> None:
    """1 MB, compared byte by byte."""
    async with _client(world) as client:
        await client.send("GET", f"/shop/bytes/{MEGABYTE}")
        status, body = await client.answer()
        world.note("1 MB down", status if body == BODY else BROKEN_OFF)
    await asyncio.sleep(dice.uniform(0, 0.4))


async def _upload(world: World, dice: random.Random) -> None:
    """1 MB; the upstream says the digest of what it got."""
    async with _client(world) as client:
        await client.send("POST", "/shop/echo", BODY)
        status, answer = await client.answer()
        world.note("1 MB up", status if _DIGEST in answer else BROKEN_OFF)
    await asyncio.sleep(dice.uniform(0, 0.4))


async def _call_failing(world: World, dice: random.Random) -> None:
    """Calls of an upstream that is well at times; the hub's breaker opens and closes."""
    async with _client(world) as client:
        for _ in range(_CALLS_IN_A_ROW):
            await client.send("GET", "/failing/health")
            status, _ = await client.answer()
            world.note("failing upstream", status)
            if world.stop.is_set():
                return
            await asyncio.sleep(dice.expovariate(20))


async def _call_broken(world: World, dice: random.Random) -> None:
    """Calls whose answers break the protocol, some with a body that the upstream may not read."""
    way = dice.choice(list(MISBEHAVIOURS))
    body = BODY[:200_000] if dice.random() < 0.3 else b""  # noqa: PLR2004 (the share itself)
    async with _client(world) as client:
        await client.send("POST" if body else "GET", f"/broken/{way}", body)
        status, _ = await client.answer()
        world.note("broken upstream", status)


async def _chat(world: World, dice: random.Random) -> None:
    """A WebSocket conversation; it ends by the client, by the server with a code of its own, or without a word."""
    url = f"ws://127.0.0.1:{world.port}/chat/room"
    async with connect(url, compression=None, ping_interval=None, proxy=None) as connection:
        for _ in range(dice.randint(1, 20)):
            message: str | bytes = dice.choice(("hello", BODY[: dice.randrange(100_000)]))
            await connection.send(message)
            if await connection.recv() != message:
                world.note("WebSocket", BROKEN_OFF)
            await asyncio.sleep(dice.uniform(0, 0.2))
        way = dice.choice(("client", "server", "silence"))
        if way == "silence":
            connection.transport.abort()
        elif way == "server":
            await _be_left(world, connection.send, connection.recv)
    world.note("WebSocket", f"ended by {way}")


async def _be_left(
    world: World, send: Callable[[str], Awaitable[None]], receive: Callable[[], Awaitable[str | bytes]]
) -> None:
    """Ask the server to close with a code, which must arrive as it was sent."""
    await send(f"{CLOSE}4001")
    try:
        await receive()
    except ConnectionClosed as closed:
        if closed.rcvd is None or closed.rcvd.code != 4001:  # noqa: PLR2004 (asked for just above)
            world.note("WebSocket", BROKEN_OFF)


async def _stay_idle(world: World, dice: random.Random) -> None:
    """A call now and then, and a connection that stays open between them."""
    async with _client(world) as client:
        for _ in range(2):
            await client.send("GET", "/shop/categories/MLA1")
            status, _ = await client.answer()
            world.note("idle", status)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(world.stop.wait(), dice.uniform(1, 30))
            if world.stop.is_set():
                return


_DIGEST = hashlib.sha256(BODY).hexdigest().encode()

ACTS: Mapping[str, tuple[Act, int]] = {
    "normal": (_call_as_usual, 40),
    "slow reader": (_read_slowly, 8),
    "leaves in answer": (_leave_in_answer, 6),
    "leaves in request": (_leave_in_request, 6),
    "1 MB down": (_download, 2),
    "1 MB up": (_upload, 2),
    "failing upstream": (_call_failing, 8),
    "broken upstream": (_call_broken, 6),
    "WebSocket": (_chat, 10),
    "idle": (_stay_idle, 30),
}
"""What clients do, and how many do it at the same time."""


async def act_until_stopped(world: World, *, seed: int = 0) -> None:
    """Let all clients act, each again and again, until ``world.stop`` is set and the last has ended its act."""
    clients = [
        _repeat(kind, act, world, random.Random(f"{seed} {kind} {number}"))
        for kind, (act, count) in ACTS.items()
        for number in range(count)
    ]
    await asyncio.gather(*clients)


async def prime(world: World) -> None:
    """Make one call to each healthy upstream, so that what the hub opens at first use is open."""
    dice = random.Random("prime")
    for act in (_download, _upload, _chat):
        await act(world, dice)


async def _repeat(kind: str, act: Act, world: World, dice: random.Random) -> None:
    await asyncio.sleep(dice.uniform(0, 1))  # not all at the same moment
    while not world.stop.is_set():
        try:
            async with asyncio.timeout(LONGEST_ACT):
                await act(world, dice)
        except _LOSSES as error:
            world.note(kind, BROKEN_OFF, repr(error))
            await asyncio.sleep(dice.uniform(0, 0.2))
