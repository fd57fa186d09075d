"""What every ``HttpClient`` makes of answers, good and bad, against real sockets."""

import asyncio
import socket

import pytest

from signalbox.infra.http import (
    ConnectionBrokenError,
    HttpClient,
    InvalidResponseError,
    Timeouts,
    read_all,
)
from signalbox.sandbox.rawserver import RawUpstream
from signalbox.sandbox.server import LoopbackServer
from tests.contracts.calls import HELD, MANY, get_all, pieces_of, to
from tests.contracts.peer import OK, Line, always, answering, serve
from tests.support.timing import PATIENCE

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])


# -- what comes back --------------------------------------------------------------------------------------------------


async def test_an_answer_is_passed_on_as_it_is(client: HttpClient, shop: LoopbackServer) -> None:
    response = await client.send(to(shop, "/gzip"))
    assert (b"content-encoding", b"gzip") in response.headers
    assert (await read_all(response)).startswith(b"\x1f\x8b")
    response = await client.send(to(shop, "/redirect"))
    assert response.status == 302
    assert (b"location", b"/categories/MLA1") in response.headers
    response.close()


async def test_repeated_headers_stay_repeated_and_in_order(client: HttpClient) -> None:
    head = b"Set-Cookie: a=1\r\nX-Empty:\r\nSET-COOKIE: b=2; Path=/\r\nx-latin: \xe9\r\ncontent-length: 0\r\n\r\n"
    async with serve(answering(OK + head)) as peer:
        response = await client.send(to(peer))
        assert response.headers == [
            (b"set-cookie", b"a=1"),
            (b"x-empty", b""),
            (b"set-cookie", b"b=2; Path=/"),
            (b"x-latin", b"\xe9"),
            (b"content-length", b"0"),
        ]
        response.close()


@pytest.mark.parametrize(
    ("method", "answer", "status"),
    [
        ("HEAD", OK + b"content-length: 5000\r\n\r\n", 200),
        ("HEAD", OK + b"transfer-encoding: chunked\r\n\r\n", 200),
        ("HEAD", b"HTTP/1.1 404 Not Found\r\ncontent-length: 9\r\n\r\n", 404),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", 204),
        ("GET", b"HTTP/1.1 304 Not Modified\r\n\r\n", 304),
        ("GET", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5000\r\n\r\n", 304),
        ("POST", b"HTTP/1.1 205 Reset Content\r\ncontent-length: 0\r\n\r\n", 205),
    ],
)
async def test_an_answer_without_body_ends_at_its_head_and_keeps_the_connection(
    client: HttpClient, method: str, answer: bytes, status: int
) -> None:
    async with serve(always(answer)) as peer:
        for _ in range(3):
            response = await client.send(to(peer, method=method))
            assert (response.status, response.whole()) == (status, b"")
        assert len(peer.lines) == 1


async def test_head_and_get_may_follow_each_other_on_a_connection(client: HttpClient, shop: LoopbackServer) -> None:
    for _ in range(3):
        assert await get_all(client, to(shop, "/status/200", "HEAD")) == (200, b"")
        assert await get_all(client, to(shop, "/status/201")) == (201, b'{"status":201}')


async def test_a_body_in_chunks_is_put_together(client: HttpClient, shop: LoopbackServer) -> None:
    status, body = await get_all(client, to(shop, "/stream/100"))
    assert (status, body) == (200, b"".join(b"chunk %d\n" % number for number in range(100)))


async def test_pieces_come_before_the_end(client: HttpClient) -> None:
    go_on = asyncio.Event()

    async def script(line: Line) -> None:
        await line.head()
        await line.say(OK + b"transfer-encoding: chunked\r\n\r\n3\r\none\r\n")
        await go_on.wait()
        await line.say(b"3;ext=1\r\ntwo\r\n0\r\n\r\n")

    async with serve(script) as peer:
        response = await client.send(to(peer))
        assert response.whole() is None
        assert await response.read() == b"one"
        go_on.set()
        assert [piece async for piece in pieces_of(response)] == [b"two"]
        assert await response.read() == b""


async def test_trailers_are_no_headers(client: HttpClient, raw: RawUpstream) -> None:
    for _ in range(5):
        response = await client.send(to(raw, "/trailers"))
        assert await read_all(response) == b"fine\n"
        assert response.headers == [(b"transfer-encoding", b"chunked")]


async def test_a_body_without_length_ends_with_the_connection(client: HttpClient, raw: RawUpstream) -> None:
    assert await get_all(client, to(raw, "/eof")) == (200, b"until the end\n")


async def test_a_body_without_length_that_is_reset_is_broken(client: HttpClient) -> None:
    go_on = asyncio.Event()

    async def script(line: Line) -> None:
        await line.head()
        await line.say(OK + b"\r\nsome")
        await go_on.wait()
        reset(line)

    async with serve(script) as peer:
        response = await client.send(to(peer))
        assert await response.read() == b"some"
        go_on.set()
        with pytest.raises(ConnectionBrokenError):
            await response.read()


def reset(line: Line) -> None:
    """End a connection with RST."""
    connection: socket.socket = line.writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    line.writer.transport.abort()


@pytest.mark.parametrize("segment", ["continue", "hints"])
async def test_interim_answers_are_passed_over(client: HttpClient, raw: RawUpstream, segment: str) -> None:
    for _ in range(2):
        response = await client.send(to(raw, f"/{segment}"))
        assert response.status == 200
        assert response.headers == [(b"content-length", b"5")]
        assert await read_all(response) == b"fine\n"
    assert raw.connections == 1


async def test_an_answer_may_come_byte_by_byte(client: HttpClient) -> None:
    answer = b"HTTP/1.1 103 Early\r\nlink: x\r\n\r\n" + OK + b"a: 1\r\ntransfer-encoding: chunked\r\n\r\n"
    answer += b"3\r\none\r\n3\r\ntwo\r\n0\r\nt: 1\r\n\r\n"

    async def script(line: Line) -> None:
        line.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(2):
            await line.head()
            for position in range(len(answer)):
                await line.say(answer[position : position + 1])
                await asyncio.sleep(0.0005)

    async with serve(script) as peer:
        for _ in range(2):
            response = await client.send(to(peer))
            assert response.headers == [(b"a", b"1"), (b"transfer-encoding", b"chunked")]
            assert await read_all(response) == b"onetwo"
        assert len(peer.lines) == 1


async def test_a_large_body_arrives_as_it_was(client: HttpClient, shop: LoopbackServer) -> None:
    response = await client.send(to(shop, "/bytes/5000000"))
    body = b"".join([piece async for piece in pieces_of(response)])
    assert body == (bytes(range(256)) * 19_532)[:5_000_000]


async def test_a_caller_that_does_not_read_holds_the_server_back(client: HttpClient) -> None:
    said = 0

    async def script(line: Line) -> None:
        nonlocal said
        await line.head()
        await line.say(OK + b"content-length: %d\r\n\r\n" % MANY)
        while said < MANY:
            await line.say(bytes(100_000))
            said += 100_000

    async with serve(script) as peer:
        response = await client.send(to(peer, timeouts=Timeouts(read=0.2)))
        before = -1
        while said == 0 or said != before:
            before = said
            await asyncio.sleep(0.25)
        assert said < HELD
        total = 0
        async for piece in pieces_of(response):
            assert len(piece) <= 1_000_000
            total += len(piece)
        assert total == MANY


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "segment", ["garbage", "bad-length", "negative-length", "two-lengths", "bad-header", "huge-head"]
)
async def test_what_is_no_http_is_refused(client: HttpClient, raw: RawUpstream, segment: str) -> None:
    with pytest.raises(InvalidResponseError):
        await client.send(to(raw, f"/{segment}"))
    assert await get_all(client, to(raw)) == (200, b"fine\n")


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n4\r\nfine\r\n0\r\n\r\n",
        OK + b"transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n4\r\nfine\r\n0\r\n\r\n",
        OK + b"content-length: 4, 4\r\n\r\nfine",
        OK + b"content-length: +4\r\n\r\nfine",
        OK + b"content-length: \r\n\r\nfine",
        OK + b"content-length: 99999999999999999999999999\r\n\r\nfine",
        OK + b"content-length : 4\r\n\r\nfine",
        OK + b"x: a\0b\r\ncontent-length: 4\r\n\r\nfine",
        OK + b"x: a\r\n folded\r\ncontent-length: 4\r\n\r\nfine",
        b"HTTP/1.1 200 OK\ncontent-length: 4\n\nfine",
        b"HTTP/3.7 200 OK\r\ncontent-length: 4\r\n\r\nfine",
        b"HTTP/1.1 099 Low\r\ncontent-length: 4\r\n\r\nfine",
        b"HTTP/1.1 600 High\r\ncontent-length: 4\r\n\r\nfine",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        OK + b"x: " + b"a" * 400_000 + b"\r\ncontent-length: 4\r\n\r\nfine",
        OK + b"x: a\r\n" * 100_000 + b"content-length: 4\r\n\r\nfine",
    ],
)
async def test_what_could_be_understood_in_two_ways_is_refused(client: HttpClient, answer: bytes) -> None:
    async with serve(answering(answer)) as peer:
        with pytest.raises(InvalidResponseError):
            await client.send(to(peer))
        await asyncio.wait_for(peer.lines[0].gone.wait(), PATIENCE)


async def test_a_head_of_almost_64_kib_is_taken(client: HttpClient) -> None:
    filler = b"".join(b"x-%d: %b\r\n" % (number, b"a" * 1_000) for number in range(60))
    async with serve(answering(OK + filler + b"content-length: 4\r\n\r\nfine")) as peer:
        response = await client.send(to(peer))
        assert len(response.headers) == 61
        assert await read_all(response) == b"fine"


@pytest.mark.parametrize(
    ("beginning", "more"),
    [
        (OK + b"x: ", b"a" * 10_000),
        (OK, b"x: a\r\n" * 1_000),
        (b"HTTP/1.1 200 ", b"a" * 10_000),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    ],
)
async def test_a_head_without_end_is_refused_before_it_fills_the_memory(
    client: HttpClient, beginning: bytes, more: bytes
) -> None:
    async def script(line: Line) -> None:
        await line.head()
        await line.say(beginning)
        while True:
            await line.say(more)
            await asyncio.sleep(0)

    async with serve(script) as peer:
        with pytest.raises(InvalidResponseError):
            await asyncio.wait_for(client.send(to(peer)), PATIENCE)


@pytest.mark.parametrize("beginning", [b"0\r\nx: ", b"1;"])
async def test_an_end_without_end_is_refused_before_it_fills_the_memory(client: HttpClient, beginning: bytes) -> None:
    async def script(line: Line) -> None:
        await line.head()
        await line.say(OK + b"transfer-encoding: chunked\r\n\r\n1\r\na\r\n" + beginning)
        while True:
            await line.say(b"a" * 10_000)
            await asyncio.sleep(0)

    async with serve(script) as peer:
        response = await client.send(to(peer))
        with pytest.raises(InvalidResponseError):
            await asyncio.wait_for(read_all(response), PATIENCE)


async def test_a_chunk_that_is_none_is_refused_in_mid_body(client: HttpClient) -> None:
    go_on = asyncio.Event()

    async def script(line: Line) -> None:
        await line.head()
        await line.say(OK + b"transfer-encoding: chunked\r\n\r\n3\r\none\r\n")
        await go_on.wait()
        await line.say(b"zz\r\nfine\r\n0\r\n\r\n")

    async with serve(script) as peer:
        response = await client.send(to(peer))
        assert await response.read() == b"one"
        go_on.set()
        with pytest.raises(InvalidResponseError):
            await response.read()
        response.close()


async def test_what_came_before_nonsense_is_still_read_though_both_came_at_once(client: HttpClient) -> None:
    go_on = asyncio.Event()

    async def script(line: Line) -> None:
        await line.head()
        await line.say(OK + b"transfer-encoding: chunked\r\n\r\n")
        await go_on.wait()
        await line.say(b"3\r\none\r\nzz\r\n")

    async with serve(script) as peer:
        response = await client.send(to(peer))
        reading = asyncio.create_task(response.read())
        await asyncio.sleep(0)
        go_on.set()
        assert await reading == b"one"
        with pytest.raises(InvalidResponseError):
            await response.read()


async def test_half_a_head_is_a_broken_connection(client: HttpClient, raw: RawUpstream) -> None:
    with pytest.raises(ConnectionBrokenError):
        await client.send(to(raw, "/half-head"))


@pytest.mark.parametrize("segment", ["cut", "cut-chunked", "reset-body"])
async def test_an_answer_that_breaks_off_brings_what_came_and_then_the_error(
    client: HttpClient, raw: RawUpstream, segment: str
) -> None:
    response = await client.send(to(raw, f"/{segment}"))
    received = b""
    while len(received) < 10:
        received += await response.read()
    assert received == b"0123456789"
    with pytest.raises(ConnectionBrokenError):
        await response.read()
    response.close()
    assert await get_all(client, to(raw)) == (200, b"fine\n")
