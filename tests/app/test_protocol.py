"""The HTTP/1.1 protocol at the socket, before an application that answers as it is told."""

import contextlib
import json
import logging
from collections.abc import AsyncIterator

import pytest
import uvicorn

from signalbox.app.cycle import JOINED
from signalbox.app.protocol import MAX_HEAD, MAX_UNWANTED, HttpProtocol
from signalbox.core.asgi import DROP_IF_GONE, EMPTY_QUERY, Message, Receive, Scope, Send
from tests.support.hub import Answer, Client, chunked, request, serving

Headers = list[tuple[bytes, bytes]]

ANSWERS: dict[str, tuple[int, Headers, list[bytes]]] = {
    "/length": (200, [(b"content-length", b"6")], [b"abc", b"def"]),
    "/unknown": (200, [], [b"abc", b"", b"def"]),
    "/empty": (200, [(b"content-length", b"0")], []),
    "/none": (204, [], []),
    "/unchanged": (304, [(b"etag", b'"a"')], []),
    "/large": (200, [(b"content-length", b"%d" % (2 * JOINED))], [b"x" * (2 * JOINED)]),
    "/close": (200, [(b"content-length", b"1"), (b"connection", b"close")], [b"a"]),
    "/too-long": (200, [(b"content-length", b"1")], [b"ab"]),
    "/too-short": (200, [(b"content-length", b"3")], [b"ab"]),
    "/split": (200, [(b"x-bad", b"a\r\nset-cookie: b")], []),
    "/nul": (200, [(b"x-bad", b"a\0")], []),
}
"""Status, headers and pieces of the body, by path; any other path tells what arrived."""


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["path"] == "/refuse":  # without a look at the body
        await send({"type": "http.response.start", "status": 413, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})
        return
    body = await read(receive)
    status, headers, pieces = ANSWERS.get(scope["path"]) or told(scope, body)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    for piece in pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})


async def read(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message: Message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def told(scope: Scope, body: bytes) -> tuple[int, Headers, list[bytes]]:
    seen = {
        "method": scope["method"],
        "path": scope["path"],
        "raw_path": scope["raw_path"].decode(),
        "query": scope["query_string"].decode(),
        "version": scope["http_version"],
        "headers": [name.decode() for name, _ in scope["headers"]],
        "empty_query": EMPTY_QUERY in scope["extensions"],
        "gone": scope["extensions"][DROP_IF_GONE](),
        "body": body.decode(),
    }
    content = json.dumps(seen).encode()
    return 200, [(b"content-length", b"%d" % len(content))], [content]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    config = uvicorn.Config(
        app,
        http=HttpProtocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
    )
    async with serving(config) as port:
        opened = await Client.connect(port)
        yield opened
        await opened.close()


async def ask(client: Client, target: bytes, *, method: bytes = b"GET", headers: Headers | None = None) -> Answer:
    await client.send(request(target, method=method, headers=headers or []))
    return await client.answer(method=method)


async def rest(client: Client) -> bytes:
    """All that comes until the server closes the connection, or resets it because it has not read all that was sent."""
    received = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while piece := await client.reader.read(65_536):
            received += piece
    return bytes(received)


async def fill(client: Client, size: int) -> None:
    """Send so many bytes, in pieces."""
    piece = b"x" * 1_000_000
    for _ in range(0, size, len(piece)):
        await client.send(piece)


# -- answers ----------------------------------------------------------------------------------------------------------


async def test_answers_of_every_framing_follow_each_other_on_one_connection(client: Client) -> None:
    expected = [
        (b"/length", 200, b"abcdef"),
        (b"/unknown", 200, b"abcdef"),
        (b"/empty", 200, b""),
        (b"/none", 204, b""),
        (b"/unchanged", 304, b""),
        (b"/large", 200, b"x" * (2 * JOINED)),
    ]
    for _ in range(2):
        for target, status, body in expected:
            answer = await ask(client, target)
            assert (answer.status, answer.body, answer.whole) == (status, body, True), target
            chunks = answer.value(b"transfer-encoding")
            assert chunks == (b"chunked" if target == b"/unknown" else None), target


async def test_head_has_no_body_and_keeps_its_length(client: Client) -> None:
    for target, length in ((b"/length", b"6"), (b"/unknown", None), (b"/large", b"%d" % (2 * JOINED))):
        answer = await ask(client, target, method=b"HEAD")
        assert (answer.status, answer.value(b"content-length")) == (200, length)
    assert (await ask(client, b"/length")).body == b"abcdef"


async def test_requests_sent_at_once_are_answered_in_order(client: Client) -> None:
    targets = [b"/1", b"/unknown", b"/2", b"/length", b"/3"]
    await client.send(b"".join(map(request, targets)))
    answers = [await client.answer() for _ in targets]
    assert [json.loads(answer.body)["path"] for answer in answers[::2]] == ["/1", "/2", "/3"]
    assert [answer.body for answer in answers[1::2]] == [b"abcdef", b"abcdef"]


async def test_an_old_client_gets_a_body_up_to_the_end(client: Client) -> None:
    await client.send(request(b"/unknown", version=b"HTTP/1.0"))
    head, _, body = (await rest(client)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"transfer-encoding" not in head.lower()
    assert b"connection: close" in head.lower()
    assert body == b"abcdef"


async def test_an_application_may_close(client: Client) -> None:
    answer = await ask(client, b"/close")
    assert (answer.body, answer.values(b"connection")) == (b"a", [b"close"])
    assert await client.ended()


@pytest.mark.parametrize("target", [b"/too-long", b"/too-short"])
async def test_a_body_of_another_length_than_said_never_ends_well(
    client: Client, target: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    await client.send(request(target) + request(b"/length"))
    received = await rest(client)
    assert b"abcdef" not in received
    assert b"\r\n\r\nab" not in received or target == b"/too-short"
    assert "not as long as its Content-Length" in caplog.text


@pytest.mark.parametrize("target", [b"/split", b"/nul"])
async def test_a_header_cannot_hold_another(client: Client, target: bytes, caplog: pytest.LogCaptureFixture) -> None:
    await client.send(request(target))
    received = await rest(client)
    assert b"set-cookie" not in received
    assert b"\0" not in received
    assert received.startswith(b"HTTP/1.1 500") or received == b""
    assert "line end or NUL" in caplog.text


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
    ],
)
async def test_what_is_no_request_is_refused(client: Client, data: bytes) -> None:
    await client.send(data)
    received = await rest(client)
    assert received.startswith(b"HTTP/1.1 400")
    assert b"connection: close" in received.lower()


async def test_a_head_that_is_too_large_is_refused(client: Client) -> None:
    fitting: Headers = [(b"X-Filler", b"x" * 1_000) for _ in range(50)]
    assert (await ask(client, b"/length", headers=fitting)).status == 200
    await client.send(request(b"/length", headers=[*fitting, (b"X-More", b"x" * MAX_HEAD)]))
    assert (await rest(client))[:12] in (b"HTTP/1.1 431", b"")  # nothing where the reset overtook it


async def test_an_endless_head_is_refused_before_its_end(client: Client) -> None:
    await client.send(b"GET /length HTTP/1.1\r\nHost: a\r\n")
    line = b"X-Filler: " + b"x" * 1_000 + b"\r\n"
    for _ in range(MAX_HEAD // len(line) + 1):  # the last of them is too much, and nothing follows it
        await client.send(line)
    assert (await rest(client)).startswith(b"HTTP/1.1 431")


@pytest.mark.parametrize("headers", [[(b"Upgrade", b"h2c"), (b"Connection", b"Upgrade, HTTP2-Settings")]])
async def test_an_offer_to_upgrade_is_passed_over(client: Client, headers: Headers) -> None:
    more = [*headers, (b"HTTP2-Settings", b"AAMAAABkAAQCAAAAAAIAAAAA")]
    await client.send(request(b"/a", method=b"POST", headers=more, body=b"hello"))
    seen = json.loads((await client.answer()).body)
    assert (seen["method"], seen["body"]) == ("POST", "hello")
    assert "upgrade" not in seen["headers"]
    assert (await ask(client, b"/length")).body == b"abcdef"


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
    assert not (await rest(client)).startswith(b"HTTP/1.1 200")


async def test_a_chunk_without_end_of_its_size_is_refused(client: Client) -> None:
    framing: Headers = [(b"Transfer-Encoding", b"chunked")]
    await client.send(request(b"/a", method=b"POST", headers=framing, body=b"5;"))
    with contextlib.suppress(ConnectionError):
        for _ in range(2 * MAX_HEAD // 1_000):
            await client.send(b"x" * 1_000)
    assert not (await rest(client)).startswith(b"HTTP/1.1 200")


async def test_a_client_may_ask_before_it_sends(client: Client) -> None:
    expect: Headers = [(b"Expect", b"100-continue"), (b"Content-Length", b"5")]
    await client.send(request(b"/a", method=b"POST", headers=expect))
    assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
    await client.send(b"hello")
    assert json.loads((await client.answer()).body)["body"] == "hello"


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
