"""Upstreams whose host has a budget, through the hub."""

import asyncio
import time
from typing import Any

from signalbox.core.rates import parse_rate
from signalbox.gateway.budgeted import BudgetedClient
from signalbox.gateway.permits import HostPermits
from signalbox.infra.clock.system import SystemClock
from signalbox.infra.db import Database
from signalbox.infra.http import Request
from signalbox.infra.http.pool import PooledClient
from signalbox.infra.limits.budgets import Budgets
from signalbox.infra.limits.settings import BudgetSettings
from tests.contracts.peer import FINE, OK, Line, Peer, always, serve
from tests.gateway.conftest import World
from tests.gateway.test_proxy import problem
from tests.support.hub import RunningHub
from tests.support.timing import PATIENCE, until

HOST = "127.0.0.1"
BUSY = b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 40\r\ncontent-length: 4\r\n\r\nbusy"


def budget(*limits: str, host: str = HOST, **more: Any) -> list[dict[str, Any]]:
    return [{"host": host, "limits": list(limits), "poll_share": 0.0, **more}]


def upstream(peer: Peer, **more: Any) -> dict[str, Any]:
    return {"name": "peer", "prefix": "/", "url": f"http://127.0.0.1:{peer.origin.port}", **more}


async def statuses(hub: RunningHub, calls: int, path: bytes = b"/fine") -> list[int]:
    return sorted([answer.status for answer in await asyncio.gather(*(hub.ask(path) for _ in range(calls)))])


async def test_the_upstream_sees_as_many_calls_as_the_budget_allows(each_world: World) -> None:
    hub = await each_world.hub(budgets=budget("10/1h"))
    assert await statuses(hub, 25) == [200] * 10 + [429] * 15
    assert len(each_world.raw.calls) == 10
    refused = await hub.ask(b"/fine")
    assert problem(refused) == (429, "budget_exhausted")
    assert 3_500 < int(refused.value(b"retry-after") or 0) <= 3_602
    assert len(each_world.raw.calls) == 10


async def test_a_budget_is_shared_with_what_else_calls_the_host(world: World) -> None:
    hub = await world.hub({"name": "raw"}, {"name": "other", "prefix": "/other"}, budgets=budget("10/1h"))
    context = hub.hub.context
    grant = await context.budgets.acquire(f"{HOST}:80", count=7, now=context.clock.now())
    assert grant.count == 7
    assert await statuses(hub, 2) == [200, 200]
    assert await statuses(hub, 2, b"/other/fine") == [200, 429]


async def test_no_window_holds_more_than_the_limit_at_the_upstream_whichever_hub_calls(each_world: World) -> None:
    arrived: list[float] = []

    async def script(line: Line) -> None:
        while True:
            await line.head()
            arrived.append(time.monotonic())
            await line.say(FINE)

    async with serve(script) as peer:
        shared = each_world.place.dialect == "postgresql"  # SQLite has one server
        hubs = [await each_world.hub(upstream(peer), budgets=budget("8/1s")) for _ in range(1 + shared)]
        async with asyncio.timeout(PATIENCE):
            while len(arrived) < 24:
                await asyncio.gather(*(statuses(hub, 5) for hub in hubs))
                await asyncio.sleep(0.01)
    most = max(
        sum(at <= other < at + 0.9 for other in arrived) for at in arrived
    )  # less than 1 s: it is a busy machine
    assert most <= 8


async def test_an_upstream_without_a_budget_is_called_by_the_plain_client(world: World) -> None:
    hub = await world.hub(budgets=budget("1/1h", host="api.example.com"))
    assert hub.hub.gateway is not None
    assert hub.hub.gateway.parts["raw"].dispatcher.client is hub.hub.context.http
    assert await statuses(hub, 5) == [200] * 5


async def test_each_server_of_an_upstream_has_the_budget_of_its_own_address(world: World) -> None:
    async with serve(always(FINE)) as one, serve(always(FINE)) as other:
        urls = [f"http://127.0.0.1:{peer.origin.port}" for peer in (one, other)]
        settings = budget("2/1h", host=f"127.0.0.1:{one.origin.port}")
        hub = await world.hub({"name": "both", "prefix": "/", "url": None, "urls": urls}, budgets=settings)
        results = [(await hub.ask(b"/x")).status for _ in range(8)]
    assert results.count(429) == 2
    assert results.count(200) == 6


async def test_a_repeated_call_takes_a_permit_of_its_own(world: World) -> None:
    hub = await world.hub(budgets=budget("3/1h"))
    assert await statuses(hub, 1, b"/close") == [502]
    assert len(world.raw.calls) == 2
    assert await statuses(hub, 3) == [200, 429, 429]


async def test_a_call_that_did_not_reach_the_upstream_takes_nothing(world: World) -> None:
    away = {"name": "away", "prefix": "/", "url": world.raw.refused_url, "breaker": {"enabled": False}}
    hub = await world.hub(away, budgets=budget("2/1h"))
    for _ in range(5):
        assert await statuses(hub, 1) == [502]


async def test_an_upstream_that_asks_to_wait_is_left_alone_by_all(world: World) -> None:
    async with serve(always(BUSY)) as peer:
        hub = await world.hub(upstream(peer), budgets=budget("100/1h"))
        passed_on = await hub.ask(b"/x")
        assert (passed_on.status, passed_on.value(b"retry-after"), passed_on.body) == (429, b"40", b"busy")
        refused = await hub.ask(b"/x")
        assert problem(refused) == (503, "host_paused")
        assert 35 <= int(refused.value(b"retry-after") or 0) <= 40
        context = hub.hub.context
        async with asyncio.timeout(PATIENCE):
            while not (await context.budgets.acquire(HOST, now=context.clock.now())).paused:
                await asyncio.sleep(0.01)
        until_ = await context.db.read(context.budgets.paused_until, HOST)
        assert until_ is not None
        assert abs(until_ - context.clock.now() - 40_000_000) < 5_000_000


async def test_a_pause_that_another_feature_saw_holds_here(world: World) -> None:
    hub = await world.hub(budgets=budget("100/1h"))
    context = hub.hub.context
    await context.db.write(context.budgets.pause, HOST, until=context.clock.now() + 30_000_000)
    assert problem(await hub.ask(b"/fine")) == (503, "host_paused")
    assert world.raw.calls == []


async def test_an_upstream_without_a_budget_is_not_paused(world: World) -> None:
    async with serve(always(BUSY)) as peer:
        hub = await world.hub(upstream(peer))
        assert await statuses(hub, 3, b"/x") == [429] * 3


async def test_a_refusal_is_no_failure_of_the_upstream(world: World) -> None:
    hub = await world.hub({"name": "raw", "breaker": {"minimum_calls": 2}}, budgets=budget("1/1h"))
    assert await statuses(hub, 10) == [200] + [429] * 9
    assert hub.hub.gateway is not None
    parts = hub.hub.gateway.parts["raw"]
    assert (parts.dispatcher.breaker.state, parts.dispatcher.targets.in_flight) == ("closed", 0)


async def test_settings_that_change_keep_what_was_granted(world: World) -> None:
    hub = await world.hub(budgets=budget("2/1h"))
    assert await statuses(hub, 1) == [200]
    settings = hub.hub.settings
    changed = settings.gateway.upstreams[0].model_copy(update={"read_timeout": 7.0})
    gateway = settings.gateway.model_copy(update={"upstreams": [changed]})
    assert hub.hub.reload(settings.model_copy(update={"gateway": gateway})) == []
    assert await statuses(hub, 3) == [200, 429, 429]


async def test_a_permit_that_is_over_when_there_is_a_connection_is_replaced(database: Database) -> None:
    """All connections are busy for longer than a permit lasts."""
    release = asyncio.Event()

    async def script(line: Line) -> None:
        await line.head()
        await release.wait()
        await line.say(OK + b"content-length: 0\r\nconnection: close\r\n\r\n")

    clock, client = SystemClock(), PooledClient(max_connections=1)
    budgets = Budgets([BudgetSettings(host=HOST, limits=[parse_rate("100/1h")])], database, clock)
    permits = HostPermits(HOST, budgets, db=database, clock=clock)
    async with serve(script) as peer:
        subject = BudgetedClient(client, {peer.origin.key: permits}, clock)
        first = asyncio.create_task(client.send(Request(peer.origin, b"POST", b"/")))
        await until(lambda: peer.lines)
        second = asyncio.create_task(subject.send(Request(peer.origin, b"POST", b"/")))
        await asyncio.sleep(1.3)
        release.set()
        for each in (first, second):
            (await each).close()
        assert len(peer.lines) == 2
    status = await database.read(budgets.status, HOST, now=clock.now())
    await permits.close()
    await client.close()
    assert status.limits[0].used == 2
