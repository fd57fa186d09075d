"""Breaker, targets and retries, as callers and upstreams see them."""

import asyncio
import json
from functools import partial
from typing import Any

from signalbox.infra.events import find_events
from tests.gateway.conftest import World, recorded
from tests.gateway.test_proxy import problem
from tests.support.hub import RunningHub, chunked, request
from tests.support.timing import PATIENCE, until

FEW: dict[str, Any] = {"minimum_calls": 3, "open_seconds": 0.3, "probes": 1}


def _has_seen(world: World, count: int) -> bool:
    return len(world.raw.calls) >= count


def seen(world: World) -> list[str]:
    return [call.target for call in world.raw.calls]


async def upstream(hub: RunningHub, name: str = "raw") -> Any:
    token = await hub.token("statistics:read")
    answer = await hub.ask(f"/api/upstreams/{name}".encode(), headers=[(b"Token", token.text.encode())])
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


async def topics(hub: RunningHub) -> list[str]:
    return [event.topic for event in await hub.hub.context.db.read(find_events, limit=10)][::-1]


# -- breaker ----------------------------------------------------------------------------------------------------------


async def test_an_upstream_that_fails_is_left_alone_and_tried_again(world: World) -> None:
    hub = await world.hub({"name": "raw", "breaker": FEW, "retry": {"retries": 0}})
    for _ in range(3):
        assert (await hub.ask(b"/garbage?secret=1")).status == 502
    refused = await hub.ask(b"/fine")
    assert problem(refused) == (503, "upstream_circuit_open")
    assert refused.value(b"retry-after") == b"1"
    assert len(world.raw.calls) == 3
    shown = (await upstream(hub))["breaker"]
    assert (shown["state"], shown["reason"]) == ("open", "3 of 3 calls failed in 10 s, last: invalid_response")
    assert {sample["path"] for sample in shown["samples"]} == {"/garbage"}
    await asyncio.sleep(0.35)
    assert (await hub.ask(b"/fine")).status == 200
    assert (await upstream(hub))["breaker"]["state"] == "closed"
    async with asyncio.timeout(PATIENCE):
        while await topics(hub) != ["gateway.upstream_down", "gateway.upstream_up"]:
            await asyncio.sleep(0.01)
    assert [call.status_code for call in await recorded(hub, 5)] == [502, 502, 502, 503, 200]


async def test_answers_of_a_failing_server_count_and_refusals_do_not(world: World) -> None:
    hub = await world.shop_hub(breaker=FEW)
    for _ in range(5):
        assert (await hub.ask(b"/status/404")).status == 404
    for _ in range(5):
        assert (await hub.ask(b"/status/501")).status == 501
    assert (await upstream(hub, "shop"))["breaker"]["failed"] == 0
    for _ in range(12):
        await hub.ask(b"/status/500")
    assert (await upstream(hub, "shop"))["breaker"]["state"] == "open"


async def test_a_client_that_leaves_says_nothing_of_the_upstream(world: World) -> None:
    hub = await world.hub({"name": "raw", "breaker": FEW})
    for number in range(4):
        async with hub.client() as client:
            await client.send(request(b"/never"))
            await until(partial(_has_seen, world, number + 1))
            client.abort()
    assert [call.status_code for call in await recorded(hub, 4)] == [499] * 4
    shown = await upstream(hub)
    assert (shown["breaker"]["state"], shown["breaker"]["calls"], shown["in_flight"]) == ("closed", 0, 0)


async def test_a_body_that_breaks_off_counts_as_a_failure(world: World) -> None:
    hub = await world.hub({"name": "raw", "breaker": FEW})
    for _ in range(3):
        async with hub.client() as client:
            await client.send(request(b"/cut"))
            assert not (await client.answer()).whole
    assert (await upstream(hub))["breaker"]["state"] == "open"


async def test_a_manager_closes_it(world: World) -> None:
    hub = await world.hub({"name": "raw", "breaker": {**FEW, "open_seconds": 60}, "retry": {"retries": 0}})
    for _ in range(3):
        await hub.ask(b"/close")
    assert (await hub.ask(b"/fine")).status == 503
    reader, manager = await hub.token("statistics:read"), await hub.token("manager", app="desk")
    path = b"/api/upstreams/raw/breaker/reset"
    refused = await hub.ask(path, method=b"POST", headers=[(b"Token", reader.text.encode())])
    assert refused.status == 403
    assert (await hub.ask(b"/fine")).status == 503
    done = await hub.ask(path, method=b"POST", headers=[(b"Token", manager.text.encode())])
    assert json.loads(done.body)["breaker"]["state"] == "closed"
    assert (await hub.ask(b"/fine")).status == 200
    trail = await hub.ask(b"/api/audit?action=breaker.reset", headers=[(b"Token", manager.text.encode())])
    (entry,) = json.loads(trail.body)
    assert (entry["target"], entry["before"]) == ("upstream:raw", {"state": "open"})


# -- retries ----------------------------------------------------------------------------------------------------------


async def test_a_call_that_was_not_sent_is_sent_to_another_target(world: World) -> None:
    urls = [world.raw.refused_url, world.raw.url]
    hub = await world.hub({"name": "raw", "url": None, "urls": urls})
    for method in (b"GET", b"POST"):
        for _ in range(4):
            assert (await hub.ask(b"/fine", method=method, body=b"x" if method == b"POST" else b"")).status == 200
    assert len(world.raw.calls) == 8
    assert [call.status_code for call in await recorded(hub, 8)] == [200] * 8


async def test_a_streamed_body_may_go_to_another_target_as_long_as_nothing_was_sent(world: World) -> None:
    urls = [world.raw.refused_url, world.raw.url]
    hub = await world.hub({"name": "raw", "url": None, "urls": urls})
    for _ in range(2):
        data = request(b"/fine", method=b"POST", headers=[(b"Transfer-Encoding", b"chunked")]) + chunked(b"abc")
        assert (await hub.exchange(data, method=b"POST")).status == 200
    assert [call.body_received for call in world.raw.calls] == [3, 3]


async def test_what_may_have_been_done_is_only_repeated_where_that_means_the_same(world: World) -> None:
    hub = await world.hub({"name": "raw", "breaker": {"enabled": False}})
    assert (await hub.ask(b"/close")).status == 502
    assert len(world.raw.calls) == 2
    assert (await hub.ask(b"/close", method=b"POST")).status == 502
    assert len(world.raw.calls) == 3


async def test_silence_is_not_waited_for_twice_at_the_same_server(world: World) -> None:
    hub = await world.hub({"name": "raw", "read_timeout": 0.2})
    assert problem(await hub.ask(b"/never")) == (504, "upstream_timeout")
    assert len(world.raw.calls) == 1
    other = await world.serve(world.shop)
    hub = await world.hub({"name": "raw", "url": None, "urls": [world.raw.url, other], "read_timeout": 0.2})
    for _ in range(2):
        assert (await hub.ask(b"/never")).status == 404  # of the shop, which knows no such path
    assert len(world.raw.calls) == 2


async def test_an_answer_is_only_repeated_where_the_settings_say_so(world: World) -> None:
    raw = await world.shop_hub(retry={"retries": 2, "statuses": [503]})
    before = world.shop.tally.requests
    assert (await raw.ask(b"/status/503")).status == 503
    assert world.shop.tally.requests - before == 3
    assert (await raw.ask(b"/status/502")).status == 502
    assert (await raw.ask(b"/status/503", method=b"POST")).status == 503
    assert world.shop.tally.requests - before == 5


async def test_a_retry_takes_no_longer_than_the_call_may(world: World) -> None:
    retry = {"retries": 5, "backoff": 10}
    hub = await world.hub({"name": "raw", "url": world.raw.refused_url, "total_timeout": 0.3, "retry": retry})
    async with asyncio.timeout(PATIENCE):
        answer = await hub.ask(b"/fine")
    assert answer.status in (502, 504)


# -- targets ----------------------------------------------------------------------------------------------------------


async def test_calls_are_shared_and_a_failing_target_is_left_out(world: World) -> None:
    other = await world.serve(world.shop)
    targets = {"consecutive_failures": 2}
    hub = await world.hub(
        {"name": "raw", "url": None, "urls": [other, world.raw.url], "targets": targets, "retry": {"retries": 0}}
    )
    for _ in range(10):
        await hub.ask(b"/status/500")  # of the shop; raw answers 200
    shown = {target["url"]: target for target in (await upstream(hub))["targets"]}
    assert shown[other]["ejected_until"] is not None
    assert shown[world.raw.url]["ejected_until"] is None
    assert len(world.raw.calls) == 8


async def test_the_path_of_each_address_comes_before_that_of_the_call(world: World) -> None:
    urls = [world.raw.url + "/one", world.raw.url + "/two"]
    hub = await world.hub({"name": "raw", "url": None, "urls": urls})
    for _ in range(4):
        await hub.ask(b"/x")
    assert sorted(seen(world)) == ["/one/x", "/one/x", "/two/x", "/two/x"]
