"""The pages of the gateway of a hub with an upstream that answers, and one where nobody listens."""

from collections.abc import AsyncIterator

import pytest

from signalbox.auth.audit import AuditFilter, list_entries
from signalbox.auth.models import AuditRow
from signalbox.console.pages.gateway import fullest, hit_share
from signalbox.gateway.schemas import CounterOut, LimitOut
from signalbox.sandbox.server import LoopbackServer
from signalbox.sandbox.upstream import UpstreamApp
from tests.console.conftest import SignedIn, Visitor, add_user, told
from tests.support.databases import Place
from tests.support.hub import RunningHub, running_hub, settings_at

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
async def hub(place: Place) -> AsyncIterator[RunningHub]:
    """Upstreams ``shop``, with a cache and a limit, and ``away``."""
    async with LoopbackServer(UpstreamApp(latency=False)) as shop:
        upstreams = [
            {
                "name": "shop",
                "url": shop.url,
                "prefix": "/shop",
                "strip_prefix": True,
                "cache": {"enabled": True},
                "limits": [{"by": "ip", "rate": "100/1m"}],
            },
            {
                "name": "away",
                "url": NOBODY,
                "prefix": "/away",
                "breaker": {"minimum_calls": 2},
                "retry": {"retries": 0},
            },
        ]
        settings = settings_at(place, gateway={"upstreams": upstreams}, auth={"anonymous_scopes": ["gateway"]})
        async with running_hub(settings) as running:
            await add_user(running, "user", "user")
            await add_user(running, "manager", "manager")
            yield running


async def call(hub: RunningHub, *paths: str) -> None:
    """Send calls, and wait until they are recorded."""
    for path in paths:
        await hub.ask(path.encode())
    await hub.flush()


async def trail(hub: RunningHub, action: str) -> list[AuditRow]:
    return await hub.hub.context.db.read(list_entries, wanted=AuditFilter(action=action), limit=10)


async def test_upstreams_as_they_do_now(hub: RunningHub, signed_in: SignedIn) -> None:
    await call(hub, "/shop/items/1", "/shop/items/1")
    text = await (await signed_in("user")).text("/gateway")
    assert "shop" in text
    assert "/gateway/upstreams/away" in text
    assert 'hx-get="/console/gateway/period?period=1h&amp;upstream="' in text
    part = await (await signed_in("user")).text("/gateway/upstreams", htmx=True)
    assert "<html" not in part
    assert "2.0 %" in part


async def test_the_period_comes_with_its_pictures(hub: RunningHub, signed_in: SignedIn) -> None:
    await call(hub, "/shop/status/200", "/shop/status/200", "/nobody/here")
    user = await signed_in("user")
    for period in ("1h", "6h", "24h", "7d", "nonsense"):
        text = await user.text(f"/gateway/period?period={period}&upstream=", htmx=True)
        assert "Calls by status over time: 2 2xx, 1 4xx" in text
        assert "heat-5" in text
    text = await user.text("/gateway/period?period=1h&upstream=shop", htmx=True)
    assert "Calls by status over time: 2 2xx" in text
    assert "By upstream" not in text


async def test_a_period_without_calls_says_what_to_do(signed_in: SignedIn) -> None:
    text = await (await signed_in("user")).text("/gateway/period", htmx=True)
    assert "No calls in the last hour" in text
    assert "curl" in text


async def test_a_probe_says_who_answers(hub: RunningHub, signed_in: SignedIn) -> None:
    manager = await signed_in("manager")
    said = told(await manager.act("/gateway/upstreams/shop/probe"))
    assert said["toast"]["kind"] == "ok"
    assert "answered" in said["toast"]["message"]
    said = told(await manager.act("/gateway/upstreams/away/probe"))
    assert said["toast"]["kind"] == "bad"
    assert "connect_failed" in said["toast"]["message"]
    assert [(each.actor, each.target) for each in await trail(hub, "upstream.probe")] == [
        ("user:manager", "upstream:away"),
        ("user:manager", "upstream:shop"),
    ]


async def test_an_open_breaker_is_shown_and_reset(hub: RunningHub, signed_in: SignedIn) -> None:
    manager = await signed_in("manager")
    evil = "/away/<img src=x onerror=alert(1)>".replace(" ", "%20")
    await call(hub, *[evil] * 4)
    text = await manager.text("/gateway/upstreams/away/state", htmx=True)
    assert ">open</span>" in text
    assert "Last failures" in text
    assert "<img" not in text
    assert "/away/reset" in await manager.text("/gateway/upstreams", htmx=True)
    answer = await manager.act("/gateway/upstreams/away/reset")
    assert "calls are let through" in told(answer)["toast"]["message"]
    (entry,) = await trail(hub, "breaker.reset")
    assert (entry.before, entry.after) == ({"state": "open"}, {"state": "closed"})
    assert ">closed</span>" in await manager.text("/gateway/upstreams/away/state", htmx=True)


async def test_cached_answers_are_forgotten(hub: RunningHub, signed_in: SignedIn) -> None:
    manager = await signed_in("manager")
    await call(hub, "/shop/items/1", "/shop/items/1")
    text = await manager.text("/gateway/upstreams/shop")
    assert "Forget cached answers" in text
    refused = await manager.act("/gateway/upstreams/shop/purge", prefix="items")
    assert (refused.status, await trail(hub, "cache.purge")) == (422, [])
    answer = await manager.act("/gateway/upstreams/shop/purge", prefix="/items")
    assert "below /items are forgotten" in told(answer)["toast"]["message"]
    (entry,) = await trail(hub, "cache.purge")
    assert entry.after == {"prefix": "/items", "path": None}
    without = await manager.act("/gateway/upstreams/away/purge")
    assert "are not cached" in told(without)["toast"]["message"]


async def test_a_user_looks_and_does_nothing(hub: RunningHub, signed_in: SignedIn) -> None:
    user = await signed_in("user")
    shown = await user.text("/gateway") + await user.text("/gateway/upstreams/shop")
    assert "hx-post" not in shown
    for what in ("probe", "reset", "purge"):
        assert (await user.act(f"/gateway/upstreams/shop/{what}")).status == 403
    assert await trail(hub, "upstream.probe") == []


async def test_an_unknown_upstream_is_not_found(signed_in: SignedIn) -> None:
    manager = await signed_in("manager")
    assert (await manager.get("/gateway/upstreams/nobody")).status == 404
    assert (await manager.act("/gateway/upstreams/nobody/probe")).status == 404


async def test_a_hub_without_upstreams_says_how_to_add_one(place: Place) -> None:
    async with running_hub(settings_at(place)) as running:
        await add_user(running, "user", "user")
        somebody = Visitor(running)
        await somebody.sign_in("user")
        assert "[[gateway.upstreams]]" in await somebody.text("/gateway")


async def test_a_process_that_serves_no_upstreams_shows_what_the_database_knows(postgresql_place: Place) -> None:
    async with running_hub(settings_at(postgresql_place, role="api")) as running:
        await add_user(running, "manager", "manager")
        somebody = Visitor(running)
        await somebody.sign_in("manager")
        assert "This process serves no upstreams" in await somebody.text("/gateway")
        assert "No calls" in await somebody.text("/gateway/period", htmx=True)
        assert (await somebody.get("/gateway/upstreams/shop")).status == 404


def test_the_fullest_counter_tells_how_much_of_a_limit_is_used() -> None:
    counters = [CounterOut(key="a", used=3), CounterOut(key="b", used=1)]
    limit = LimitOut(name="x", by="ip", rate="10/1m", pattern=None, counters=2, fullest=counters)
    assert fullest([limit, limit.model_copy(update={"rate": "4/1m"})]) == 0.75
    assert fullest([limit.model_copy(update={"fullest": []})]) == 0
    assert fullest([]) is None


async def test_hits_are_shares_of_what_may_be_cached(hub: RunningHub) -> None:
    from signalbox.gateway import upstreams

    await call(hub, "/shop/items/1", "/shop/items/1", "/shop/items/1")
    gateway = hub.hub.gateway
    assert gateway is not None
    away, shop = await upstreams.describe(gateway.parts, gateway.figures(), hub.hub.context.clock)
    assert hit_share(away) is None
    assert shop.cache is not None
    counts = {**dict.fromkeys(shop.cache.model_fields_set, 0), "hits": 3, "misses": 1, "bypassed": 9}
    assert hit_share(shop.model_copy(update={"cache": shop.cache.model_copy(update=counts)})) == 0.75
