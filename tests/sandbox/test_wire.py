import asyncio

from signalbox.sandbox.rawserver import RawUpstream
from signalbox.sandbox.wire import Call
from tests.sandbox.conftest import Fetch, RawExchange
from tests.support.timing import PATIENCE, until


async def test_segments_and_header() -> None:
    call = Call("GET", "/slow-read/500?a=/b", [("host", "x"), ("host", "y")], number=1)
    assert call.segments == ["slow-read", "500"]
    assert call.header("host") == "x"
    assert call.header("cookie") is None


async def test_body_of_known_length_is_counted(fetch: Fetch) -> None:
    async with RawUpstream() as upstream:
        await fetch(upstream.url + "/fine", "POST", bytes(200_000))
    assert upstream.calls[0].body_received == 200_000


async def test_chunked_body_is_counted(exchange: RawExchange) -> None:
    head = b"POST /close-after HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with RawUpstream() as upstream:
        answer = await exchange(
            upstream.url, head + b"5;a=b\r\nhello\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\nGET /close HTTP/1.1\r\n\r\n"
        )
    assert upstream.calls[0].body_received == 8
    assert [call.number for call in upstream.calls] == [1, 2]
    assert answer.endswith(b"fine\n")


async def test_the_end_of_the_connection_is_seen() -> None:
    async with RawUpstream() as upstream:
        port = int(upstream.url.rpartition(":")[2])
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /never HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: upstream.calls)
        assert not upstream.calls[0].closed.is_set()
        writer.close()
        await asyncio.wait_for(upstream.calls[0].closed.wait(), PATIENCE)
