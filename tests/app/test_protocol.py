"""The HTTP/1.1 protocol at the socket, before an application that answers as it is told."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator

import pytest

from signalbox.app.ending import MAX_UNWANTED
from signalbox.app.protocol import MAX_HEAD
from signalbox.core.asgi import Receive, Scope, Send
from tests.app.answering import Headers, ask, opened
from tests.support.hub import Client, chunked, request
from tests.support.timing import PATIENCE


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
        await asyncio.wait_for(ended.wait(), PATIENCE)
        assert await client.rest() == b""
    assert set(kinds) <= {"http.request"}


async def test_a_head_that_is_too_large_is_refused(client: Client) -> None:
    fitting: Headers = [(b"X-Filler", b"x" * 1_000) for _ in range(50)]
    assert (await ask(client, b"/length", headers=fitting)).status == 200
    await client.send(request(b"/length", headers=[*fitting, (b"X-More", b"x" * MAX_HEAD)]))
    assert (await client.rest())[:12] in (b"HTTP/1.1 431", b"")  # nothing where the reset overtook it


@pytest.mark.parametrize("over", [0, 1])
async def test_a_head_that_comes_at_once_may_be_no_larger_than_others(over: int) -> None:
    async with opened() as (client, protocol):
        protocol.transport.pause_reading()  # until all of it is there to be read
        target, size = b"/length", MAX_HEAD - sum(map(len, (b"/length", b"Host", b"a", b"X")))
        await client.send(b"GET %b HTTP/1.1\r\nHost: a\r\nX: %b\r\n\r\n" % (target, b"x" * (size + over)))
        protocol.transport.resume_reading()
        assert (await client.answer()).status == (431 if over else 200)


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
        async with asyncio.timeout(PATIENCE):
            while not begun:
                await asyncio.sleep(0.01)
        client.abort()
        await asyncio.wait_for(gone.wait(), PATIENCE)
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
