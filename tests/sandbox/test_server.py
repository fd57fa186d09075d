import asyncio
import contextlib
import errno
import signal
import statistics
import time

import pytest
from starlette.types import Receive, Scope, Send

from signalbox.sandbox.exchange import Exchange, Tally
from signalbox.sandbox.server import LoopbackServer
from signalbox.sandbox.upstream import UpstreamApp
from tests.sandbox.conftest import Fetch, RawExchange
from tests.support.timing import until


async def test_it_serves_on_a_free_port(fetch: Fetch) -> None:
    async with LoopbackServer(UpstreamApp()) as one, LoopbackServer(UpstreamApp()) as other:
        assert one.port != other.port
        assert (await fetch(one.url + "/cookies")).status == (await fetch(other.url + "/cookies")).status == 200


async def test_the_port_can_be_taken_again(fetch: Fetch) -> None:
    async with LoopbackServer(UpstreamApp()) as server:
        await fetch(server.url + "/cookies")
    async with LoopbackServer(UpstreamApp(), port=server.port) as server:
        assert (await fetch(server.url + "/cookies")).status == 200


async def test_a_taken_port_is_refused() -> None:
    async with LoopbackServer(UpstreamApp()) as server:
        with pytest.raises(OSError, match="in use") as caught:
            LoopbackServer(UpstreamApp(), port=server.port)
    assert caught.value.errno == errno.EADDRINUSE


async def test_signal_handlers_are_not_touched() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with LoopbackServer(UpstreamApp()):
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


async def test_it_refuses_after_the_end() -> None:
    async with LoopbackServer(UpstreamApp()) as server:
        pass
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", server.port)


async def test_open_requests_get_a_short_grace(caplog: pytest.LogCaptureFixture) -> None:
    app = UpstreamApp()
    async with LoopbackServer(app, grace=0.3) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /delay/60000 HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: app.tally.requests)
        started = time.perf_counter()
    assert 0.3 <= time.perf_counter() - started < 10  # the answer would take a minute
    assert await reader.read() == b""
    writer.close()
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_request_that_ignores_its_client_is_cancelled() -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del receive, send
        if scope["type"] != "http":
            raise NotImplementedError
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with LoopbackServer(app, grace=0.05) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await begun.wait()
    assert cancelled.is_set()
    writer.close()


async def test_idle_connections_do_not_delay_the_end() -> None:
    async with LoopbackServer(UpstreamApp(), grace=60) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        await asyncio.sleep(0.05)
        started = time.perf_counter()
    assert time.perf_counter() - started < 10
    writer.close()


async def test_closing_twice_is_harmless() -> None:
    server = LoopbackServer(UpstreamApp())
    async with server:
        await server.aclose()
    await LoopbackServer(UpstreamApp()).aclose()


async def test_lifespan_runs_around_the_requests(fetch: Fetch) -> None:
    events: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await UpstreamApp()(scope, receive, send)
            return
        for state in ("startup", "shutdown"):
            await receive()
            events.append(state)
            await send({"type": f"lifespan.{state}.complete"})

    async with LoopbackServer(app) as server:
        assert events == ["startup"]
        assert (await fetch(server.url + "/cookies")).status == 200
    assert events == ["startup", "shutdown"]


async def test_answers_in_two_pieces_are_not_held_back() -> None:
    """Nagle's algorithm would hold the second back until the first is acknowledged, which takes 40 ms."""
    async with LoopbackServer(UpstreamApp(latency=False)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        spent = []
        for _ in range(20):
            begun = time.perf_counter()
            writer.write(b"GET /bytes/100 HTTP/1.1\r\nHost: a\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(100)
            spent.append(time.perf_counter() - begun)
        assert statistics.median(spent) < 0.035  # others may tell of a machine that halted
        writer.close()


async def test_an_app_may_break_its_own_connection_and_no_other(exchange: RawExchange) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            async with Exchange(scope, receive, send, Tally()) as request:
                if request.segments == ["drop"]:
                    request.drop()
                elif await request.pause(0.2):
                    await request.answer(200, b"fine")

    head = b"GET /%b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    async with LoopbackServer(app) as server:
        other = asyncio.ensure_future(exchange(server.url, head % b"stay"))
        await asyncio.sleep(0.05)
        with contextlib.suppress(ConnectionResetError):
            assert await exchange(server.url, head % b"drop") == b""
        assert (await other).endswith(b"fine")
