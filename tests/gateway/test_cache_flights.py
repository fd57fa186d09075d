"""Concurrent requests that find nothing make one call upstream."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from signalbox.core.errors import UnavailableError
from signalbox.gateway.cache import MAX_PASSES, PASS_SECONDS
from signalbox.gateway.cache_entry import RecordCodec
from signalbox.gateway.cache_flights import Copy, Fills, Flight, Outcome, Verdict
from signalbox.infra.cache.redis import RedisCache
from signalbox.infra.clock.manual import ManualClock
from tests.gateway.cache_world import (
    Got,
    Seen,
    World,
    by_language,
    caching,
    caching_in,
    in_steps,
    reply,
    versioned,
)
from tests.support.timing import until


@pytest.fixture(params=["memory", "redis"])
async def world(request: pytest.FixtureRequest, clock: ManualClock) -> AsyncIterator[World]:
    async with caching_in(request.param, clock) as made:
        yield made


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


async def test_a_store_that_is_away_costs_hits_only(clock: ManualClock, unused_tcp_port: int) -> None:
    store = RedisCache(RecordCodec(), clock=clock, url=f"redis://127.0.0.1:{unused_tcp_port}")
    async with caching(store, clock) as world:
        world.server.open.clear()
        calls = asyncio.create_task(world.calls(5))
        await until(lambda: world.asked == 1)
        await asyncio.sleep(0.02)
        world.server.open.set()
        assert {got.body for got in await calls} == {b"hello"}
        assert world.asked == 1
        assert (await world.call()).how == "fwd=uri-miss"
        assert (await world.call(method="POST")).status == 200
        with pytest.raises(UnavailableError):
            await world.cache.purge()
    await store.close()


async def test_what_is_remembered_of_answers_that_cannot_be_shared_is_bounded(clock: ManualClock) -> None:
    async with caching_in("memory", clock) as world:
        world.server.script = lambda _: reply(control="private")
        for start in range(0, MAX_PASSES + 1, 100):
            await asyncio.gather(*(world.call(f"/{number}") for number in range(start, start + 100)))
        assert 0 < len(world.cache._passes) < MAX_PASSES


async def waiting(flight: Flight, count: int) -> list[asyncio.Task[Outcome]]:
    tasks = [asyncio.create_task(flight.wait(5)) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


async def test_all_that_wait_hear_the_outcome() -> None:
    flights: dict[bytes, Flight] = {}
    flight = Flight(b"a", flights)
    tasks = await waiting(flight, 3)
    assert flights == {b"a": flight}
    flight.land(Verdict.ALONE)
    assert await asyncio.gather(*tasks) == [Verdict.ALONE] * 3
    assert flights == {}


async def test_the_lead_goes_to_who_has_waited_longest_and_is_still_there() -> None:
    flights: dict[bytes, Flight] = {}
    flight = Flight(b"a", flights)
    tasks = await waiting(flight, 3)
    tasks[0].cancel()
    await asyncio.sleep(0)
    flight.hand_over()
    assert await tasks[1] is Verdict.LEAD
    assert not tasks[2].done()
    assert b"a" in flights
    flight.hand_over()
    assert await tasks[2] is Verdict.LEAD
    flight.hand_over()
    assert flights == {}


async def test_a_lead_that_comes_too_late_goes_on() -> None:
    flight = Flight(b"a", {})
    tasks = await waiting(flight, 2)
    flight.hand_over()
    tasks[0].cancel()
    assert await tasks[1] is Verdict.LEAD
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]


async def test_waiting_ends() -> None:
    flights: dict[bytes, Flight] = {}
    flight = Flight(b"a", flights)
    assert await flight.wait(0.01) is Verdict.ALONE
    flight.hand_over()
    assert flights == {}


async def test_a_copy_that_is_not_stored_because_its_client_left_keeps_nobody_waiting() -> None:
    flights: dict[bytes, Flight] = {}
    begun = asyncio.Event()

    async def keep(_: bytes) -> None:
        begun.set()
        await asyncio.Event().wait()

    flight = Flight(b"a", flights)
    copying = asyncio.create_task(Copy(Fills().begin(b"shop/a", flight), 10, keep).finish())
    others = await waiting(flight, 1)
    await begun.wait()
    copying.cancel()
    assert await others[0] is Verdict.LEAD


async def test_what_is_outdated_is_shared_with_nobody() -> None:
    fills = Fills()
    flight = Flight(b"a", {})
    fill, other = fills.begin(b"shop/a", flight), fills.begin(b"shop/b", None)
    tasks = await waiting(flight, 1)
    fills.outdate(b"shop/a")
    fills.outdate_all((b"bank", b"shop/c"))
    assert (fill.valid, other.valid) == (False, True)
    fill.end(Verdict.FAILED)
    assert await tasks[0] is Verdict.ALONE
    fills.outdate_all((b"shop",))
    assert not other.valid
    assert len(fills) == 1
    other.fail()
    other.fail()
    other.end(Verdict.ALONE)
    assert len(fills) == 0
