"""Clients that leave: the upstream's work ends within a second, and the call is recorded as 499."""

import asyncio
from collections.abc import Callable

import pytest

from signalbox.core.asgi import Receive, Scope, Send
from signalbox.gateway.body import SMALL
from tests.gateway.conftest import World, recorded
from tests.support.hub import Client, chunked, request
from tests.support.timing import PATIENCE, until

Leave = Callable[[Client], None]

CHUNKED = [(b"Transfer-Encoding", b"chunked")]
LONG = [(b"Content-Length", b"10000000")]


def close(client: Client) -> None:
    client.writer.close()


@pytest.fixture(params=[Client.abort, close], ids=["reset", "close"])
def leave(request: pytest.FixtureRequest) -> Leave:
    return request.param  # type: ignore[no-any-return]


async def left(world: World) -> None:
    """The upstream has seen its connection end within a second."""
    await asyncio.wait_for(world.seen.closed.wait(), PATIENCE)


@pytest.mark.parametrize(
    "data",
    [
        request(b"/never"),
        request(b"/never", method=b"POST", body=b"a" * 100),
        request(b"/stall"),
    ],
    ids=["get", "post", "half an answer"],
)
async def test_while_waiting(world: World, leave: Leave, data: bytes) -> None:
    hub = await world.hub()
    async with hub.client() as client:
        await client.send(data)
        await until(lambda: world.raw.calls)
        leave(client)
        await left(world)
    assert [call.status_code for call in await recorded(hub)] == [499]


async def test_while_waiting_after_a_streamed_body(world: World, leave: Leave) -> None:
    hub = await world.hub()
    async with hub.client() as client:
        await client.send(request(b"/never", method=b"POST", headers=CHUNKED, body=chunked(b"a" * 10)))
        await until(lambda: world.raw.calls)
        leave(client)
        await left(world)
    (call,) = await recorded(hub)
    assert (call.status_code, call.request_bytes) == (499, 10)


@pytest.mark.parametrize("framing", [CHUNKED, LONG], ids=["chunked", "length"])
async def test_in_the_middle_of_an_upload(world: World, leave: Leave, framing: list[tuple[bytes, bytes]]) -> None:
    hub = await world.hub()
    part = b"a" * SMALL
    async with hub.client() as client:
        await client.send(request(b"/x", method=b"POST", headers=framing))
        await client.send(b"%x\r\n%b\r\n" % (len(part), part) if framing is CHUNKED else part)
        await until(lambda: world.raw.calls and world.seen.body_received == len(part))
        leave(client)
        await left(world)
    (call,) = await recorded(hub)
    assert (call.status_code, call.request_bytes) == (499, len(part))


async def test_in_the_middle_of_a_small_upload_nothing_is_sent(world: World, leave: Leave) -> None:
    hub = await world.hub()
    async with hub.client() as client:
        await client.send(request(b"/x", method=b"POST", headers=[(b"Content-Length", b"100")]) + b"half")
        await asyncio.sleep(0.05)
        leave(client)
        assert [call.status_code for call in await recorded(hub)] == [499]
    assert world.raw.calls == []


@pytest.mark.parametrize("target", [b"/bytes/100000000", b"/stream/100000/1"])
async def test_in_the_middle_of_a_download(world: World, leave: Leave, target: bytes) -> None:
    hub = await world.shop_hub()
    async with hub.client() as client:
        await client.send(request(target))
        await client.head()
        await client.reader.readexactly(100)
        leave(client)
        await until(lambda: world.shop.tally.aborted)
    (call,) = await recorded(hub)
    assert call.status_code == 499
    assert call.response_bytes >= 50


async def test_in_the_middle_of_a_download_that_nobody_reads(world: World) -> None:
    hub = await world.shop_hub()
    async with hub.client() as client:
        await client.send(request(b"/bytes/100000000"))
        await client.head()
        await asyncio.sleep(0.3)  # every buffer on the way is full
        client.abort()
        await until(lambda: world.shop.tally.aborted)
    assert [call.status_code for call in await recorded(hub)] == [499]


async def test_while_the_answer_comes_before_the_end_of_the_upload(world: World, leave: Leave) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"early", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.set()

    gone = asyncio.Event()
    hub = await world.hub({"name": "early", "prefix": "/", "url": await world.serve(app)})
    async with hub.client() as client:
        await client.send(request(b"/x", method=b"POST", headers=LONG) + b"a" * SMALL)
        await client.reader.readuntil(b"early")
        leave(client)
        await asyncio.wait_for(gone.wait(), PATIENCE)
    assert [call.status_code for call in await recorded(hub)] == [499]


async def test_while_the_upstream_does_not_read_the_upload(world: World) -> None:
    hub = await world.hub()
    async with hub.client() as client:
        await client.send(request(b"/slow-read/1", method=b"POST", headers=LONG))
        sending = asyncio.create_task(client.send(b"a" * 10_000_000))
        await until(lambda: world.raw.calls)
        await asyncio.sleep(0.3)  # every buffer on the way is full
        sending.cancel()
        client.abort()
        async with asyncio.timeout(PATIENCE):  # the upstream itself sees nothing as long as it does not read
            assert [call.status_code for call in await recorded(hub)] == [499]


async def test_many_at_once_leave_nothing_behind(world: World) -> None:
    hub = await world.hub()
    clients = [await Client.connect(hub.port) for _ in range(50)]
    for client in clients:
        await client.send(request(b"/never"))
    await until(lambda: len(world.raw.calls) == 50)
    for client in clients:
        client.abort()
    await asyncio.wait_for(asyncio.gather(*(call.closed.wait() for call in world.raw.calls)), PATIENCE)
    assert [call.status_code for call in await recorded(hub, 50)] == [499] * 50
    assert hub.hub.gateway is not None
    assert hub.hub.gateway.proxy.waiting.watches == set()
