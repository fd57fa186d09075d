"""Upstreams that fail: what the client sees, and what is recorded."""

import asyncio
import contextlib
import socket
import struct
import time

import pytest

from tests.gateway.conftest import World, recorded
from tests.gateway.test_proxy import problem
from tests.support.hub import RunningHub, chunked, request
from tests.support.timing import PATIENCE, until

BEFORE_THE_HEAD = [
    "close",
    "reset",
    "garbage",
    "bad-length",
    "negative-length",
    "two-lengths",
    "bad-header",
    "huge-head",
    "half-head",
]
IN_THE_BODY = ["cut", "cut-chunked", "bad-chunk", "reset-body"]


async def status(hub: RunningHub, path: str, method: bytes = b"GET") -> int:
    return (await hub.ask(path.encode(), method=method)).status


async def test_a_refused_connection_is_502(world: World) -> None:
    hub = await world.hub({"name": "away", "prefix": "/", "url": world.raw.refused_url})
    for method in (b"GET", b"POST"):
        assert problem(await hub.ask(b"/x", method=method)) == (502, "upstream_failed")
    assert [call.status_code for call in await recorded(hub, 2)] == [502, 502]


async def test_an_unknown_name_is_502(world: World) -> None:
    hub = await world.hub({"name": "away", "prefix": "/", "url": "http://no-such-host.invalid"})
    assert problem(await hub.ask(b"/x")) == (502, "upstream_failed")


@pytest.mark.parametrize("what", BEFORE_THE_HEAD)
async def test_no_valid_answer_is_502(world: World, what: str) -> None:
    hub = await world.hub()
    answer = await hub.ask(f"/{what}".encode())
    assert problem(answer) == (502, "upstream_failed")
    assert answer.value(b"x-request-id")
    assert [call.status_code for call in await recorded(hub)] == [502]
    assert await status(hub, "/fine") == 200


@pytest.mark.parametrize("what", IN_THE_BODY)
async def test_an_answer_that_breaks_off_never_ends_cleanly(world: World, what: str) -> None:
    hub = await world.hub()
    async with hub.client() as client:
        await client.send(request(f"/{what}".encode()))
        answer = await client.answer()
        assert answer.status in (200, 502)
        if answer.status == 200:  # the head was on its way before the upstream died
            assert not answer.whole
            assert await client.ended()
    (call,) = await recorded(hub)
    assert call.status_code == 502
    assert await status(hub, "/fine") == 200


async def test_an_old_client_sees_a_broken_answer_too(world: World) -> None:
    """HTTP/1.0 knows no chunks: the end of the connection would be a clean end, so it is reset."""
    hub = await world.hub()
    async with hub.client() as client:
        await client.send(request(b"/cut-chunked", version=b"HTTP/1.0"))
        assert (await client.head())[0] == 200
        with pytest.raises(ConnectionResetError):
            await client.reader.read()


async def test_an_old_client_sees_a_whole_answer_end_cleanly(world: World) -> None:
    hub = await world.hub()
    async with hub.client() as client:
        await client.send(request(b"/eof", version=b"HTTP/1.0"))
        assert (await client.head())[0] == 200
        assert await client.reader.read() == b"until the end\n"


async def test_an_answer_of_unknown_length_that_is_reset_never_ends_cleanly(world: World) -> None:
    """Without a length the end of the connection is the end of the answer, but a reset is none."""
    started = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nthe beginning")
        await started.wait()
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        hub = await world.hub({"name": "dying", "prefix": "/", "url": url})
        async with hub.client() as client:
            await client.send(request(b"/x"))
            assert (await client.head())[0] == 200
            started.set()
            rest = await client.rest()
    assert b"the beginning" in rest
    assert not rest.endswith(b"0\r\n\r\n")
    assert [call.status_code for call in await recorded(hub)] == [502]


async def test_an_answer_of_unknown_length_ends_with_its_connection(world: World) -> None:
    hub = await world.hub()
    answer = await hub.ask(b"/eof")
    assert (answer.body, answer.whole) == (b"until the end\n", True)
    assert [(call.status_code, call.response_bytes) for call in await recorded(hub)] == [(200, 14)]


async def test_a_second_answer_poisons_nobody(world: World) -> None:
    """Bytes behind an answer belong to no request; the next one must not get them."""
    hub = await world.hub()
    for _ in range(3):
        answer = await hub.ask(b"/extra")
        assert (answer.status, answer.body) == (200, b"fine\n")
        assert (await hub.ask(b"/fine")).body == b"fine\n"


@pytest.mark.parametrize("what", ["stale", "reuse"])
async def test_a_kept_connection_that_is_gone_costs_a_get_nothing(world: World, what: str) -> None:
    hub = await world.hub()
    for _ in range(4):
        assert await status(hub, f"/{what}") == 200


async def test_a_post_is_never_sent_twice(world: World) -> None:
    hub = await world.hub()
    assert await status(hub, "/reuse") == 200
    seen = len(world.raw.calls)
    await status(hub, "/reuse", b"POST")
    assert len(world.raw.calls) <= seen + 1


# -- too slow -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [b"GET", b"POST"])
async def test_silence_is_504_after_read_timeout(world: World, method: bytes) -> None:
    hub = await world.hub({"name": "raw", "read_timeout": 0.3})
    assert problem(await hub.ask(b"/never", method=method)) == (504, "upstream_timeout")
    await asyncio.wait_for(world.seen.closed.wait(), PATIENCE)
    (call,) = await recorded(hub)
    assert call.status_code == 504
    assert call.seconds >= 0.3


async def test_silence_in_a_body_is_an_abort_after_read_timeout(world: World) -> None:
    hub = await world.hub({"name": "raw", "read_timeout": 0.3})
    answer = await hub.ask(b"/stall")
    assert (answer.status, answer.body, answer.whole) == (200, b"half:", False)
    (call,) = await recorded(hub)
    assert call.status_code == 504
    assert call.seconds >= 0.3


async def test_total_timeout_bounds_an_answer_that_drips(world: World) -> None:
    hub = await world.hub({"name": "raw", "read_timeout": 5, "total_timeout": 0.5})
    assert (await hub.ask(b"/slow")).status == 504  # a byte every 50 ms: the head alone takes over a second
    (call,) = await recorded(hub)
    assert call.seconds >= 0.5


async def test_total_timeout_bounds_a_body_that_drips(world: World) -> None:
    url = await world.serve(world.shop)
    hub = await world.hub({"name": "shop", "prefix": "/", "url": url, "total_timeout": 0.4})
    answer = await hub.ask(b"/stream/1000/50")
    assert (answer.status, answer.whole) == (200, False)
    assert answer.body.startswith(b"chunk 0\n")
    assert [call.status_code for call in await recorded(hub)] == [504]


async def test_an_upstream_that_drips_is_in_time(world: World) -> None:
    hub = await world.hub({"name": "raw", "read_timeout": 0.3})
    answers = [await hub.ask(b"/slow")]
    while answers[-1].status != 200 and len(answers) < 5:  # as only a machine that halts in the middle makes one
        answers.append(await hub.ask(b"/slow"))
    assert answers[-1].body == b"fine\n"


async def test_connect_timeout_is_504(world: World) -> None:
    with socket.socket() as full:  # a listener whose queue is full answers no SYN
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
        url = f"http://127.0.0.1:{port}"
        hub = await world.hub({"name": "full", "prefix": "/", "url": url, "connect_timeout": 0.3})
        started = time.perf_counter()
        assert problem(await hub.ask(b"/x")) == (504, "upstream_timeout")
        assert 0.3 <= time.perf_counter() - started < 4.5  # by default it is 5 s
        for each in waiting:
            each.close()


# -- requests that are not HTTP ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"this is not HTTP\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: five\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
        b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
        b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
        b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n",
        b"GET /x HTTP/9.9\r\nHost: a\r\n\r\n",
    ],
)
async def test_nonsense_is_refused_and_the_connection_closed(world: World, data: bytes) -> None:
    hub = await world.hub()
    async with hub.client() as client:
        await client.send(data)
        assert (await client.head())[0] == 400
        assert b"HTTP/1.1" not in await client.rest()
    assert all(call.body_received == 0 for call in world.raw.calls)


async def test_other_transfer_codings_are_refused(world: World) -> None:
    """Their body could not be told from a plain one by the upstream."""
    hub = await world.hub()
    headers = [(b"Transfer-Encoding", b"gzip, chunked")]
    answer = await hub.ask(b"/x", method=b"POST", headers=headers, body=chunked(b"abc"))
    assert problem(answer) == (400, "unsupported_transfer_coding")
    assert world.raw.calls == []


async def test_a_head_without_end_is_refused(world: World) -> None:
    hub = await world.hub()
    for piece in (b"X-A: " + b"a" * 1000 + b"\r\n", b"a" * 1000):
        async with hub.client() as client:
            await client.send(b"GET /x HTTP/1.1\r\nHost: a\r\nX: ")
            with contextlib.suppress(ConnectionError):
                for _ in range(300):
                    await client.send(piece)
            assert (await client.head())[0] == 431
    assert world.raw.calls == []


async def test_garbage_in_a_chunked_upload_reaches_no_upstream_as_a_whole_request(world: World) -> None:
    hub = await world.hub()
    async with hub.client() as client:
        await client.send(request(b"/x", method=b"POST", headers=[(b"Transfer-Encoding", b"chunked")]))
        await client.send(b"3\r\nabc\r\n")
        await until(lambda: world.raw.calls and world.seen.body_received == 3)
        await client.send(b"zz\r\n")
        assert (await client.head())[0] == 400
    await asyncio.wait_for(world.seen.closed.wait(), PATIENCE)
    assert [call.status_code for call in await recorded(hub)] == [499]


async def test_garbage_behind_a_request_does_not_become_part_of_its_answer(world: World) -> None:
    hub = await world.shop_hub()
    async with hub.client() as client:
        await client.send(request(b"/stream/20/10"))
        assert (await client.head())[0] == 200
        await client.send(b"this is not HTTP\r\n\r\n")
        assert b"HTTP/1.1" not in await client.rest()
