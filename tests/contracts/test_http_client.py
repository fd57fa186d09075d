"""What every ``HttpClient`` holds to in keeping connections and sending, against real sockets, on both event loops."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator

import pytest

from signalbox.infra.http import (
    ConnectError,
    ConnectionBrokenError,
    HttpClient,
    HttpClientError,
    Origin,
    Request,
    Timeouts,
    read_all,
)
from signalbox.sandbox.rawserver import RawUpstream
from signalbox.sandbox.server import LoopbackServer
from tests.contracts.calls import HELD, get_all, stream, to
from tests.contracts.peer import FINE, OK, Line, always, answering, serve
from tests.support.timing import PATIENCE

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])


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
            await asyncio.wait_for((await peer.line(number)).gone.wait(), PATIENCE)
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
    await asyncio.wait_for(raw.calls[0].closed.wait(), PATIENCE)
    assert await get_all(client, to(raw)) == (200, b"fine\n")
    assert raw.connections == 2


async def test_closing_an_answer_that_has_come_whole_keeps_the_connection(client: HttpClient, raw: RawUpstream) -> None:
    for _ in range(2):
        response = await client.send(to(raw))
        response.close()
    assert raw.connections == 1


async def test_a_cancelled_call_drops_its_connection_at_once(client: HttpClient, raw: RawUpstream) -> None:
    sending = asyncio.create_task(client.send(to(raw, "/never")))
    async with asyncio.timeout(PATIENCE):
        while not raw.calls:
            await asyncio.sleep(0.005)
    sending.cancel()
    await asyncio.wait_for(raw.calls[0].closed.wait(), PATIENCE)
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
        await asyncio.wait_for(peer.lines[0].gone.wait(), PATIENCE)
        assert await get_all(client, to(peer)) == (200, b"fine")


async def test_close_drops_kept_connections(client: HttpClient, raw: RawUpstream) -> None:
    await get_all(client, to(raw))
    await client.close()
    await asyncio.wait_for(raw.calls[0].closed.wait(), PATIENCE)
    await client.close()


async def test_close_ends_calls_under_way_and_takes_no_more(client: HttpClient, raw: RawUpstream) -> None:
    sending = asyncio.create_task(client.send(to(raw, "/never")))
    half = await client.send(to(raw, "/stall"))
    assert await half.read() == b"half:"
    reading = asyncio.create_task(half.read())
    await asyncio.sleep(0)
    await client.close()
    results = await asyncio.wait_for(asyncio.gather(sending, reading, return_exceptions=True), PATIENCE)
    assert all(isinstance(each, HttpClientError) for each in results)
    with pytest.raises(ConnectError, match="closed"):
        await client.send(to(raw))


# -- what is sent -----------------------------------------------------------------------------------------------------


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
        await asyncio.wait_for(line.gone.wait(), PATIENCE)


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
    await asyncio.wait_for(raw.calls[0].closed.wait(), PATIENCE)
    await asyncio.wait_for(ended.wait(), PATIENCE)
    assert await get_all(client, to(raw)) == (200, b"fine\n")
    assert raw.connections == 2
