"""Tunnels between real sockets, on both event loops."""

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from signalbox.infra.http import tunnel as tunnel_module
from signalbox.infra.http.tunnel import Tunnel
from tests.support.timing import PATIENCE, settled

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])

HELD = 12_000_000
"""What the kernel may hold on both ways, with room to spare."""


class Side:
    """One of the two others: the client or the server."""

    def __init__(self, inner: socket.socket, outer: socket.socket) -> None:
        self._inner, self._outer = inner, outer
        self.transport: asyncio.Transport
        """The hub's end."""
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def open(self) -> None:
        self.transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=self._inner)
        self.transport.pause_reading()
        self.reader, self.writer = await asyncio.open_connection(sock=self._outer, limit=65_536)

    async def take(self, size: int) -> bytes:
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readexactly(size)

    def reset(self) -> None:
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def ended(self, *, within: float = PATIENCE) -> bool:
        """Whether the tunnel ends this side, without another byte."""
        async with asyncio.timeout(within):
            try:
                return await self.reader.read(1) == b""
            except ConnectionError:
                return True


def pair() -> Side:
    """A TCP connection on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        outer = socket.create_connection(listener.getsockname())
        inner, _ = listener.accept()
    for each in (inner, outer):
        each.setblocking(False)
    return Side(inner, outer)


class Joined:
    """A running tunnel and what it joins."""

    def __init__(self) -> None:
        self.client, self.server = pair(), pair()
        self.tunnel: Tunnel
        self.task: asyncio.Task[None]

    async def open(self) -> None:
        await self.client.open()
        await self.server.open()
        self.tunnel = Tunnel(self.client.transport, self.server.transport)

    def run(self, *, client_sent: bytes = b"", server_sent: bytes = b"") -> None:
        self.task = asyncio.create_task(self.tunnel.run(client_sent=client_sent, server_sent=server_sent))

    async def over(self, *, within: float = PATIENCE) -> None:
        """The tunnel has ended, and with it both connections."""
        await asyncio.wait_for(asyncio.shield(self.task), within)
        assert self.client.transport.is_closing()
        assert self.server.transport.is_closing()

    async def close(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        for side in (self.client, self.server):
            side.transport.abort()
            side.writer.transport.abort()
        await asyncio.sleep(0)


@asynccontextmanager
async def _joined() -> AsyncIterator[Joined]:
    made = Joined()
    await made.open()
    try:
        yield made
    finally:
        await made.close()


@pytest.fixture
async def joined() -> AsyncIterator[Joined]:
    async with _joined() as made:
        made.run()
        yield made


@pytest.fixture
async def unjoined() -> AsyncIterator[Joined]:
    async with _joined() as made:
        yield made


async def test_bytes_pass_both_ways_and_are_counted(joined: Joined) -> None:
    client, server = joined.client, joined.server
    client.writer.write(b"hello")
    assert await server.take(5) == b"hello"
    server.writer.write(b"hi there")
    assert await client.take(8) == b"hi there"
    assert (joined.tunnel.from_client, joined.tunnel.from_server) == (5, 8)


async def test_what_came_early_comes_first(unjoined: Joined) -> None:
    unjoined.client.writer.write(b"later")
    unjoined.server.writer.write(b"LATER")
    await asyncio.sleep(0.05)
    unjoined.run(client_sent=b"early ", server_sent=b"EARLY ")
    assert await unjoined.server.take(11) == b"early later"
    assert await unjoined.client.take(11) == b"EARLY LATER"
    assert (unjoined.tunnel.from_client, unjoined.tunnel.from_server) == (11, 11)


async def test_much_passes_unchanged(joined: Joined) -> None:
    data = b"".join(b"%08d" % number for number in range(500_000))
    joined.client.writer.write(data)
    joined.server.writer.write(data[::-1])
    received = await asyncio.gather(joined.server.take(len(data)), joined.client.take(len(data)))
    assert list(received) == [data, data[::-1]]


@pytest.mark.parametrize("way", ["to the server", "to the client"])
@pytest.mark.parametrize("early", [0, 1_000_000], ids=["", "early"])
async def test_a_side_that_does_not_read_stops_the_other(unjoined: Joined, way: str, early: int) -> None:
    sender, reader = unjoined.client, unjoined.server
    if way == "to the client":
        sender, reader = reader, sender
    unjoined.run(**{"client_sent" if sender is unjoined.client else "server_sent": b"x" * early})
    total = 2 * HELD
    sender.writer.write(b"x" * total)
    stopped_at = await settled(lambda: unjoined.tunnel.from_client + unjoined.tunnel.from_server)
    assert 0 < stopped_at < HELD
    await reader.take(total + early)
    assert unjoined.tunnel.from_client + unjoined.tunnel.from_server == total + early


@pytest.mark.parametrize("first", ["client", "server"])
async def test_a_side_that_closes_ends_the_other(joined: Joined, first: str) -> None:
    closing, other = joined.client, joined.server
    if first == "server":
        closing, other = other, closing
    closing.writer.write(b"last words")
    closing.writer.close()
    assert await other.take(10) == b"last words"
    assert await other.ended()
    other.writer.close()
    await joined.over()


@pytest.mark.parametrize("first", ["client", "server"])
async def test_a_side_that_is_reset_ends_the_other(joined: Joined, first: str) -> None:
    resetting, other = joined.client, joined.server
    if first == "server":
        resetting, other = other, resetting
    resetting.reset()
    assert await other.ended()
    await joined.over()


async def test_a_side_that_has_said_all_still_hears_the_rest(joined: Joined) -> None:
    joined.client.writer.write(b"question")
    joined.client.writer.write_eof()
    assert await joined.server.reader.read(100) == b"question"
    assert await joined.server.ended()
    joined.server.writer.write(b"answer")
    assert await joined.client.take(6) == b"answer"
    joined.server.writer.close()
    assert await joined.client.ended()
    await joined.over()


async def test_a_side_that_never_ends_is_dropped_behind_the_other(
    joined: Joined, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tunnel_module, "LAST_WORDS", 0.2)
    joined.client.writer.write_eof()
    assert await joined.server.ended()
    begun = time.perf_counter()
    await joined.over()
    assert time.perf_counter() - begun > 0.1


async def test_a_side_that_does_not_take_the_rest_is_dropped_in_time(
    joined: Joined, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tunnel_module, "LAST_WORDS", 0.2)
    joined.client.writer.write(b"x" * HELD)
    await settled(lambda: joined.tunnel.from_client)
    joined.client.reset()
    await joined.over()


@pytest.mark.parametrize("gone", ["client", "server"])
async def test_a_side_that_goes_while_it_is_not_read_is_noticed(joined: Joined, gone: str) -> None:
    going, other = joined.client, joined.server
    if gone == "server":
        going, other = other, going
    going.writer.write(b"x" * 2 * HELD)
    await settled(lambda: joined.tunnel.from_client + joined.tunnel.from_server)
    assert not going.transport.is_reading()
    going.reset()
    async with asyncio.timeout(PATIENCE):
        while not other.transport.is_closing():
            await asyncio.sleep(0.01)
    assert going.transport.is_closing()


@pytest.mark.parametrize("gone", ["client", "server"])
@pytest.mark.parametrize("heard", [False, True], ids=["closing", "closed"])
async def test_a_side_that_is_gone_before_the_tunnel_begins_ends_the_other(
    unjoined: Joined, gone: str, heard: bool
) -> None:
    going, other = unjoined.client, unjoined.server
    if gone == "server":
        going, other = other, going
    going.transport.abort()
    if heard:
        await asyncio.sleep(0.05)  # the last protocol has been told
    unjoined.run(client_sent=b"a", server_sent=b"b")
    await unjoined.over()
    await other.reader.read(1)
    assert await other.ended()


async def test_a_tunnel_that_is_cancelled_ends_both_sides(joined: Joined) -> None:
    await asyncio.sleep(0.05)
    joined.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await joined.task
    assert await joined.client.ended()
    assert await joined.server.ended()


async def test_dead_machines_are_found_out(joined: Joined) -> None:
    await asyncio.sleep(0.05)
    for side in (joined.client, joined.server):
        sock = side.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) != 0
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
