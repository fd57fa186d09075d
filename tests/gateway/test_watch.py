import asyncio
from collections.abc import AsyncIterator

import pytest

from signalbox.core.asgi import DROP_IF_GONE, Message, Scope
from signalbox.gateway.body import RequestBody
from signalbox.gateway.watch import ClientWatch, WaitingCalls
from tests.support.timing import PATIENCE

PIECE: Message = {"type": "http.request", "body": b"a", "more_body": True}
LAST: Message = {"type": "http.request", "body": b"b", "more_body": False}
GONE: Message = {"type": "http.disconnect"}


class Connection:
    """A client's connection as a server tells of it."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[Message] = asyncio.Queue()
        self.lost = False
        self.scope: Scope = {"extensions": {DROP_IF_GONE: self.drop_if_gone}}

    def drop_if_gone(self) -> bool:
        if self.lost:
            self.messages.put_nowait(GONE)
        return self.lost


@pytest.fixture
async def waiting() -> AsyncIterator[WaitingCalls]:
    calls = WaitingCalls()
    calls.open()
    yield calls
    await calls.close()


async def wait_until_cancelled(watch: ClientWatch) -> bool:
    """What a call does while it waits; tells whether the watch ended it."""
    watch.arm()
    try:
        await asyncio.sleep(10)
    except asyncio.CancelledError:
        return watch.gone
    return False


async def test_a_call_ends_with_its_client(waiting: WaitingCalls) -> None:
    connection = Connection()
    connection.messages.put_nowait(LAST)  # what uvicorn says first, where nobody asked for the body
    call = asyncio.create_task(wait_until_cancelled(ClientWatch(connection.scope, connection.messages.get, waiting)))
    connection.messages.put_nowait(GONE)
    assert await asyncio.wait_for(call, PATIENCE)
    assert waiting.watches == set()


async def test_a_stopped_watch_ends_nothing(waiting: WaitingCalls) -> None:
    connection = Connection()
    watch = ClientWatch(connection.scope, connection.messages.get, waiting)
    watch.arm()
    watch.start()
    watch.stop()
    connection.messages.put_nowait(GONE)
    await asyncio.sleep(0.01)
    assert not watch.gone
    assert waiting.watches == set()


async def test_short_calls_are_never_watched(waiting: WaitingCalls) -> None:
    connection = Connection()
    watch = ClientWatch(connection.scope, connection.messages.get, waiting)
    watch.arm()
    watch.look(waiting.tick + 1)
    assert watch in waiting.watches
    watch.look(waiting.tick + 2)
    assert watch not in waiting.watches
    watch.stop()


async def test_nobody_else_reads_while_the_body_is_read(waiting: WaitingCalls) -> None:
    connection = Connection()
    watch = ClientWatch(connection.scope, connection.messages.get, waiting)
    body = watch.follow(RequestBody(connection.messages.get, limit=10))
    connection.messages.put_nowait(PIECE)
    assert await anext(body) == b"a"
    watch.start()
    watch.look(waiting.tick + 10)
    connection.messages.put_nowait(LAST)
    await asyncio.sleep(0.01)
    assert await anext(body) == b"b"
    watch.stop()


async def test_a_client_that_leaves_while_its_body_is_held_back_is_noticed(waiting: WaitingCalls) -> None:
    connection = Connection()
    watch = ClientWatch(connection.scope, connection.messages.get, waiting)

    async def call() -> bool:
        body = watch.follow(RequestBody(connection.messages.get, limit=10))
        await anext(body)
        try:
            await asyncio.sleep(10)  # the upstream takes no more
        except asyncio.CancelledError:
            return watch.gone
        return False

    connection.messages.put_nowait(PIECE)
    task = asyncio.create_task(call())
    await asyncio.sleep(0.01)
    connection.lost = True
    assert await asyncio.wait_for(task, PATIENCE)


async def test_a_server_without_the_extension_serves_too(waiting: WaitingCalls) -> None:
    connection = Connection()
    watch = ClientWatch({}, connection.messages.get, waiting)
    watch.follow(RequestBody(connection.messages.get, limit=10))
    assert waiting.watches == set()


async def test_one_that_fails_is_let_go_and_the_others_are_watched_on(
    waiting: WaitingCalls, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def look(self, tick: int) -> None:
            raise RuntimeError(tick)

    broken, connection = Broken(), Connection()
    waiting.watches.add(broken)
    connection.messages.put_nowait(LAST)
    call = asyncio.create_task(wait_until_cancelled(ClientWatch(connection.scope, connection.messages.get, waiting)))
    connection.messages.put_nowait(GONE)
    assert await asyncio.wait_for(call, PATIENCE)
    assert waiting.watches == set()
    assert caplog.messages == ["a call cannot be watched any more"]
