"""The cache of an upstream, as callers, the upstream and the statistics see it."""

import asyncio
import json
from typing import Any
from uuid import uuid4

from starlette.types import Receive, Scope, Send

from tests.gateway.conftest import World, recorded
from tests.gateway.test_proxy import problem
from tests.support.caches import redis_url
from tests.support.hub import Answer, RunningHub
from tests.support.timing import PATIENCE

CACHED = {"cache": {"enabled": True}}


class Counting:
    """An upstream whose answers tell their number, and may be kept as ``control`` says."""

    def __init__(self, control: bytes = b"max-age=60") -> None:
        self.control = control
        self.asked: list[tuple[str, str, dict[bytes, bytes]]] = []
        self.pause = 0.0
        self.status = 200

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        self.asked.append((scope["method"], scope["path"], headers))
        number = len(self.asked)
        await asyncio.sleep(self.pause)
        etag = b'"v1"'
        fields = [(b"cache-control", self.control), (b"etag", etag), (b"vary", b"accept-language")]
        if headers.get(b"if-none-match") == etag and self.status == 200:
            await send({"type": "http.response.start", "status": 304, "headers": fields})
            await send({"type": "http.response.body", "body": b""})
            return
        body = b"answer %d" % number
        fields += [(b"content-length", b"%d" % len(body)), (b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": self.status, "headers": fields})
        await send({"type": "http.response.body", "body": body})


async def hub_of(world: World, upstream: Counting, **more: Any) -> RunningHub:
    url = await world.serve(upstream)
    return await world.hub({"name": "shop", "url": url, **CACHED, **more}, gateway={"default": "shop"})


def told(answer: Answer) -> bytes:
    """What ``Cache-Status`` says, without the time to live."""
    return (answer.value(b"cache-status") or b"").partition(b"; ttl=")[0]


async def test_a_second_call_is_answered_from_the_cache(world: World) -> None:
    upstream = Counting()
    hub = await hub_of(world, upstream)
    first, second, other = [await hub.ask(path) for path in (b"/a?x=1", b"/a?x=1", b"/a?x=2")]
    assert (first.body, second.body, other.body) == (b"answer 1", b"answer 1", b"answer 2")
    assert told(first) == b"signalbox; fwd=uri-miss; stored"
    assert told(second) == b"signalbox; hit"
    assert second.value(b"age") == b"0"
    assert second.value(b"etag") == b'"v1"'
    assert first.value(b"x-request-id") != second.value(b"x-request-id")
    assert (first.value(b"via"), second.value(b"via")) == (b"1.1 signalbox", b"1.1 signalbox")
    assert [call.status_code for call in await recorded(hub, 3)] == [200, 200, 200]
    assert [call.response_bytes for call in await recorded(hub, 3)] == [8, 8, 8]


async def test_it_is_off_unless_switched_on(world: World) -> None:
    upstream = Counting()
    hub = await hub_of(world, upstream, cache={})
    answers = [await hub.ask(b"/a") for _ in range(2)]
    assert [answer.body for answer in answers] == [b"answer 1", b"answer 2"]
    assert answers[0].value(b"cache-status") is None


async def test_what_callers_may_not_share_is_not_shared(world: World) -> None:
    upstream = Counting()
    hub = await hub_of(world, upstream)
    mine = [(b"Authorization", b"Bearer of-the-shop")]
    bodies = [(await hub.ask(b"/a", headers=mine)).body for _ in range(2)]
    assert bodies == [b"answer 1", b"answer 2"]
    assert (await hub.ask(b"/a")).body == b"answer 3"
    for language in (b"de", b"fr", b"de"):
        await hub.ask(b"/a", headers=[(b"Accept-Language", language)])
    assert len(upstream.asked) == 5


async def test_many_at_once_make_one_call(world: World) -> None:
    upstream = Counting()
    upstream.pause = 0.2
    hub = await hub_of(world, upstream)
    answers = await asyncio.gather(*(hub.ask(b"/a") for _ in range(50)))
    assert {answer.body for answer in answers} == {b"answer 1"}
    assert len(upstream.asked) == 1
    assert sum(b"collapsed" in told(answer) for answer in answers) == 49


async def test_a_stale_answer_is_confirmed(world: World) -> None:
    upstream = Counting(b"max-age=0")
    hub = await hub_of(world, upstream)
    answers = [await hub.ask(b"/a") for _ in range(2)]
    assert [answer.body for answer in answers] == [b"answer 1", b"answer 1"]
    assert upstream.asked[1][2][b"if-none-match"] == b'"v1"'
    assert told(answers[1]) == b"signalbox; fwd=stale; fwd-status=304"


async def test_a_stale_answer_may_be_given_while_a_new_one_is_fetched(world: World) -> None:
    upstream = Counting(b"max-age=0, stale-while-revalidate=60")
    hub = await hub_of(world, upstream)
    await hub.ask(b"/a")
    upstream.pause = 0.1
    answer = await hub.ask(b"/a")
    assert answer.body == b"answer 1"
    calls = await recorded(hub, 3)
    own = [call for call in calls if call.app == "signalbox"]
    assert [(call.path, call.status_code, call.client) for call in own] == [("/a", 304, "")]
    assert len(upstream.asked) == 2


async def test_a_stale_answer_may_be_given_when_the_upstream_fails(world: World) -> None:
    upstream = Counting(b"max-age=0, stale-if-error=60")
    hub = await hub_of(world, upstream, retry={"retries": 0})
    await hub.ask(b"/a")
    upstream.status = 503
    assert (await hub.ask(b"/a")).body == b"answer 1"
    assert (await hub.ask(b"/b")).status == 503


async def test_an_unsafe_method_makes_it_forget(world: World) -> None:
    upstream = Counting()
    hub = await hub_of(world, upstream)
    await hub.ask(b"/a")
    assert (await hub.ask(b"/a", method=b"PUT", body=b"new")).body == b"answer 2"
    assert (await hub.ask(b"/a")).body == b"answer 3"


async def test_only_if_cached_asks_nobody(world: World) -> None:
    upstream = Counting()
    hub = await hub_of(world, upstream)
    answer = await hub.ask(b"/a", headers=[(b"Cache-Control", b"only-if-cached")])
    assert problem(answer) == (504, "not_cached")
    assert upstream.asked == []


async def test_limits_and_tokens_come_before_it(world: World) -> None:
    upstream = Counting()
    hub = await hub_of(world, upstream, limits=[{"by": "ip", "rate": "2/1h"}])
    statuses = [(await hub.ask(b"/a")).status for _ in range(3)]
    assert statuses == [200, 200, 429]
    guarded = await hub_of(world, Counting(), access="token")
    token = await guarded.token("gateway")
    assert (await guarded.ask(b"/a", headers=[(b"Token", token.text.encode())])).status == 200
    assert (await guarded.ask(b"/a")).status == 401


async def test_what_is_larger_than_it_may_be_passes(world: World) -> None:
    upstream = Counting()
    hub = await hub_of(world, upstream, cache={"enabled": True, "max_body": 4})
    assert [(await hub.ask(b"/a")).body for _ in range(2)] == [b"answer 1", b"answer 2"]


async def test_a_manager_makes_it_forget_and_sees_what_it_did(world: World) -> None:
    upstream = Counting()
    hub = await hub_of(world, upstream)
    manager = [(b"Token", (await hub.token("manager", app="desk")).text.encode())]
    for path in (b"/a/1", b"/a/2", b"/ab", b"/a/1"):
        await hub.ask(path)
    purged = await hub.ask(b"/api/upstreams/shop/cache?prefix=/a", method=b"DELETE", headers=manager)
    assert purged.status == 200
    assert json.loads(purged.body)["purged"] >= 2
    assert (await hub.ask(b"/ab")).body == b"answer 3"
    assert (await hub.ask(b"/a/1")).body == b"answer 4"
    shown = json.loads((await hub.ask(b"/api/upstreams/shop", headers=manager)).body)["cache"]
    assert (shown["hits"], shown["misses"], shown["stored"]) == (2, 4, 4)
    trail = json.loads((await hub.ask(b"/api/audit?action=cache.purge", headers=manager)).body)
    assert [entry["after"] for entry in trail] == [{"prefix": "/a", "path": None}]


async def test_only_a_manager_and_only_where_there_is_one(world: World) -> None:
    hub = await world.hub()
    reader, manager = await hub.token("statistics:read"), await hub.token("manager", app="desk")
    path = b"/api/upstreams/raw/cache"
    refused = await hub.ask(path, method=b"DELETE", headers=[(b"Token", reader.text.encode())])
    assert refused.status == 403
    none = await hub.ask(path, method=b"DELETE", headers=[(b"Token", manager.text.encode())])
    assert problem(none) == (409, "not_cached_upstream")


async def test_a_reload_keeps_what_is_stored_and_ends_what_is_fetched_in_the_background(world: World) -> None:
    upstream = Counting(b"max-age=0, stale-while-revalidate=60")
    hub = await hub_of(world, upstream)
    await hub.ask(b"/a")
    upstream.pause = 2.0
    assert (await hub.ask(b"/a")).body == b"answer 1"
    before = hub.hub.settings
    changed = before.gateway.model_copy(
        update={"upstreams": [before.gateway.upstreams[0].model_copy(update={"max_body": 5})]}
    )
    async with asyncio.timeout(PATIENCE):
        hub.hub.reload(before.model_copy(update={"gateway": changed}))
        (own,) = [call for call in await recorded(hub, 3) if call.app == "signalbox"]
    assert own.status_code == 499
    assert (await hub.ask(b"/a")).body == b"answer 1"


async def test_hubs_may_share_what_lies_in_redis(world: World) -> None:
    upstream = Counting()
    name, url = f"shop-{uuid4().hex[:8]}", await world.serve(upstream)
    listed = {"name": name, "url": url, **CACHED}
    store = {"redis_url": redis_url()}
    one, other = [await world.hub(listed, gateway={"default": name}, cache=store) for _ in range(2)]
    assert [(await hub.ask(b"/a")).body for hub in (one, other)] == [b"answer 1", b"answer 1"]
    manager = [(b"Token", (await other.token("manager", app="desk")).text.encode())]
    purged = await other.ask(f"/api/upstreams/{name}/cache".encode(), method=b"DELETE", headers=manager)
    assert json.loads(purged.body)["purged"] >= 1
    assert (await one.ask(b"/a")).body == b"answer 2"
    await other.ask(f"/api/upstreams/{name}/cache".encode(), method=b"DELETE", headers=manager)
