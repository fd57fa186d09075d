"""An upstream that is probed by hand."""

import json
from typing import Any

import pytest

from tests.gateway.conftest import World, recorded
from tests.gateway.test_proxy import problem
from tests.support.hub import RunningHub


async def headers_of_manager(hub: RunningHub) -> list[tuple[bytes, bytes]]:
    return [(b"Token", (await hub.token("manager", app="desk")).text.encode())]


async def probed(hub: RunningHub, name: str = "raw") -> Any:
    headers = await headers_of_manager(hub)
    answer = await hub.ask(f"/api/upstreams/{name}/probe".encode(), method=b"POST", headers=headers)
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


async def test_each_server_is_asked_once_and_the_calls_are_recorded(world: World) -> None:
    urls = [world.raw.url, world.raw.refused_url + "/v1"]
    hub = await world.hub({"name": "raw", "url": None, "urls": urls, "probe_path": "/fine"})
    found = await probed(hub)
    assert (found["upstream"], found["path"]) == ("raw", "/fine")
    well, refused = found["targets"]
    assert (well["url"], well["status"], well["error"]) == (urls[0], 200, None)
    assert 0 < well["seconds"] < 5
    assert (refused["url"], refused["status"]) == (urls[1], None)
    assert refused["error"].startswith("connect_failed: ")
    assert (world.seen.method, world.seen.target, len(world.raw.calls)) == ("GET", "/fine", 1)
    calls = {(call.upstream, call.route, call.app, call.path, call.status_code) for call in await recorded(hub, 2)}
    assert calls == {
        ("raw", "probe", "signalbox", "/fine", 200),
        ("raw", "probe", "signalbox", "/v1/fine", 502),
    }


@pytest.mark.parametrize(("path", "status", "error"), [("/stall", 200, None), ("/garbage", None, "invalid_response")])
async def test_only_the_head_of_an_answer_is_waited_for(
    world: World, path: str, status: int | None, error: str | None
) -> None:
    hub = await world.hub({"name": "raw", "probe_path": path})
    (target,) = (await probed(hub))["targets"]
    assert target["status"] == status
    assert (target["error"] or "").partition(":")[0] == (error or "")


async def test_the_breaker_neither_stops_a_probe_nor_hears_of_it(world: World) -> None:
    breaker = {"minimum_calls": 1, "failure_ratio": 0.1}
    hub = await world.hub({"name": "raw", "breaker": breaker, "retry": {"retries": 0}, "probe_path": "/fine"})
    assert (await hub.ask(b"/garbage")).status == 502
    assert (await probed(hub))["targets"][0]["status"] == 200
    assert problem(await hub.ask(b"/fine")) == (503, "upstream_circuit_open")


async def test_only_a_manager_may(world: World) -> None:
    hub = await world.hub()
    answer = await hub.ask(b"/api/upstreams/raw/probe", method=b"POST")
    assert answer.status == 401
    assert world.raw.calls == []


async def test_it_is_in_the_audit_trail(world: World) -> None:
    hub = await world.hub({"name": "raw", "probe_path": "/fine"})
    found = await probed(hub)
    trail = await hub.ask(b"/api/audit?action=upstream.probe", headers=await headers_of_manager(hub))
    (entry,) = json.loads(trail.body)
    assert (entry["target"], entry["before"], entry["after"]) == ("upstream:raw", None, found)
