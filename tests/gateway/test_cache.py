"""The cache of an upstream, on each store: what is kept, given, asked about again."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from signalbox.core.times import MICROSECONDS
from signalbox.gateway.cache import NotCachedError
from signalbox.gateway.cache_ask import Ask
from signalbox.gateway.cache_control import format_date
from signalbox.infra.clock.manual import ManualClock
from tests.gateway.cache_world import MINUTE, World, caching_in, chunked, reply, versioned


@pytest.fixture(params=["memory", "redis"])
async def world(request: pytest.FixtureRequest, clock: ManualClock) -> AsyncIterator[World]:
    async with caching_in(request.param, clock) as made:
        yield made


# -- hits


async def test_a_fresh_answer_is_given_without_asking(world: World) -> None:
    world.server.script = lambda _: reply(
        b"hello", etag='"1"', connection="keep-alive, x-hop", x_hop="1", x_end="2", age="5"
    )
    first = await world.call()
    world.clock.advance(10)
    second = await world.call()
    assert world.asked == 1
    assert (first.status, first.body, first.how) == (200, b"hello", "fwd=uri-miss; stored")
    assert (second.status, second.body, second.how) == (200, b"hello", "hit; ttl=45")
    assert second.headers["age"] == "15"
    assert second.headers["etag"] == '"1"'
    assert second.headers["x-end"] == "2"
    assert second.headers["content-length"] == "5"
    assert second.headers["via"] == "1.1 signalbox"
    assert second.headers["date"] == format_date(world.clock.now() - 10 * MICROSECONDS).decode()
    assert {"connection", "x-hop", "x-request-id"}.isdisjoint(second.headers)


async def test_an_answer_is_fresh_for_its_time(world: World) -> None:
    await world.call()
    world.clock.advance(59)
    assert (await world.call()).how == "hit; ttl=1"
    world.clock.advance(1)
    assert (await world.call()).how in {"fwd=uri-miss; stored", "fwd=stale; stored"}  # as Redis goes by its own clock
    assert world.asked == 2


async def test_age_grows_by_the_second(world: World) -> None:
    await world.call()
    ages = []
    for _ in range(5):
        world.clock.advance(0.5)
        ages.append((await world.call()).headers["age"])
    assert ages == ["0", "1", "1", "2", "2"]


async def test_the_query_is_part_of_the_target(world: World) -> None:
    world.server.script = lambda seen: reply(seen.target.encode())
    for _ in range(2):
        assert [(await world.call(target)).body for target in ("/a", "/a?", "/a?b")] == [b"/a", b"/a?", b"/a?b"]
    assert world.asked == 3


async def test_head_is_answered_from_what_get_has_brought(world: World) -> None:
    await world.call()
    got = await world.call(method="HEAD")
    assert (got.status, got.body, got.headers["content-length"]) == (200, b"", "5")
    assert got.how == "hit; ttl=60"
    assert world.asked == 1


async def test_what_head_brings_is_not_kept(world: World) -> None:
    assert (await world.call(method="HEAD")).how == "fwd=uri-miss"
    assert (await world.call()).body == b"hello"
    assert world.asked == 2


@pytest.mark.parametrize(
    "headers",
    [
        {"range": "bytes=0-1"},
        {"if-match": '"1"'},
        {"if-unmodified-since": "x"},
        {"x-http-method-override": "DELETE"},
        {"x-original-url": "/b"},
    ],
)
async def test_some_requests_pass_by(world: World, headers: dict[str, str]) -> None:
    await world.call()
    assert (await world.call(headers=headers)).how == "fwd=bypass"
    assert world.server.seen[-1].headers.items() >= headers.items()
    assert (await world.call()).how == "hit; ttl=60"


async def test_a_request_with_a_body_passes_by(world: World) -> None:
    await world.call()
    ask = Ask(b"GET", b"/a", origin=b"http://hub.test", headers=[], has_body=True)
    assert await world.cache.lookup(ask) is None
    assert world.counts.hits == 0


async def test_upstreams_share_a_store_and_nothing_else(world: World) -> None:
    await world.call()
    world.make("other")
    assert (await world.call()).how == "fwd=uri-miss; stored"


async def test_an_older_cache_s_word_stands_before_ours(world: World) -> None:
    world.server.script = lambda _: reply(b"x", cache_status="cdn; hit")
    await world.call()
    assert (await world.call()).headers["cache-status"] == "cdn; hit, signalbox; hit; ttl=60"


# -- what is not kept


@pytest.mark.parametrize(
    ("control", "more", "reason"),
    [
        ("no-store", {}, "no-store"),
        ("private, max-age=60", {}, "private"),
        (MINUTE, {"set_cookie": "a=1"}, "set-cookie"),
        (MINUTE, {"vary": "*"}, "vary"),
        (None, {}, "no-freshness"),
    ],
)
async def test_what_may_not_be_kept_passes(
    world: World, control: str | None, more: dict[str, Any], reason: str
) -> None:
    world.server.script = lambda _: reply(b"hello", control=control, **more)
    for _ in range(2):
        got = await world.call()
        assert (got.body, got.how) == (b"hello", f"fwd=uri-miss; detail={reason}")
    assert (await world.store.statistics()).refused == 0
    assert world.asked == 2


async def test_what_may_not_be_kept_takes_the_former_with_it(world: World) -> None:
    await world.call()
    world.server.script = lambda _: reply(b"mine", control="private")
    await world.call(headers={"cache-control": "no-cache"})
    assert (await world.call()).body == b"mine"
    assert world.asked == 3


async def test_headers_for_one_client_reach_that_one_only(world: World) -> None:
    world.server.script = lambda _: reply(b"x", control='max-age=60, no-cache="set-cookie"', set_cookie="a=1")
    assert (await world.call()).headers["set-cookie"] == "a=1"
    got = await world.call()
    assert got.how == "hit; ttl=60"
    assert "set-cookie" not in got.headers


async def test_an_answer_that_is_too_large_passes(world: World) -> None:
    world.make(max_body=4)
    for _ in range(2):
        got = await world.call()
        assert (got.body, got.how) == (b"hello", "fwd=uri-miss; detail=too-large")
    assert world.asked == 2


async def test_a_chunked_answer_that_is_too_large_passes(world: World) -> None:
    world.make(max_body=4)
    world.server.script = lambda _: chunked(b"hel", b"lo")
    assert (await world.call()).body == b"hello"
    assert (await world.call()).how == "fwd=uri-miss; detail=too-large"


async def test_an_answer_that_ends_with_its_connection_is_not_kept(world: World) -> None:
    world.server.script = lambda _: [b"HTTP/1.1 200 X\r\ncache-control: max-age=60\r\n\r\nhello", b""]
    world.server.step.release()
    world.server.step.release()
    for _ in range(2):
        got = await world.call()
        assert (got.body, got.how) == (b"hello", "fwd=uri-miss; detail=no-length")


async def test_an_answer_without_a_body_is_kept(world: World) -> None:
    world.server.script = lambda _: reply(status=204)
    await world.call()
    got = await world.call()
    assert (got.status, got.how) == (204, "hit; ttl=60")
    assert "content-length" not in got.headers


# -- revalidation


async def test_a_304_makes_a_stored_answer_fresh_again(world: World) -> None:
    world.server.script = versioned(["1"])
    await world.call()
    world.clock.advance(100)
    got = await world.call()
    assert (got.status, got.body, got.how) == (200, b"1", "fwd=stale; fwd-status=304")
    assert (got.headers["age"], got.headers["x-new"], got.headers["content-type"]) == ("0", "yes", "a/b")
    world.clock.advance(50)
    assert (await world.call()).how == "hit; ttl=10"
    assert world.counts.revalidated == 1
    assert world.server.seen[1].headers["if-none-match"] == '"1"'


async def test_what_has_changed_replaces_what_is_stored(world: World) -> None:
    version = ["1"]
    world.server.script = versioned(version)
    await world.call()
    world.clock.advance(100)
    version[0] = "2"
    got = await world.call()
    assert (got.body, got.how) == (b"2", "fwd=stale; stored")
    assert (await world.call()).body == b"2"
    assert world.asked == 2


async def test_what_says_no_cache_is_asked_about_each_time(world: World) -> None:
    world.server.script = lambda seen: (
        reply(status=304, control="no-cache") if "if-modified-since" in seen.headers
        else reply(b"x", control="no-cache", last_modified=format_date(0).decode())
    )  # fmt: skip
    await world.call()
    for _ in range(2):
        got = await world.call()
        assert (got.body, got.how) == (b"x", "fwd=stale; fwd-status=304")


async def test_a_304_about_another_version_is_asked_again(world: World) -> None:
    world.server.script = versioned(["1"])
    await world.call()
    world.clock.advance(100)
    world.server.script = lambda seen: (
        reply(status=304, etag='"2"') if "if-none-match" in seen.headers else reply(b"2", etag='"2"')
    )
    assert (await world.call()).body == b"2"
    assert world.asked == 3


async def test_a_304_may_forbid_to_keep_on(world: World) -> None:
    world.server.script = versioned(["1"])
    await world.call()
    world.clock.advance(100)
    world.server.script = lambda _: reply(status=304, control="no-store")
    assert (await world.call()).body == b"1"
    world.server.script = lambda _: reply(b"3")
    assert (await world.call()).body == b"3"
    assert "if-none-match" not in world.server.seen[-1].headers


async def test_a_cookie_of_a_304_reaches_the_one_who_asked(world: World) -> None:
    world.server.script = versioned(["1"])
    await world.call()
    world.clock.advance(100)
    world.server.script = lambda _: reply(status=304, set_cookie="a=1")
    assert (await world.call()).headers["set-cookie"] == "a=1"
    assert "set-cookie" not in (await world.call()).headers


@pytest.mark.parametrize(
    "headers", [{"cache-control": "no-cache"}, {"pragma": "no-cache"}, {"cache-control": "max-age=0"}]
)
async def test_a_client_may_ask_for_what_is_current(world: World, headers: dict[str, str]) -> None:
    world.server.script = versioned(["1"])
    await world.call()
    got = await world.call(headers=headers)
    assert (got.body, got.how) == (b"1", "fwd=request; fwd-status=304")
    assert world.asked == 2


async def test_a_client_may_forbid_to_keep(world: World) -> None:
    await world.call(headers={"cache-control": "no-store"})
    assert (await world.call()).how == "fwd=uri-miss; stored"
    assert (await world.call(headers={"cache-control": "no-store"})).how == "hit; ttl=60"


async def test_a_client_may_ask_for_what_is_stored_alone(world: World) -> None:
    only = {"cache-control": "only-if-cached"}
    with pytest.raises(NotCachedError):
        await world.call(headers=only)
    assert world.asked == 0
    await world.call()
    assert (await world.call(headers=only)).body == b"hello"
    world.clock.advance(60)
    with pytest.raises(NotCachedError):
        await world.call(headers=only)


async def test_a_client_may_take_what_is_stale(world: World) -> None:
    world.server.script = versioned(["1"])
    await world.call()
    world.clock.advance(100)
    got = await world.call(headers={"cache-control": "max-stale=60"})
    assert (got.body, got.how, got.headers["age"]) == (b"1", "hit; ttl=-40", "100")


async def test_a_client_that_holds_the_answer_gets_304(world: World) -> None:
    world.server.script = lambda _: reply(
        b"hello", etag='"1"', last_modified=format_date(0).decode(), content_type="a/b"
    )
    await world.call()
    for headers in ({"if-none-match": 'W/"1"'}, {"if-modified-since": format_date(0).decode()}):
        got = await world.call(headers=headers)
        assert (got.status, got.body, got.how, got.headers["etag"]) == (304, b"", "hit; ttl=60", '"1"')
        assert {"content-length", "content-type"}.isdisjoint(got.headers)
    assert (await world.call(headers={"if-none-match": '"2"'})).body == b"hello"
    assert world.asked == 1


async def test_the_first_to_ask_under_a_condition_fills_the_cache(world: World) -> None:
    world.server.script = versioned(["1"])
    got = await world.call(headers={"if-none-match": '"1"'})
    assert (got.status, got.body) == (304, b"")
    assert "if-none-match" not in world.server.seen[0].headers
    assert (await world.call()).how == "hit; ttl=60"


async def test_a_condition_is_passed_on_where_answers_are_not_kept(world: World) -> None:
    world.server.script = lambda seen: (
        reply(status=304, control="private") if "if-none-match" in seen.headers else reply(b"x", control="private")
    )
    asked = {"if-none-match": '"1"'}
    assert [(await world.call(headers=asked)).status for _ in range(3)] == [200, 304, 304]


async def test_head_shows_that_what_is_stored_has_changed(world: World) -> None:
    version = ["1"]
    world.server.script = versioned(version)
    await world.call()
    world.clock.advance(100)
    assert (await world.call(method="HEAD")).how == "fwd=stale; fwd-status=304"
    assert (await world.call()).how == "hit; ttl=60"
    world.clock.advance(100)
    version[0] = "2"
    await world.call(method="HEAD")
    assert (await world.call()).how == "fwd=uri-miss; stored"
