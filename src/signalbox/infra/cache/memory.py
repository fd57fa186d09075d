"""A cache in the memory of the process: the least recently used values go first."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

from signalbox.infra.cache import CacheStatistics, Codec
from signalbox.infra.clock import Clock

T = TypeVar("T")

MEBIBYTE = 1024**2
OVERHEAD = 350
"""Bytes that an item takes besides its value and the bytes of its key: the tuple, its numbers, its place in the table
(measured on CPython 3.11)."""


class _Item(NamedTuple, Generic[T]):
    value: T
    size: int
    expires: float


class MemoryCache(Generic[T]):
    """Holds the values themselves, nothing is encoded; ``get`` never suspends.

    Keys, values and overhead together stay below ``max_bytes``. A value larger than ``max_share`` of that is not
    taken, so that one cannot push out everything else.
    """

    def __init__(
        self, codec: Codec[T], *, clock: Clock, max_bytes: int = 64 * MEBIBYTE, max_share: float = 0.125
    ) -> None:
        self._size_of, self._now = codec.size, clock.monotonic
        self._max_bytes, self._max_item = max_bytes, int(max_bytes * max_share)
        self._items: OrderedDict[bytes, _Item[T]] = OrderedDict()
        self._bytes = 0
        self._hits = self._misses = self._evictions = self._refused = 0

    async def get(self, key: bytes) -> T | None:
        """See ``Cache.get``; what was asked for last stays longest."""
        value = self.at_hand(key)
        if value is None:
            self._misses += 1
        return value

    def at_hand(self, key: bytes) -> T | None:
        """See ``Cache.at_hand``: whatever is held; a miss counts only in ``get``, which is asked next."""
        item = self._items.get(key)
        if item is None:
            return None
        if item[2] <= self._now():
            self._forget(key)
            return None
        self._items.move_to_end(key)
        self._hits += 1
        return item[0]

    async def set(self, key: bytes, value: T, *, ttl: float) -> bool:
        """See ``Cache.set``."""
        self._forget(key)
        size = self._size_of(value) + len(key) + OVERHEAD
        if size > self._max_item or ttl <= 0:
            self._refused += 1
            return False
        self._items[key] = _Item(value, size, self._now() + ttl)
        self._bytes += size
        while self._bytes > self._max_bytes:
            self._evict()
        return True

    async def delete(self, key: bytes) -> None:
        """See ``Cache.delete``."""
        self._forget(key)

    async def purge(self, prefixes: Sequence[bytes]) -> int:
        """See ``Cache.purge``; looks at every key (100,000 take some 30 ms, 70 where all go)."""
        wanted = tuple(prefixes)
        found = [key for key in self._items if key.startswith(wanted)]
        for key in found:
            self._forget(key)
        return len(found)

    async def statistics(self) -> CacheStatistics:
        """See ``Cache.statistics``; values whose time is over count until they are asked for or pushed out."""
        return CacheStatistics(
            entries=len(self._items),
            bytes=self._bytes,
            evictions=self._evictions,
            hits=self._hits,
            misses=self._misses,
            refused=self._refused,
        )

    async def close(self) -> None:
        """See ``Cache.close``."""
        self._items.clear()
        self._bytes = 0

    def _forget(self, key: bytes) -> None:
        item = self._items.pop(key, None)
        if item is not None:
            self._bytes -= item.size

    def _evict(self) -> None:
        _, item = self._items.popitem(last=False)
        self._bytes -= item.size
        if item.expires > self._now():
            self._evictions += 1
