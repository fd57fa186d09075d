import asyncio
import time

import pytest

from signalbox.sandbox.rawserver import RawUpstream
from tests.sandbox.conftest import Fetch
from tests.support.timing import until


async def test_an_unknown_segment_is_fine(fetch: Fetch) -> None:
    async with RawUpstream() as upstream:
        answer = await fetch(upstream.url + "/categories/MLA1?x=1")
    assert (answer.status, answer.body) == (200, b"fine\n")
    assert upstream.calls[0].target == "/categories/MLA1?x=1"


async def test_a_refused_address_stays_refused() -> None:
    async with RawUpstream() as upstream:
        port = int(upstream.refused_url.rpartition(":")[2])
        for _ in range(3):
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)


async def test_nonsense_ends_only_its_connection(fetch: Fetch) -> None:
    async with RawUpstream() as upstream:
        port = int(upstream.url.rpartition(":")[2])
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        assert (await fetch(upstream.url + "/")).status == 200
    assert upstream.connections == 2


async def test_the_end_does_not_wait_for_open_connections() -> None:
    async with RawUpstream() as upstream:
        port = int(upstream.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /never HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: upstream.calls)
        started = time.perf_counter()
    assert time.perf_counter() - started < 10
    assert await reader.read() == b""
    assert upstream.calls[0].closed.is_set()
    writer.close()
