import asyncio
import gzip
import hashlib
import json
import resource
import time

import pytest

from signalbox.sandbox.behaviours import GZIPPED, PATTERN
from signalbox.sandbox.server import LoopbackServer
from signalbox.sandbox.upstream import UpstreamApp
from tests.sandbox.conftest import Fetch, RawExchange


@pytest.mark.parametrize(("code", "answered"), [(200, 200), (204, 204), (304, 304), (418, 418), (599, 599), (99, 200)])
async def test_status(fetch: Fetch, code: int, answered: int) -> None:
    async with LoopbackServer(UpstreamApp()) as server:
        assert (await fetch(f"{server.url}/status/{code}")).status == answered


async def test_delay(fetch: Fetch) -> None:
    async with LoopbackServer(UpstreamApp()) as server:
        started = time.perf_counter()
        assert (await fetch(server.url + "/delay/200")).status == 200
        assert time.perf_counter() - started >= 0.2


@pytest.mark.parametrize("size", [0, 1, len(PATTERN) - 1, len(PATTERN), len(PATTERN) + 1, 1_000_000])
async def test_bytes(fetch: Fetch, size: int) -> None:
    app = UpstreamApp()
    async with LoopbackServer(app) as server:
        answer = await fetch(f"{server.url}/bytes/{size}")
    assert answer.values("content-length") == [str(size)]
    assert answer.body == (PATTERN * (size // len(PATTERN) + 1))[:size]
    assert app.tally.bytes_sent == size


async def test_bytes_wait_for_a_slow_reader() -> None:
    app = UpstreamApp()
    async with LoopbackServer(app) as server:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /bytes/1000000000 HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readexactly(1000)
        await asyncio.sleep(0.3)
        assert app.tally.bytes_sent < 50_000_000
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000
        writer.close()


async def test_stream(fetch: Fetch) -> None:
    async with LoopbackServer(UpstreamApp()) as server:
        answer = await fetch(server.url + "/stream/3")
    assert answer.body == b"chunk 0\nchunk 1\nchunk 2\n"
    assert answer.values("transfer-encoding") == ["chunked"]


async def test_stream_with_pauses(fetch: Fetch) -> None:
    async with LoopbackServer(UpstreamApp()) as server:
        started = time.perf_counter()
        assert (await fetch(server.url + "/stream/4/50")).body.count(b"\n") == 4
        assert time.perf_counter() - started >= 0.2


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_echo(fetch: Fetch, method: str) -> None:
    body = b"x" * 300_000
    async with LoopbackServer(UpstreamApp()) as server:
        answer = await fetch(server.url + "/anything/a%2Fb//c?q=1&q=2+3", method, body)
    echoed = json.loads(answer.body)
    assert (echoed["method"], echoed["raw_path"], echoed["query_string"]) == (method, "/anything/a%2Fb//c", "q=1&q=2+3")
    assert (echoed["body_length"], echoed["body_sha256"]) == (len(body), hashlib.sha256(body).hexdigest())
    assert ["content-length", "300000"] in echoed["headers"]


async def test_echo_keeps_repeated_headers_in_order(exchange: RawExchange) -> None:
    async with LoopbackServer(UpstreamApp()) as server:
        head = b"GET /echo HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nX-B: 2\r\nX-A: 3\r\nConnection: close\r\n\r\n"
        answer = await exchange(server.url, head)
    headers = json.loads(answer.partition(b"\r\n\r\n")[2])["headers"]
    assert headers[1:4] == [["x-a", "1"], ["x-b", "2"], ["x-a", "3"]]


async def test_cookies_redirect_gzip(fetch: Fetch) -> None:
    async with LoopbackServer(UpstreamApp()) as server:
        cookies = await fetch(server.url + "/cookies")
        redirect = await fetch(server.url + "/redirect")
        packed = await fetch(server.url + "/gzip")
    assert len(cookies.values("set-cookie")) == 2
    assert (redirect.status, redirect.values("location")) == (302, ["/categories/MLA1"])
    assert packed.body == GZIPPED
    assert packed.values("content-encoding") == ["gzip"]
    assert json.loads(gzip.decompress(packed.body))["gzipped"] is True
