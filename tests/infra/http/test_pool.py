"""What only this implementation promises: places, queues and what is kept; the rest is in tests/contracts."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from signalbox.infra.http import (
    ConnectError,
    ConnectionBrokenError,
    HttpClientError,
    Origin,
    Request,
    ResponseTimeoutError,
    Timeouts,
    TooLateError,
    read_all,
)
from signalbox.infra.http import pool as pool_module
from signalbox.infra.http.pool import PooledClient
from tests.contracts.peer import FINE, OK, Line, Peer, Script, always, answering, serve
from tests.support.timing import PATIENCE


@pytest.fixture
async def client() -> AsyncIterator[PooledClient]:
    """A client of at most three connections to a server."""
    made = PooledClient(max_connections=3)
    yield made
    await made.close()


def to(peer: Peer, **more: Any) -> Request:
    return Request(peer.origin, b"GET", b"/", **more)


async def get(client: PooledClient, peer: Peer, **more: Any) -> bytes:
    return await read_all(await client.send(to(peer, **more)))


def places(client: PooledClient) -> int:
    """Connections that count as open; all of them, whatever they do."""
    return sum(pool.open for pool in client._pools.values())


def kept(client: PooledClient) -> int:
    return sum(not each.is_closed for pool in client._pools.values() for each in pool.idle)


def pausing(seconds: float) -> Script:
    async def script(line: Line) -> None:
        while True:
            await line.head()
            await asyncio.sleep(seconds)
            await line.say(FINE)

    return script


async def test_there_are_never_more_connections_than_allowed_and_everybody_is_served(client: PooledClient) -> None:
    async with serve(pausing(0.001)) as peer:
        assert await asyncio.gather(*(get(client, peer) for _ in range(200))) == [b"fine"] * 200
        assert peer.most_open == len(peer.lines) == places(client) == kept(client) == 3


async def test_each_server_has_its_own_connections(client: PooledClient) -> None:
    async with serve(pausing(0.01)) as one, serve(pausing(0.01)) as other:
        await asyncio.gather(*(get(client, peer) for peer in (one, other) for _ in range(10)))
        assert (one.most_open, other.most_open) == (3, 3)


async def test_those_who_wait_are_served_though_the_server_keeps_no_connection(client: PooledClient) -> None:
    async with serve(answering(OK + b"connection: close\r\ncontent-length: 4\r\n\r\nfine")) as peer:
        assert await asyncio.gather(*(get(client, peer) for _ in range(100))) == [b"fine"] * 100
        assert peer.most_open <= 4  # the server counts a closed one until it has noticed
        assert len(peer.lines) == 100
        assert places(client) == 0


async def test_those_who_wait_are_served_though_the_server_breaks_its_promise_to_keep_connections() -> None:
    """What is handed over may have been closed in the meantime."""
    client = PooledClient(max_connections=1)
    timeouts = Timeouts(connect=10, read=10)
    async with serve(answering(FINE)) as peer:
        calls = (get(client, peer, timeouts=timeouts) for _ in range(100))
        assert await asyncio.wait_for(asyncio.gather(*calls), PATIENCE) == [b"fine"] * 100
    await client.close()


async def test_a_call_that_gets_no_connection_in_time_is_told(client: PooledClient) -> None:
    async with serve(Line.until_gone) as peer:
        held = [asyncio.create_task(client.send(to(peer))) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(ConnectError, match=r"all 3 connections .* were busy"):
            await client.send(to(peer, timeouts=Timeouts(connect=0.1)))
        with pytest.raises(ConnectError, match="were busy"):
            await client.send(to(peer, timeouts=Timeouts(total=0.1)))
        for task in held:
            task.cancel()
        await asyncio.gather(*held, return_exceptions=True)
        assert places(client) == 0


async def test_more_than_may_wait_are_refused_at_once(client: PooledClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "MAX_WAITING", 5)
    async with serve(pausing(0.05)) as peer:
        results = await asyncio.gather(*(get(client, peer) for _ in range(10)), return_exceptions=True)
        assert results.count(b"fine") == 8
        refused = [each for each in results if isinstance(each, ConnectError)]
        assert len(refused) == 2
        assert "already wait" in str(refused[0])


@pytest.mark.parametrize("steps", range(14))
async def test_a_place_is_freed_once_wherever_a_call_is_cancelled(client: PooledClient, steps: int) -> None:
    """Between the steps of connecting, sending and waiting; a place freed twice would let too many connect."""
    async with serve(pausing(0.002)) as peer:
        for _ in range(10):
            sending = asyncio.create_task(get(client, peer))
            for _ in range(steps):
                await asyncio.sleep(0)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        for _ in range(3):
            await asyncio.sleep(0)
        assert places(client) == kept(client)
        await asyncio.gather(*(get(client, peer) for _ in range(30)))
        assert places(client) == kept(client) == 3


@pytest.mark.parametrize("steps", range(8))
@pytest.mark.parametrize("answer", [FINE, OK + b"connection: close\r\ncontent-length: 4\r\n\r\nfine"])
async def test_what_is_handed_to_a_caller_who_leaves_goes_to_the_next(steps: int, answer: bytes) -> None:
    """A kept connection, or the place of a closed one."""
    client = PooledClient(max_connections=1)
    async with serve(always(answer)) as peer:
        holding = await client.send(to(peer))
        waiting = [asyncio.create_task(get(client, peer)) for _ in range(3)]
        await asyncio.sleep(0)
        holding.close()
        for _ in range(steps):
            await asyncio.sleep(0)
        waiting[0].cancel()
        assert await asyncio.wait_for(asyncio.gather(*waiting[1:]), PATIENCE) == [b"fine"] * 2
        await asyncio.gather(waiting[0], return_exceptions=True)
        assert places(client) == kept(client) <= 1
    await client.close()


async def test_a_connection_that_closes_while_it_is_handed_over_is_not_used(client: PooledClient) -> None:
    async with serve(pausing(0)) as peer:
        held = [await client.send(to(peer)) for _ in range(3)]
        waiting = [asyncio.create_task(get(client, peer)) for _ in range(3)]
        await asyncio.sleep(0)
        connections = list(client._active)
        for response, connection in zip(held, connections, strict=True):
            response.close()
            connection.abort()
        assert await asyncio.wait_for(asyncio.gather(*waiting), PATIENCE) == [b"fine"] * 3
        assert places(client) == kept(client) <= 3
        assert not client._active


def moody(dice: random.Random) -> Script:
    """A server that answers, closes, keeps silent or breaks off, as the dice fall."""

    async def script(line: Line) -> None:
        while True:
            await line.head()
            await asyncio.sleep(dice.random() * 0.004)
            mood = dice.random()
            if mood < 0.1:
                return
            if mood < 0.2:
                await line.say(OK + b"content-length: 100\r\n\r\nhalf")
                return
            await line.say(FINE)
            if mood < 0.3:
                return

    return script


@pytest.mark.parametrize("seed", range(4))
async def test_no_caller_and_no_place_is_lost_among_failures_and_cancellations(client: PooledClient, seed: int) -> None:
    dice = random.Random(seed)

    async def call(peer: Peer) -> None:
        response = await client.send(to(peer, timeouts=Timeouts(connect=8, read=5)))
        if dice.random() < 0.2:
            response.close()
        else:
            assert await read_all(response) == b"fine"

    async def leave(task: "asyncio.Task[None]") -> None:
        await asyncio.sleep(dice.random() * 0.1)
        task.cancel()

    async with serve(moody(random.Random(seed))) as peer:
        calls = [asyncio.create_task(call(peer)) for _ in range(300)]
        leaving = [asyncio.create_task(leave(task)) for task in calls if dice.random() < 0.4]
        results = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), PATIENCE)
        await asyncio.gather(*leaving)
        for result in results:
            assert result is None or isinstance(result, (HttpClientError, asyncio.CancelledError))
        assert results.count(None) > 50
        await asyncio.sleep(0.02)
        assert peer.most_open <= 2 * 3  # the server counts a closed one until it has noticed
        assert places(client) == kept(client) <= 3
        assert not any(pool.waiting for pool in client._pools.values())
        assert not client._active


async def test_a_connection_that_nobody_uses_is_closed_after_a_while(
    client: PooledClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "SWEEP_INTERVAL", 0.01)
    monkeypatch.setattr(pool_module, "IDLE_SWEEPS", 2)
    async with serve(always(FINE)) as peer:
        await get(client, peer)
        assert kept(client) == 1
        await asyncio.wait_for(peer.lines[0].gone.wait(), PATIENCE)
        assert places(client) == 0


async def test_the_connection_used_last_is_used_next_so_that_others_can_age(client: PooledClient) -> None:
    async with serve(pausing(0.01)) as peer:
        await asyncio.gather(*(get(client, peer) for _ in range(3)))
        pool = client._pools[peer.origin.key]
        last = pool.idle[-1]
        for _ in range(3):
            await get(client, peer)
            assert pool.idle[-1] is last


async def test_close_refuses_those_who_wait_and_those_who_connect(client: PooledClient) -> None:
    async with serve(Line.until_gone) as peer:
        calls = [asyncio.create_task(client.send(to(peer))) for _ in range(10)]
        for _ in range(2):
            await asyncio.sleep(0)
        await client.close()
        results = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), PATIENCE)
        assert all(isinstance(each, HttpClientError) for each in results)
        assert places(client) == 0
        async with asyncio.timeout(PATIENCE):
            while peer.open:
                await asyncio.sleep(0.005)


async def test_a_call_whose_time_is_over_is_not_sent_and_leaves_its_connection_to_the_next(
    client: PooledClient,
) -> None:
    now = asyncio.get_running_loop().time()
    async with serve(always(FINE)) as peer:
        with pytest.raises(TooLateError):
            await client.send(to(peer, send_by=now))
        assert (places(client), kept(client)) == (1, 1)
        assert await get(client, peer, send_by=now + 60) == b"fine"
        assert len(peer.lines) == 1


async def test_a_call_that_must_be_sent_in_time_is_not_sent_twice(client: PooledClient) -> None:
    by = asyncio.get_running_loop().time() + 60

    async def script(line: Line) -> None:
        await line.head()
        await line.say(FINE)
        await line.head()  # and close without an answer

    async with serve(script) as peer:
        assert await get(client, peer, send_by=by) == b"fine"
        with pytest.raises(ConnectionBrokenError):
            await get(client, peer, send_by=by)
        assert len(peer.lines) == 1


async def test_a_pinned_origin_is_reached_at_its_address_and_named_by_its_host(client: PooledClient) -> None:
    async with serve(always(FINE)) as peer:
        origin = Origin("http", "nowhere.invalid", peer.origin.port)
        response = await client.send(Request(origin.pinned("127.0.0.1"), b"GET", b"/"))
        assert await read_all(response) == b"fine"
        with pytest.raises(ConnectError):
            await client.send(Request(origin, b"GET", b"/"))


async def test_pools_of_origins_that_are_called_no_more_are_let_go(client: PooledClient) -> None:
    async with serve(always(FINE)) as peer:
        for host in range(1, 6):
            origin = peer.origin.pinned(f"127.0.0.{host}")
            with contextlib.suppress(ConnectError):
                await read_all(await client.send(Request(origin, b"GET", b"/")))
        async with asyncio.timeout(10 * pool_module.IDLE_SECONDS):
            while client._pools:
                await asyncio.sleep(pool_module.SWEEP_INTERVAL)
        assert await get(client, peer) == b"fine"


async def test_nothing_is_swept_while_no_connection_is_open_and_deadlines_hold_again_afterwards(
    client: PooledClient,
) -> None:
    async with serve(answering(OK + b"connection: close\r\ncontent-length: 4\r\n\r\nfine")) as peer:
        assert await get(client, peer) == b"fine"
        async with asyncio.timeout(PATIENCE):
            while client._sweeper is not None:
                await asyncio.sleep(0.02)
    async with serve(pausing(10)) as silent:
        with pytest.raises(ResponseTimeoutError):
            await get(client, silent, timeouts=Timeouts(read=0.2))


async def test_whoever_fails_when_told_of_its_call_ends_no_deadline_of_others(
    client: PooledClient, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        msg = "told"
        raise RuntimeError(msg)

    async def once(line: Line) -> None:
        await line.head()
        await line.say(FINE)
        await line.head()
        await asyncio.sleep(PATIENCE)

    async with serve(once) as peer:
        assert await get(client, peer) == b"fine"
        assert client.begin(to(peer, timeouts=Timeouts(read=0.2)), fail) is not None
        assert await get(client, peer) == b"fine"  # the first call on a connection is answered, the second never
        with pytest.raises(ResponseTimeoutError):
            await get(client, peer, timeouts=Timeouts(read=1.0))
    assert "a call whose time was over could not be ended" in caplog.messages
