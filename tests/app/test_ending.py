"""How a connection ends at the socket, once its answer is complete."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest

from signalbox.app import ending
from signalbox.app.ending import linger, not_taken, refusal
from signalbox.app.server import listen
from tests.support.hub import Client
from tests.support.timing import PATIENCE


class Server(asyncio.Protocol):
    """The server's end of one connection."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.made = asyncio.Event()
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.made.set()

    def linger(self) -> None:
        linger(self.transport, lambda _: self.lost.set())


@asynccontextmanager
async def connection() -> AsyncIterator[tuple[Client, Server]]:
    end, listener = Server(), listen("127.0.0.1", 0)
    server = await asyncio.get_running_loop().create_server(lambda: end, sock=listener)
    client = await Client.connect(listener.getsockname()[1])
    await end.made.wait()
    try:
        yield client, end
    finally:
        await client.close()
        server.close()
        end.transport.abort()


async def fill(client: Client, *, times: int, piece: bytes, pause: float = 0.0) -> None:
    for _ in range(times):
        await client.send(piece)
        await asyncio.sleep(pause)


async def test_the_last_answer_arrives_though_the_client_goes_on_sending() -> None:
    async with connection() as (client, end):
        end.transport.write(b"answer")
        end.linger()
        assert await client.rest() == b"answer"
        for _ in range(10):
            await client.send(b"x" * 1_000_000)
        assert not end.transport.is_closing()
        await client.close()
        await asyncio.wait_for(end.lost.wait(), PATIENCE)


async def test_a_client_that_sends_nothing_and_stays_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "LINGER", 0.1)
    async with connection() as (_, end):
        end.linger()
        await asyncio.wait_for(end.lost.wait(), PATIENCE)


async def test_a_client_that_never_ends_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "LINGER", 0.05)
    async with connection() as (client, end):
        end.linger()
        with pytest.raises(ConnectionError):
            await fill(client, times=200, piece=b"x", pause=0.01)
        assert end.lost.is_set()


async def test_a_client_may_not_send_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "MAX_UNWANTED", 1_000_000)
    async with connection() as (client, end):
        end.linger()
        with pytest.raises(ConnectionError):
            await fill(client, times=100, piece=b"x" * 1_000_000)
        await asyncio.wait_for(end.lost.wait(), PATIENCE)


async def test_what_a_client_has_not_taken_is_known_with_what_the_kernel_holds() -> None:
    async with connection() as (client, end):
        assert not_taken(end.transport) == 0
        client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        end.transport.write(b"x" * 20_000_000)
        await asyncio.sleep(0.2)
        before = not_taken(end.transport)
        assert end.transport.get_write_buffer_size() <= before < 20_000_000
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        await client.reader.readexactly(10_000_000)
        assert not_taken(end.transport) < before
        await client.reader.readexactly(10_000_000)
        assert not_taken(end.transport) == 0


def test_a_refusal_is_a_whole_answer_with_problem_details() -> None:
    head, _, body = refusal(431, "head_too_large", "the head is too large", now=1_767_225_600.0).partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 431 Request Header Fields Too Large"
    assert b"date: Thu, 01 Jan 2026 00:00:00 GMT" in lines
    assert b"connection: close" in lines
    assert b"content-length: %d" % len(body) in lines
    assert json.loads(body) == {
        "type": "about:blank",
        "title": "Request Header Fields Too Large",
        "status": 431,
        "detail": "the head is too large",
        "code": "head_too_large",
    }
