"""What every ``HttpClient`` holds to, against real sockets, on both event loops that it may run on."""

import asyncio
import hashlib
import json
import socket
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from signalbox.infra.http import (
    ConnectError,
    ConnectionBrokenError,
    HttpClient,
    HttpClientError,
    InvalidResponseError,
    Origin,
    Request,
    Response,
    ResponseTimeoutError,
    Timeouts,
    parse_origin,
    read_all,
)
from signalbox.infra.http.pool import PooledClient
from signalbox.sandbox.rawserver import RawUpstream
from signalbox.sandbox.server import LoopbackServer
from signalbox.sandbox.upstream import UpstreamApp
from tests.contracts.peer import FINE, OK, Line, Peer, always, answering, serve

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])

MANY = 40_000_000
"""Bytes, far more than the kernel and the client hold for a reader that does not read."""

HELD = 12_000_000
"""What the kernel may hold between two ends on loopback, with room to spare."""


@pytest.fixture(params=[PooledClient])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[HttpClient]:
    made: HttpClient = request.param()
    yield made
    await made.close()


@pytest.fixture
async def raw() -> AsyncIterator[RawUpstream]:
    async with RawUpstream() as upstream:
        yield upstream


@pytest.fixture
async def shop() -> AsyncIterator[LoopbackServer]:
    async with LoopbackServer(UpstreamApp(latency=False)) as server:
        yield server


def to(where: RawUpstream | LoopbackServer | Peer, target: str = "/", method: str = "GET", **more: Any) -> Request:
    origin = where.origin if isinstance(where, Peer) else parse_origin(where.url)[0]
    return Request(origin, method.encode(), target.encode(), **more)


async def get_all(client: HttpClient, request: Request) -> tuple[int, bytes]:
    response = await client.send(request)
    return response.status, await read_all(response)


async def pieces_of(response: Response) -> AsyncIterator[bytes]:
    while piece := await response.read():
        yield piece


# -- connections ------------------------------------------------------------------------------------------------------


async def test_a_connection_is_kept_for_the_next_call(client: HttpClient, raw: RawUpstream) -> None:
    for method in ("GET", "POST", "GET", "DELETE"):
        assert await get_all(client, to(raw, method=method, body=b"abc" if method == "POST" else b"")) == (
            200,
            b"fine\n",
        )
    assert raw.connections == 1
    assert [call.number for call in raw.calls] == [1, 2, 3, 4]


async def test_calls_at_one_time_have_a_connection_each(client: HttpClient, shop: LoopbackServer) -> None:
    results = await asyncio.gather(*(get_all(client, to(shop, f"/bytes/{number}")) for number in range(50)))
    assert [(status, len(body)) for status, body in results] == [(200, number) for number in range(50)]


@pytest.mark.parametrize("answer", [OK + b"connection: close\r\n", b"HTTP/1.0 200 OK\r\n"])
async def test_a_connection_that_the_server_does_not_keep_is_dropped(client: HttpClient, answer: bytes) -> None:
    async with serve(always(answer + b"content-length: 0\r\n\r\n")) as peer:
        for number in (1, 2):
            assert await get_all(client, to(peer)) == (200, b"")
            await asyncio.wait_for((await peer.line(number)).gone.wait(), 5)
    assert len(peer.lines) == 2


async def test_a_kept_connection_that_the_server_has_closed_is_replaced(client: HttpClient) -> None:
    async with serve(answering(FINE)) as peer:
        for number in range(1, 4):
            assert await get_all(client, to(peer)) == (200, b"fine")
            assert len(peer.lines) == number
            await peer.lines[-1].gone.wait()


async def test_a_kept_connection_that_dies_at_the_next_call_is_replaced(client: HttpClient, raw: RawUpstream) -> None:
    for _ in range(2):
        assert await get_all(client, to(raw, "/reuse")) == (200, b"fine\n")
    assert raw.connections == 2
    assert [call.number for call in raw.calls] == [1, 2, 1]


async def test_a_call_that_may_not_be_repeated_is_not(client: HttpClient, raw: RawUpstream) -> None:
    assert await get_all(client, to(raw, "/reuse", "POST", body=b"a")) == (200, b"fine\n")
    with pytest.raises(ConnectionBrokenError):
        await client.send(to(raw, "/reuse", "POST", body=b"a"))
    assert len(raw.calls) == 2


async def test_a_call_that_the_server_began_to_answer_is_not_repeated(client: HttpClient) -> None:
    async with serve(answering(FINE, b"HTTP/1.1 200")) as peer:
        assert await get_all(client, to(peer)) == (200, b"fine")
        with pytest.raises(ConnectionBrokenError):
            await client.send(to(peer))
        assert len(peer.lines) == 1


async def test_a_streamed_body_is_not_repeated(client: HttpClient, raw: RawUpstream) -> None:
    assert await get_all(client, to(raw, "/reuse")) == (200, b"fine\n")
    with pytest.raises(ConnectionBrokenError):
        await client.send(to(raw, "/reuse", "PUT", body=stream(b"a", b"b")))


@pytest.mark.parametrize("segment", ["close", "reset"])
async def test_a_new_connection_that_dies_is_not_replaced(client: HttpClient, raw: RawUpstream, segment: str) -> None:
    with pytest.raises(ConnectionBrokenError):
        await client.send(to(raw, f"/{segment}"))
    assert raw.connections == 1


async def test_closing_an_answer_in_mid_body_drops_the_connection(client: HttpClient, raw: RawUpstream) -> None:
    response = await client.send(to(raw, "/stall"))
    assert await response.read() == b"half:"
    response.close()
    response.close()
    assert await response.read() == b""
    await asyncio.wait_for(raw.calls[0].closed.wait(), 1)
    assert await get_all(client, to(raw)) == (200, b"fine\n")
    assert raw.connections == 2


async def test_closing_an_answer_that_has_come_whole_keeps_the_connection(client: HttpClient, raw: RawUpstream) -> None:
    for _ in range(2):
        response = await client.send(to(raw))
        response.close()
    assert raw.connections == 1


async def test_a_cancelled_call_drops_its_connection_at_once(client: HttpClient, raw: RawUpstream) -> None:
    sending = asyncio.create_task(client.send(to(raw, "/never")))
    async with asyncio.timeout(5):
        while not raw.calls:
            await asyncio.sleep(0.005)
    sending.cancel()
    await asyncio.wait_for(raw.calls[0].closed.wait(), 1)
    with pytest.raises(asyncio.CancelledError):
        await sending


async def test_what_a_server_says_unasked_is_nobody_s_answer(client: HttpClient, raw: RawUpstream) -> None:
    assert await get_all(client, to(raw, "/extra")) == (200, b"fine\n")
    assert await get_all(client, to(raw, "/extra")) == (200, b"fine\n")
    assert raw.connections == 2


async def test_what_a_server_says_between_calls_ends_the_connection(client: HttpClient) -> None:
    spoken = asyncio.Event()

    async def script(line: Line) -> None:
        await line.head()
        await line.say(FINE)
        await spoken.wait()
        await line.say(OK + b"content-length: 6\r\n\r\npoison")
        await line.until_gone()

    async with serve(script) as peer:
        assert await get_all(client, to(peer)) == (200, b"fine")
        spoken.set()
        await asyncio.wait_for(peer.lines[0].gone.wait(), 5)
        assert await get_all(client, to(peer)) == (200, b"fine")


async def test_close_drops_kept_connections(client: HttpClient, raw: RawUpstream) -> None:
    await get_all(client, to(raw))
    await client.close()
    await asyncio.wait_for(raw.calls[0].closed.wait(), 1)
    await client.close()


async def test_close_ends_calls_under_way_and_takes_no_more(client: HttpClient, raw: RawUpstream) -> None:
    sending = asyncio.create_task(client.send(to(raw, "/never")))
    half = await client.send(to(raw, "/stall"))
    assert await half.read() == b"half:"
    reading = asyncio.create_task(half.read())
    await asyncio.sleep(0)
    await client.close()
    results = await asyncio.wait_for(asyncio.gather(sending, reading, return_exceptions=True), 2)
    assert all(isinstance(each, HttpClientError) for each in results)
    with pytest.raises(ConnectError, match="closed"):
        await client.send(to(raw))


# -- what is sent -----------------------------------------------------------------------------------------------------


async def stream(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
        await asyncio.sleep(0)


async def sent(client: HttpClient, request: Request, *, ending: bytes = b"\r\n\r\n") -> bytes:
    """All that a call puts on the wire."""
    received = b""

    async def script(line: Line) -> None:
        nonlocal received
        while not received.endswith(ending):
            received += await line.reader.read(100_000)
        await line.say(FINE)
        received += await line.reader.read(100_000)

    async with serve(script) as peer:
        await get_all(client, request._replace(origin=peer.origin))
        await client.close()
        await peer.lines[0].gone.wait()
    return received.replace(peer.origin.authority, b"HOST")


async def test_target_and_headers_go_out_as_given_and_none_is_added(client: HttpClient) -> None:
    headers = [(b"X-One", b"1"), (b"accept", b"a"), (b"x-one", b""), (b"accept", b"b, c")]
    request = Request(Origin("http", "x", 1), b"GET", b"/a%2Fb//c?q=1+2&q=%20;", headers)
    assert await sent(client, request) == (
        b"GET /a%2Fb//c?q=1+2&q=%20; HTTP/1.1\r\nhost: HOST\r\nX-One: 1\r\naccept: a\r\nx-one: \r\naccept: b, c\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("method", "body", "length", "framing"),
    [
        (b"GET", b"", None, b""),
        (b"DELETE", b"", None, b""),
        (b"POST", b"", None, b"content-length: 0\r\n"),
        (b"PATCH", b"the end", None, b"content-length: 7\r\n"),
        (b"GET", b"the end", None, b"content-length: 7\r\n"),
    ],
)
async def test_a_body_is_framed_by_its_length(
    client: HttpClient, method: bytes, body: bytes, length: int | None, framing: bytes
) -> None:
    request = Request(Origin("http", "x", 1), method, b"/", (), body, length)
    wire = await sent(client, request, ending=b"\r\n\r\n" + body)
    assert wire == method + b" / HTTP/1.1\r\nhost: HOST\r\n" + framing + b"\r\n" + body


async def test_a_streamed_body_of_known_length_goes_out_plain(client: HttpClient) -> None:
    request = Request(Origin("http", "x", 1), b"PUT", b"/", (), stream(b"the ", b"", b"end"), 7)
    wire = await sent(client, request, ending=b"the end")
    assert wire == b"PUT / HTTP/1.1\r\nhost: HOST\r\ncontent-length: 7\r\n\r\nthe end"


async def test_a_streamed_body_of_unknown_length_goes_out_in_chunks(client: HttpClient) -> None:
    request = Request(Origin("http", "x", 1), b"PUT", b"/", (), stream(b"the ", b"", b"e" * 17))
    assert await sent(client, request, ending=b"\r\n0\r\n\r\n") == (
        b"PUT / HTTP/1.1\r\nhost: HOST\r\ntransfer-encoding: chunked\r\n\r\n"
        b"4\r\nthe \r\n11\r\n" + b"e" * 17 + b"\r\n0\r\n\r\n"
    )


@pytest.mark.parametrize("length", [None, 1_000_000])
async def test_a_large_streamed_body_arrives_as_it_was(
    client: HttpClient, shop: LoopbackServer, length: int | None
) -> None:
    body = bytes(range(250)) * 4_000
    parts = stream(*(body[start : start + 33_333] for start in range(0, len(body), 33_333)))
    status, answer = await get_all(client, to(shop, "/echo", "POST", body=parts, content_length=length))
    assert status == 200
    assert json.loads(answer)["body_sha256"] == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize(("pieces", "length"), [((b"abc", b"de"), 6), ((b"abc", b"de"), 4), ((), 1), ((b"a",), 0)])
async def test_a_streamed_body_of_another_length_than_said_ends_the_call(
    client: HttpClient, raw: RawUpstream, pieces: tuple[bytes, ...], length: int
) -> None:
    with pytest.raises(ConnectionBrokenError, match="request body"):
        await client.send(to(raw, "/never", "POST", body=stream(*pieces), content_length=length))
    assert await get_all(client, to(raw)) == (200, b"fine\n")
    assert raw.connections == 2


async def test_a_server_that_does_not_read_holds_a_streamed_body_back(client: HttpClient) -> None:
    made, go_on = 0, asyncio.Event()

    async def script(line: Line) -> None:
        await line.head()
        await go_on.wait()

    async def endless() -> AsyncIterator[bytes]:
        nonlocal made
        while True:
            made += 65_536
            yield bytes(65_536)

    async with serve(script) as peer:
        sending = asyncio.create_task(client.send(to(peer, "/", "POST", body=endless())))
        before = -1
        while made == 0 or made != before:
            before = made
            await asyncio.sleep(0.1)
        assert made < HELD
        go_on.set()
        with pytest.raises(ConnectionBrokenError):
            await sending


class UploadError(Exception):
    """The body's own failure."""


async def test_a_body_that_fails_ends_the_call_with_its_reason(client: HttpClient) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"a"
        raise UploadError

    async with serve(Line.until_gone) as peer:
        with pytest.raises(ConnectionBrokenError, match="request body") as caught:
            await client.send(to(peer, method="POST", body=failing()))
        assert isinstance(caught.value.__cause__, UploadError)
        line = await peer.line()
        await asyncio.wait_for(line.gone.wait(), 1)


async def test_waiting_for_the_caller_s_next_piece_is_no_silence_of_the_server(
    client: HttpClient, raw: RawUpstream
) -> None:
    async def hesitating() -> AsyncIterator[bytes]:
        yield b"a"
        await asyncio.sleep(0.5)
        yield b"b"

    request = to(raw, "/x", "POST", body=hesitating(), timeouts=Timeouts(read=0.2))
    assert await get_all(client, request) == (200, b"fine\n")


@pytest.mark.parametrize(("segment", "status"), [("early", 403), ("early-close", 413)])
async def test_an_answer_before_the_end_of_the_body_is_an_answer(
    client: HttpClient, raw: RawUpstream, segment: str, status: int
) -> None:
    ended = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"a"
                await asyncio.sleep(0.01)
        finally:
            ended.set()

    response = await client.send(to(raw, f"/{segment}", "POST", body=endless()))
    assert response.status == status
    assert len(await read_all(response)) in {4, 5}
    await asyncio.wait_for(raw.calls[0].closed.wait(), 2)
    await asyncio.wait_for(ended.wait(), 2)
    assert await get_all(client, to(raw)) == (200, b"fine\n")
    assert raw.connections == 2


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
        await asyncio.wait_for(peer.lines[0].gone.wait(), 5)


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
            await asyncio.wait_for(client.send(to(peer)), 5)


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
            await asyncio.wait_for(read_all(response), 5)


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


# -- time -------------------------------------------------------------------------------------------------------------


async def test_a_silent_server_is_given_up(client: HttpClient, raw: RawUpstream) -> None:
    started = time.perf_counter()
    with pytest.raises(ResponseTimeoutError):
        await client.send(to(raw, "/never", timeouts=Timeouts(read=0.2)))
    assert 0.19 <= time.perf_counter() - started < 1
    await asyncio.wait_for(raw.calls[0].closed.wait(), 1)


async def test_a_server_that_falls_silent_in_mid_body_is_given_up(client: HttpClient, raw: RawUpstream) -> None:
    response = await client.send(to(raw, "/stall", timeouts=Timeouts(read=0.2)))
    assert await response.read() == b"half:"
    with pytest.raises(ResponseTimeoutError):
        await response.read()
    await asyncio.wait_for(raw.calls[0].closed.wait(), 1)


async def test_a_slow_server_is_not_silent(client: HttpClient, raw: RawUpstream) -> None:
    assert await get_all(client, to(raw, "/slow", timeouts=Timeouts(read=0.3))) == (200, b"fine\n")


@pytest.mark.parametrize("target", ["/slow", "/never"])
async def test_the_whole_call_is_bounded(client: HttpClient, raw: RawUpstream, target: str) -> None:
    started = time.perf_counter()
    with pytest.raises(ResponseTimeoutError):
        await get_all(client, to(raw, target, timeouts=Timeouts(read=5, total=0.3)))
    assert 0.29 <= time.perf_counter() - started < 1


async def test_the_whole_call_is_bounded_while_a_body_is_sent(client: HttpClient, raw: RawUpstream) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"a"
            await asyncio.sleep(0.01)

    request = to(raw, "/x", "POST", body=endless(), timeouts=Timeouts(read=5, total=0.3))
    with pytest.raises(ResponseTimeoutError):
        await asyncio.wait_for(client.send(request), 2)


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port whose queue of connections is full: a further one waits for ever."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        address = listening.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(address)
        yield int(address[1])
        for each in waiting:
            each.close()


@pytest.mark.parametrize("timeouts", [Timeouts(connect=0.2), Timeouts(connect=5, total=0.2)])
async def test_a_server_that_does_not_accept_is_given_up(
    client: HttpClient, deaf_port: int, timeouts: Timeouts
) -> None:
    started = time.perf_counter()
    with pytest.raises(ResponseTimeoutError):
        await client.send(Request(Origin("http", "127.0.0.1", deaf_port), b"GET", b"/", timeouts=timeouts))
    assert 0.19 <= time.perf_counter() - started < 1


async def test_a_refused_connection_is_told_at_once(client: HttpClient, raw: RawUpstream) -> None:
    with pytest.raises(ConnectError, match=r"127\.0\.0\.1"):
        await client.send(Request(parse_origin(raw.refused_url)[0], b"GET", b"/"))


@pytest.mark.parametrize("host", ["no-such-host.invalid", "two..dots", "a" * 64 + ".example"])
async def test_an_unknown_name_is_told(client: HttpClient, host: str) -> None:
    with pytest.raises(ConnectError, match="no connection to"):
        await client.send(Request(Origin("http", host, 80), b"GET", b"/"))


# -- TLS --------------------------------------------------------------------------------------------------------------


@pytest.fixture
async def trusting(trusted: ssl.SSLContext) -> AsyncIterator[HttpClient]:
    made = PooledClient(tls=trusted)
    yield made
    await made.close()


async def test_tls_calls_work_and_keep_their_connection(trusting: HttpClient, certificate: ssl.SSLContext) -> None:
    large = OK + b"content-length: 3000000\r\n\r\n" + bytes(3_000_000)
    async with serve(answering(FINE, large, FINE), tls=certificate) as peer:
        assert await get_all(trusting, to(peer)) == (200, b"fine")
        assert await get_all(trusting, to(peer)) == (200, bytes(3_000_000))
        assert await get_all(trusting, to(peer)) == (200, b"fine")
        assert len(peer.lines) == 1


async def test_an_unknown_certificate_is_refused(client: HttpClient, certificate: ssl.SSLContext) -> None:
    async with serve(always(FINE), tls=certificate) as peer:
        with pytest.raises(ConnectError, match=r"certificate"):
            await client.send(to(peer))


async def test_a_certificate_of_another_name_is_refused(trusting: HttpClient, certificate: ssl.SSLContext) -> None:
    async with serve(always(FINE), tls=certificate) as peer:
        elsewhere = Origin("https", "localhost", peer.origin.port)
        with pytest.raises(ConnectError):
            await trusting.send(Request(elsewhere, b"GET", b"/"))


async def test_a_server_without_tls_is_refused(trusting: HttpClient) -> None:
    async def script(line: Line) -> None:
        await line.say(FINE)

    async with serve(script) as peer:
        with pytest.raises(ConnectError):
            await trusting.send(Request(Origin("https", "127.0.0.1", peer.origin.port), b"GET", b"/"))
