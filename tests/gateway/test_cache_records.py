"""Where answers lie: what differs lies apart, and what is outdated or purged is gone."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from signalbox.gateway.cache_entry import Record, RecordCodec
from signalbox.infra.cache.memory import MemoryCache
from signalbox.infra.clock.manual import ManualClock
from tests.gateway.cache_world import (
    Seen,
    World,
    by_language,
    caching,
    caching_in,
    in_steps,
    reply,
)


@pytest.fixture(params=["memory", "redis"])
async def world(request: pytest.FixtureRequest, clock: ManualClock) -> AsyncIterator[World]:
    async with caching_in(request.param, clock) as made:
        yield made


# -- vary, hosts, credentials


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
    mine = {name: "me"}
    assert (await world.call(headers=mine)).how == "fwd=uri-miss; detail=credentials"
    await world.call()
    assert (await world.call(headers=mine)).how == "fwd=request; detail=credentials"
    world.server.script = lambda _: reply(b"all", control="public, max-age=60")
    assert (await world.call("/b", headers=mine)).how == "fwd=uri-miss; stored"
    assert (await world.call("/b", headers=mine)).how == "hit; ttl=60"
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


async def test_an_answer_that_was_under_way_when_it_was_outdated_is_not_kept_or_shared(world: World) -> None:
    def script(seen: Seen) -> bytes | list[bytes]:
        return reply() if seen.method == "POST" else in_steps(b"old") if world.asked == 1 else reply(b"new")

    world.server.script = script
    first = await world.start()
    assert await first.read() == b"old"
    others = [asyncio.create_task(world.call()) for _ in range(3)]
    await asyncio.sleep(0.02)
    await world.call(method="POST")
    world.server.step.release()
    assert await first.read() == b""
    first.close()
    assert {got.body for got in await asyncio.gather(*others)} == {b"new"}
    assert (await world.call()).body == b"new"


class SlowStore(MemoryCache[Record]):
    """A cache that takes its time to store, as one over a network may."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(RecordCodec(), clock=clock)
        self.begun, self.free = asyncio.Event(), asyncio.Event()

    async def set(self, key: bytes, value: Record, *, ttl: float) -> bool:
        self.begun.set()
        await self.free.wait()
        return await super().set(key, value, ttl=ttl)


async def test_an_answer_that_is_outdated_while_it_is_stored_does_not_stay(clock: ManualClock) -> None:
    store = SlowStore(clock)
    async with caching(store, clock) as world:
        call = asyncio.create_task(world.call())
        await store.begun.wait()
        await world.call(method="POST")
        store.free.set()
        assert (await call).body == b"hello"
        assert (await store.statistics()).entries == 0
        assert (await world.call()).how == "fwd=uri-miss; stored"


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
    world.server.script = lambda _: reply(b"new")
    assert (await world.call()).body == b"new"
