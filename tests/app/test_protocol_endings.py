"""How connections of the HTTP/1.1 protocol end: slow clients, stopping servers, and those that are taken over."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator

import pytest

from signalbox.app.protocol import HttpProtocol
from signalbox.core.asgi import TAKE_OVER, Receive, Scope, Send, TakenOver
from tests.app.answering import Headers, ask, opened
from tests.support.hub import Client, request
from tests.support.timing import PATIENCE, settled, until


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with opened() as (client, _):
        yield client


# -- clients that take too long ---------------------------------------------------------------------------------------


def sweep(protocol: HttpProtocol, *, times: int = 1, later: float = 0.0) -> None:
    """A second each, with ten of patience for everything; ``later`` moves the clock."""
    now = asyncio.get_running_loop().time() + later
    for _ in range(times):
        protocol.sweep(now=now, interval=1.0, idle_timeout=10.0, body_timeout=10.0)


async def test_what_waits_is_written_before_a_client_that_says_no_more_is_let_go() -> None:
    """An answer and the client's half-close may come in the same turn of the loop, the answer first."""
    async with opened() as (client, protocol):
        protocol.transport.write(b"the answer")
        protocol.eof_received()
        protocol.transport._transport.close()  # as uvloop does then
        assert await client.rest() == b"the answer"


@pytest.mark.parametrize("begun", [b"", b"GET /le"], ids=["nothing", "half a head"])
async def test_a_connection_without_requests_ends(begun: bytes) -> None:
    async with opened() as (client, protocol):
        assert (await ask(client, b"/length")).body == b"abcdef"
        await client.send(begun)
        sweep(protocol, later=9.0)
        assert not protocol.transport.is_closing()
        sweep(protocol, later=11.0)
        assert await client.ended()


async def test_a_request_under_way_is_not_idle() -> None:
    async def app(_scope: Scope, receive: Receive, _send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async with opened(app) as (client, protocol):
        await client.send(request(b"/"))
        async with asyncio.timeout(PATIENCE):
            while protocol.waiting_since < 1e300:
                await asyncio.sleep(0.01)
        sweep(protocol, times=100, later=1_000.0)
        assert not protocol.transport.is_closing()


async def test_a_body_that_comes_too_slowly_is_refused() -> None:
    async with opened() as (client, protocol):
        await client.send(request(b"/a", method=b"POST", headers=[(b"Content-Length", b"100000")]) + b"x" * 1_000)
        await asyncio.sleep(0.05)
        sweep(protocol, times=12)  # ten seconds, and two for the thousand bytes
        assert not protocol.transport.is_closing()
        sweep(protocol)
        answer = await client.answer()
        assert (answer.status, json.loads(answer.body)["code"]) == (408, "request_timeout")
        assert await client.ended()


async def test_a_client_that_takes_nothing_of_its_answer_is_dropped() -> None:
    gone = asyncio.Event()

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"100000000")]})
        for _ in range(100):
            await send({"type": "http.response.body", "body": b"x" * 1_000_000, "more_body": True})
        await receive()
        gone.set()

    async with opened(app) as (client, protocol):
        await client.send(request(b"/"))
        await client.head()
        await settled(protocol.transport.get_write_buffer_size)  # every buffer on the way is full
        sweep(protocol, times=10)
        assert not protocol.transport.is_closing()
        await client.reader.readexactly(3_000_000)  # it takes something
        await settled(protocol.transport.get_write_buffer_size)
        sweep(protocol, times=10)
        assert not protocol.transport.is_closing()
        sweep(protocol, times=2)
        await asyncio.wait_for(gone.wait(), PATIENCE)
        assert len(await client.rest()) < 97_000_000


async def test_requests_that_wait_are_never_served_once_their_client_takes_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with opened() as (client, protocol):
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        sending = asyncio.create_task(client.send(request(b"/large") * 2_000))
        await until(protocol.transport.get_write_buffer_size)
        await settled(protocol.transport.get_write_buffer_size)
        sweep(protocol, times=12)
        await until(protocol.transport.is_closing)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


# -- stopping ---------------------------------------------------------------------------------------------------------


async def test_a_server_that_stops_ends_connections_behind_their_answers() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        begun.set()
        await go_on.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async with opened(app) as (client, protocol):
        await client.send(request(b"/"))
        await begun.wait()
        protocol.shutdown()
        go_on.set()
        answer = await client.answer()
        assert (answer.body, answer.value(b"connection")) == (b"ok", b"close")
        assert await client.ended()
    async with opened() as (client, protocol):
        protocol.shutdown()
        assert await client.ended()


# -- connections that are taken over ----------------------------------------------------------------------------------

UPGRADE: Headers = [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]


class Shouting(asyncio.Protocol):
    """The protocol after the upgrade: all comes back in upper case."""

    def __init__(self, taken: TakenOver) -> None:
        self.taken = taken

    def data_received(self, data: bytes) -> None:
        self.taken.transport.write(data.upper())

    def connection_lost(self, _exc: Exception | None) -> None:
        self.taken.on_lost()


async def shouting(scope: Scope, receive: Receive, send: Send) -> None:
    """Takes connections over where it may, and tells the path where not."""
    if TAKE_OVER not in scope["extensions"] or scope["path"] == "/refuse":
        body = scope["path"].encode()
        await send({"type": "http.response.start", "status": 403, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})
        return
    await asyncio.sleep(0.05)
    taken: TakenOver = scope["extensions"][TAKE_OVER]([(b"upgrade", b"websocket"), (b"connection", b"upgrade")])
    protocol = Shouting(taken)
    taken.transport.set_protocol(protocol)
    if taken.early:
        protocol.data_received(taken.early)
    taken.transport.resume_reading()


async def switched(client: Client) -> bytes:
    return await client.reader.readuntil(b"\r\n\r\n")


@pytest.mark.parametrize("early", [b"", b"early "], ids=["nothing early", "early bytes"])
async def test_a_request_for_websocket_may_take_the_connection_over(early: bytes) -> None:
    async with opened(shouting) as (client, protocol):
        await client.send(request(b"/", headers=UPGRADE) + early)
        await client.send(early)
        head = await switched(client)
        assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        assert b"connection: close" not in head
        await client.send(b"hello")
        expected = (early * 2 + b"hello").upper()
        assert await client.reader.readexactly(len(expected)) == expected
        sweep(protocol, times=100, later=1_000.0)
        await client.send(b"!")
        assert await client.reader.readexactly(1) == b"!"


async def test_a_connection_may_be_taken_over_behind_other_answers() -> None:
    async with opened(shouting) as (client, _):
        assert (await ask(client, b"/refuse")).body == b"/refuse"
        await client.send(request(b"/", headers=UPGRADE))
        assert (await switched(client)).startswith(b"HTTP/1.1 101")


async def test_a_refused_upgrade_is_an_answer_like_any_other_and_the_last_one() -> None:
    async with opened(shouting) as (client, _):
        await client.send(request(b"/refuse", headers=UPGRADE) + b"\x81\x05hello")
        answer = await client.answer()
        assert (answer.status, answer.body, answer.value(b"connection")) == (403, b"/refuse", b"close")
        assert await client.ended()


@pytest.mark.parametrize(
    "data",
    [
        request(b"/x", headers=UPGRADE, method=b"POST"),
        request(b"/x", headers=[*UPGRADE, (b"Content-Length", b"1")], body=b"a"),
        request(b"/x", headers=[*UPGRADE, (b"Upgrade", b"h2c")]),
        request(b"/x", headers=[(b"Upgrade", b"websocket")]),
        request(b"/x", headers=UPGRADE, version=b"HTTP/1.0"),
    ],
    ids=["POST", "body", "two protocols", "no Connection", "HTTP/1.0"],
)
async def test_what_is_no_request_for_websocket_takes_nothing_over(data: bytes) -> None:
    async with opened(shouting) as (client, _):
        await client.send(data)
        assert (await client.answer()).body == b"/x"


async def test_a_request_for_websocket_behind_another_is_answered_like_any_other() -> None:
    async with opened(shouting) as (client, _):
        await client.send(request(b"/refuse") + request(b"/x", headers=UPGRADE) + request(b"/refuse"))
        assert [(await client.answer()).body for _ in range(3)] == [b"/refuse", b"/x", b"/refuse"]


async def test_a_client_that_left_meanwhile_is_handed_over_as_gone() -> None:
    result: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def app(scope: Scope, receive: Receive, _send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        result.set_result(scope["extensions"][TAKE_OVER]([]).transport.is_closing())

    async with opened(app) as (client, _):
        await client.send(request(b"/", headers=UPGRADE))
        client.abort()
        assert await asyncio.wait_for(result, PATIENCE)


async def test_early_bytes_are_bounded() -> None:
    go_on = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await go_on.wait()
        await shouting(scope, receive, send)

    async with opened(app) as (client, protocol):
        await client.send(request(b"/", headers=UPGRADE))
        sending = asyncio.create_task(client.send(b"a" * 20_000_000))
        await asyncio.sleep(0.3)
        assert not sending.done()
        assert len(protocol._early) < 1_000_000
        go_on.set()
        await switched(client)
        assert await client.reader.readexactly(20_000_000) == b"A" * 20_000_000
        await sending
