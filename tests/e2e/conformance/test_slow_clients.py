"""Clients that are slow, or seem so: each costs the hub little, and none for long (slow-loris and its kin)."""

import asyncio
import contextlib
import socket
import statistics
import time

import pytest

from tests.e2e.conformance.conftest import GATEWAY, OWN, Hub, code
from tests.support.hub import Client, chunked, request
from tests.support.timing import PATIENCE, until

LONG = 15.0
"""Seconds within which an impatient hub ends a connection: its patience, its look once a second, a machine that halts.
Others wait for 30 and more."""

SHOP = b"shop.test"
FORM = (b"Content-Type", b"application/x-www-form-urlencoded")


async def drip(client: Client, data: bytes, *, every: float) -> None:
    """Send a byte at a time, until the other end has had enough."""
    with contextlib.suppress(ConnectionError):
        for place in range(len(data)):
            await client.send(data[place : place + 1])
            await asyncio.sleep(every)


async def ended_within(client: Client, seconds: float) -> float:
    """How long until the connection ended; fails if it takes longer than that."""
    begun = time.perf_counter()
    async with asyncio.timeout(seconds):
        await client.rest()
    return time.perf_counter() - begun


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHost: a\r\nX-A: "], ids=["nothing", "half a head"])
async def test_a_head_that_does_not_come_ends_the_connection(impatient: Hub, begun: bytes) -> None:
    client = await impatient.connect()
    await client.send(begun)
    assert await ended_within(client, LONG) > 0.9
    await client.close()


@pytest.mark.parametrize("path", [OWN, GATEWAY])
async def test_a_head_that_drips_ends_the_connection(impatient: Hub, path: bytes) -> None:
    before = len(impatient.seen())
    client = await impatient.connect()
    dripping = asyncio.create_task(drip(client, request(path, headers=[(b"X-Filler", b"x" * 1_000)]), every=0.1))
    assert await ended_within(client, LONG) > 0.9
    dripping.cancel()
    assert len(impatient.seen()) == before
    await client.close()


async def test_a_second_head_that_drips_ends_the_connection(impatient: Hub) -> None:
    client = await impatient.connect()
    await client.send(request(OWN))
    assert (await client.answer()).status == 200
    dripping = asyncio.create_task(drip(client, request(OWN, headers=[(b"X-Filler", b"x" * 1_000)]), every=0.1))
    assert await ended_within(client, LONG) > 0.9
    dripping.cancel()
    await client.close()


async def slow_body(hub: Hub, target: bytes, frame: tuple[bytes, bytes], body: bytes) -> None:
    """Send a body a byte at a time, and see it refused in time."""
    client = await hub.connect()
    await client.send(request(target, method=b"POST", headers=[frame, FORM]))
    dripping = asyncio.create_task(drip(client, body, every=0.05))
    begun = time.perf_counter()
    async with asyncio.timeout(LONG):
        answer = await client.answer()
    assert (answer.status, code(answer)) == (408, "request_timeout")
    assert time.perf_counter() - begun > 0.9
    dripping.cancel()
    await client.close()


@pytest.mark.parametrize("target", [b"/auth/token", GATEWAY])
async def test_a_body_that_drips_is_refused(impatient: Hub, target: bytes) -> None:
    await asyncio.gather(
        slow_body(impatient, target, (b"Content-Length", b"1000"), b"x" * 1_000),
        slow_body(impatient, target, (b"Content-Length", b"100000"), b"x" * 1_000),
        slow_body(impatient, target, (b"Transfer-Encoding", b"chunked"), chunked(*[b"x"] * 1_000)),
    )


async def test_a_body_that_never_comes_is_refused(impatient: Hub) -> None:
    client = await impatient.connect()
    await client.send(request(GATEWAY, method=b"POST", headers=[(b"Content-Length", b"5")]))
    async with asyncio.timeout(LONG):
        assert (await client.answer()).status == 408
    await client.close()


@pytest.mark.parametrize("target", [b"/auth/token", GATEWAY])
async def test_a_client_that_asks_to_go_on_and_does_not_is_refused(impatient: Hub, target: bytes) -> None:
    headers = [(b"Expect", b"100-continue"), (b"Content-Length", b"5"), FORM]
    client = await impatient.connect()
    await client.send(request(target, method=b"POST", headers=headers))
    async with asyncio.timeout(LONG):
        answer = await client.answer()
    assert (answer.status, answer.interim) == (408, [100])
    await client.close()


async def test_a_body_that_comes_slowly_but_steadily_is_taken(impatient: Hub) -> None:
    """Of 500 bytes a second each is in time."""
    client = await impatient.connect()
    await client.send(request(GATEWAY, method=b"POST", headers=[(b"Content-Length", b"4000")]))
    for _ in range(20):
        await client.send(b"x" * 200)
        await asyncio.sleep(0.15)
    assert (await client.answer()).status == 200
    await client.close()


async def narrow(hub: Hub) -> Client:
    """A client whose kernel holds little that it has not read."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", hub.port))
    return Client(*await asyncio.open_connection(sock=sock, limit=16_384))


async def test_a_client_that_takes_nothing_of_its_answer_is_dropped(impatient: Hub) -> None:
    aborted = impatient.shop.app.tally.aborted
    client = await narrow(impatient)
    await client.send(request(b"/bytes/100000000", host=SHOP))
    await client.head()
    begun = time.perf_counter()
    await until(lambda: impatient.shop.app.tally.aborted > aborted, within=LONG)
    assert time.perf_counter() - begun > 0.9
    client.abort()


async def test_a_client_that_asks_for_more_and_more_and_takes_nothing_is_dropped(impatient: Hub) -> None:
    client = await narrow(impatient)
    sending = asyncio.create_task(client.send(request(b"/bytes/50000", host=SHOP) * 2_000))
    await asyncio.sleep(8)  # four megabytes go to the hub's kernel first
    assert len(await client.rest()) < 1_000_000  # what its own kernel held: the hub has dropped the rest
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    await client.close()


async def test_a_client_that_takes_its_answer_slowly_gets_it_whole(impatient: Hub) -> None:
    client = await narrow(impatient)
    await client.send(request(b"/bytes/6000000", host=SHOP))
    await client.head()
    begun = time.perf_counter()
    received = 0
    while received < 6_000_000:
        async with asyncio.timeout(PATIENCE):
            received += len(await client.reader.readexactly(50_000))
        await asyncio.sleep(0.03)
    assert time.perf_counter() - begun > 3.0
    await client.close()


async def test_an_upstream_may_take_its_time_meanwhile(impatient: Hub) -> None:
    """Nor is a client slow whose upstream is."""
    client = await impatient.connect()
    await client.send(request(b"/delay/2500", host=SHOP))
    assert (await client.answer()).status == 200
    await client.send(request(b"/slow-read/400000", method=b"POST", headers=[(b"Content-Length", b"900000")]))
    for _ in range(9):
        await client.send(b"x" * 100_000)
    assert (await client.answer()).status == 200
    await client.close()


async def test_hundreds_of_slow_clients_hinder_nobody(impatient: Hub) -> None:
    slow = [await impatient.connect() for _ in range(300)]
    for number, client in enumerate(slow):
        await client.send(request(GATEWAY, method=b"POST", headers=[(b"Content-Length", b"9")]) if number % 2 else b"G")
    spent = []
    for _ in range(10):
        begun = time.perf_counter()
        assert (await impatient.exchange(request(GATEWAY))).status == 200
        spent.append(time.perf_counter() - begun)
    assert statistics.median(spent) < 1.0  # others may tell of a machine that halted
    await asyncio.gather(*(ended_within(client, LONG) for client in slow))
    await asyncio.gather(*(client.close() for client in slow))
