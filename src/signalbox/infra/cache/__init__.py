"""The seam to what may be forgotten: values under byte keys, bounded in time and in size.

Losing a value costs time and nothing else, so a cache whose store is away answers with misses instead of errors.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, TypeVar

T = TypeVar("T")


class Codec(Protocol[T]):
    """How values become bytes where a cache lies outside of the process, and how large they are inside of it."""

    def encode(self, value: T) -> bytes:
        """The value as bytes."""
        ...

    def decode(self, data: bytes) -> T:
        """The value that ``encode`` wrote.

        Raises:
            ValueError: the bytes are of no value, or of another version.
        """
        ...

    def size(self, value: T) -> int:
        """About how many bytes of memory the value holds."""
        ...


class CacheStatistics(NamedTuple):
    """How full a cache is, and what it did since the process began."""

    entries: int | None
    """Values held; None where the store cannot be asked."""
    bytes: int | None
    """Bytes that they take, with keys and overhead; None where the store cannot be asked."""
    evictions: int | None
    """Values given up to make room before their time was over; None where the store cannot be asked."""
    hits: int
    misses: int
    refused: int
    """Values not taken because they were too large, or their store was away."""


class Cache(Protocol[T]):
    """Values under keys of bytes. Keys that begin alike can be thrown out together."""

    async def get(self, key: bytes) -> T | None:
        """The value, or None where there is none or the store is away."""
        ...

    def at_hand(self, key: bytes) -> T | None:
        """The value where it can be had without waiting; None says nothing but that it cannot."""
        ...

    async def set(self, key: bytes, value: T, *, ttl: float) -> bool:
        """Keep a value for at most ``ttl`` seconds.

        Returns:
            Whether the value was taken. One that is too large, or whose ``ttl`` is over, is not, and the key then
            holds nothing; where the store is away, the key may still hold its former value.
        """
        ...

    async def delete(self, key: bytes) -> None:
        """Forget the value. Where the store is away, it is forgotten before anything is read from it again."""
        ...

    async def purge(self, prefixes: Sequence[bytes]) -> int:
        """Forget every value whose key begins with one of the prefixes, an empty one being that of all keys.

        Returns:
            How many there were.

        Raises:
            UnavailableError: the store is away, so that what it holds stays.
        """
        ...

    async def statistics(self) -> CacheStatistics:
        """The present numbers."""
        ...

    async def close(self) -> None:
        """Drop what is held in this process."""
        ...
