"""What only this implementation promises; the rest is in tests/contracts/test_http_client.py."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from signalbox.infra.http import ConnectionBrokenError, Origin, Request
from signalbox.infra.http.connection import HIGH_WATER, Connection
from signalbox.infra.http.corked import WriteBatch
from tests.contracts.peer import OK, Line, Peer, always, answering, serve
from tests.support.timing import PATIENCE

RECEIVED_AT_ONCE = 256 * 1024
"""The most that the event loop hands over in one piece."""


class Ends:
    """A connection and what its owner has been told."""

    def __init__(self) -> None:
        self.idle = self.lost = 0
        self.connection = Connection(self._on_idle, self._on_lost, WriteBatch())

    def _on_idle(self, _connection: Connection) -> None:
        self.idle += 1

    def _on_lost(self, _connection: Connection) -> None:
        self.lost += 1


async def connect(peer: Peer) -> Ends:
    ends = Ends()
    await asyncio.get_running_loop().create_connection(lambda: ends.connection, peer.origin.host, peer.origin.port)
    return ends


def to(origin: Origin, method: bytes = b"GET") -> Request:
    return Request(origin, method, b"/")


def flood(size: int) -> AsyncIterator[bytes]:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(0, size, 65_536):
            yield bytes(65_536)

    return pieces()


async def test_no_more_than_the_high_water_mark_and_one_piece_is_held() -> None:
    size = 30_000_000

    async def script(line: Line) -> None:
        await line.head()
        await line.say(OK + b"content-length: %d\r\n\r\n" % size)
        await line.say(bytes(size))

    most = total = 0
    async with serve(script) as peer:
        ends = await connect(peer)
        answer = await ends.connection.exchange(to(peer.origin), expires=float("inf"))
        while piece := await answer.read():
            total += len(piece)
            most = max(most, ends.connection._buffered)
            await asyncio.sleep(0.001)
    assert total == size
    assert HIGH_WATER / 4 < most <= HIGH_WATER + RECEIVED_AT_ONCE


async def test_the_owner_is_told_once_that_it_is_free_and_once_that_it_is_lost() -> None:
    fine = OK + b"content-length: 0\r\n\r\n"
    async with serve(answering(fine, fine)) as peer:
        ends = await connect(peer)
        for number in (1, 2):
            answer = await ends.connection.exchange(to(peer.origin), expires=float("inf"))
            assert (answer.whole(), ends.idle) == (b"", number)
            answer.close()
            assert ends.idle == number
        await peer.lines[0].gone.wait()
        async with asyncio.timeout(PATIENCE):
            while not ends.connection.is_closed:
                await asyncio.sleep(0.005)
        ends.connection.abort()
    assert (ends.idle, ends.lost) == (2, 1)


async def test_a_connection_that_never_was_is_lost_once() -> None:
    ends = Ends()
    ends.connection.give_up()
    ends.connection.give_up()
    assert (ends.lost, ends.connection.is_closed) == (1, True)


async def test_dropping_a_connection_tells_whoever_waits_for_its_answer() -> None:
    async with serve(Line.until_gone) as peer:
        ends = await connect(peer)
        waiting = asyncio.create_task(ends.connection.exchange(to(peer.origin), expires=float("inf")))
        await asyncio.sleep(0)
        ends.connection.abort()
        with pytest.raises(ConnectionBrokenError, match="dropped"):
            await asyncio.wait_for(waiting, PATIENCE)
    assert (ends.idle, ends.lost) == (0, 1)


async def test_the_deadline_moves_with_what_the_server_sends_and_never_beyond_the_end_of_the_call() -> None:
    go_on = asyncio.Event()

    async def script(line: Line) -> None:
        await line.head()
        await line.say(OK + b"content-length: 3\r\n\r\na")
        await go_on.wait()
        await line.say(b"b")
        await line.until_gone()

    async with serve(script) as peer:
        ends, now = await connect(peer), asyncio.get_running_loop().time
        started = now()
        answer = await ends.connection.exchange(to(peer.origin), expires=started + 1_000)
        assert await answer.read() == b"a"
        await asyncio.sleep(0.01)
        before = ends.connection.deadline
        assert started + 60 <= before <= now() + 60
        go_on.set()
        assert await answer.read() == b"b"
        assert before < ends.connection.deadline <= now() + 60
        answer.close()
        assert ends.connection.deadline == float("inf")
        late = await connect(peer)
        hopeless = late.connection.exchange(to(peer.origin), expires=now() + 30)
        assert (await hopeless).status == 200
        assert late.connection.deadline <= now() + 30
        late.connection.abort()


async def test_a_streamed_upload_waits_in_memory_for_no_more_than_the_transport_holds() -> None:
    held: list[int] = []

    async def watched(ends: Ends) -> AsyncIterator[bytes]:
        async for piece in flood(20_000_000):
            held.append(ends.connection.transport.get_write_buffer_size())
            yield piece

    async def script(line: Line) -> None:
        await line.head()
        while not (await line.reader.read(100_000)).endswith(b"0\r\n\r\n"):
            await asyncio.sleep(0.0005)
        await line.say(OK + b"content-length: 0\r\n\r\n")

    async with serve(script) as peer:
        ends = await connect(peer)
        request = Request(peer.origin, b"POST", b"/", (), watched(ends))
        answer = await ends.connection.exchange(request, expires=float("inf"))
        assert answer.whole() == b""
        ends.connection.abort()
    assert max(held) <= 3 * 65_536


async def test_a_call_that_was_begun_tells_of_its_answer_once_and_gives_it_whole() -> None:
    news = asyncio.Event()
    async with serve(always(OK + b"content-length: 3\r\n\r\nabc")) as peer:
        ends = await connect(peer)
        for number in (1, 2):
            ends.connection.begin(to(peer.origin), expires=float("inf"), on_news=news.set)
            assert (ends.connection.status, ends.connection.take()) == (0, None)
            await asyncio.wait_for(news.wait(), PATIENCE)
            whole = ends.connection.take()
            assert whole is not None
            assert (whole.status, whole.headers, whole.body) == (200, [(b"content-length", b"3")], b"abc")
            assert (ends.idle, ends.lost) == (number, 0)
            news.clear()


async def test_a_call_that_was_begun_can_be_followed_to_its_failure() -> None:
    news = asyncio.Event()

    async def script(line: Line) -> None:
        await line.head()

    async with serve(script) as peer:
        ends = await connect(peer)
        ends.connection.begin(to(peer.origin), expires=float("inf"), on_news=news.set)
        await asyncio.wait_for(news.wait(), PATIENCE)
        assert ends.connection.take() is None
        with pytest.raises(ConnectionBrokenError):
            await ends.connection.head()
