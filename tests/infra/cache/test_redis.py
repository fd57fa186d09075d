import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from signalbox.core.errors import UnavailableError
from signalbox.infra.cache.redis import BATCH, MAX_OWED, Bounds, RedisCache
from signalbox.infra.clock.manual import ManualClock
from tests.support.caches import BytesCodec, redis_cache, redis_url
from tests.support.timing import PATIENCE


class Door:
    """A way to the real Redis that can be shut, or made to hang."""

    def __init__(self) -> None:
        self.connections = 0
        self.hangs = False
        self.full = False
        """Whether Redis has no room: it then refuses to set."""
        self._joined: set[asyncio.Task[None]] = set()
        self._port = 0

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    @property
    def url(self) -> str:
        return urlsplit(redis_url())._replace(netloc=f"127.0.0.1:{self._port}").geturl()

    async def shut(self) -> None:
        """Break all connections, and refuse new ones."""
        self._server.close()
        for task in self._joined:
            task.cancel()
        await asyncio.gather(*self._joined, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._join(reader, writer))
        self._joined.add(task)
        task.add_done_callback(self._joined.discard)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        place = urlsplit(redis_url())
        there, back = await asyncio.open_connection(place.hostname or "127.0.0.1", place.port or 6379)
        answers = asyncio.create_task(_pump(there, writer))
        try:
            while data := await reader.read(65_536):
                if self.hangs:
                    await asyncio.sleep(60)
                if self.full and b"\r\nSET\r\n" in data:
                    writer.write(b"-OOM command not allowed when used memory > 'maxmemory'.\r\n")
                else:
                    back.write(data)
        finally:
            answers.cancel()
            writer.close()
            back.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    made = Door()
    await made.open()
    yield made
    await made.shut()


@pytest.fixture
async def other(clock: ManualClock) -> AsyncIterator[RedisCache[bytes]]:
    """Another process's view of the same namespace, which always reaches Redis."""
    async with redis_cache(BytesCodec(), clock) as made:
        yield made


@pytest.fixture
async def cache(door: Door, other: RedisCache[bytes], clock: ManualClock) -> AsyncIterator[RedisCache[bytes]]:
    """A cache that reaches Redis through the door."""
    namespace = other._namespace.decode()
    bounds = Bounds(timeout=PATIENCE, pause=5.0)
    made = RedisCache(BytesCodec(), clock=clock, url=door.url, namespace=namespace, bounds=bounds)
    yield made
    await made.close()


async def test_processes_share_what_they_keep(cache: RedisCache[bytes], other: RedisCache[bytes]) -> None:
    await cache.set(b"a", b"1", ttl=60)
    assert await other.get(b"a") == b"1"
    await other.delete(b"a")
    assert await cache.get(b"a") is None


async def test_a_namespace_is_alone_with_its_keys(other: RedisCache[bytes], clock: ManualClock) -> None:
    namespace = f"signalbox-test:{uuid4().hex}:"
    stranger = RedisCache(BytesCodec(), clock=clock, url=redis_url(), namespace=namespace)
    await other.set(b"a", b"1", ttl=60)
    assert await stranger.get(b"a") is None
    assert await stranger.purge([b""]) == 0
    assert await other.get(b"a") == b"1"
    await stranger.close()


async def test_what_cannot_be_read_back_is_a_miss(other: RedisCache[bytes]) -> None:
    await other.set(b"a", b"!of another version", ttl=60)
    assert await other.get(b"a") is None
    assert (await other.statistics()).misses == 1


async def test_an_absent_redis_is_a_miss_reported_once_and_asked_again_after_a_pause(
    door: Door, cache: RedisCache[bytes], clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "signalbox")
    await cache.set(b"a", b"1", ttl=60)
    await door.shut()
    for _ in range(3):
        assert await cache.get(b"a") is None
        assert not await cache.set(b"b", b"1", ttl=60)
    clock.advance(5)
    assert await cache.get(b"a") is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    await door.open()
    assert await cache.get(b"a") is None
    clock.advance(5)
    assert await cache.get(b"a") == b"1"
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert await cache.get(b"a") == b"1"


async def test_nobody_waits_for_a_redis_that_hangs_but_the_first(door: Door, clock: ManualClock) -> None:
    bounds = Bounds(timeout=0.3, pause=5.0)
    cache = RedisCache(BytesCodec(), clock=clock, url=door.url, namespace="signalbox-test:", bounds=bounds)
    door.hangs = True
    async with asyncio.timeout(PATIENCE):
        assert await cache.get(b"a") is None
        connections = door.connections
        assert await asyncio.gather(*(cache.get(b"a") for _ in range(100))) == [None] * 100
        assert door.connections == connections, "nobody asks while it is known to hang"
        clock.advance(5)
        await asyncio.gather(*(cache.get(b"a") for _ in range(100)))
        assert door.connections == connections + 1
    await cache.close()


async def test_a_call_that_is_given_up_leaves_the_connection_fit(cache: RedisCache[bytes]) -> None:
    await cache.set(b"a", b"1", ttl=60)
    for _ in range(5):
        task = asyncio.create_task(cache.get(b"a"))
        await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert await cache.get(b"none") is None
        assert await cache.get(b"a") == b"1"


async def test_what_could_not_be_deleted_goes_before_anything_is_read(
    door: Door, cache: RedisCache[bytes], other: RedisCache[bytes], clock: ManualClock
) -> None:
    for key in (b"a", b"b", b"c"):
        await cache.set(key, b"old", ttl=60)
    await door.shut()
    await cache.delete(b"a")
    await cache.delete(b"b")
    assert await other.get(b"a") == b"old"
    await door.open()
    clock.advance(5)
    assert await cache.get(b"a") is None
    assert await other.get(b"b") is None
    assert await cache.get(b"c") == b"old"


async def test_where_too_much_is_to_be_deleted_all_goes(
    door: Door, cache: RedisCache[bytes], other: RedisCache[bytes], clock: ManualClock
) -> None:
    await cache.set(b"a", b"old", ttl=60)
    await door.shut()
    for number in range(MAX_OWED + 1):
        await cache.delete(b"%d" % number)
    await door.open()
    clock.advance(5)
    assert await cache.get(b"a") is None
    assert await other.purge([b""]) == 0
    await cache.set(b"a", b"new", ttl=60)
    assert await cache.get(b"a") == b"new"


async def test_a_full_redis_still_answers(door: Door, cache: RedisCache[bytes], other: RedisCache[bytes]) -> None:
    await cache.set(b"a", b"1", ttl=60)
    await cache.set(b"b", b"old", ttl=60)
    door.full = True
    assert not await cache.set(b"b", b"new", ttl=60)
    assert await cache.get(b"a") == b"1"
    assert await other.get(b"b") is None
    assert (await cache.statistics()).refused == 1


@pytest.mark.parametrize("prefixes", [[b""], [b"a", b"b"]])
async def test_a_purge_that_reaches_nothing_says_so(
    door: Door, cache: RedisCache[bytes], prefixes: list[bytes]
) -> None:
    await door.shut()
    with pytest.raises(UnavailableError):
        await cache.purge(prefixes)


async def test_what_cannot_be_asked_is_not_told(door: Door, cache: RedisCache[bytes]) -> None:
    assert (await cache.statistics()).entries is not None
    await door.shut()
    await cache.get(b"a")
    assert await cache.statistics() == (None, None, None, 0, 1, 0)


async def test_purge_looks_at_all_batches(other: RedisCache[bytes]) -> None:
    for start in range(0, 2 * BATCH + 5, 500):
        numbers = range(start, min(start + 500, 2 * BATCH + 5))
        await asyncio.gather(*(other.set(b"%d" % number, b"1", ttl=60) for number in numbers))
    assert await other.purge([b""]) == 2 * BATCH + 5


async def test_a_task_that_is_cancelled_meanwhile_ends_at_whatever_moment_that_is(clock: ManualClock) -> None:
    cancelled = 0
    async with redis_cache(BytesCodec(), clock) as cache:
        await cache.set(b"a", b"1", ttl=60)
        for turns in range(100):
            task = asyncio.create_task(cache.get(b"a"))
            for _ in range(turns):
                await asyncio.sleep(0)
            if not task.cancel():
                break
            with pytest.raises(asyncio.CancelledError):
                await task
            cancelled += 1
        assert await cache.get(b"a") == b"1"
    assert cancelled
