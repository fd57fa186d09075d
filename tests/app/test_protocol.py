"""The HTTP/1.1 protocol at the socket, before an application that answers as it is told."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator

import pytest

from signalbox.app.ending import MAX_UNWANTED
from signalbox.app.protocol import MAX_HEAD, HttpProtocol
from signalbox.core.asgi import TAKE_OVER, Receive, Scope, Send, TakenOver
from tests.app.answering import Headers, ask, opened
from tests.support.hub import Client, chunked, request


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with opened() as (client, _):
        yield client


async def fill(client: Client, size: int) -> None:
    """Send so many bytes, in pieces."""
    piece = b"x" * 1_000_000
    for _ in range(0, size, len(piece)):
        await client.send(piece)


# -- requests ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "raw_path", "path", "query", "empty_query"),
    [
        (b"/a%2Fb?c=%20", "/a%2Fb", "/a/b", "c=%20", False),
        (b"/a?", "/a", "/a", "", True),
        (b"/a", "/a", "/a", "", False),
        (b"/a?b?c", "/a", "/a", "b?c", False),
        (b"//a", "//a", "//a", "", False),
        (b"http://other.test/a?b", "/a", "/a", "b", False),
        (b"http://other.test", "/", "/", "", False),
    ],
)
async def test_targets_arrive_as_they_were_sent(
    client: Client, target: bytes, raw_path: str, path: str, query: str, empty_query: bool
) -> None:
    seen = json.loads((await ask(client, target)).body)
    assert (seen["raw_path"], seen["path"], seen["query"]) == (raw_path, path, query)
    assert seen["empty_query"] is empty_query
    assert seen["gone"] is False


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET a HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: a\r\n b: c\r\n\r\n",
        b"CONNECT other.test:443 HTTP/1.1\r\nHost: other.test:443\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
async def test_what_is_no_request_is_refused(client: Client, data: bytes) -> None:
    await client.send(data)
    answer = await client.answer()
    assert (answer.status, answer.value(b"connection")) == (400, b"close")
    assert answer.value(b"content-type") == b"application/problem+json"
    assert answer.value(b"date") is not None
    assert json.loads(answer.body)["code"] == "invalid_request"
    assert await client.ended()


@pytest.mark.parametrize("codings", [[b"gzip, chunked"], [b"identity", b"chunked"], [b"x", b"chunked"]])
async def test_other_transfer_codings_are_refused(client: Client, codings: list[bytes]) -> None:
    headers = [(b"Transfer-Encoding", coding) for coding in codings]
    answer = await ask(client, b"/a", method=b"POST", headers=headers)
    assert (answer.status, json.loads(answer.body)["code"]) == (400, "unsupported_transfer_coding")
    assert await client.ended()


@pytest.mark.parametrize("version", [b"HTTP/2.0", b"HTTP/0.9"])
async def test_other_versions_are_refused(client: Client, version: bytes) -> None:
    await client.send(request(b"/a", version=version))
    answer = await client.answer()
    assert (answer.status, json.loads(answer.body)["code"]) == (505, "http_version_not_supported")
    assert await client.ended()


async def test_a_refusal_comes_in_its_turn(client: Client) -> None:
    await client.send(request(b"/1") + request(b"/2") + b"nonsense\r\n\r\n" + request(b"/3"))
    answers = [await client.answer() for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 400]
    assert [json.loads(answer.body)["path"] for answer in answers[:2]] == ["/1", "/2"]
    assert await client.rest() == b""


async def test_a_request_whose_body_breaks_is_refused_in_its_turn(client: Client) -> None:
    framing: Headers = [(b"Transfer-Encoding", b"chunked")]
    await client.send(request(b"/1") + request(b"/2", method=b"POST", headers=framing) + b"zz\r\n")
    assert json.loads((await client.answer()).body)["path"] == "/1"
    assert (await client.answer()).status == 400
    assert await client.rest() == b""


async def test_nonsense_behind_an_answer_that_has_begun_only_ends_the_connection() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"ha", "more_body": True})
        begun.set()
        await go_on.wait()
        await send({"type": "http.response.body", "body": b"lf"})

    async with opened(app) as (client, protocol):
        await client.send(request(b"/"))
        await begun.wait()
        await client.send(b"nonsense\r\n\r\n")
        protocol.data_received(b"nonsense\r\n\r\n")
        go_on.set()
        answer = await client.answer()
        assert (answer.body, answer.whole) == (b"half", True)
        assert await client.rest() == b""


async def test_a_body_that_breaks_is_told_to_the_application() -> None:
    kinds: list[str] = []
    ended = asyncio.Event()

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        while (message := await receive())["type"] != "http.disconnect":
            kinds.append(message["type"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"heard by nobody"})
        ended.set()

    async with opened(app) as (client, _):
        await client.send(request(b"/", method=b"POST", headers=[(b"Transfer-Encoding", b"chunked")]) + b"1\r\na\r\n")
        await client.send(b"zz\r\n")
        assert (await client.answer()).status == 400
        await asyncio.wait_for(ended.wait(), 5)
        assert await client.rest() == b""
    assert set(kinds) <= {"http.request"}


async def test_a_head_that_is_too_large_is_refused(client: Client) -> None:
    fitting: Headers = [(b"X-Filler", b"x" * 1_000) for _ in range(50)]
    assert (await ask(client, b"/length", headers=fitting)).status == 200
    await client.send(request(b"/length", headers=[*fitting, (b"X-More", b"x" * MAX_HEAD)]))
    assert (await client.rest())[:12] in (b"HTTP/1.1 431", b"")  # nothing where the reset overtook it


async def test_an_endless_head_is_refused_before_its_end(client: Client) -> None:
    await client.send(b"GET /length HTTP/1.1\r\nHost: a\r\n")
    line = b"X-Filler: " + b"x" * 1_000 + b"\r\n"
    for _ in range(MAX_HEAD // len(line) + 1):  # the last of them is too much, and nothing follows it
        await client.send(line)
    assert (await client.rest()).startswith(b"HTTP/1.1 431")


@pytest.mark.parametrize("headers", [[(b"Upgrade", b"h2c"), (b"Connection", b"Upgrade, HTTP2-Settings")]])
async def test_an_offer_to_upgrade_is_passed_over(client: Client, headers: Headers) -> None:
    more = [*headers, (b"HTTP2-Settings", b"AAMAAABkAAQCAAAAAAIAAAAA")]
    await client.send(request(b"/a", method=b"POST", headers=more, body=b"hello"))
    seen = json.loads((await client.answer()).body)
    assert (seen["method"], seen["body"]) == ("POST", "hello")
    assert "upgrade" not in seen["headers"]
    assert (await ask(client, b"/length")).body == b"abcdef"


async def test_a_client_that_leaves_is_told_to_the_request_under_way_and_not_to_those_behind_it() -> None:
    begun: list[str] = []
    gone = asyncio.Event()

    async def app(scope: Scope, receive: Receive, _send: Send) -> None:
        begun.append(scope["path"])
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.set()

    async with opened(app) as (client, _):
        await client.send(request(b"/1") + request(b"/2") + request(b"/3"))
        async with asyncio.timeout(5):
            while not begun:
                await asyncio.sleep(0.01)
        client.abort()
        await asyncio.wait_for(gone.wait(), 5)
        await asyncio.sleep(0.05)
    assert begun == ["/1"]


async def test_thousands_of_offers_to_upgrade_at_once_are_passed_over(client: Client) -> None:
    offer: Headers = [(b"Upgrade", b"h2c"), (b"Connection", b"Upgrade")]
    await client.send(request(b"/length", headers=offer) * 2_000)
    for _ in range(2_000):
        assert (await client.answer()).body == b"abcdef"


async def test_chunks_are_put_together_and_trailers_dropped(client: Client) -> None:
    framing: Headers = [(b"Transfer-Encoding", b"chunked")]
    body = chunked(b"hel", b"lo").removesuffix(b"\r\n") + b"X-Trailer: a\r\n\r\n"
    await client.send(request(b"/a", method=b"POST", headers=framing, body=body))
    seen = json.loads((await client.answer()).body)
    assert seen["body"] == "hello"
    assert "x-trailer" not in seen["headers"]
    assert (await ask(client, b"/length")).body == b"abcdef"


async def test_trailers_without_end_are_refused(client: Client) -> None:
    framing: Headers = [(b"Transfer-Encoding", b"chunked")]
    await client.send(request(b"/a", method=b"POST", headers=framing, body=b"5\r\nhello\r\n0\r\n"))
    trailer = b"X-Trailer: " + b"x" * 1_000 + b"\r\n"
    with contextlib.suppress(ConnectionError):
        for _ in range(2 * MAX_HEAD // len(trailer)):
            await client.send(trailer)
    assert not (await client.rest()).startswith(b"HTTP/1.1 200")


async def test_a_chunk_without_end_of_its_size_is_refused(client: Client) -> None:
    framing: Headers = [(b"Transfer-Encoding", b"chunked")]
    await client.send(request(b"/a", method=b"POST", headers=framing, body=b"5;"))
    with contextlib.suppress(ConnectionError):
        for _ in range(2 * MAX_HEAD // 1_000):
            await client.send(b"x" * 1_000)
    assert not (await client.rest()).startswith(b"HTTP/1.1 200")


async def test_a_client_may_ask_before_it_sends(client: Client) -> None:
    expect: Headers = [(b"Expect", b"100-continue"), (b"Content-Length", b"5")]
    await client.send(request(b"/a", method=b"POST", headers=expect))
    assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
    await client.send(b"hello")
    assert json.loads((await client.answer()).body)["body"] == "hello"


async def test_an_old_client_is_not_asked_for_its_body(client: Client) -> None:
    expect: Headers = [(b"Expect", b"100-continue"), (b"Content-Length", b"5")]
    await client.send(request(b"/a", method=b"POST", headers=expect, version=b"HTTP/1.0") + b"hello")
    answer = await client.answer()
    assert (answer.interim, json.loads(answer.body)["body"]) == ([], "hello")


async def test_an_unwanted_body_is_read_so_that_its_answer_arrives(client: Client) -> None:
    body = b"x" * 1_000_000
    await client.send(request(b"/refuse", method=b"POST", body=body))
    assert (await client.answer()).status == 413
    assert (await ask(client, b"/length")).body == b"abcdef"


async def test_an_unwanted_body_is_not_read_for_ever(client: Client) -> None:
    length = (b"Content-Length", b"%d" % (10 * MAX_UNWANTED))
    await client.send(request(b"/refuse", method=b"POST", headers=[length]))
    assert (await client.answer()).status == 413
    await fill(client, MAX_UNWANTED - 1_000_000)
    with pytest.raises(ConnectionError):
        await fill(client, MAX_UNWANTED)


async def test_nothing_of_this_is_logged_as_an_error(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    for target in (b"/length", b"/unknown", b"/none", b"/refuse"):
        await ask(client, target)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


# -- clients that take too long ---------------------------------------------------------------------------------------


def sweep(protocol: HttpProtocol, *, times: int = 1, later: float = 0.0) -> None:
    """A second each, with ten of patience for everything; ``later`` moves the clock."""
    now = asyncio.get_running_loop().time() + later
    for _ in range(times):
        protocol.sweep(now=now, interval=1.0, idle_timeout=10.0, body_timeout=10.0)


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
        async with asyncio.timeout(5):
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
        await asyncio.sleep(0.5)  # every buffer on the way is full
        sweep(protocol, times=10)
        assert not protocol.transport.is_closing()
        await client.reader.readexactly(3_000_000)  # it takes something
        await asyncio.sleep(0.5)
        sweep(protocol, times=10)
        assert not protocol.transport.is_closing()
        sweep(protocol, times=2)
        await asyncio.wait_for(gone.wait(), 5)
        assert len(await client.rest()) < 97_000_000


async def test_requests_that_wait_are_never_served_once_their_client_takes_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with opened() as (client, protocol):
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        sending = asyncio.create_task(client.send(request(b"/large") * 2_000))
        await asyncio.sleep(0.3)
        sweep(protocol, times=12)
        await asyncio.sleep(0.05)
        assert protocol.transport.is_closing()
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
        assert await asyncio.wait_for(result, 5)


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
