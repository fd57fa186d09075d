"""Bodies on their way through: whole, in bounded memory, as fast as the slower side."""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from signalbox.core.asgi import Receive, Scope, Send
from signalbox.gateway.body import SMALL
from tests.gateway.conftest import World, recorded
from tests.gateway.test_proxy import problem
from tests.support.hub import Client, RunningHub, chunked, request
from tests.support.timing import PATIENCE, settled, until

MEBIBYTE = 1 << 20
BIG = 100 * MEBIBYTE
IN_KERNEL = 24 * MEBIBYTE
"""More than the sockets of both connections may hold; what is beyond it would be in the hub's memory."""

CHUNKED = [(b"Transfer-Encoding", b"chunked")]


def pattern(size: int) -> bytes:
    return (bytes(range(256)) * (size // 256 + 1))[:size]


@contextlib.contextmanager
def rss_grows_under(limit: int) -> Iterator[None]:
    """The process's peak of resident memory stays below what it was before plus ``limit`` bytes."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # VmHWM begins anew
    before = _kilobytes("VmRSS")
    yield
    assert (_kilobytes("VmHWM") - before) * 1024 < limit


def _kilobytes(name: str) -> int:
    (line,) = [each for each in Path("/proc/self/status").read_text("ascii").splitlines() if each.startswith(name)]
    return int(line.split()[1])


# -- requests -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 1000, SMALL, SMALL + 1, 3 * MEBIBYTE])
@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_request_body_arrives_whole(world: World, size: int, framing: str) -> None:
    hub = await world.shop_hub()
    body = pattern(size)
    pieces = [body[at : at + 50_000] for at in range(0, size, 50_000)]
    data = (
        request(b"/echo", method=b"POST", body=body)
        if framing == "length"
        else request(b"/echo", method=b"POST", headers=CHUNKED, body=chunked(*pieces))
    )
    seen = json.loads((await hub.exchange(data)).body)
    assert (seen["body_length"], seen["body_sha256"]) == (size, hashlib.sha256(body).hexdigest())
    (call,) = await recorded(hub)
    assert call.request_bytes == size


async def test_an_empty_chunked_body_stays_chunked(world: World) -> None:
    hub = await world.hub()
    assert (await hub.ask(b"/x", method=b"POST", headers=CHUNKED, body=chunked())).status == 200
    assert world.seen.header("transfer-encoding") == "chunked"


async def test_a_get_may_have_a_body(world: World) -> None:
    hub = await world.hub()
    assert (await hub.ask(b"/x", body=b"abc")).status == 200
    assert (world.seen.header("content-length"), world.seen.body_received) == ("3", 3)


async def test_requests_may_follow_each_other_without_waiting(world: World) -> None:
    hub = await world.shop_hub()
    async with hub.client() as client:
        await client.send(
            request(b"/delay/50")
            + request(b"/echo", method=b"POST", body=b"abc")
            + request(b"/echo", method=b"POST", headers=CHUNKED, body=chunked(b"abcd"))
            + request(b"/status/404")
        )
        first, second, third, fourth = [await client.answer() for _ in range(4)]
    assert json.loads(first.body) == {"delayed_ms": 50}
    assert [json.loads(each.body)["body_length"] for each in (second, third)] == [3, 4]
    assert fourth.status == 404


async def upload(client: Client, size: int, *, piece: int = 256 * 1024) -> None:
    block = pattern(piece)
    for at in range(0, size, piece):
        await client.send(block[: size - at])


async def test_a_large_upload_takes_little_memory(world: World) -> None:
    hub = await world.shop_hub()
    async with hub.client() as client:
        with rss_grows_under(30 * MEBIBYTE):
            await client.send(request(b"/echo", method=b"POST", headers=[(b"Content-Length", b"%d" % BIG)]))
            await upload(client, BIG)
            answer = await client.answer()
    assert json.loads(answer.body)["body_length"] == BIG


async def test_a_slow_upstream_slows_the_upload(world: World) -> None:
    hub = await world.hub()
    sent = 0

    async def send(client: Client) -> None:
        nonlocal sent
        block = pattern(64 * 1024)
        while sent < BIG:
            await client.send(block)
            sent += len(block)

    async with hub.client() as client:
        with rss_grows_under(30 * MEBIBYTE):
            headers = [(b"Content-Length", b"%d" % BIG)]
            await client.send(request(b"/slow-read/1000", method=b"POST", headers=headers))
            sending = asyncio.create_task(send(client))
            await settled(lambda: sent)
        assert sent < IN_KERNEL
        sending.cancel()
        client.abort()


async def test_100_continue_is_answered_when_the_body_is_wanted(world: World) -> None:
    hub = await world.hub({"name": "raw", "max_body": 100})
    expecting = [(b"Expect", b"100-continue")]
    async with hub.client() as client:
        await client.send(request(b"/x", method=b"POST", headers=[*expecting, (b"Content-Length", b"3")]))
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(b"abc")
        assert (await client.answer()).status == 200
        assert world.seen.header("expect") is None
    refused = await hub.ask(b"/x", method=b"POST", headers=[*expecting, (b"Content-Length", b"101")])
    assert (refused.status, refused.interim) == (413, [])


# -- too large ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [10, 2 * SMALL])
async def test_a_body_may_be_as_large_as_max_body(world: World, limit: int) -> None:
    hub = await world.hub({"name": "raw", "max_body": limit})
    assert (await hub.ask(b"/x", method=b"POST", body=b"a" * limit)).status == 200
    framed = request(b"/x", method=b"POST", headers=CHUNKED, body=chunked(b"a" * limit))
    assert (await hub.exchange(framed)).status == 200


@pytest.mark.parametrize("limit", [0, 10, 2 * SMALL])
async def test_a_body_over_max_body_is_refused_by_its_length(world: World, limit: int) -> None:
    hub = await world.hub({"name": "raw", "max_body": limit})
    async with hub.client() as client:
        await client.send(request(b"/x", method=b"POST", headers=[(b"Content-Length", b"%d" % (limit + 1))]))
        assert problem(await client.answer()) == (413, "body_too_large")
        assert world.raw.calls == []
        await client.send(b"a" * (limit + 1) + request(b"/next"))  # its body is dropped, not taken for a request
        assert (await client.answer()).status == 200
        assert [call.target for call in world.raw.calls] == ["/next"]
    assert [call.status_code for call in await recorded(hub, 2)] == [413, 200]


async def test_a_chunked_body_over_max_body_is_refused_while_it_comes(world: World) -> None:
    hub = await world.hub({"name": "raw", "max_body": 1000})
    async with hub.client() as client:
        await client.send(request(b"/x", method=b"POST", headers=CHUNKED))
        await client.send(b"258\r\n" + b"a" * 600 + b"\r\n")
        await until(lambda: world.raw.calls and world.seen.body_received == 600)
        await client.send(b"258\r\n" + b"a" * 600 + b"\r\n")
        assert problem(await client.answer()) == (413, "body_too_large")
    await asyncio.wait_for(world.seen.closed.wait(), PATIENCE)
    assert world.seen.body_received == 600  # the upstream never takes what it got for a whole body
    assert [call.status_code for call in await recorded(hub)] == [413]


async def test_a_client_that_only_writes_learns_of_413_too(world: World) -> None:
    """To close with the body unread would reset the connection, and with it the answer."""
    hub = await world.hub({"name": "raw", "max_body": 1000})
    async with hub.client() as client:
        await client.send(request(b"/x", method=b"POST", headers=[(b"Content-Length", b"%d" % (10 * MEBIBYTE))]))
        await upload(client, 10 * MEBIBYTE)
        assert (await client.answer()).status == 413


async def test_an_unwanted_body_is_not_read_without_end(world: World) -> None:
    hub = await world.hub({"name": "raw", "max_body": 1000})
    async with hub.client() as client:
        await client.send(request(b"/x", method=b"POST", headers=[(b"Content-Length", b"%d" % (10 * BIG))]))
        with pytest.raises(ConnectionError):
            await upload(client, 10 * BIG)


# -- answers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 3 * MEBIBYTE])
async def test_an_answer_arrives_whole(world: World, size: int) -> None:
    hub = await world.shop_hub()
    answer = await hub.ask(b"/bytes/%d" % size)
    assert (answer.value(b"content-length"), answer.body == pattern(size)) == (b"%d" % size, True)
    (call,) = await recorded(hub)
    assert call.response_bytes == size


async def test_an_answer_of_unknown_length_is_streamed_as_it_comes(world: World) -> None:
    came = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"piece 0\n", "more_body": True})
        await came.wait()
        await send({"type": "http.response.body", "body": b"piece 1\n"})

    hub = await world.hub({"name": "stream", "prefix": "/", "url": await world.serve(app)})
    async with hub.client() as client:
        await client.send(request(b"/"))
        async with asyncio.timeout(PATIENCE):
            _, headers, _ = await client.head()
            assert (b"transfer-encoding", b"chunked") in headers
            assert await client.reader.readuntil(b"piece 0\n\r\n") == b"8\r\npiece 0\n\r\n"
            came.set()
            assert await client.reader.readuntil(b"0\r\n\r\n") == b"8\r\npiece 1\n\r\n0\r\n\r\n"


async def test_the_head_of_an_answer_does_not_wait_for_its_body(world: World) -> None:
    """Streams of events may be silent for long."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        await said.wait()
        await send({"type": "http.response.body", "body": b"data: 1"})

    said = asyncio.Event()
    hub = await world.hub({"name": "events", "prefix": "/", "url": await world.serve(app)})
    async with hub.client() as client:
        await client.send(request(b"/"))
        async with asyncio.timeout(PATIENCE):
            status, headers, _ = await client.head()
        said.set()
        assert await client.reader.readuntil(b"0\r\n\r\n") == b"7\r\ndata: 1\r\n0\r\n\r\n"
    assert (status, dict(headers)[b"content-type"]) == (200, b"text/event-stream")


async def test_a_large_download_takes_little_memory(world: World) -> None:
    hub = await world.shop_hub()
    digest, received = hashlib.sha256(), 0
    async with hub.client() as client:
        with rss_grows_under(30 * MEBIBYTE):
            await client.send(request(b"/bytes/%d" % BIG))
            await client.head()
            while received < BIG:
                piece = await client.reader.read(MEBIBYTE)
                digest.update(piece)
                received += len(piece)
    assert digest.hexdigest() == hashlib.sha256(pattern(BIG)).hexdigest()


async def test_a_slow_reader_slows_the_upstream(world: World) -> None:
    hub = await world.shop_hub()
    async with hub.client() as client:
        with rss_grows_under(30 * MEBIBYTE):
            await client.send(request(b"/bytes/%d" % BIG))
            await client.head()
            held = await settled(lambda: world.shop.tally.bytes_sent)
        assert held < IN_KERNEL
        received = 0
        while received < BIG:
            received += len(await client.reader.read(MEBIBYTE))
        assert world.shop.tally.bytes_sent == BIG


# -- both at once ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("what", "status"), [("early", 403), ("early-close", 413)])
async def test_an_answer_may_come_before_the_body_has_ended(world: World, what: str, status: int) -> None:
    hub = await world.hub()
    async with hub.client() as client:
        headers = [(b"Content-Length", b"%d" % BIG)]
        await client.send(request(f"/{what}".encode(), method=b"POST", headers=headers))
        await client.send(b"x" * SMALL)
        answer = await client.answer()
        assert (answer.status, answer.whole) == (status, True)
    assert [call.status_code for call in await recorded(hub)] == [status]


async def test_a_body_sent_after_an_early_answer_does_not_become_a_request(world: World) -> None:
    hub = await world.hub()
    inside = request(b"/smuggled", headers=[(b"X-Filler", b"x" * 100)])
    async with hub.client() as client:
        headers = [(b"Content-Length", b"%d" % (SMALL + len(inside)))]
        await client.send(request(b"/early", method=b"POST", headers=headers) + b"x" * SMALL)
        assert (await client.answer()).status == 403
        with contextlib.suppress(ConnectionError):
            await client.send(inside + request(b"/next"))
            with contextlib.suppress(asyncio.IncompleteReadError):
                await client.answer()
    assert "/smuggled" not in [call.target for call in world.raw.calls]


@pytest.fixture
async def echoing(world: World) -> RunningHub:
    """A hub before an upstream that sends back each piece of the body as it comes."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        more = True
        while more:
            message = await receive()
            more = message.get("more_body", False)
            if message.get("body"):
                await send({"type": "http.response.body", "body": message["body"], "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    return await world.hub({"name": "echo", "prefix": "/", "url": await world.serve(app)})


async def test_both_directions_flow_at_once(echoing: RunningHub) -> None:
    async with echoing.client() as client:
        await client.send(request(b"/", method=b"POST", headers=CHUNKED))
        for number in range(3):
            await client.send(b"2\r\n%d!\r\n" % number)
            if number == 0:
                await client.head()
            assert await client.reader.readuntil(b"!\r\n") == b"2\r\n%d!\r\n" % number
        await client.send(b"0\r\n\r\n")
        assert await client.reader.readuntil(b"0\r\n\r\n") == b"0\r\n\r\n"
