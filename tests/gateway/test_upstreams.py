"""What the hub tells of its upstreams, and limits as callers meet them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from signalbox.infra.http import Request, parse_origin, read_all
from tests.gateway.conftest import World, recorded
from tests.gateway.test_proxy import problem
from tests.support.hub import RunningHub

READER = {"anonymous_scopes": ["gateway", "statistics:read"]}


async def shown(hub: RunningHub, path: str = "/api/upstreams") -> Any:
    answer = await hub.ask(path.encode())
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


async def test_everything_there_is_to_see_of_an_upstream(world: World) -> None:
    limits = [{"by": "ip", "rate": "100/1m"}, {"by": "path", "pattern": "/items/*", "rate": "10/1m"}]
    hub = await world.shop_hub(auth=READER, limits=limits, prefix="/", routes=["/items/{id}"])
    began = datetime.now(UTC)
    for path in (b"/items/1", b"/items/2", b"/status/500"):
        await hub.ask(path)
    (upstream,) = await shown(hub)
    alone = await shown(hub, "/api/upstreams/shop")
    assert (alone["name"], alone["limits"]) == ("shop", upstream["limits"])
    breaker, (target,) = upstream.pop("breaker"), upstream.pop("targets")
    assert (breaker["state"], breaker["calls"], breaker["failed"], breaker["retry_at"]) == ("closed", 3, 1, None)
    (sample,) = breaker["samples"]
    assert (sample["method"], sample["path"], sample["outcome"]) == ("GET", "/status/500", "status 500")
    assert began <= datetime.fromisoformat(sample["at"]) <= datetime.now(UTC)
    assert (target["in_flight"], target["failures_in_a_row"], target["ejected_until"]) == (0, 1, None)
    by_ip, by_path = upstream.pop("limits")
    assert (by_ip["name"], by_ip["by"], by_ip["rate"], by_ip["pattern"]) == ("shop:ip", "ip", "100/1m", None)
    assert by_ip["fullest"] == [{"key": "127.0.0.1", "used": 3}]
    assert (by_path["pattern"], by_path["fullest"]) == ("/items/*", [{"key": "", "used": 2}])
    assert 0 < upstream["p50_seconds"] <= upstream["p95_seconds"] <= upstream["p99_seconds"] < 5
    assert upstream["error_rate"] == pytest.approx(1 / 3)
    assert (upstream["name"], upstream["calls"], upstream["in_flight"]) == ("shop", 3, 0)
    assert (upstream["prefix"], upstream["host"], upstream["access"]) == ("/", None, "open")


async def test_an_unknown_one_is_named(world: World) -> None:
    hub = await world.shop_hub(auth=READER)
    answer = await hub.ask(b"/api/upstreams/nope")
    assert problem(answer) == (404, "unknown_upstream")
    assert "shop" in json.loads(answer.body)["detail"]


async def test_readers_need_the_scope(world: World) -> None:
    hub = await world.shop_hub()
    assert (await hub.ask(b"/api/upstreams")).status == 401
    token = await hub.token("gateway")
    answer = await hub.ask(b"/api/upstreams", headers=[(b"Token", token.text.encode())])
    assert answer.status == 403
    assert b"statistics:read" in answer.body


async def test_a_limit_refuses_what_is_over_it_and_says_how_it_stands(world: World) -> None:
    hub = await world.hub({"name": "raw", "limits": [{"by": "ip", "rate": "2/1h"}]})
    first, second, third = [await hub.ask(b"/fine") for _ in range(3)]
    assert (first.status, second.status) == (200, 200)
    assert first.value(b"ratelimit-policy") == b'"raw:ip";q=2;w=3600'
    assert first.value(b"ratelimit") == b'"raw:ip";r=1;t=3600'
    assert problem(third) == (429, "rate_limited")
    assert 3590 <= int(third.value(b"retry-after") or b"0") <= 3600
    assert (third.value(b"ratelimit") or b"").startswith(b'"raw:ip";r=0;t=')
    assert third.value(b"ratelimit-policy") == b'"raw:ip";q=2;w=3600'
    assert len(world.raw.calls) == 2
    assert [call.status_code for call in await recorded(hub, 3)] == [200, 200, 429]


async def test_another_spelling_of_a_path_is_the_same_path(world: World) -> None:
    limits = [{"by": "path", "pattern": "/items/*", "rate": "1/1h"}]
    hub = await world.hub({"name": "raw", "limits": limits})
    assert (await hub.ask(b"/items/1")).status == 200
    for path in (b"/items/2", b"//items/3", b"/%69tems/4", b"/x/../items/5", b"/items%2F6", b"/items;x=1/7"):
        assert (await hub.ask(path)).status == 429, path
    assert (await hub.ask(b"/other")).status == 200


async def test_the_address_is_that_of_the_client_only_where_a_trusted_proxy_says_so(world: World) -> None:
    limited = {"name": "raw", "limits": [{"by": "ip", "rate": "1/1h"}]}
    said = [[(b"X-Forwarded-For", b"198.51.100.%d" % number)] for number in range(2)]
    hub = await world.hub(limited)
    assert [(await hub.ask(b"/fine", headers=each)).status for each in said] == [200, 429]
    trusting = await world.hub(limited, gateway={"trusted_proxies": ["127.0.0.1"]})
    assert [(await trusting.ask(b"/fine", headers=each)).status for each in (*said, said[0])] == [200, 200, 429]


async def test_an_app_has_a_counter_of_its_own(world: World) -> None:
    hub = await world.hub({"name": "raw", "limits": [{"by": "app", "rate": "1/1h"}]})
    till, desk = await hub.token("gateway", app="till"), await hub.token("gateway", app="desk")
    asked = [till, till, desk]
    statuses = [(await hub.ask(b"/fine", headers=[(b"Token", each.text.encode())])).status for each in asked]
    assert statuses == [200, 429, 200]
    assert [(await hub.ask(b"/fine")).status for _ in range(3)] == [200, 200, 200]


async def test_calls_of_the_hub_itself_are_counted_too(world: World) -> None:
    hub = await world.hub(auth=READER)
    origin, _ = parse_origin(world.raw.url)
    request = Request(origin, b"POST", b"/fine?key=secret", body=b"abc")
    response = await hub.hub.context.outbound.send(request, service="provider:paint", route="submit")
    assert await read_all(response) == b"fine\n"
    (call,) = await recorded(hub)
    assert (call.upstream, call.route, call.method, call.path) == ("provider:paint", "submit", "POST", "/fine")
    assert (call.status_code, call.request_bytes, call.response_bytes, call.app) == (200, 3, 5, "signalbox")
    told = await hub.ask(b"/metrics")
    assert (
        b'signalbox_gateway_requests_total{method="POST",route="submit",status="200",upstream="provider:paint"}'
        in told.body
    )
