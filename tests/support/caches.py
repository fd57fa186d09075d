"""Caches for tests: in memory, and in a real Redis under a namespace of the test's own."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar
from uuid import uuid4

import pytest

from signalbox.core.errors import UnavailableError
from signalbox.infra.cache import Codec
from signalbox.infra.cache.redis import Bounds, RedisCache
from signalbox.infra.clock import Clock
from tests.support.timing import PATIENCE

T = TypeVar("T")

REDIS_VARIABLE = "SIGNALBOX_TEST_REDIS_URL"
REDIS_URL = f"redis://127.0.0.1:6379/{os.getpid() % 16}"
"""Of its 16 databases one by chance: to purge goes through all keys of a database, those of other runs too."""


class BytesCodec:
    """Values that are bytes already. Those that begin with ``!`` cannot be read back."""

    def encode(self, value: bytes) -> bytes:
        return value

    def decode(self, data: bytes) -> bytes:
        if data.startswith(b"!"):
            msg = "of another version"
            raise ValueError(msg)
        return data

    def size(self, value: bytes) -> int:
        return len(value)


def redis_url() -> str:
    return os.environ.get(REDIS_VARIABLE) or REDIS_URL


@asynccontextmanager
async def redis_cache(codec: Codec[T], clock: Clock, bounds: Bounds | None = None) -> AsyncIterator[RedisCache[T]]:
    """A cache in the Redis at ``SIGNALBOX_TEST_REDIS_URL``, else at the standard port; emptied in the end."""
    bounds = bounds or Bounds(timeout=PATIENCE)  # a busy machine is not an absent Redis
    made = RedisCache(codec, clock=clock, url=redis_url(), namespace=f"signalbox-test:{uuid4().hex}:", bounds=bounds)
    try:
        await made.purge([b""])
    except UnavailableError:
        await made.close()
        pytest.fail(f"no Redis answers; start one at the standard port, or set {REDIS_VARIABLE}", pytrace=False)
    try:
        yield made
        await made.purge([b""])
    finally:
        await made.close()
