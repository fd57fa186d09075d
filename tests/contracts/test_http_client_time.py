"""How long every ``HttpClient`` waits, and TLS, against real sockets."""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from signalbox.infra.http import (
    ConnectError,
    HttpClient,
    Origin,
    Request,
    ResponseTimeoutError,
    Timeouts,
    parse_origin,
)
from signalbox.infra.http.pool import PooledClient
from signalbox.sandbox.rawserver import RawUpstream
from tests.contracts.calls import get_all, to
from tests.contracts.peer import FINE, OK, Line, always, answering, serve
from tests.support.timing import PATIENCE

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])


# -- time -------------------------------------------------------------------------------------------------------------


async def test_a_silent_server_is_given_up(client: HttpClient, raw: RawUpstream) -> None:
    started = time.perf_counter()
    with pytest.raises(ResponseTimeoutError):
        await asyncio.wait_for(client.send(to(raw, "/never", timeouts=Timeouts(read=0.2))), PATIENCE)
    assert time.perf_counter() - started >= 0.19
    await asyncio.wait_for(raw.calls[0].closed.wait(), PATIENCE)


async def test_a_server_that_falls_silent_in_mid_body_is_given_up(client: HttpClient, raw: RawUpstream) -> None:
    response = await client.send(to(raw, "/stall", timeouts=Timeouts(read=0.2)))
    assert await response.read() == b"half:"
    with pytest.raises(ResponseTimeoutError):
        await response.read()
    await asyncio.wait_for(raw.calls[0].closed.wait(), PATIENCE)


async def test_a_slow_server_is_not_silent(client: HttpClient, raw: RawUpstream) -> None:
    for attempt in range(5):
        try:
            assert await get_all(client, to(raw, "/slow", timeouts=Timeouts(read=0.3))) == (200, b"fine\n")
        except ResponseTimeoutError:  # as a machine that halts in the middle makes it
            assert attempt < 4
        else:
            break


@pytest.mark.parametrize("target", ["/slow", "/never"])
async def test_the_whole_call_is_bounded(client: HttpClient, raw: RawUpstream, target: str) -> None:
    started = time.perf_counter()
    with pytest.raises(ResponseTimeoutError):
        await asyncio.wait_for(get_all(client, to(raw, target, timeouts=Timeouts(total=0.3))), PATIENCE)
    assert time.perf_counter() - started >= 0.29


async def test_the_whole_call_is_bounded_while_a_body_is_sent(client: HttpClient, raw: RawUpstream) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"a"
            await asyncio.sleep(0.01)

    request = to(raw, "/x", "POST", body=endless(), timeouts=Timeouts(total=0.3))
    with pytest.raises(ResponseTimeoutError):
        await asyncio.wait_for(client.send(request), PATIENCE)


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


@pytest.mark.parametrize("timeouts", [Timeouts(connect=0.2), Timeouts(total=0.2)])
async def test_a_server_that_does_not_accept_is_given_up(
    client: HttpClient, deaf_port: int, timeouts: Timeouts
) -> None:
    started = time.perf_counter()
    with pytest.raises(ResponseTimeoutError):
        await client.send(Request(Origin("http", "127.0.0.1", deaf_port), b"GET", b"/", timeouts=timeouts))
    assert 0.19 <= time.perf_counter() - started < 4.5  # by default it is 5 s


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


async def test_a_pinned_origin_needs_the_certificate_of_its_host(
    trusting: HttpClient, certificate: ssl.SSLContext
) -> None:
    async with serve(always(FINE), tls=certificate) as peer:
        assert await get_all(trusting, Request(peer.origin.pinned("127.0.0.1"), b"GET", b"/")) == (200, b"fine")
        another = Origin("https", "another.example", peer.origin.port).pinned("127.0.0.1")
        with pytest.raises(ConnectError, match=r"certificate"):
            await trusting.send(Request(another, b"GET", b"/"))


async def test_a_server_without_tls_is_refused(trusting: HttpClient) -> None:
    async def script(line: Line) -> None:
        await line.say(FINE)

    async with serve(script) as peer:
        with pytest.raises(ConnectError):
            await trusting.send(Request(Origin("https", "127.0.0.1", peer.origin.port), b"GET", b"/"))
