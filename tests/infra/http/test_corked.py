"""What a corked transport writes, when, and in which order: over real sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from signalbox.infra.http.corked import MOST_HELD, CorkedTransport, WriteBatch


class Peer:
    """The other end of a transport, read without waiting."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def read(self) -> bytes:
        """What has arrived until now."""
        data = b""
        while True:
            try:
                piece = self.sock.recv(1 << 20)
            except BlockingIOError:
                return data
            if not piece:
                return data + b"<end>"
            data += piece


@asynccontextmanager
async def corked(batch: WriteBatch) -> AsyncIterator[tuple[CorkedTransport, Peer]]:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
    try:
        yield CorkedTransport(transport, batch), Peer(theirs)
    finally:
        transport.abort()
        theirs.close()


async def turn() -> None:
    """Let the loop's turn end."""
    await asyncio.sleep(0)


async def test_small_writes_go_out_in_one_piece_at_the_end_of_the_turn() -> None:
    async with corked(WriteBatch()) as (transport, peer):
        transport.write(b"one ")
        transport.write(bytearray(b"two "))
        transport.write(memoryview(b"three"))
        assert (peer.read(), transport.get_write_buffer_size()) == (b"", 13)
        await turn()
        assert (peer.read(), transport.get_write_buffer_size()) == (b"one two three", 0)


async def test_each_turn_writes_what_it_was_given() -> None:
    async with corked(WriteBatch()) as (transport, peer):
        for word in (b"first", b"second", b"third"):
            transport.write(word)
            await turn()
            assert peer.read() == word


async def test_what_is_large_is_written_at_once_behind_what_was_held() -> None:
    async with corked(WriteBatch()) as (transport, peer):
        large = b"x" * MOST_HELD
        transport.write(b"head")
        transport.write(large)
        assert peer.read() == b"head" + large
        transport.write(b"tail")
        await turn()
        assert peer.read() == b"tail"


class Noting(asyncio.Transport):
    """A transport that notes what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[object] = []

    def write(self, data: object) -> None:
        self.given.append(data)


async def test_what_is_large_is_not_copied() -> None:
    """A thousand slow clients of one answer share its bytes, which the loop keeps until they are taken."""
    beneath, large = Noting(), bytes(MOST_HELD)
    transport = CorkedTransport(beneath, WriteBatch())
    transport.write(b"head")
    transport.write(large)
    assert beneath.given[0] == b"head"
    assert beneath.given[1] is large


async def test_small_pieces_never_pile_up() -> None:
    async with corked(WriteBatch()) as (transport, peer):
        for _ in range(1_000):
            transport.write(b"y" * 100)
            assert transport.get_write_buffer_size() <= MOST_HELD
        await turn()
        assert len(peer.read()) == 100_000


async def test_nothing_is_no_write() -> None:
    async with corked(WriteBatch()) as (transport, peer):
        transport.write(b"")
        await turn()
        assert peer.read() == b""


@pytest.mark.parametrize("end", ["close", "write_eof"])
async def test_closing_writes_what_is_held_first(end: str) -> None:
    async with corked(WriteBatch()) as (transport, peer):
        transport.write(b"last words")
        getattr(transport, end)()
        await turn()
        await turn()
        assert peer.read() == b"last words<end>"


async def test_aborting_drops_what_is_held() -> None:
    async with corked(WriteBatch()) as (transport, peer):
        transport.write(b"never said")
        transport.abort()
        assert transport.is_closing()
        await turn()
        await turn()
        assert peer.read() == b"<end>"


async def test_a_connection_that_broke_meanwhile_is_passed_over() -> None:
    batch = WriteBatch()
    async with corked(batch) as (broken, _), corked(batch) as (well, peer):
        broken.write(b"to nobody")
        well.write(b"to somebody")
        broken._transport.abort()
        await turn()
        assert peer.read() == b"to somebody"


async def test_one_failing_write_does_not_silence_the_others(caplog: pytest.LogCaptureFixture) -> None:
    batch = WriteBatch()
    async with corked(batch) as (failing, _), corked(batch) as (well, peer):
        failing._transport.write_eof()
        failing.write(b"too late")
        well.write(b"in time")
        await turn()
        assert peer.read() == b"in time"
        assert "could not be written" in caplog.text
        well.write(b", and again")
        await turn()
        assert peer.read() == b", and again"


async def test_a_turn_may_write_while_it_is_written_out() -> None:
    """A pause that ends while the batch is written may have its protocol write anew: that is the next turn's."""
    batch = WriteBatch()
    async with corked(batch) as (transport, peer):
        transport.write(b"one")
        asyncio.get_running_loop().call_soon(transport.write, b"two")
        await turn()
        assert peer.read() == b"one"
        await turn()
        assert peer.read() == b"two"


async def test_the_rest_is_the_other_transports() -> None:
    async with corked(WriteBatch()) as (transport, _):
        assert transport.is_reading()
        transport.pause_reading()
        assert not transport.is_reading()
        transport.resume_reading()
        assert transport.is_reading()
        protocol = asyncio.Protocol()
        transport.set_protocol(protocol)
        assert transport.get_protocol() is protocol
        assert transport.can_write_eof()
        assert transport.get_extra_info("socket") is not None
        assert transport.get_extra_info("nothing", 5) == 5
