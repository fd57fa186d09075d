"""The cache of an upstream, on each store, between a real HTTP client and a real server that answers by script."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import pytest

from signalbox.core.errors import UnavailableError
from signalbox.core.times import MICROSECONDS
from signalbox.gateway.cache import MAX_REFRESHES, PASS_SECONDS, CacheCounts, GatewayCache, NotCachedError
from signalbox.gateway.cache_ask import Ask
from signalbox.gateway.cache_control import Header, by_name, format_date
from signalbox.gateway.cache_entry import Record, RecordCodec
from signalbox.gateway.cache_rules import CacheSettings
from signalbox.gateway.errors import UpstreamFailedError
from signalbox.infra.cache import Cache
from signalbox.infra.cache.memory import MemoryCache
from signalbox.infra.clock.manual import ManualClock
from signalbox.infra.http import HttpClientError, Request, Response, parse_origin
from signalbox.infra.http.pool import PooledClient
from tests.gateway.conftest import until
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


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest, clock: ManualClock) -> AsyncIterator[Cache[Record]]:
    if request.param == "memory":
        yield MemoryCache(RecordCodec(), clock=clock)
        return
    async with redis_cache(RecordCodec(), clock) as redis:
        yield redis


@pytest.fixture
async def world(store: Cache[Record], clock: ManualClock) -> AsyncIterator[World]:
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


# -- hits


async def test_a_fresh_answer_is_given_without_asking(world: World) -> None:
    world.server.script = lambda _: reply(
        b"hello", etag='"1"', connection="keep-alive, x-hop", x_hop="1", x_end="2", age="5"
    )
    first = await world.call()
    world.clock.advance(10)
    second = await world.call()
    assert world.asked == 1
    assert (first.status, first.body, first.how) == (200, b"hello", "fwd=uri-miss; stored")
    assert (second.status, second.body, second.how) == (200, b"hello", "hit; ttl=45")
    assert second.headers["age"] == "15"
    assert second.headers["etag"] == '"1"'
    assert second.headers["x-end"] == "2"
    assert second.headers["content-length"] == "5"
    assert second.headers["via"] == "1.1 signalbox"
    assert second.headers["date"] == format_date(world.clock.now() - 10 * MICROSECONDS).decode()
    assert {"connection", "x-hop", "x-request-id"}.isdisjoint(second.headers)


async def test_an_answer_is_fresh_for_its_time(world: World) -> None:
    await world.call()
    world.clock.advance(59)
    assert (await world.call()).how == "hit; ttl=1"
    world.clock.advance(1)
    assert (
        (await world.call()).how == "fwd=uri-miss; stored"
        if isinstance(world.store, MemoryCache)
        else "fwd=stale; stored"
    )
    assert world.asked == 2


async def test_age_grows_by_the_second(world: World) -> None:
    await world.call()
    ages = []
    for _ in range(5):
        world.clock.advance(0.5)
        ages.append((await world.call()).headers["age"])
    assert ages == ["0", "1", "1", "2", "2"]


async def test_the_query_is_part_of_the_target(world: World) -> None:
    world.server.script = lambda seen: reply(seen.target.encode())
    for _ in range(2):
        assert [(await world.call(target)).body for target in ("/a", "/a?", "/a?b")] == [b"/a", b"/a?", b"/a?b"]
    assert world.asked == 3


async def test_head_is_answered_from_what_get_has_brought(world: World) -> None:
    await world.call()
    got = await world.call(method="HEAD")
    assert (got.status, got.body, got.headers["content-length"]) == (200, b"", "5")
    assert got.how == "hit; ttl=60"
    assert world.asked == 1


async def test_what_head_brings_is_not_kept(world: World) -> None:
    assert (await world.call(method="HEAD")).how == "fwd=uri-miss"
    assert (await world.call()).body == b"hello"
    assert world.asked == 2


@pytest.mark.parametrize(
    "headers",
    [
        {"range": "bytes=0-1"},
        {"if-match": '"1"'},
        {"if-unmodified-since": "x"},
        {"x-http-method-override": "DELETE"},
        {"x-original-url": "/b"},
    ],
)
async def test_some_requests_pass_by(world: World, headers: dict[str, str]) -> None:
    await world.call()
    assert (await world.call(headers=headers)).how == "fwd=bypass"
    assert world.server.seen[-1].headers.items() >= headers.items()
    assert (await world.call()).how == "hit; ttl=60"


async def test_a_request_with_a_body_passes_by(world: World) -> None:
    await world.call()
    ask = Ask(b"GET", b"/a", origin=b"http://hub.test", headers=[], has_body=True)
    assert await world.cache.lookup(ask) is None
    assert world.counts.hits == 0


async def test_upstreams_share_a_store_and_nothing_else(world: World) -> None:
    await world.call()
    world.make("other")
    assert (await world.call()).how == "fwd=uri-miss; stored"


async def test_an_older_cache_s_word_stands_before_ours(world: World) -> None:
    world.server.script = lambda _: reply(b"x", cache_status="cdn; hit")
    await world.call()
    assert (await world.call()).headers["cache-status"] == "cdn; hit, signalbox; hit; ttl=60"


# -- what is not kept


@pytest.mark.parametrize(
    ("control", "more", "reason"),
    [
        ("no-store", {}, "no-store"),
        ("private, max-age=60", {}, "private"),
        (MINUTE, {"set_cookie": "a=1"}, "set-cookie"),
        (MINUTE, {"vary": "*"}, "vary"),
        (None, {}, "no-freshness"),
    ],
)
async def test_what_may_not_be_kept_passes(
    world: World, control: str | None, more: dict[str, str], reason: str
) -> None:
    world.server.script = lambda _: reply(b"hello", control=control, **more)
    for _ in range(2):
        got = await world.call()
        assert (got.body, got.how) == (b"hello", f"fwd=uri-miss; detail={reason}")
    assert (await world.store.statistics()).refused == 0
    assert world.asked == 2


async def test_what_may_not_be_kept_takes_the_former_with_it(world: World) -> None:
    await world.call()
    world.server.script = lambda _: reply(b"mine", control="private")
    await world.call(headers={"cache-control": "no-cache"})
    assert (await world.call()).body == b"mine"
    assert world.asked == 3


async def test_headers_for_one_client_reach_that_one_only(world: World) -> None:
    world.server.script = lambda _: reply(b"x", control='max-age=60, no-cache="set-cookie"', set_cookie="a=1")
    assert (await world.call()).headers["set-cookie"] == "a=1"
    got = await world.call()
    assert got.how == "hit; ttl=60"
    assert "set-cookie" not in got.headers


async def test_an_answer_that_is_too_large_passes(world: World) -> None:
    world.make(max_body=4)
    for _ in range(2):
        got = await world.call()
        assert (got.body, got.how) == (b"hello", "fwd=uri-miss; detail=too-large")
    assert world.asked == 2


async def test_a_chunked_answer_that_is_too_large_passes(world: World) -> None:
    world.make(max_body=4)
    world.server.script = lambda _: chunked(b"hel", b"lo")
    assert (await world.call()).body == b"hello"
    assert (await world.call()).how == "fwd=uri-miss; detail=too-large"


async def test_an_answer_that_ends_with_its_connection_is_not_kept(world: World) -> None:
    world.server.script = lambda _: [b"HTTP/1.1 200 X\r\ncache-control: max-age=60\r\n\r\nhello", b""]
    world.server.step.release()
    world.server.step.release()
    for _ in range(2):
        got = await world.call()
        assert (got.body, got.how) == (b"hello", "fwd=uri-miss; detail=no-length")


async def test_an_answer_without_a_body_is_kept(world: World) -> None:
    world.server.script = lambda _: reply(status=204)
    await world.call()
    got = await world.call()
    assert (got.status, got.how) == (204, "hit; ttl=60")
    assert "content-length" not in got.headers


# -- bodies on their way


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


async def test_a_body_passes_as_it_comes_and_is_kept_when_it_is_whole(world: World) -> None:
    world.server.script = lambda _: in_steps(b"a" * 10, b"b" * 10)
    response = await world.start()
    assert response.whole() is None
    assert await response.read() == b"a" * 10
    world.server.step.release()
    assert await response.read() == b"b" * 10
    assert world.counts.stored == 0
    world.server.step.release()
    assert await response.read() == b""
    response.close()
    got = await world.call()
    assert (got.body, got.headers["content-length"], got.how) == (b"a" * 10 + b"b" * 10, "20", "hit; ttl=60")


@pytest.mark.parametrize("broken", [True, False])
async def test_a_body_that_is_not_whole_is_not_kept(world: World, broken: bool) -> None:
    world.server.script = lambda _: [chunked(b"half", end=False), b""]
    response = await world.start()
    assert await response.read() == b"half"
    if broken:
        world.server.step.release()
        with pytest.raises(HttpClientError):
            await response.read()
    response.close()
    assert world.is_idle
    world.server.script = lambda _: reply(b"whole")
    assert (await world.call()).body == b"whole"


async def test_a_large_body_is_not_held_back(world: World) -> None:
    world.make(max_body=1_000)
    world.server.script = lambda _: in_steps(b"a" * 900, b"b" * 900, b"c" * 900)
    response = await world.start()
    for piece in (b"a", b"b", b"c"):
        assert await response.read() == piece * 900
        world.server.step.release()
    assert await response.read() == b""
    response.close()
    assert world.counts.stored == 0


# -- revalidation


def versioned(version: list[str]) -> Script:
    """Answers with 304 where the client has the current version."""

    def script(seen: Seen) -> bytes:
        tag = f'"{version[0]}"'
        if tag in seen.headers.get("if-none-match", ""):
            return reply(status=304, etag=tag, x_new="yes")
        return reply(version[0].encode(), etag=tag, content_type="a/b")

    return script


async def test_a_304_makes_a_stored_answer_fresh_again(world: World) -> None:
    world.server.script = versioned(["1"])
    await world.call()
    world.clock.advance(100)
    got = await world.call()
    assert (got.status, got.body, got.how) == (200, b"1", "fwd=stale; fwd-status=304")
    assert (got.headers["age"], got.headers["x-new"], got.headers["content-type"]) == ("0", "yes", "a/b")
    world.clock.advance(50)
    assert (await world.call()).how == "hit; ttl=10"
    assert world.counts.revalidated == 1
    assert world.server.seen[1].headers["if-none-match"] == '"1"'


async def test_what_has_changed_replaces_what_is_stored(world: World) -> None:
    version = ["1"]
    world.server.script = versioned(version)
    await world.call()
    world.clock.advance(100)
    version[0] = "2"
    got = await world.call()
    assert (got.body, got.how) == (b"2", "fwd=stale; stored")
    assert (await world.call()).body == b"2"
    assert world.asked == 2


async def test_what_says_no_cache_is_asked_about_each_time(world: World) -> None:
    world.server.script = lambda seen: (
        reply(status=304, control="no-cache") if "if-modified-since" in seen.headers
        else reply(b"x", control="no-cache", last_modified=format_date(0).decode())
    )  # fmt: skip
    await world.call()
    for _ in range(2):
        got = await world.call()
        assert (got.body, got.how) == (b"x", "fwd=stale; fwd-status=304")


async def test_a_304_about_another_version_is_asked_again(world: World) -> None:
    world.server.script = versioned(["1"])
    await world.call()
    world.clock.advance(100)
    world.server.script = lambda seen: (
        reply(status=304, etag='"2"') if "if-none-match" in seen.headers else reply(b"2", etag='"2"')
    )
    assert (await world.call()).body == b"2"
    assert world.asked == 3


async def test_a_304_may_forbid_to_keep_on(world: World) -> None:
    world.server.script = versioned(["1"])
    await world.call()
    world.clock.advance(100)
    world.server.script = lambda _: reply(status=304, control="no-store")
    assert (await world.call()).body == b"1"
    world.server.script = lambda _: reply(b"3")
    assert (await world.call()).body == b"3"
    assert "if-none-match" not in world.server.seen[-1].headers


async def test_a_cookie_of_a_304_reaches_the_one_who_asked(world: World) -> None:
    world.server.script = versioned(["1"])
    await world.call()
    world.clock.advance(100)
    world.server.script = lambda _: reply(status=304, set_cookie="a=1")
    assert (await world.call()).headers["set-cookie"] == "a=1"
    assert "set-cookie" not in (await world.call()).headers


@pytest.mark.parametrize(
    "headers", [{"cache-control": "no-cache"}, {"pragma": "no-cache"}, {"cache-control": "max-age=0"}]
)
async def test_a_client_may_ask_for_what_is_current(world: World, headers: dict[str, str]) -> None:
    world.server.script = versioned(["1"])
    await world.call()
    got = await world.call(headers=headers)
    assert (got.body, got.how) == (b"1", "fwd=request; fwd-status=304")
    assert world.asked == 2


async def test_a_client_may_forbid_to_keep(world: World) -> None:
    await world.call(headers={"cache-control": "no-store"})
    assert (await world.call()).how == "fwd=uri-miss; stored"
    assert (await world.call(headers={"cache-control": "no-store"})).how == "hit; ttl=60"


async def test_a_client_may_ask_for_what_is_stored_alone(world: World) -> None:
    only = {"cache-control": "only-if-cached"}
    with pytest.raises(NotCachedError):
        await world.call(headers=only)
    assert world.asked == 0
    await world.call()
    assert (await world.call(headers=only)).body == b"hello"
    world.clock.advance(60)
    with pytest.raises(NotCachedError):
        await world.call(headers=only)


async def test_a_client_may_take_what_is_stale(world: World) -> None:
    world.server.script = versioned(["1"])
    await world.call()
    world.clock.advance(100)
    got = await world.call(headers={"cache-control": "max-stale=60"})
    assert (got.body, got.how, got.headers["age"]) == (b"1", "hit; ttl=-40", "100")


async def test_a_client_that_holds_the_answer_gets_304(world: World) -> None:
    world.server.script = lambda _: reply(
        b"hello", etag='"1"', last_modified=format_date(0).decode(), content_type="a/b"
    )
    await world.call()
    for headers in ({"if-none-match": 'W/"1"'}, {"if-modified-since": format_date(0).decode()}):
        got = await world.call(headers=headers)
        assert (got.status, got.body, got.how, got.headers["etag"]) == (304, b"", "hit; ttl=60", '"1"')
        assert {"content-length", "content-type"}.isdisjoint(got.headers)
    assert (await world.call(headers={"if-none-match": '"2"'})).body == b"hello"
    assert world.asked == 1


async def test_the_first_to_ask_under_a_condition_fills_the_cache(world: World) -> None:
    world.server.script = versioned(["1"])
    got = await world.call(headers={"if-none-match": '"1"'})
    assert (got.status, got.body) == (304, b"")
    assert "if-none-match" not in world.server.seen[0].headers
    assert (await world.call()).how == "hit; ttl=60"


async def test_a_condition_is_passed_on_where_answers_are_not_kept(world: World) -> None:
    world.server.script = lambda seen: (
        reply(status=304, control="private") if "if-none-match" in seen.headers else reply(b"x", control="private")
    )
    asks = {"headers": {"if-none-match": '"1"'}}
    assert [(await world.call(**asks)).status for _ in range(3)] == [200, 304, 304]


async def test_head_shows_that_what_is_stored_has_changed(world: World) -> None:
    version = ["1"]
    world.server.script = versioned(version)
    await world.call()
    world.clock.advance(100)
    assert (await world.call(method="HEAD")).how == "fwd=stale; fwd-status=304"
    assert (await world.call()).how == "hit; ttl=60"
    world.clock.advance(100)
    version[0] = "2"
    await world.call(method="HEAD")
    assert (await world.call()).how == "fwd=uri-miss; stored"


# -- stale answers


async def test_a_stale_answer_is_given_while_one_call_fetches_it_anew(world: World) -> None:
    version = ["1"]
    world.server.script = lambda _: reply(version[0].encode(), control="max-age=60, stale-while-revalidate=60")
    await world.call()
    world.clock.advance(70)
    version[0] = "2"
    world.server.open.clear()
    answers = await world.calls(20)
    assert {(got.body, got.how, got.headers["age"]) for got in answers} == {
        (b"1", "hit; detail=stale-while-revalidate", "70")
    }
    await until(lambda: world.asked == 2)
    world.server.open.set()
    await until(lambda: world.is_idle)
    got = await world.call()
    assert (got.body, got.how) == (b"2", "hit; ttl=60")
    assert world.asked == 2
    assert world.counts.stale == 20


async def test_what_is_fetched_anew_may_come_in_pieces(world: World) -> None:
    world.make(stale_while_revalidate=60)
    world.server.script = lambda _: in_steps(b"a", b"b")
    for _ in range(4):
        world.server.step.release()
    await world.call()
    world.clock.advance(70)
    await world.call()
    await until(lambda: world.is_idle)
    assert (await world.call()).how == "hit; ttl=60"


async def test_a_failure_in_the_background_leaves_the_stale_answer(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.make(stale_while_revalidate=60)
    await world.call()
    world.clock.advance(70)
    world.server.script = lambda _: b""
    for _ in range(2):
        before = world.asked
        assert (await world.call()).body == b"hello"
        await until(lambda before=before: world.asked > before and world.is_idle)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_closing_ends_what_is_fetched_in_the_background(world: World) -> None:
    world.make(stale_while_revalidate=60)
    targets = [f"/{number}" for number in range(MAX_REFRESHES + 5)]
    for target in targets:
        await world.call(target)
    world.clock.advance(70)
    world.server.open.clear()
    for target in targets:
        assert (await world.call(target)).body == b"hello"
    assert len(world.cache._refreshes) == MAX_REFRESHES
    await world.cache.close()
    assert world.is_idle


@pytest.mark.parametrize("failure", [b"", reply(status=503, control=None), reply(status=500, control=None)])
async def test_a_stale_answer_is_given_where_the_upstream_fails(world: World, failure: bytes) -> None:
    world.server.script = lambda _: reply(b"old", control="max-age=60, stale-if-error=60")
    await world.call()
    world.clock.advance(70)
    world.server.script = lambda _: failure
    answers = await world.calls(5)
    assert {(got.body, got.how, got.headers["age"]) for got in answers} == {
        (b"old", "fwd=stale; detail=stale-if-error", "70")
    }
    world.clock.advance(60)
    if failure:
        assert (await world.call()).status in {500, 503}
    else:
        with pytest.raises(UpstreamFailedError):
            await world.call()


async def test_what_must_be_revalidated_is_not_given_instead_of_an_error(world: World) -> None:
    world.make(stale_if_error=60)
    world.server.script = lambda _: reply(b"old", control="max-age=60, must-revalidate", etag='"1"')
    await world.call()
    world.clock.advance(70)
    world.server.script = lambda _: reply(status=503, control=None)
    assert (await world.call()).status == 503


# -- vary, hosts, credentials


def by_language(seen: Seen) -> bytes:
    return reply(seen.headers.get("accept-language", "none").encode(), vary="accept-language")


async def test_answers_that_differ_are_kept_apart(world: World) -> None:
    world.server.script = by_language
    for how in ("fwd=", "hit"):
        for language in ("de", "en"):
            got = await world.call(headers={"accept-language": language})
            assert (got.body, got.how[:4].rstrip(";")) == (language.encode(), how)
        got = await world.call()
        assert got.body == b"none"
    assert world.asked == 3
    assert (await world.call(headers={"accept-language": "DE"})).how.startswith("hit")
    assert (await world.call(headers={"accept-language": "fr"})).how == "fwd=vary-miss; stored"


async def test_what_varies_is_added_up(world: World) -> None:
    world.server.script = by_language
    german = {"accept-language": "de", "accept": "a/b"}
    await world.call(headers=german)
    world.server.script = lambda seen: reply(seen.headers["accept"].encode(), vary="accept")
    assert (await world.call(headers={"accept-language": "fr", "accept": "c/d"})).body == b"c/d"
    assert (await world.call(headers=german)).body == b"a/b"
    assert world.asked == 3
    for headers in (german, {"accept-language": "de", "accept": "e/f"}, german):
        assert (await world.call(headers=headers)).body == headers["accept"].encode()
    assert world.asked == 4


async def test_a_host_that_a_client_makes_up_reaches_nobody_else(world: World) -> None:
    world.server.script = lambda _: reply(b"links to evil.test")
    await world.call(host="evil.test")
    world.server.script = lambda _: reply(b"links to hub.test")
    for _ in range(2):
        assert (await world.call()).body == b"links to hub.test"
    assert (await world.call(host="evil.test")).how.startswith("fwd=vary-miss")
    assert (await world.call()).how == "hit; ttl=60"


async def test_settings_may_know_better_what_varies(world: World) -> None:
    world.make(vary=["x-tenant"])
    world.server.script = lambda seen: reply(seen.headers.get("x-tenant", "").encode())
    for _ in range(2):
        for tenant in ("a", "b"):
            assert (await world.call(headers={"x-tenant": tenant})).body == tenant.encode()
    assert world.asked == 2


@pytest.mark.parametrize("name", ["authorization", "token", "cookie", "x-api-key"])
async def test_who_says_who_they_are_shares_only_what_allows_it(world: World, name: str) -> None:
    mine = {"headers": {name: "me"}}
    assert (await world.call(**mine)).how == "fwd=uri-miss; detail=credentials"
    await world.call()
    assert (await world.call(**mine)).how == "fwd=request; detail=credentials"
    world.server.script = lambda _: reply(b"all", control="public, max-age=60")
    assert (await world.call("/b", **mine)).how == "fwd=uri-miss; stored"
    assert (await world.call("/b", **mine)).how == "hit; ttl=60"
    assert (await world.call("/b")).how == "hit; ttl=60"


# -- invalidation and purge


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "UNHEARD"])
async def test_an_unsafe_method_outdates_its_target_for_every_host_and_variant(world: World, method: str) -> None:
    world.server.script = by_language
    for host in ("hub.test", "other.test"):
        await world.call(host=host)
        await world.call(host=host, headers={"accept-language": "de"})
    await world.call("/a?b")
    world.server.script = lambda seen: reply(b"new", status=200 if seen.method == "GET" else 201, location="/c")
    await world.call("/c")
    assert (await world.call(method=method)).how == "fwd=method"
    for host in ("hub.test", "other.test"):
        assert (await world.call(host=host, headers={"accept-language": "de"})).body == b"new"
    assert (await world.call("/c")).how == "fwd=uri-miss; stored"
    assert (await world.call("/a?b")).how == "hit; ttl=60"


@pytest.mark.parametrize(("method", "status"), [("POST", 400), ("POST", 503), ("OPTIONS", 200)])
async def test_what_changes_nothing_outdates_nothing(world: World, method: str, status: int) -> None:
    await world.call()
    world.server.script = lambda _: reply(status=status)
    assert (await world.call(method=method)).status == status
    assert (await world.call()).how == "hit; ttl=60"


async def test_an_answer_that_was_under_way_when_it_was_outdated_is_not_kept(world: World) -> None:
    world.server.open.clear()
    readers = [asyncio.create_task(world.call()) for _ in range(3)]
    await until(lambda: world.asked == 1)
    world.server.open.set()
    world.server.script = lambda seen: in_steps(b"old") if seen.method == "GET" else reply()
    await until(lambda: world.cache._fills)
    await world.call(method="POST")
    for _ in range(3):
        world.server.step.release()
    assert {got.body for got in await asyncio.gather(*readers)} == {b"old"}
    assert world.asked == 4
    world.server.script = lambda _: reply(b"new")
    assert (await world.call()).body == b"new" or world.counts.stored > 1


async def test_purging(world: World) -> None:
    for target in ("/a", "/a?x", "/a/b", "/ab", "/"):
        await world.call(target)
    assert await world.cache.purge(path="/a") == 2
    assert await world.cache.purge(path="/a") == 0
    assert await world.cache.purge(prefix="/a") == 1
    assert (await world.call("/ab")).how == "hit; ttl=60"
    assert await world.cache.purge(prefix="/") == 2
    await world.call()
    world.make("other")
    await world.call()
    assert await world.cache.purge() == 1
    world.make("shop")
    assert await world.cache.purge() == 1


async def test_a_purge_reaches_answers_that_are_under_way(world: World) -> None:
    world.server.script = lambda _: in_steps(b"old")
    response = await world.start()
    assert await response.read() == b"old"
    assert await world.cache.purge(prefix="/a") == 0
    world.server.step.release()
    assert await response.read() == b""
    response.close()
    assert (await world.store.statistics()).entries == 0 or await world.cache.purge() == 0


# -- concurrent requests


async def test_concurrent_misses_make_one_call(world: World) -> None:
    world.server.open.clear()
    calls = asyncio.create_task(world.calls(50))
    await until(lambda: world.asked == 1)
    await asyncio.sleep(0.02)
    world.server.open.set()
    answers = await calls
    assert world.asked == 1
    assert {got.body for got in answers} == {b"hello"}
    assert sorted(got.how for got in answers) == ["fwd=uri-miss; collapsed"] * 49 + ["fwd=uri-miss; stored"]
    assert world.counts.collapsed == 49


async def test_concurrent_revalidations_make_one_call(world: World) -> None:
    world.server.script = versioned(["1"])
    await world.call()
    world.clock.advance(100)
    world.server.open.clear()
    calls = asyncio.create_task(world.calls(20))
    await until(lambda: world.asked == 2)
    await asyncio.sleep(0.02)
    world.server.open.set()
    assert {got.body for got in await calls} == {b"1"}
    assert world.asked == 2


async def test_those_that_wait_get_a_body_that_comes_in_pieces(world: World) -> None:
    world.server.script = lambda _: in_steps(b"a", b"b")
    calls = asyncio.create_task(world.calls(5))
    await until(lambda: world.asked == 1)
    world.server.step.release()
    world.server.step.release()
    assert {got.body for got in await calls} == {b"ab"}
    assert world.asked == 1


async def test_answers_that_differ_make_one_call_each(world: World) -> None:
    world.server.script = by_language
    world.server.open.clear()
    mixed = [
        asyncio.create_task(world.call(headers={"accept-language": language}))
        for language in ("de", "en")
        for _ in range(10)
    ]
    await until(lambda: world.asked == 1)
    await asyncio.sleep(0.02)
    world.server.open.set()
    assert [got.body for got in await asyncio.gather(*mixed)] == [b"de"] * 10 + [b"en"] * 10
    assert world.asked == 2


async def test_what_may_not_be_shared_is_waited_for_once(world: World) -> None:
    world.server.script = lambda _: reply(b"mine", control="private")
    world.server.open.clear()
    calls = asyncio.create_task(world.calls(10))
    await until(lambda: world.asked == 1)
    await asyncio.sleep(0.02)
    world.server.open.set()
    assert {got.body for got in await calls} == {b"mine"}
    assert world.asked == 10
    world.server.open.clear()
    calls = asyncio.create_task(world.calls(10))
    await until(lambda: world.asked == 20)
    world.server.open.set()
    await calls
    world.clock.advance(PASS_SECONDS)
    world.server.open.clear()
    calls = asyncio.create_task(world.calls(10))
    await until(lambda: world.asked == 21)
    await asyncio.sleep(0.02)
    assert world.asked == 21
    world.server.open.set()
    await calls


async def test_those_that_wait_do_not_wait_for_a_body_that_is_too_large(world: World) -> None:
    world.make(max_body=5)
    world.server.script = lambda _: [reply(b"123456")[:-6], b"123456"]
    calls = asyncio.create_task(world.calls(3))
    await until(lambda: world.asked == 3)
    for _ in range(3):
        world.server.step.release()
    assert {got.body for got in await calls} == {b"123456"}


@pytest.mark.parametrize("failure", [b"", reply(status=503, control=None)])
async def test_a_failing_upstream_gets_one_call_at_a_time(world: World, failure: bytes) -> None:
    under_way = []

    def script(seen: Seen) -> bytes:
        under_way.append(world.asked)
        return failure if world.asked < 4 else reply(b"well")

    world.server.script = script
    answers = await asyncio.gather(*(world.call() for _ in range(10)), return_exceptions=True)
    well = [got for got in answers if isinstance(got, Got) and got.body == b"well"]
    assert (len(well), world.asked) == (7, 4)
    assert under_way == [1, 2, 3, 4]


async def test_where_the_one_that_is_waited_for_leaves_another_goes(world: World) -> None:
    world.server.open.clear()
    first = asyncio.create_task(world.call())
    await until(lambda: world.asked == 1)
    others = [asyncio.create_task(world.call()) for _ in range(5)]
    await asyncio.sleep(0.02)
    first.cancel()
    await until(lambda: world.asked == 2)
    others[1].cancel()
    await asyncio.sleep(0.02)
    world.server.open.set()
    answers = await asyncio.gather(*others, return_exceptions=True)
    assert [got.body if isinstance(got, Got) else type(got) for got in answers] == [
        b"hello", asyncio.CancelledError, b"hello", b"hello", b"hello",
    ]  # fmt: skip
    assert world.asked == 2


async def test_nobody_waits_longer_than_settings_say(world: World) -> None:
    world.make(collapse_timeout=0.1)
    world.server.open.clear()
    calls = asyncio.create_task(world.calls(3))
    await until(lambda: world.asked == 1)
    await until(lambda: world.asked == 3)
    world.server.open.set()
    assert {got.body for got in await calls} == {b"hello"}


async def test_who_asks_for_what_is_current_does_not_wait_for_another(world: World) -> None:
    world.server.open.clear()
    calls = asyncio.create_task(world.calls(3, headers={"cache-control": "no-cache"}))
    await until(lambda: world.asked == 3)
    world.server.open.set()
    await calls


async def test_a_store_that_is_away_costs_hits_only(clock: ManualClock, world: World) -> None:
    if isinstance(world.store, MemoryCache):
        pytest.skip("memory is never away")
    world.store._closed_until = float("inf")  # type: ignore[attr-defined]
    try:
        world.server.open.clear()
        calls = asyncio.create_task(world.calls(5))
        await until(lambda: world.asked == 1)
        await asyncio.sleep(0.02)
        world.server.open.set()
        assert {got.body for got in await calls} == {b"hello"}
        assert world.asked == 1
        assert (await world.call()).how == "fwd=uri-miss"
        await world.call(method="POST")
        with pytest.raises(UnavailableError):
            await world.cache.purge()
    finally:
        world.store._closed_until = float("-inf")  # type: ignore[attr-defined]
