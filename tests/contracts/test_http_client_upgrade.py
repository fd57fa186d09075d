"""How every ``HttpClient`` changes to another protocol, against real sockets, on both event loops."""

import asyncio
import ssl
from collections.abc import AsyncIterator

import pytest

from signalbox.infra.http import (
    ConnectionBrokenError,
    Detached,
    HttpClient,
    InvalidResponseError,
    Request,
    ResponseTimeoutError,
    Timeouts,
)
from signalbox.infra.http.pool import PooledClient
from tests.contracts.calls import HELD, get_all, to
from tests.contracts.peer import FINE, OK, Line, Peer, Script, always, serve
from tests.support.timing import PATIENCE

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])

PATIENT = Timeouts()

SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\nX-A: b\r\n\r\n"


def upgrade(peer: Peer, timeouts: Timeouts = PATIENT) -> Request:
    return to(peer, "/chat", headers=((b"sec-websocket-key", b"abc"),), upgrade=b"websocket", timeouts=timeouts)


def shouting(answer: bytes = SWITCHED) -> Script:
    """Give this answer, then send back whatever comes, in upper case."""

    async def script(line: Line) -> None:
        await line.head()
        await line.say(answer)
        while data := await line.reader.read(65_536):
            await line.say(data.upper())

    return script


class Talk(asyncio.Protocol):
    """The client's protocol after the upgrade."""

    def __init__(self, detached: Detached) -> None:
        self.received = bytearray(detached.early)
        self.lost = asyncio.Event()
        self.transport = detached.transport
        self.transport.set_protocol(self)
        self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        self.received += data

    def connection_lost(self, _exc: Exception | None) -> None:
        self.lost.set()

    async def until(self, data: bytes) -> None:
        async with asyncio.timeout(PATIENCE):
            while bytes(self.received) != data:
                await asyncio.sleep(0.005)


async def test_the_connection_is_handed_over_with_what_came_early(client: HttpClient) -> None:
    async with serve(shouting(SWITCHED + b"early ")) as peer:
        response = await client.send(upgrade(peer))
        assert (response.status, (b"x-a", b"b") in response.headers) == (101, True)
        talk = Talk(response.detach())
        talk.transport.write(b"hello")
        await talk.until(b"early HELLO")
        talk.transport.close()
        await asyncio.wait_for((await peer.line()).gone.wait(), PATIENCE)


async def test_the_request_asks_for_the_upgrade_and_is_otherwise_as_given(client: HttpClient) -> None:
    heads: list[bytes] = []

    async def script(line: Line) -> None:
        heads.append(await line.head())
        await line.say(SWITCHED)

    async with serve(script) as peer:
        (await client.send(upgrade(peer))).close()
    port = b"%d" % peer.origin.port
    assert heads == [
        b"GET /chat HTTP/1.1\r\nhost: 127.0.0.1:" + port + b"\r\nsec-websocket-key: abc\r\n"
        b"connection: upgrade\r\nupgrade: websocket\r\n\r\n"
    ]


async def test_a_server_that_sends_much_at_once_is_not_read_until_it_is_taken_over(client: HttpClient) -> None:
    sent = 0

    async def script(line: Line) -> None:
        nonlocal sent
        await line.head()
        await line.say(SWITCHED)
        for _ in range(2 * HELD // 100_000):
            await line.say(b"x" * 100_000)
            sent += 100_000

    async with serve(script) as peer:
        response = await client.send(upgrade(peer))
        await asyncio.sleep(0.3)
        assert sent < HELD
        talk = Talk(response.detach())
        await asyncio.wait_for(talk.lost.wait(), PATIENCE)
        assert len(talk.received) == 2 * HELD


async def test_a_refusal_is_an_answer_like_any_other(client: HttpClient) -> None:
    refusal = b"HTTP/1.1 403 Forbidden\r\nconnection: upgrade\r\nupgrade: websocket\r\ncontent-length: 2\r\n\r\nno"
    async with serve(always(refusal)) as peer:
        for _ in range(2):
            response = await client.send(upgrade(peer))
            assert response.status == 403
            assert await response.read() == b"no"
            assert await response.read() == b""
        assert len(peer.lines) == 1


async def test_interim_answers_may_come_before(client: HttpClient) -> None:
    async with serve(shouting(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + SWITCHED)) as peer:
        response = await client.send(upgrade(peer))
        assert response.status == 101
        assert (b"link", b"</a>") not in response.headers
        response.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket, h2c\r\n\r\n",
    ],
)
async def test_a_change_to_anything_else_is_not_valid(client: HttpClient, answer: bytes) -> None:
    async with serve(shouting(answer)) as peer:
        with pytest.raises(InvalidResponseError):
            await client.send(upgrade(peer))
        await asyncio.wait_for((await peer.line()).gone.wait(), PATIENCE)


async def test_a_change_that_nobody_asked_for_is_not_valid(client: HttpClient) -> None:
    async with serve(always(SWITCHED)) as peer:
        with pytest.raises(InvalidResponseError):
            await client.send(to(peer))


async def test_only_a_changed_connection_can_be_taken_over(client: HttpClient) -> None:
    async with serve(always(OK + b"content-length: 5\r\n\r\nfi")) as peer:
        response = await client.send(upgrade(peer))
        with pytest.raises(RuntimeError):
            response.detach()
        response.close()


async def test_a_changed_connection_that_nobody_takes_is_dropped(client: HttpClient) -> None:
    async with serve(shouting()) as peer:
        response = await client.send(upgrade(peer))
        response.close()
        await asyncio.wait_for((await peer.line()).gone.wait(), PATIENCE)


async def test_a_changed_connection_carries_no_other_call(client: HttpClient) -> None:
    async def script(line: Line) -> None:
        await line.head()
        await line.say(SWITCHED if line.number == 1 else FINE)
        await line.until_gone()

    async with serve(script) as peer:
        talk = Talk((await client.send(upgrade(peer))).detach())
        assert await get_all(client, to(peer)) == (200, b"fine")
        assert len(peer.lines) == 2
        await client.close()  # it belongs to the client no more
        await asyncio.sleep(0.05)
        assert not talk.transport.is_closing()
        talk.transport.abort()


async def test_a_server_that_leaves_before_the_connection_is_taken_over_is_gone_then(client: HttpClient) -> None:
    async def script(line: Line) -> None:
        await line.head()
        await line.say(SWITCHED + b"bye")

    async with serve(script) as peer:
        response = await client.send(upgrade(peer))
        await asyncio.wait_for((await peer.line()).gone.wait(), PATIENCE)
        await asyncio.sleep(0.05)
        talk = Talk(response.detach())
        await asyncio.wait_for(talk.lost.wait(), PATIENCE)
        assert talk.received == b"bye"


async def test_a_server_may_be_too_slow_to_change_or_leave_instead(client: HttpClient) -> None:
    async def script(line: Line) -> None:
        await line.head()
        if line.number == 1:
            await line.until_gone()

    async with serve(script) as peer:
        with pytest.raises(ResponseTimeoutError):
            await client.send(upgrade(peer, Timeouts(read=0.2)))
        with pytest.raises(ConnectionBrokenError):
            await client.send(upgrade(peer))


async def test_silence_after_the_change_is_no_timeout(client: HttpClient) -> None:
    async with serve(shouting()) as peer:
        talk = Talk((await client.send(upgrade(peer, Timeouts(read=0.2, total=0.3)))).detach())
        await asyncio.sleep(0.6)
        talk.transport.write(b"hello")
        await talk.until(b"HELLO")
        talk.transport.abort()


@pytest.fixture
async def trusting(trusted: ssl.SSLContext) -> AsyncIterator[HttpClient]:
    made = PooledClient(tls=trusted)
    yield made
    await made.close()


async def test_tls_connections_are_handed_over_too(trusting: HttpClient, certificate: ssl.SSLContext) -> None:
    async with serve(shouting(SWITCHED + b"early "), tls=certificate) as peer:
        talk = Talk((await trusting.send(upgrade(peer))).detach())
        talk.transport.write(b"hello")
        await talk.until(b"early HELLO")
        talk.transport.write(b"x" * 1_000_000)
        await talk.until(b"early HELLO" + b"X" * 1_000_000)
        talk.transport.close()
        await asyncio.wait_for((await peer.line()).gone.wait(), PATIENCE)
