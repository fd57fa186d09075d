"""Server-sent events through the gateway (WHATWG HTML, 9.2): each at once, none held back."""

import asyncio

import pytest

from signalbox.core.asgi import Receive, Scope, Send
from tests.gateway.conftest import World, recorded
from tests.support.hub import Client, RunningHub, request
from tests.support.timing import PATIENCE

LISTEN = [(b"Accept", b"text/event-stream"), (b"Last-Event-ID", b"41"), (b"Accept-Encoding", b"gzip")]
STREAM = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]


class Events:
    """An upstream that sends ``count`` events, each of them, where they are held, when it is let go."""

    def __init__(self, *, count: int = 3, held: bool = True) -> None:
        self.go = [asyncio.Event() for _ in range(count)]
        """To let the event of this number go."""
        self._held = held
        self.gone = asyncio.Event()
        """Set when the listener left before the end."""
        self.heard: dict[bytes, bytes] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.heard = dict(scope["headers"])
        await send({"type": "http.response.start", "status": 200, "headers": STREAM})
        leaving = asyncio.create_task(self._until_gone(receive))
        for number, go in enumerate(self.go):
            if self._held:
                going = asyncio.create_task(go.wait())
                await asyncio.wait({leaving, going}, return_when=asyncio.FIRST_COMPLETED)
                going.cancel()
            if leaving.done():
                self.gone.set()
                return
            await send({"type": "http.response.body", "body": b"id: %d\n\n" % number, "more_body": True})
        leaving.cancel()
        await send({"type": "http.response.body", "body": b""})

    async def _until_gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass


async def hub_before(world: World, events: Events, **more: object) -> RunningHub:
    return await world.hub({"name": "events", "prefix": "/", "url": await world.serve(events), **more})


async def event(client: Client, number: int) -> None:
    """Wait until this event has come."""
    async with asyncio.timeout(PATIENCE):
        await client.reader.readuntil(b"id: %d\n\n" % number)


@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
async def test_the_head_and_each_event_come_at_once(world: World, version: bytes) -> None:
    events = Events()
    hub = await hub_before(world, events)
    async with hub.client() as client:
        await client.send(request(b"/events", headers=LISTEN, version=version))
        async with asyncio.timeout(PATIENCE):
            status, headers, _ = await client.head()
        assert status == 200
        assert [pair for pair in headers if pair in STREAM] == STREAM
        assert b"content-encoding" not in dict(headers)
        for number in range(3):
            events.go[number].set()
            await event(client, number)  # before there is another one that it could come with
    for name, value in LISTEN:
        assert events.heard[name.lower()] == value


async def test_a_stream_that_is_whole_leaves_the_connection_open(world: World) -> None:
    hub = await hub_before(world, Events(held=False))
    async with hub.client() as client:
        for _ in range(2):
            await client.send(request(b"/events", headers=LISTEN))
            answer = await client.answer()
            assert (answer.body, answer.whole) == (b"id: 0\n\nid: 1\n\nid: 2\n\n", True)
    assert [call.response_bytes for call in await recorded(hub, 2)] == [21, 21]


@pytest.mark.parametrize("leave", [Client.abort, lambda client: client.writer.close()], ids=["reset", "close"])
async def test_a_listener_that_leaves_ends_the_stream_at_the_upstream(world: World, leave: object) -> None:
    events = Events()
    hub = await hub_before(world, events)
    async with hub.client() as client:
        await client.send(request(b"/events", headers=LISTEN))
        await client.head()
        assert callable(leave)
        leave(client)
        await asyncio.wait_for(events.gone.wait(), PATIENCE)
    assert [call.status_code for call in await recorded(hub)] == [499]


async def test_an_upstream_that_leaves_in_the_middle_never_ends_the_stream_cleanly(world: World) -> None:
    async def breaks(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": STREAM})
        await send({"type": "http.response.body", "body": b"id: 0\n\n", "more_body": True})
        await asyncio.sleep(0.05)  # the server behind this closes the connection: the answer was left unfinished

    hub = await world.hub({"name": "events", "prefix": "/", "url": await world.serve(breaks)})
    async with hub.client() as client:
        await client.send(request(b"/events", headers=LISTEN))
        answer = await client.answer()
        assert (answer.status, answer.body, answer.whole) == (200, b"id: 0\n\n", False)
    assert [call.status_code for call in await recorded(hub)] == [502]


async def test_a_stream_that_falls_silent_ends_after_read_timeout(world: World) -> None:
    events = Events()
    hub = await hub_before(world, events, read_timeout=0.3)
    async with hub.client() as client:
        await client.send(request(b"/events", headers=LISTEN))
        answer = await client.answer()
        assert (answer.status, answer.whole) == (200, False)
        await asyncio.wait_for(events.gone.wait(), PATIENCE)
    assert [call.status_code for call in await recorded(hub)] == [504]


async def test_a_hundred_listeners_hear_each_event_at_once(world: World) -> None:
    events = Events(count=2)
    hub = await hub_before(world, events)
    clients = [await Client.connect(hub.port) for _ in range(100)]
    for client in clients:
        await client.send(request(b"/events", headers=LISTEN))
        await client.head()
    for number in range(2):
        events.go[number].set()
        await asyncio.gather(*(event(client, number) for client in clients))
    await asyncio.gather(*(client.close() for client in clients))
