import asyncio
import time

import pytest

from signalbox.sandbox.misbehaviours import MISBEHAVIOURS
from signalbox.sandbox.rawserver import RawUpstream
from tests.sandbox.conftest import RawExchange

FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfine\n"


def _request(path: str, body: bytes = b"") -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def _write_all(writer: asyncio.StreamWriter, body: bytes) -> None:
    writer.write(body)
    await writer.drain()


@pytest.mark.parametrize(
    ("segment", "start", "end"),
    [
        ("close", b"", b""),
        ("garbage", b"this is not HTTP", b"\r\n"),
        ("bad-length", b"HTTP/1.1 200 OK\r\nContent-Length: five", b"fine\n"),
        ("negative-length", b"HTTP/1.1 200 OK\r\nContent-Length: -5", b"fine\n"),
        ("two-lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6", b"fine\n"),
        ("bad-header", b"HTTP/1.1 200 OK\r\nno colon here", b"fine\n"),
        ("huge-head", b"HTTP/1.1 200 OK\r\nX-Filler: aaaa", b"fine\n"),
        ("half-head", b"HTTP/1.1 200 OK\r\n", b"Content-Le"),
        ("cut", b"HTTP/1.1 200 OK\r\nContent-Length: 100000", b"0123456789"),
        ("cut-chunked", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", b"0123456789\r\n"),
        ("bad-chunk", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", b"0\r\n\r\n"),
        ("extra", FINE, b"poison\n"),
        ("eof", b"HTTP/1.0 200 OK\r\n", b"until the end\n"),
        ("trailers", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", b"X-Check: yes\r\n\r\n"),
        ("stale", FINE, FINE),
    ],
)
async def test_what_is_said_before_the_close(exchange: RawExchange, segment: str, start: bytes, end: bytes) -> None:
    async with RawUpstream() as upstream:
        answer = await exchange(upstream.url, _request(f"/{segment}/x", b"body"))
    assert answer.startswith(start)
    assert answer.endswith(end)
    assert bool(answer) == bool(start)


@pytest.mark.parametrize("segment", ["reset", "reset-body"])
async def test_reset(exchange: RawExchange, segment: str) -> None:
    async with RawUpstream() as upstream:
        with pytest.raises(ConnectionResetError):
            await exchange(upstream.url, _request(f"/{segment}"))


@pytest.mark.parametrize(
    ("segment", "before"),
    [
        ("fine", b""),
        ("slow", b""),
        ("slow-read", b""),
        ("continue", b"HTTP/1.1 100 Continue\r\n\r\n"),
        ("hints", b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n" * 2),
    ],
)
async def test_connections_that_stay(exchange: RawExchange, segment: str, before: bytes) -> None:
    async with RawUpstream() as upstream:
        answer = await exchange(upstream.url, _request(f"/{segment}", b"body") + _request("/close"))
    assert answer == before + FINE


@pytest.mark.parametrize(("segment", "answer"), [("never", b""), ("stall", b"half:")])
async def test_waiting_for_ever(segment: str, answer: bytes) -> None:
    async with RawUpstream() as upstream:
        port = int(upstream.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(_request(f"/{segment}"))
        if answer:
            await reader.readuntil(answer)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.3)
        writer.close()


async def test_slow_takes_its_time(exchange: RawExchange) -> None:
    async with RawUpstream() as upstream:
        started = time.perf_counter()
        await exchange(upstream.url, _request("/slow") + _request("/close"))
    assert time.perf_counter() - started > 1


async def test_early_answers_before_the_body() -> None:
    async with RawUpstream() as upstream:
        port = int(upstream.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n")
        assert (await reader.readuntil(b"no.\n")).startswith(b"HTTP/1.1 403")
        writer.write(b"abc" + _request("/close"))
        assert await reader.read() == b""
        writer.close()
    assert [call.body_received for call in upstream.calls] == [3, 0]


async def test_early_close_leaves_the_body_unread() -> None:
    async with RawUpstream() as upstream:
        port = int(upstream.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /early-close HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 413")
        writer.close()
    assert upstream.calls[0].body_received == 0


async def test_a_slow_reader_holds_the_sender_back() -> None:
    async with RawUpstream() as upstream:
        port = int(upstream.url.rpartition(":")[2])
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /slow-read/100000 HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(_write_all(writer, bytes(50_000_000)), 0.5)
        writer.transport.abort()
    assert 1_000 < upstream.calls[0].body_received < 200_000


async def test_reuse_answers_only_the_first_request(exchange: RawExchange) -> None:
    async with RawUpstream() as upstream:
        answer = await exchange(upstream.url, _request("/reuse") + _request("/reuse"))
        again = await exchange(upstream.url, _request("/reuse") + _request("/reuse"))
    assert answer == again == FINE
    assert upstream.connections == 2
    assert [call.number for call in upstream.calls] == [1, 2, 1, 2]


async def test_each_is_described() -> None:
    assert all(behaviour.__doc__ or behaviour.__name__ == "say" for behaviour in MISBEHAVIOURS.values())
