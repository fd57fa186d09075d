"""What every ``Cache`` holds to."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signalbox.infra.cache import Cache
from signalbox.infra.cache.memory import MemoryCache
from signalbox.infra.cache.redis import Bounds
from signalbox.infra.clock.system import SystemClock
from tests.support.caches import BytesCodec, redis_cache
from tests.support.timing import PATIENCE

LARGEST = 10_000
LONG = 60.0


@pytest.fixture(params=["memory", "redis"])
async def cache(request: pytest.FixtureRequest) -> AsyncIterator[Cache[bytes]]:
    clock = SystemClock()
    if request.param == "memory":
        memory = MemoryCache(BytesCodec(), clock=clock, max_bytes=100 * LARGEST, max_share=0.015)
        yield memory
        await memory.close()
        return
    async with redis_cache(BytesCodec(), clock, Bounds(timeout=PATIENCE, max_value=LARGEST)) as redis:
        yield redis


async def test_what_is_set_is_got_until_it_is_set_anew_or_deleted(cache: Cache[bytes]) -> None:
    assert await cache.get(b"a") is None
    assert await cache.set(b"a", b"1", ttl=LONG)
    assert await cache.get(b"a") == b"1"
    assert await cache.set(b"a", b"22", ttl=LONG)
    assert await cache.get(b"a") == b"22"
    await cache.delete(b"a")
    assert await cache.get(b"a") is None
    await cache.delete(b"a")


@settings(max_examples=20)
@given(st.dictionaries(st.binary(max_size=40), st.binary(max_size=100).filter(lambda value: value[:1] != b"!")))
def test_keys_and_values_are_any_bytes(items: dict[bytes, bytes]) -> None:
    async def check(cache: Cache[bytes]) -> None:
        for key, value in items.items():
            assert await cache.set(key, value, ttl=LONG)
        for key, value in items.items():
            assert await cache.get(key) == value

    async def check_both() -> None:
        await check(MemoryCache(BytesCodec(), clock=SystemClock()))
        async with redis_cache(BytesCodec(), SystemClock()) as redis:
            await check(redis)

    asyncio.run(check_both())


async def test_what_is_at_hand_is_what_would_be_got_or_nothing(cache: Cache[bytes]) -> None:
    assert cache.at_hand(b"a") is None
    await cache.set(b"a", b"1", ttl=LONG)
    assert cache.at_hand(b"a") in {b"1", None}
    await cache.set(b"short", b"1", ttl=0.05)
    await asyncio.sleep(0.1)
    assert cache.at_hand(b"short") is None
    await cache.delete(b"a")
    assert cache.at_hand(b"a") is None


async def test_the_memory_has_everything_at_hand_and_counts_each_ask_once() -> None:
    cache = MemoryCache(BytesCodec(), clock=SystemClock())
    assert cache.at_hand(b"a") is None
    assert await cache.get(b"a") is None
    await cache.set(b"a", b"1", ttl=LONG)
    assert cache.at_hand(b"a") == b"1"
    statistics = await cache.statistics()
    assert (statistics.hits, statistics.misses) == (1, 1)


async def test_values_end_with_their_time(cache: Cache[bytes]) -> None:
    await cache.set(b"short", b"1", ttl=0.05)
    await cache.set(b"long", b"1", ttl=LONG)
    await asyncio.sleep(0.1)
    assert await cache.get(b"short") is None
    assert await cache.get(b"long") == b"1"


@pytest.mark.parametrize("ttl", [0.0, -1.0])
async def test_a_value_whose_time_is_over_is_refused_and_takes_the_former_with_it(
    cache: Cache[bytes], ttl: float
) -> None:
    await cache.set(b"a", b"1", ttl=LONG)
    assert not await cache.set(b"a", b"2", ttl=ttl)
    assert await cache.get(b"a") is None


async def test_a_value_that_is_too_large_is_refused_and_takes_the_former_with_it(cache: Cache[bytes]) -> None:
    await cache.set(b"a", b"1", ttl=LONG)
    await cache.set(b"b", b"1", ttl=LONG)
    assert await cache.set(b"c", bytes(LARGEST), ttl=LONG)
    assert not await cache.set(b"a", bytes(2 * LARGEST), ttl=LONG)
    assert await cache.get(b"a") is None
    assert await cache.get(b"b") == b"1"


async def test_purge_takes_the_keys_that_begin_so_and_counts_them(cache: Cache[bytes]) -> None:
    keys = [b"shop\0/a\0", b"shop\0/ab\0", b"shop\0/b\0", b"shopping\0/a\0", b""]
    for key in keys:
        await cache.set(key, key, ttl=LONG)
    assert await cache.purge([b"shop\0/a"]) == 2
    assert [await cache.get(key) for key in keys] == [None, None, keys[2], keys[3], keys[4]]
    assert await cache.purge([]) == 0
    assert await cache.purge([b"shop\0/b", b"shopping", b"x"]) == 2
    assert await cache.purge([b""]) == 1
    assert await cache.purge([b""]) == 0


async def test_no_character_of_a_prefix_stands_for_others(cache: Cache[bytes]) -> None:
    keys = [b"a*b", b"a?b", b"a[x]b", b"a\\b", b"axb", b"a\nb", b"a\xffb"]
    for key in keys:
        await cache.set(key, b"1", ttl=LONG)
    for key in keys:
        assert await cache.purge([key]) == 1


async def test_purging_thousands(cache: Cache[bytes]) -> None:
    await asyncio.gather(*(cache.set(b"many%d" % number, b"1", ttl=LONG) for number in range(2_500)))
    await cache.set(b"other", b"1", ttl=LONG)
    assert await cache.purge([b"many"]) == 2_500
    assert await cache.get(b"other") == b"1"


async def test_what_it_did_is_counted(cache: Cache[bytes]) -> None:
    before = await cache.statistics()
    await cache.set(b"a", b"1", ttl=LONG)
    await cache.set(b"a", b"1", ttl=0)
    await cache.set(b"a", b"1", ttl=LONG)
    await cache.get(b"a")
    await cache.get(b"a")
    await cache.get(b"b")
    after = await cache.statistics()
    assert (after.hits - before.hits, after.misses - before.misses) == (2, 1)
    assert after.refused - before.refused == 1
    assert after.entries is not None
    assert after.entries > 0
    assert after.bytes is not None
    assert after.bytes > 0
    assert after.evictions is not None
