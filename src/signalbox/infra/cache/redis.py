"""A cache in Redis, shared by every process that names the same server and namespace.

What bounds it is the time to live of each value and what Redis is configured to (``maxmemory`` with an ``allkeys-*``
or ``volatile-*`` policy).
"""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Generic, NamedTuple, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from signalbox.core.errors import UnavailableError
from signalbox.core.outage import OutageLog
from signalbox.infra.cache import CacheStatistics, Codec
from signalbox.infra.clock import Clock

T = TypeVar("T")

MEBIBYTE = 1024**2
MAX_OWED = 10_000
"""Keys to be deleted that are remembered while Redis is away; beyond that, the whole namespace goes."""
BATCH = 1_000
_GLOB = re.compile(rb"[*?\[\]\\]")
_FAILURES = (RedisError, OSError)
"""What the client raises; its timeouts are among both."""

_log = logging.getLogger(__name__)


class Bounds(NamedTuple):
    """What the calls of a cache may take. ``timeout`` and ``pause`` are seconds."""

    timeout: float = 0.25
    """Longest wait for a connection, and for Redis to answer."""
    pause: float = 5.0
    """How long Redis is not asked after it failed, so that calls do not wait for it."""
    connections: int = 16
    max_value: int = 8 * MEBIBYTE
    """Largest encoded value."""


class RedisCache(Generic[T]):
    """A Redis that is away, slow or full is a miss: it is reported once and left alone for a while.

    What ``delete`` could not delete in that time goes first once it is back, before anything is read.
    """

    def __init__(
        self,
        codec: Codec[T],
        *,
        clock: Clock,
        url: str,
        namespace: str = "signalbox:cache:",
        bounds: Bounds | None = None,
    ) -> None:
        self._codec, self._clock = codec, clock
        self._bounds = bounds = bounds or Bounds()
        self._namespace = namespace.encode()
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=bounds.connections,
            timeout=bounds.timeout,
            socket_timeout=bounds.timeout,
            socket_connect_timeout=bounds.timeout,
            retry=Retry(NoBackoff(), 0),
            decode_responses=False,
        )
        self._redis: Redis = Redis.from_pool(pool)
        self._closed_until = float("-inf")
        self._outage = OutageLog(_log, "the cache in Redis is away; calls go without it", "the cache in Redis is back")
        self._owed: set[bytes] = set()
        self._owes_all = False
        self._hits = self._misses = self._refused = 0

    def at_hand(self, key: bytes) -> T | None:  # noqa: ARG002 - to ask Redis is to wait
        """See ``Cache.at_hand``: nothing ever."""
        return None

    async def get(self, key: bytes) -> T | None:
        """See ``Cache.get``."""
        data: bytes | str | None = None
        try:
            async with self._asking():
                data = await self._redis.get(self._namespace + key)
        except UnavailableError:
            pass
        value = self._decoded(data) if isinstance(data, bytes) else None
        if value is None:
            self._misses += 1
        else:
            self._hits += 1
        return value

    async def set(self, key: bytes, value: T, *, ttl: float) -> bool:
        """See ``Cache.set``."""
        data, milliseconds = self._codec.encode(value), int(ttl * 1_000)
        if len(data) > self._bounds.max_value or milliseconds <= 0:
            self._refused += 1
            await self.delete(key)
            return False
        taken = False
        try:
            async with self._asking():
                taken = await self._set(self._namespace + key, data, milliseconds)
        except UnavailableError:
            pass
        if not taken:
            self._refused += 1
        return taken

    async def delete(self, key: bytes) -> None:
        """See ``Cache.delete``; other processes may read the value until this one reaches Redis again."""
        name = self._namespace + key
        try:
            async with self._asking():
                await self._redis.unlink(name)
        except UnavailableError:
            self._owe(name)

    async def purge(self, prefixes: Sequence[bytes]) -> int:
        """See ``Cache.purge``; looks at every key of the Redis database, in small steps."""
        if not prefixes:
            return 0
        async with self._asking():
            return await self._purge([self._namespace + prefix for prefix in prefixes])

    async def statistics(self) -> CacheStatistics:
        """See ``Cache.statistics``; entries, bytes and evictions are those of the whole Redis server."""
        entries: int | None = None
        server: dict[str, int] = {}
        try:
            async with self._asking():
                entries = int(await self._redis.dbsize())
                server = {**await self._redis.info("memory"), **await self._redis.info("stats")}
        except UnavailableError:
            pass
        return CacheStatistics(
            entries=entries,
            bytes=server.get("used_memory"),
            evictions=server.get("evicted_keys"),
            hits=self._hits,
            misses=self._misses,
            refused=self._refused,
        )

    async def close(self) -> None:
        """Close the connections; what Redis holds stays."""
        await self._redis.aclose(close_connection_pool=True)

    # -- a Redis that is away ---------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        """Around what Redis is asked.

        Raises:
            UnavailableError: it did not answer, or failed so recently that it is not asked.
            CancelledError: the task was cancelled meanwhile. The client may swallow that: it writes by means of
                ``asyncio.wait_for``, which does on Python 3.11 (https://github.com/python/cpython/issues/86296).
        """
        cancellations = _cancellations()
        now = self._clock.monotonic()
        if now < self._closed_until:
            msg = "the cache in Redis is away"
            raise UnavailableError(msg, retry_after=self._closed_until - now)
        if self._outage.is_failing:
            self._closed_until = now + self._bounds.pause  # one call tries; the others go without until it succeeds
        try:
            await self._settle()
            yield
        except _FAILURES as error:
            self._closed_until = self._clock.monotonic() + self._bounds.pause
            self._outage.failed(error)
            msg = "the cache in Redis is away"
            raise UnavailableError(msg, retry_after=self._bounds.pause) from error
        finally:
            if _cancellations() > cancellations:
                raise asyncio.CancelledError
        if self._outage.is_failing:
            self._closed_until = float("-inf")
        self._outage.worked()

    async def _settle(self) -> None:
        """Delete what could not be deleted while Redis was away."""
        if self._owes_all:
            await self._purge([self._namespace])
            self._owes_all = False
        while self._owed:
            names = list(self._owed)[:BATCH]
            await self._redis.unlink(*names)
            self._owed.difference_update(names)

    def _owe(self, name: bytes) -> None:
        if len(self._owed) < MAX_OWED:
            self._owed.add(name)
        else:
            self._owes_all = True

    async def _set(self, name: bytes, data: bytes, milliseconds: int) -> bool:
        try:
            await self._redis.set(name, data, px=milliseconds)
        except ResponseError:  # full, and configured not to evict: it still answers what it holds
            await self._redis.unlink(name)
            return False
        return True

    # -- keys and values --------------------------------------------------------------------------------------------

    async def _purge(self, names: Sequence[bytes]) -> int:
        wanted = tuple(names)
        count = 0
        batch: list[bytes] = []
        pattern = _GLOB.sub(rb"\\\g<0>", _common_prefix(names)) + b"*"
        async for name in self._redis.scan_iter(match=pattern, count=BATCH):
            if name.startswith(wanted):
                batch.append(name)
            if len(batch) >= BATCH:
                count += int(await self._redis.unlink(*batch))
                batch = []
        return count + (int(await self._redis.unlink(*batch)) if batch else 0)

    def _decoded(self, data: bytes) -> T | None:
        try:
            return self._codec.decode(data)
        except ValueError:  # written by another version: it is written anew
            return None


def _cancellations() -> int:
    """How often the present task was asked to end."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


def _common_prefix(names: Sequence[bytes]) -> bytes:
    """What all names begin with: what the first and the last in their order do."""
    first, last = min(names), max(names)
    length = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return first[:length]
