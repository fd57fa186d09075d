import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.infra.cache.memory import OVERHEAD, MemoryCache
from signalbox.infra.clock.manual import ManualClock
from tests.support.caches import BytesCodec

KEYS = st.sampled_from([b"a", b"bb", b"ccc", b"dddd", b"eeeee"])
SETS = st.tuples(st.just("set"), KEYS, st.integers(0, 900), st.integers(0, 5))
GETS = st.tuples(st.just("get"), KEYS, st.just(0), st.just(0))
DELETES = st.tuples(st.just("delete"), KEYS, st.just(0), st.just(0))
TICKS = st.tuples(st.just("tick"), st.just(b""), st.just(0), st.integers(1, 3))


def small(clock: ManualClock, *, items: int, share: float = 1.0) -> MemoryCache[bytes]:
    """Room for that many items with a key of one byte and no value."""
    return MemoryCache(BytesCodec(), clock=clock, max_bytes=items * (OVERHEAD + 1), max_share=share)


async def test_what_was_not_asked_for_longest_goes_first(clock: ManualClock) -> None:
    cache = small(clock, items=3)
    for key in (b"a", b"b", b"c"):
        await cache.set(key, b"", ttl=9)
    await cache.get(b"a")
    await cache.set(b"d", b"", ttl=9)
    assert [await cache.get(key) is not None for key in (b"a", b"b", b"c", b"d")] == [True, False, True, True]
    assert (await cache.statistics()).evictions == 1


async def test_what_is_over_does_not_count_as_evicted(clock: ManualClock) -> None:
    cache = small(clock, items=1)
    await cache.set(b"a", b"", ttl=1)
    clock.advance(1)
    await cache.set(b"b", b"", ttl=1)
    assert await cache.statistics() == (1, OVERHEAD + 1, 0, 0, 0, 0)


async def test_one_value_takes_no_more_than_its_share(clock: ManualClock) -> None:
    cache = small(clock, items=8, share=0.25)
    for number in range(8):
        await cache.set(b"%d" % number, b"", ttl=9)
    assert not await cache.set(b"x", bytes(2 * (OVERHEAD + 1)), ttl=9)
    assert (await cache.statistics()).entries == 8
    assert await cache.set(b"x", bytes(OVERHEAD + 1), ttl=9)


async def test_a_value_lives_until_just_before_its_end(clock: ManualClock) -> None:
    cache = small(clock, items=2)
    await cache.set(b"a", b"1", ttl=1)
    clock.advance(0.999)
    assert await cache.get(b"a") == b"1"
    clock.advance(0.001)
    assert await cache.get(b"a") is None
    assert (await cache.statistics()).entries == 0


def test_to_get_never_suspends(clock: ManualClock) -> None:
    cache = small(clock, items=2)
    with pytest.raises(StopIteration) as taken:
        cache.set(b"a", b"1", ttl=1).send(None)
    assert taken.value.value is True
    with pytest.raises(StopIteration) as got:
        cache.get(b"a").send(None)
    assert got.value.value == b"1"


async def test_closed_it_holds_nothing(clock: ManualClock) -> None:
    cache = small(clock, items=2)
    await cache.set(b"a", b"1", ttl=1)
    await cache.close()
    assert (await cache.statistics())[:2] == (0, 0)


@given(st.lists(SETS | GETS | DELETES | TICKS, max_size=60), st.integers(0, 3_000))
async def test_it_holds_what_a_table_would_as_far_as_there_is_room(
    steps: list[tuple[str, bytes, int, int]], max_bytes: int
) -> None:
    clock = ManualClock()
    cache = MemoryCache(BytesCodec(), clock=clock, max_bytes=max_bytes, max_share=0.7)
    table: dict[bytes, tuple[bytes, float]] = {}
    for kind, key, size, seconds in steps:
        if kind == "set":
            value = bytes(size)
            table.pop(key, None)
            if await cache.set(key, value, ttl=seconds):
                table[key] = value, clock.monotonic() + seconds
        elif kind == "get":
            value, until = table.get(key, (b"", 0.0))
            got = await cache.get(key)
            assert got is None or (got == value and clock.monotonic() < until)
        elif kind == "delete":
            table.pop(key, None)
            await cache.delete(key)
            assert await cache.get(key) is None
        else:
            clock.advance(seconds)
        held = await cache.statistics()
        assert held.bytes is not None
        assert 0 <= held.bytes <= max_bytes
        assert held.entries is not None
        assert held.bytes >= held.entries * OVERHEAD


async def test_the_bytes_it_counts_are_those_it_takes() -> None:
    clock = ManualClock()
    cache = MemoryCache(BytesCodec(), clock=clock, max_bytes=1024**3)
    counted, taken = [], []
    tracemalloc.start()
    try:
        for number in range(3):
            for item in range(5_000):
                await cache.set(b"upstream\0/categories/%d/%d\0" % (number, item), bytes(300), ttl=60)
            counted.append((await cache.statistics()).bytes or 0)
            taken.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    for (low, high), (less, more) in zip(pairwise(counted), pairwise(taken), strict=True):
        assert 0.9 < (high - low) / (more - less) < 1.35
