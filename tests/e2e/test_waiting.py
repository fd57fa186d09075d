"""A server that is told to end lets nobody wait: streams and long polls end when the drain begins."""

import asyncio
import signal
import time
from pathlib import Path

from tests.support.hub import Client, request
from tests.support.processes import ask, python_server, until

CLIENTS = 20
DRAIN_TIMEOUT = 30.0
"""What the server would wait for streams that do not end by themselves."""


async def test_streams_and_long_polls_end_at_once_when_the_server_is_told_to_end(tmp_path: Path) -> None:
    variables = {
        "SIGNALBOX_DATA_DIR": str(tmp_path / "data"),
        "SIGNALBOX_DRAIN_TIMEOUT": str(DRAIN_TIMEOUT),
    }
    with python_server("tests.support.waiting_hub", folder=tmp_path, **variables) as server:
        await asyncio.to_thread(until, server.serves)
        port = int(server.url.rpartition(":")[2])
        readers = [await Client.connect(port) for _ in range(CLIENTS)]
        for number, reader in enumerate(readers):
            await reader.send(request(b"/api/test/change" if number % 2 else b"/api/test/stream"))
        await asyncio.to_thread(until, lambda: ask(f"{server.url}/api/test/waiting").json == CLIENTS)
        told = time.monotonic()
        server.send(signal.SIGTERM)
        polled = await asyncio.gather(*(reader.answer() for reader in readers[1::2]))
        streamed = await asyncio.gather(*(reader.rest() for reader in readers[::2]))
        assert await asyncio.to_thread(server.wait) == 0
        assert time.monotonic() - told < DRAIN_TIMEOUT / 2
        assert {(answer.status, answer.body) for answer in polled} == {(200, b"{}")}
        assert all(b"come back with Last-Event-ID" in each and each.endswith(b"0\r\n\r\n") for each in streamed)
        for reader in readers:
            await reader.close()
        assert not server.logged("a request failed")
