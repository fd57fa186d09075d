"""Requests that are refused, on the hub's own paths and on the gateway's (RFC 9112; sections with each group).

Behind each stands a second request: it must neither be answered nor reach an upstream, for who and what it belongs to is
open once the first cannot be read.
"""

import asyncio

import pytest

from tests.e2e.conformance.conftest import GATEWAY, OWN, Hub, code
from tests.support.hub import request
from tests.support.timing import PATIENCE

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"

HEADS: dict[str, bytes] = {
    # line ends and white space, sections 2.2, 5.1 and 5.2
    "bare LF in the head": b"Host: a\r\nX: b\nY: c\r\n\r\n",
    "bare LF at its end": b"Host: a\r\n\n",
    "bare CR": b"Host: a\r\nX: b\rY: c\r\n\r\n",
    "folded by a space": b"Host: a\r\nX: b\r\n c\r\n\r\n",
    "folded by a tab": b"Host: a\r\nX: b\r\n\tc\r\n\r\n",
    "folded first line": b" Host: a\r\n\r\n",
    "space before the colon": b"Host: a\r\nX : b\r\n\r\n",
    "tab before the colon": b"Host: a\r\nX\t: b\r\n\r\n",
    "space in a name": b"Host: a\r\nX Y: b\r\n\r\n",
    "no colon": b"Host: a\r\nX\r\n\r\n",
    "no name": b"Host: a\r\n: b\r\n\r\n",
    "NUL in a value": b"Host: a\r\nX: b\0c\r\n\r\n",
    "NUL in a name": b"Host: a\r\nX\0: b\r\n\r\n",
    "control character in a value": b"Host: a\r\nX: b\x01\r\n\r\n",
    "DEL in a value": b"Host: a\r\nX: b\x7f\r\n\r\n",
    "no ASCII in a name": b"Host: a\r\nX\xc3\xa4: b\r\n\r\n",
    # hosts, section 3.2
    "no host": b"\r\n",
    "two hosts": b"Host: a\r\nHost: b\r\n\r\n",
    "the same host twice": b"Host: a\r\nHost: a\r\n\r\n",
    "empty host": b"Host:\r\n\r\n",
    "host with a path": b"Host: a/b\r\n\r\n",
    "host with a user": b"Host: a@b\r\n\r\n",
    "host with a space": b"Host: a b\r\n\r\n",
    # lengths, sections 6.2 and 6.3
    "length +4": b"Host: a\r\nContent-Length: +4\r\n\r\nabcd",
    "length 0x4": b"Host: a\r\nContent-Length: 0x4\r\n\r\nabcd",
    "length 4,5": b"Host: a\r\nContent-Length: 4,5\r\n\r\nabcd",
    "length 4, 4": b"Host: a\r\nContent-Length: 4, 4\r\n\r\nabcd",
    "length -1": b"Host: a\r\nContent-Length: -1\r\n\r\nabcd",
    "length 4 4": b"Host: a\r\nContent-Length: 4 4\r\n\r\nabcd",
    "length 4.0": b"Host: a\r\nContent-Length: 4.0\r\n\r\nabcd",
    "length 1e1": b"Host: a\r\nContent-Length: 1e1\r\n\r\nabcdefghij",
    "empty length": b"Host: a\r\nContent-Length:\r\n\r\n",
    "length over 64 bits": b"Host: a\r\nContent-Length: 18446744073709551620\r\n\r\nabcd",
    "two different lengths": b"Host: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcd",
    "two equal lengths": b"Host: a\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nabcd",
    # transfer codings, sections 6.1 and 7
    "codings and length": b"Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "length and codings": b"Host: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": b"Host: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunked in two lines": b"Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked not last": b"Host: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "chunked, then identity": b"Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "identity, then chunked": b"Host: a\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "gzip, chunked": b"Host: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "gzip": b"Host: a\r\nTransfer-Encoding: gzip\r\n\r\n",
    "identity": b"Host: a\r\nTransfer-Encoding: identity\r\n\r\n",
    "an unknown coding": b"Host: a\r\nTransfer-Encoding: foo\r\n\r\n0\r\n\r\n",
    "xchunked": b"Host: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunkedx": b"Host: a\r\nTransfer-Encoding: chunkedx\r\n\r\n0\r\n\r\n",
    "a list with an empty end": b"Host: a\r\nTransfer-Encoding: chunked,\r\n\r\n0\r\n\r\n",
    "a list with an empty start": b"Host: a\r\nTransfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n",
    "a coding with a parameter": b"Host: a\r\nTransfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
    "a quoted coding": b'Host: a\r\nTransfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "an empty coding": b"Host: a\r\nTransfer-Encoding:\r\n\r\n",
    "space before its colon": b"Host: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "its value folded": b"Host: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "its value behind a vertical tab": b"Host: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "its value before a tab": b"Host: a\r\nTransfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n",
    "its value before a NUL": b"Host: a\r\nTransfer-Encoding: chunked\0\r\n\r\n0\r\n\r\n",
    "its name behind a tab": b"Host: a\r\n\tTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "its name behind a bare CR": b"Host: a\r\nX: b\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "its name behind a bare LF": b"Host: a\r\nX: b\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
}

CHUNKS: dict[str, bytes] = {
    "LF behind the size": b"5\nhello\r\n0\r\n\r\n",
    "LF behind the data": b"5\r\nhello\n0\r\n\r\n",
    "LF behind the last size": b"5\r\nhello\r\n0\n\r\n",
    "LF at the end": b"5\r\nhello\r\n0\r\n\n",
    "CR behind the size": b"5\rhello\r\n0\r\n\r\n",
    "negative": b"-5\r\nhello\r\n0\r\n\r\n",
    "with a sign": b"+5\r\nhello\r\n0\r\n\r\n",
    "with 0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "space before": b" 5\r\nhello\r\n0\r\n\r\n",
    "space behind": b"5 \r\nhello\r\n0\r\n\r\n",
    "no hexadecimal": b"5g\r\nhello\r\n0\r\n\r\n",
    "empty": b"\r\nhello\r\n0\r\n\r\n",
    "only an extension": b";a=b\r\nhello\r\n0\r\n\r\n",
    "over 64 bits": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "far over 64 bits": b"f" * 40 + b"\r\nhello\r\n0\r\n\r\n",
    "less than the data": b"4\r\nhello\r\n0\r\n\r\n",
    "LF in an extension": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "CR in an extension": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "NUL in an extension": b"5;a\0b\r\nhello\r\n0\r\n\r\n",
    "line end in a quoted extension": b'5;a="b\r\nc"\r\nhello\r\n0\r\n\r\n',
    "length in the trailers": b"5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n",
    "coding in the trailers": b"5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "space in a trailer's name": b"5\r\nhello\r\n0\r\nX : a\r\n\r\n",
}

LINES: dict[str, tuple[bytes, int]] = {
    "no request at all": (b"this is not HTTP\r\n\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 40, 400),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "LF behind the line": (b"GET %b HTTP/1.1\nHost: a\r\n\r\n", 400),
    "space behind the line": (b"GET %b HTTP/1.1 \r\nHost: a\r\n\r\n", 400),
    "space before the method": (b" GET %b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "tab behind the method": (b"GET\t%b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "an unknown method": (b"FOO %b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a method in lower case": (b"get %b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a space in the target": (b"GET %b b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a NUL in the target": (b"GET %b\0 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "no ASCII in the target": (b"GET %b\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a fragment": (b"GET %b#b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "HTTP in lower case": (b"GET %b http/1.1\r\nHost: a\r\n\r\n", 400),
    "HTTP/1.2": (b"GET %b HTTP/1.2\r\nHost: a\r\n\r\n", 400),
    "HTTP/1.10": (b"GET %b HTTP/1.10\r\nHost: a\r\n\r\n", 400),
    "HTTP/2.0": (b"GET %b HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    "HTTP/0.9": (b"GET %b HTTP/0.9\r\nHost: a\r\n\r\n", 505),
    "no version": (b"GET %b\r\n\r\n", 505),
    "CONNECT": (b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 400),
    "CONNECT with a path": (b"CONNECT %b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
}


@pytest.fixture(params=[OWN, GATEWAY], ids=["own", "gateway"])
def path(request: pytest.FixtureRequest) -> bytes:
    return bytes(request.param)


@pytest.mark.parametrize("what", HEADS)
async def test_a_head_that_is_no_head_is_refused(hub: Hub, path: bytes, what: str) -> None:
    before = len(hub.seen())
    answer = await hub.only_answer(b"POST %b HTTP/1.1\r\n" % path + HEADS[what] + SMUGGLED)
    assert (answer.status, answer.value(b"connection")) == (400, b"close")
    assert code(answer) in {"invalid_request", "invalid_host", "unsupported_transfer_coding"}
    assert len(hub.seen()) == before


@pytest.mark.parametrize("what", LINES)
async def test_a_request_line_that_is_none_is_refused(hub: Hub, path: bytes, what: str) -> None:
    before = len(hub.seen())
    line, status = LINES[what]
    answer = await hub.only_answer(line.replace(b"%b", path) + SMUGGLED)
    assert (answer.status, answer.value(b"connection")) == (status, b"close")
    assert code(answer) in {"invalid_request", "http_version_not_supported"}
    assert len(hub.seen()) == before


@pytest.mark.parametrize("what", CHUNKS)
async def test_chunks_that_are_none_reach_no_upstream_as_a_body(hub: Hub, what: str) -> None:
    before = len(hub.seen())
    head = request(GATEWAY, method=b"POST", headers=[(b"Transfer-Encoding", b"chunked")])
    answer = await hub.only_answer(head + CHUNKS[what] + SMUGGLED)
    assert (answer.status, answer.value(b"connection")) == (400, b"close")
    assert code(answer) == "invalid_request"
    for call in hub.seen()[before:]:  # the head may have been sent on: the upstream sees its body break off
        assert call.target == "/fine/x"
        async with asyncio.timeout(PATIENCE):
            while not call.closed.is_set():
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("what", CHUNKS)
async def test_chunks_that_are_none_are_refused_on_own_paths(hub: Hub, what: str) -> None:
    framing = [(b"Transfer-Encoding", b"chunked"), (b"Content-Type", b"application/x-www-form-urlencoded")]
    answer = await hub.only_answer(request(b"/auth/token", method=b"POST", headers=framing) + CHUNKS[what] + SMUGGLED)
    assert (answer.status, code(answer)) == (400, "invalid_request")


@pytest.mark.parametrize("path", [OWN, GATEWAY])
async def test_what_is_refused_does_not_lose_the_answers_before_it(hub: Hub, path: bytes) -> None:
    client = await hub.connect()
    await client.send(request(path) + request(GATEWAY) + b"GET /x HTTP/1.1\r\nHost : a\r\n\r\n" + SMUGGLED)
    assert [(await client.answer()).status for _ in range(3)] == [200, 200, 400]
    assert await client.rest() == b""
    await client.close()


@pytest.mark.parametrize("path", [OWN, GATEWAY])
@pytest.mark.parametrize(
    "data",
    [
        b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\r\n\r\nGET %b HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET %b HTTP/1.1\r\nhOST:a\r\n\r\n",
        b"GET %b HTTP/1.1\r\nHost: \ta\r\n\r\n",
        b"GET %b HTTP/1.1\r\nHost: a\r\nX:\r\n\r\n",
        b"GET %b HTTP/1.1\r\nHost: a\r\nX: \xe4\t!\r\n\r\n",
        b"GET %b HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        b"GET %b HTTP/1.1\r\nHost: a:8080\r\n\r\n",
        b"GET %b HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n",
        b"GET  %b?a= HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
async def test_what_is_unusual_but_right_is_served(hub: Hub, path: bytes, data: bytes) -> None:
    assert (await hub.exchange(data.replace(b"%b", path))).status == 200


# -- targets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "user@127.0.0.1:{port}", "127.0.0.1:{port}\\@hub.test"])
async def test_a_whole_address_leads_nowhere_else(hub: Hub, host: str) -> None:
    strangers: list[bytes] = []

    async def stranger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        strangers.append(await reader.read(100))
        writer.close()

    server = await asyncio.start_server(stranger, "127.0.0.1", 0)
    place = host.format(port=server.sockets[0].getsockname()[1]).encode()
    before = len(hub.seen())
    answer = await hub.exchange(request(b"http://%b/fine/y?a=b" % place))
    server.close()
    if b"\\" not in place:
        assert (answer.status, answer.body) == (200, b"fine\n")
        (call,) = hub.seen()[before:]
        assert call.target == "/fine/y?a=b"
        assert call.header("host") == hub.raw.url.removeprefix("http://")
    assert answer.status in {200, 400}
    assert strangers == []


async def test_a_whole_address_does_not_choose_the_upstream(hub: Hub) -> None:
    before = len(hub.seen())
    answer = await hub.exchange(request(b"http://shop.test/fine/z", host=b"hub.test"))
    assert (answer.status, answer.body) == (200, b"fine\n")
    assert [call.target for call in hub.seen()[before:]] == ["/fine/z"]


@pytest.mark.parametrize("target", [b"http://hub.test/healthz", b"http://other.test/healthz"])
async def test_a_whole_address_may_name_an_own_path(hub: Hub, target: bytes) -> None:
    before = len(hub.seen())
    assert (await hub.exchange(request(target))).status == 200
    assert len(hub.seen()) == before


@pytest.mark.parametrize("target", [b"//other.test/fine", b"/fine/http://other.test/", b"/fine/%2e%2e/%2e%2e/x"])
async def test_a_path_that_looks_like_more_stays_a_path(hub: Hub, target: bytes) -> None:
    before = len(hub.seen())
    await hub.exchange(request(target))
    (call,) = hub.seen()[before:]
    assert call.target.startswith("/")
    assert ".." not in call.target
    assert call.header("host") == hub.raw.url.removeprefix("http://")


async def test_an_asterisk_asks_no_resource(hub: Hub) -> None:
    before = len(hub.seen())
    assert (await hub.exchange(request(b"*", method=b"OPTIONS"))).status == 404
    assert len(hub.seen()) == before
