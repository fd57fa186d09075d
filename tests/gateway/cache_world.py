"""The cache of an upstream between a real HTTP client and a real server that answers by script."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from signalbox.gateway.cache import CacheCounts, GatewayCache
from signalbox.gateway.cache_ask import Ask
from signalbox.gateway.cache_control import Header, by_name
from signalbox.gateway.cache_entry import Record, RecordCodec
from signalbox.gateway.cache_rules import CacheSettings
from signalbox.gateway.errors import UpstreamFailedError
from signalbox.infra.cache import Cache
from signalbox.infra.cache.memory import MemoryCache
from signalbox.infra.clock.manual import ManualClock
from signalbox.infra.http import HttpClientError, Request, Response, parse_origin
from signalbox.infra.http.pool import PooledClient
from tests.support.caches import redis_cache

MINUTE = "max-age=60"


class Seen(NamedTuple):
    method: str
    target: str
    headers: dict[str, str]


def reply(body: bytes = b"", *, status: int = 200, control: str | None = MINUTE, **more: str) -> bytes:
    """An answer as sent; of a header's name ``_`` becomes ``-``."""
    headers = {} if control is None else {"cache-control": control}
    headers |= {name.replace("_", "-"): value for name, value in more.items()}
    if status not in {204, 304}:
        headers.setdefault("content-length", str(len(body)))
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


Script = Callable[[Seen], bytes | list[bytes]]


class Server:
    """An upstream. ``script`` gives the answer to each request, in one piece or several, of which each but the first
    waits for ``step``; none at all breaks the connection. While ``open`` is clear all answers wait."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.script: Script = lambda _: reply(b"hello")
        self.open = asyncio.Event()
        self.open.set()
        self.step = asyncio.Semaphore(0)
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                seen = await self._read(reader)
                self.seen.append(seen)
                await self.open.wait()
                answer = self.script(seen)
                for number, piece in enumerate([answer] if isinstance(answer, bytes) else answer):
                    if number:
                        await self.step.acquire()
                    if not piece:
                        return
                    writer.write(piece.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if seen.method == "HEAD" else piece)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> Seen:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip("\r\n").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        await reader.readexactly(int(headers.get("content-length", "0")))
        method, target, _ = first.split(" ", 2)
        return Seen(method, target, headers)


class Got(NamedTuple):
    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def how(self) -> str:
        """What ``Cache-Status`` says of this cache."""
        return self.headers["cache-status"].removeprefix("signalbox; ")


class World:
    """A server, and caches before it that share a store."""

    def __init__(self, server: Server, client: PooledClient, store: Cache[Record], clock: ManualClock) -> None:
        self.server, self.client, self.store, self.clock = server, client, store, clock
        self.caches: list[GatewayCache] = []
        self.cache = self.make()

    def make(self, name: str = "shop", **settings: Any) -> GatewayCache:
        self.cache = GatewayCache(
            CacheSettings(enabled=True, **settings),
            upstream=name,
            urls=[self.server.url],
            store=self.store,
            clock=self.clock,
        )
        self.caches.append(self.cache)
        return self.cache

    async def start(
        self, target: str = "/a", *, method: str = "GET", host: str = "hub.test", headers: dict[str, str] | None = None
    ) -> Response:
        """The answer, still to be read."""
        sent = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
        ask = Ask(method.encode(), target.encode(), origin=f"http://{host}".encode(), headers=sent)
        origin, _ = parse_origin(self.server.url)

        async def fetch(headers: list[Header]) -> Response:
            try:
                return await self.client.send(Request(origin, ask.method, ask.target, headers))
            except HttpClientError as error:
                raise UpstreamFailedError(str(error)) from error

        cache = self.cache
        return await cache.lookup(ask) or await cache.forward(ask, fetch, refetch=fetch)

    async def call(self, target: str = "/a", **more: Any) -> Got:
        response = await self.start(target, **more)
        try:
            return await received(response)
        finally:
            response.close()

    async def calls(self, count: int, target: str = "/a", **more: Any) -> list[Got]:
        return list(await asyncio.gather(*(self.call(target, **more) for _ in range(count))))

    @property
    def asked(self) -> int:
        """How often the server was asked."""
        return len(self.server.seen)

    @property
    def counts(self) -> CacheCounts:
        return self.cache.counts

    @property
    def is_idle(self) -> bool:
        return not self.cache._flights and not len(self.cache._fills) and not self.cache._refreshes


async def received(response: Response) -> Got:
    body = response.whole()
    if body is None:
        body = b""
        while piece := await response.read():
            body += piece
    headers = {
        name.decode(): b", ".join(values).decode("latin-1") for name, values in by_name(response.headers).items()
    }
    return Got(response.status, body, headers)


@asynccontextmanager
async def caching(store: Cache[Record], clock: ManualClock) -> AsyncIterator[World]:
    """A world whose cache keeps answers in ``store``; in the end nothing may be left under way."""
    upstream = Server()
    server = await asyncio.start_server(upstream.serve, "127.0.0.1")
    upstream.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    client = PooledClient()
    made = World(upstream, client, store, clock)
    try:
        yield made
        assert made.is_idle
    finally:
        upstream.open.set()
        for cache in made.caches:
            await cache.close()
        await client.close()
        server.close()


@asynccontextmanager
async def caching_in(kind: str, clock: ManualClock) -> AsyncIterator[World]:
    """The same, in a store of that kind."""
    if kind == "memory":
        async with caching(MemoryCache(RecordCodec(), clock=clock), clock) as made:
            yield made
        return
    async with redis_cache(RecordCodec(), clock) as redis, caching(redis, clock) as made:
        yield made


def chunked(*pieces: bytes, control: str = MINUTE, end: bool = True) -> bytes:
    head = f"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\ncache-control: {control}\r\n\r\n".encode()
    return head + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + (b"0\r\n\r\n" if end else b"")


def in_steps(*pieces: bytes, control: str = MINUTE) -> list[bytes]:
    """A chunked answer whose pieces wait to be released."""
    return [
        chunked(pieces[0], control=control, end=False),
        *(b"%x\r\n%b\r\n" % (len(each), each) for each in pieces[1:]),
        b"0\r\n\r\n",
    ]


def versioned(version: list[str]) -> Script:
    """Answers with 304 where the client has the current version."""

    def script(seen: Seen) -> bytes:
        tag = f'"{version[0]}"'
        if tag in seen.headers.get("if-none-match", ""):
            return reply(status=304, etag=tag, x_new="yes")
        return reply(version[0].encode(), etag=tag, content_type="a/b")

    return script


def by_language(seen: Seen) -> bytes:
    return reply(seen.headers.get("accept-language", "none").encode(), vary="accept-language")
