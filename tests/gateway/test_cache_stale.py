"""Stale answers, and bodies on their way."""

import logging
from collections.abc import AsyncIterator

import pytest

from signalbox.gateway.cache import MAX_REFRESHES
from signalbox.gateway.errors import UpstreamFailedError
from signalbox.infra.clock.manual import ManualClock
from signalbox.infra.http import HttpClientError
from tests.gateway.cache_world import (
    World,
    caching_in,
    chunked,
    in_steps,
    reply,
)
from tests.support.timing import until


@pytest.fixture(params=["memory", "redis"])
async def world(request: pytest.FixtureRequest, clock: ManualClock) -> AsyncIterator[World]:
    async with caching_in(request.param, clock) as made:
        yield made


# -- bodies on their way


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
        world.server.seen.clear()
        assert (await world.call()).body == b"hello"
        await until(lambda: world.asked and world.is_idle)
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
