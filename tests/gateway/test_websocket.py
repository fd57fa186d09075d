"""WebSocket through the gateway, with a client and servers that are not ours (the library ``websockets``)."""

import asyncio
import struct
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Request as Handshake
from websockets.http11 import Response as Refusal

from tests.gateway.conftest import World, recorded
from tests.support.hub import RunningHub, request
from tests.support.timing import PATIENCE, settled, until

Handler = Callable[[ServerConnection], Awaitable[None]]

MEBIBYTE = 1024 * 1024
HELD = 16 * MEBIBYTE
"""What the kernel and the libraries may hold on the way, with room to spare."""

ASK = [
    (b"Connection", b"Upgrade"),
    (b"Upgrade", b"websocket"),
    (b"Sec-WebSocket-Version", b"13"),
    (b"Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
]
"""The handshake of RFC 6455, 1.3."""


async def echo(chat: ServerConnection) -> None:
    async for message in chat:
        await chat.send(message)


class Chat:
    """An upstream that speaks WebSocket, and what it has seen."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.url = ""
        self.connections: list[ServerConnection] = []
        self.ended = asyncio.Event()
        """Set when a connection's handler has ended."""

    async def serve(self, chat: ServerConnection) -> None:
        self.connections.append(chat)
        try:
            await self._handler(chat)
        except ConnectionClosed:
            pass
        finally:
            self.ended.set()


@asynccontextmanager
async def chatting(handler: Handler = echo, **options: Any) -> AsyncIterator[Chat]:
    chat = Chat(handler)
    async with serve(chat.serve, "127.0.0.1", 0, max_size=None, close_timeout=10, **options) as server:
        port = server.sockets[0].getsockname()[1]
        chat.url = f"{'https' if 'ssl' in options else 'http'}://127.0.0.1:{port}"
        yield chat


def chat_with(hub: RunningHub, path: str = "/chat", **options: Any) -> connect:
    return connect(f"ws://127.0.0.1:{hub.port}{path}", max_size=None, proxy=None, close_timeout=10, **options)


async def hub_before(world: World, chat: Chat, **more: Any) -> RunningHub:
    return await world.hub({"name": "chat", "prefix": "/", "url": chat.url, **more})


async def soon(chat: ClientConnection) -> Any:
    """The next message."""
    return await asyncio.wait_for(chat.recv(), PATIENCE)


async def close_code(chat: ClientConnection) -> int | None:
    """The code with which the connection ends."""
    await asyncio.wait_for(chat.wait_closed(), PATIENCE)
    return chat.close_code


async def refused(hub: RunningHub, **options: Any) -> Refusal:
    """The answer to a handshake that fails."""
    with pytest.raises(InvalidStatus) as caught:
        async with chat_with(hub, **options):
            pass
    return caught.value.response


def frame(text: bytes, *, opcode: int = 1) -> bytes:
    """A masked frame, as clients send them (RFC 6455, 5.2)."""
    mask = b"\x01\x02\x03\x04"
    masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(text))
    return struct.pack("!BB", 0x80 | opcode, 0x80 | len(text)) + mask + masked


# -- messages ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", [None, "deflate"])
async def test_messages_of_every_kind_pass_both_ways(world: World, compression: str | None) -> None:
    async with chatting(compression=compression) as chat:
        hub = await hub_before(world, chat)
        async with chat_with(hub, compression=compression) as client:
            assert bool(client.protocol.extensions) == (compression is not None)
            for message in ("text \N{SNOWMAN}", b"\0binary\xff", "", b"", "x" * MEBIBYTE, bytes(range(256)) * 4_096):
                await client.send(message)
                assert await soon(client) == message


async def test_fragments_stay_fragments(world: World) -> None:
    parts: list[list[str]] = []

    async def collect(chat: ServerConnection) -> None:
        parts.append([part async for part in chat.recv_streaming(decode=True)])
        await chat.send(["one ", "two ", "three"])

    async with chatting(collect) as chat:
        hub = await hub_before(world, chat)
        async with chat_with(hub, compression=None) as client:
            await client.send(["a", "b", "c"])
            received = [part async for part in client.recv_streaming(decode=True)]
    assert [[part for part in each if part] for each in (parts[0], received)] == [
        ["a", "b", "c"],
        ["one ", "two ", "three"],
    ]


async def test_pings_are_answered_by_the_other_end(world: World) -> None:
    pong: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    async def ping(chat: ServerConnection) -> None:
        pong.set_result(await (await chat.ping(b"from the server")))
        await echo(chat)

    async with chatting(ping, ping_interval=None) as chat:
        hub = await hub_before(world, chat)
        async with chat_with(hub, ping_interval=None) as client:
            assert await asyncio.wait_for(await client.ping(b"from the client"), PATIENCE) >= 0
            assert await asyncio.wait_for(pong, PATIENCE) >= 0


async def test_what_comes_right_behind_the_handshake_is_not_lost(world: World) -> None:
    async def greet(chat: ServerConnection) -> None:
        await chat.send("welcome")
        await echo(chat)

    async with chatting(greet, compression=None) as chat:
        hub = await hub_before(world, chat)
        async with hub.client() as client:
            await client.send(request(b"/chat", headers=ASK) + frame(b"early") + frame(b"earlier"))
            await client.reader.readuntil(b"\r\n\r\n")
            expected = b"\x81\x07welcome\x81\x05early\x81\x07earlier"
            assert await asyncio.wait_for(client.reader.readexactly(len(expected)), PATIENCE) == expected


# -- the handshake ----------------------------------------------------------------------------------------------------


async def test_the_handshake_passes_and_the_way_is_told(world: World) -> None:
    async with chatting(subprotocols=["v2.chat", "v1.chat"]) as chat:
        hub = await hub_before(world, chat)
        more = {"Origin": "https://shop.example", "X-Own": "a", "Cookie": "b=c"}
        async with chat_with(hub, "/chat/room?x=1", subprotocols=["v1.chat"], additional_headers=more) as client:
            assert client.subprotocol == "v1.chat"
            answered = client.response
        seen = chat.connections[0].request
    assert seen is not None
    assert answered is not None
    assert seen.path == "/chat/room?x=1"
    for name, value in more.items():
        assert seen.headers.get_all(name) == [value]
    for name in ("Sec-WebSocket-Key", "Sec-WebSocket-Version", "Upgrade", "Connection", "Via", "X-Forwarded-For"):
        assert len(seen.headers.get_all(name)) == 1, name
    for name in ("Sec-WebSocket-Accept", "Upgrade", "Connection", "Via", "X-Request-ID"):
        assert len(answered.headers.get_all(name)) == 1, name


async def test_an_answer_that_changes_the_protocol_has_no_length(world: World) -> None:
    async def add_length(_chat: ServerConnection, _asked: Handshake, answer: Refusal) -> None:
        answer.headers["Content-Length"] = "0"

    async with chatting(process_response=add_length) as chat:
        hub = await hub_before(world, chat)
        async with hub.client() as client:
            await client.send(request(b"/chat", headers=ASK))
            head = (await client.reader.readuntil(b"\r\n\r\n")).lower()
    assert head.startswith(b"http/1.1 101 switching protocols\r\n")
    assert b"sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=" in head
    assert b"content-length" not in head
    assert b"transfer-encoding" not in head


async def test_an_upstream_may_refuse(world: World) -> None:
    def refuse(chat: ServerConnection, _asked: Handshake) -> Refusal:
        return chat.respond(HTTPStatus.FORBIDDEN, "members only\n")

    async with chatting(process_request=refuse) as chat:
        hub = await hub_before(world, chat)
        answer = await refused(hub)
        assert (answer.status_code, answer.body) == (403, b"members only\n")
    (call,) = await recorded(hub)
    assert (call.status_code, call.response_bytes) == (403, 13)


async def test_an_upstream_that_is_down_is_502(world: World) -> None:
    hub = await world.hub({"name": "chat", "prefix": "/", "url": world.raw.refused_url})
    answer = await refused(hub)
    assert answer.status_code == 502
    assert b'"code": "upstream_failed"' in (answer.body or b"")
    assert [call.status_code for call in await recorded(hub)] == [502]


async def test_limits_count_handshakes(world: World) -> None:
    async with chatting() as chat:
        hub = await hub_before(world, chat, limits=[{"by": "ip", "rate": "1/1h"}])
        async with chat_with(hub) as client:
            await client.send("a")
            assert await soon(client) == "a"
            answer = await refused(hub)
            assert answer.status_code == 429
            assert answer.headers["Retry-After"]
    assert len(chat.connections) == 1


async def test_tokens_guard_handshakes_and_stay_with_the_hub(world: World) -> None:
    async with chatting() as chat:
        hub = await hub_before(world, chat, access="token")
        assert (await refused(hub)).status_code == 401
        wrong = await hub.token("statistics:read")
        assert (await refused(hub, additional_headers={"Token": wrong.text})).status_code == 403
        token = await hub.token("gateway")
        async with chat_with(hub, additional_headers={"Token": token.text}) as client:
            await client.send("a")
            assert await soon(client) == "a"
        seen = chat.connections[0].request
        assert seen is not None
        assert "Token" not in seen.headers
    assert [(call.status_code, call.app) for call in await recorded(hub, 3)] == [
        (401, None),
        (403, "shop"),
        (101, "shop"),
    ]


async def test_the_hub_s_own_paths_answer_as_ever(world: World) -> None:
    async with chatting() as chat:
        hub = await hub_before(world, chat)
        answer = await hub.ask(b"/healthz", headers=ASK)
        assert (answer.status, answer.whole) == (200, True)
        assert (await hub.ask(b"/auth/me", headers=ASK)).status == 401
    assert chat.connections == []


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-out", certificate, "-keyout", key], check=True, capture_output=True)
    return certificate, key


async def test_tls_upstreams_take_websocket_too(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = SSLContext(PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    async with chatting(ssl=context) as chat:
        hub = await hub_before(world, chat)
        async with chat_with(hub) as client:
            for message in ("a", "x" * MEBIBYTE):
                await client.send(message)
                assert await soon(client) == message
            client.transport.abort()
            await asyncio.wait_for(chat.ended.wait(), PATIENCE)


# -- ends -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [1000, 1001, 1011, 4000])
async def test_close_codes_of_the_client_reach_the_upstream(world: World, code: int) -> None:
    async with chatting() as chat:
        hub = await hub_before(world, chat)
        async with chat_with(hub) as client:
            await client.close(code, "as agreed")
            assert await close_code(client) == code
        await asyncio.wait_for(chat.ended.wait(), PATIENCE)
        assert (chat.connections[0].close_code, chat.connections[0].close_reason) == (code, "as agreed")


@pytest.mark.parametrize("code", [1000, 1001, 1011, 4000])
async def test_close_codes_of_the_upstream_reach_the_client(world: World, code: int) -> None:
    async def close(chat: ServerConnection) -> None:
        await chat.send("last words")
        await chat.close(code, "as agreed")

    async with chatting(close) as chat:
        hub = await hub_before(world, chat)
        async with chat_with(hub) as client:
            assert await soon(client) == "last words"
            assert (await close_code(client), client.close_reason) == (code, "as agreed")


async def test_an_upstream_that_dies_ends_the_client(world: World) -> None:
    async def die(chat: ServerConnection) -> None:
        await chat.recv()
        chat.transport.abort()

    async with chatting(die) as chat:
        hub = await hub_before(world, chat)
        async with chat_with(hub) as client:
            await client.send("now")
            assert await close_code(client) == 1006


@pytest.mark.parametrize("busy", [False, True], ids=["quiet", "in full flow"])
async def test_a_client_that_dies_ends_the_upstream(world: World, busy: bool) -> None:
    async def talk(chat: ServerConnection) -> None:
        while True:
            await (chat.send("x" * 10_000) if busy else chat.recv())
            await asyncio.sleep(0)  # all who take part share one loop

    async with chatting(talk) as chat:
        hub = await hub_before(world, chat)
        async with chat_with(hub) as client:
            await until(lambda: chat.connections)
            client.transport.abort()
            await asyncio.wait_for(chat.ended.wait(), PATIENCE)
            assert chat.connections[0].close_code in {1006, None}


async def test_a_client_that_dies_during_the_handshake_ends_it(world: World) -> None:
    asked, ended = asyncio.Event(), asyncio.Event()

    async def wait(_chat: ServerConnection, _asked: Handshake) -> None:
        asked.set()
        try:
            await asyncio.sleep(PATIENCE)
        finally:
            ended.set()

    async with chatting(process_request=wait, open_timeout=1) as chat:
        hub = await hub_before(world, chat)
        async with hub.client() as client:
            await client.send(request(b"/chat", headers=ASK))
            await asked.wait()
            client.abort()
            assert [call.status_code for call in await recorded(hub)] == [499]
        await ended.wait()


def served() -> int:
    """How many requests are under way on all servers of this process that are ours."""
    return sum("Cycle._run" in repr(task.get_coro()) for task in asyncio.all_tasks())


async def test_many_that_come_and_go_leave_nothing_behind(world: World) -> None:
    async with chatting() as chat:
        hub = await hub_before(world, chat)
        clients = await asyncio.gather(*(chat_with(hub) for _ in range(30)))
        assert served() == 30
        for number, client in enumerate(clients):
            if number % 3 == 0:
                client.transport.abort()
            elif number % 3 == 1:
                await client.close()
            else:
                chat.connections[number].transport.abort()
        async with asyncio.timeout(PATIENCE):
            for client in clients:
                await client.wait_closed()
        assert [call.status_code for call in await recorded(hub, 30)] == [101] * 30
        assert hub.hub.gateway is not None
        assert hub.hub.gateway.proxy.waiting.watches == set()
        await until(lambda: served() == 0)


# -- flow and record --------------------------------------------------------------------------------------------------


async def test_a_client_that_does_not_read_stops_the_upstream(world: World) -> None:
    sent, piece = 0, b"x" * 100_000

    async def flood(chat: ServerConnection) -> None:
        nonlocal sent
        for _ in range(3 * HELD // len(piece)):
            await chat.send(piece)
            sent += len(piece)

    async with chatting(flood, compression=None, ping_interval=None) as chat:
        hub = await hub_before(world, chat)
        async with chat_with(hub, compression=None, ping_interval=None, max_queue=1) as client:
            assert 0 < await settled(lambda: sent) < HELD
            received = 0
            async for message in client:
                received += len(message)
            assert received == sent == 3 * HELD // len(piece) * len(piece)


async def test_an_upstream_that_does_not_read_stops_the_client(world: World) -> None:
    go_on = asyncio.Event()
    received, sent, piece = 0, 0, b"x" * 100_000

    async def dawdle(chat: ServerConnection) -> None:
        nonlocal received
        await go_on.wait()
        async for message in chat:
            received += len(message)

    async def flood(client: ClientConnection) -> None:
        nonlocal sent
        for _ in range(3 * HELD // len(piece)):
            await client.send(piece)
            sent += len(piece)

    async with chatting(dawdle, compression=None, ping_interval=None, max_queue=1) as chat:
        hub = await hub_before(world, chat)
        async with chat_with(hub, compression=None, ping_interval=None) as client:
            sending = asyncio.create_task(flood(client))
            assert 0 < await settled(lambda: sent) < HELD
            go_on.set()
            await asyncio.wait_for(sending, PATIENCE)
            await client.close()
        await asyncio.wait_for(chat.ended.wait(), PATIENCE)
        assert received == sent


async def test_the_call_is_recorded_with_its_handshake_s_time_and_all_its_bytes(world: World) -> None:
    async def wait(_chat: ServerConnection, _asked: Handshake) -> None:
        await asyncio.sleep(0.2)

    async with chatting(process_request=wait, compression=None) as chat:
        hub = await hub_before(world, chat)
        asked = time.perf_counter()
        async with chat_with(hub, compression=None) as client:
            handshake = time.perf_counter() - asked
            await client.send("x" * 1_000)
            assert len(await soon(client)) == 1_000
            await asyncio.sleep(0.1)
            await client.close()
        (call,) = await recorded(hub)
    assert (call.status_code, call.upstream, call.path, call.method) == (101, "chat", "/chat", "GET")
    assert 0.2 <= call.seconds <= handshake
    assert 1_000 + 8 + 8 <= call.request_bytes < 1_100  # a frame's head and mask each for message and close
    assert 1_000 + 4 + 4 <= call.response_bytes < 1_100


async def test_a_connection_that_is_cut_at_the_end_of_the_hub_stays_a_handshake_that_was_answered(world: World) -> None:
    async with chatting() as chat:
        hub = await hub_before(world, chat)
        async with chat_with(hub) as client:
            await client.send("hi")
            await soon(client)
            for task in asyncio.all_tasks():  # as the server does with what is left when it has waited long enough
                if getattr(task.get_coro(), "__qualname__", "") == "Cycle._run":
                    task.cancel()
            await asyncio.wait_for(chat.ended.wait(), PATIENCE)
        (call,) = await recorded(hub)
    assert call.status_code == 101
