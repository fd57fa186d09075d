"""Statistics over HTTP."""

import json
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest

from tests.gateway.conftest import World, recorded
from tests.gateway.test_proxy import problem
from tests.support.hub import RunningHub

READER = {"auth": {"anonymous_scopes": ["gateway", "statistics:read"]}}
LATEST = "9999-12-31T23:59:59Z"


async def get(hub: RunningHub, path: str, **query: object) -> Any:
    text = "&".join(f"{name}={quote(str(value))}" for name, value in query.items())
    answer = await hub.ask(f"{path}?{text}".encode())
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


async def calls(hub: RunningHub, **query: object) -> list[str]:
    """The paths of the calls that the list shows."""
    await hub.flush()
    return [call["path"] for call in await get(hub, "/api/statistics/", **query)]


async def test_the_list_shows_every_field(each_world: World) -> None:
    hub = await each_world.shop_hub(routes=["/items/{id}", "/status/{code}"])
    token = await hub.token("gateway", "statistics:read", app="till")
    headers = [(b"Token", token.text.encode()), (b"X-Request-ID", b"id-7")]
    before = datetime.now(UTC)
    passed = await hub.ask(b"/items/MLA1?q=secret", headers=headers)
    await recorded(hub)
    answer = await hub.ask(b"/api/statistics/", headers=headers)
    (call,) = json.loads(answer.body)
    assert isinstance(call.pop("id"), int)
    assert before <= datetime.fromisoformat(call.pop("created_at")) <= datetime.now(UTC)
    assert 0 < call.pop("seconds") < 5
    assert call == {
        "path": "/items/MLA1",
        "status_code": 200,
        "method": "GET",
        "route": "/items/{id}",
        "upstream": "shop",
        "request_bytes": 0,
        "response_bytes": len(passed.body),
        "client": "127.0.0.1",
        "app": "till",
        "request_id": "id-7",
    }


async def test_every_filter(each_world: World) -> None:
    url = await each_world.serve(each_world.shop)
    hub = await each_world.hub(
        {"name": "shop", "url": url, "routes": ["/status/{code}"]},
        {"name": "raw", "prefix": "/other"},
        gateway={"default": "shop"},
        **READER,
    )
    await hub.ask(b"/status/200")
    await hub.ask(b"/status/503", method=b"POST")
    middle = datetime.now(UTC).isoformat()
    await hub.ask(b"/other/a%2Fb")
    await hub.ask(b"/missing")
    await recorded(hub, 4)
    assert await calls(hub) == ["/missing", "/other/a%2Fb", "/status/503", "/status/200"]
    for query, expected in (
        ({"upstream": "raw"}, ["/other/a%2Fb"]),
        ({"route": "/status/{code}"}, ["/status/503", "/status/200"]),
        ({"route": "unmatched"}, ["/missing", "/other/a%2Fb"]),
        ({"status": "5xx"}, ["/status/503"]),
        ({"status": "404"}, ["/missing"]),
        ({"status": "2xx"}, ["/other/a%2Fb", "/status/200"]),
        ({"method": "post"}, ["/status/503"]),
        ({"path_prefix": "/other/a%2F"}, ["/other/a%2Fb"]),
        ({"path_prefix": "/OTHER"}, []),
        ({"since": middle}, ["/missing", "/other/a%2Fb"]),
        ({"until": middle}, ["/status/503", "/status/200"]),
        ({"since": middle, "upstream": "shop", "limit": 1}, ["/missing"]),
        ({"upstream": "none"}, []),
    ):
        assert await calls(hub, **query) == expected, query


async def test_pages_are_linked_and_keep_the_filters(each_world: World) -> None:
    hub = await each_world.shop_hub(**READER)
    for number in range(7):
        await hub.ask(b"/status/%d" % (500 + number))
        await hub.ask(b"/status/200")
    await recorded(hub, 14)
    target, seen = b"/api/statistics/?status=5xx&limit=3", []
    while target:
        answer = await hub.ask(target)
        page = json.loads(answer.body)
        assert len(page) <= 3
        seen += [call["path"] for call in page]
        link = re.fullmatch(rb'<([^>]+)>; rel="next"', answer.value(b"link") or b"")
        target = link[1] if link else b""
        await hub.ask(b"/status/599")  # arrives while the pages are read
        await hub.flush()
    assert seen == [f"/status/{code}" for code in range(506, 499, -1)]


async def test_the_summary(each_world: World) -> None:
    hub = await each_world.shop_hub(routes=["/status/{code}"], **READER)
    for code in (200, 200, 404, 503):
        await hub.ask(b"/status/%d" % code)
    await recorded(hub, 4)
    for by, names in (
        ("upstream", {"shop": 4}),
        ("route", {"/status/{code}": 4}),
        ("status", {"200": 2, "404": 1, "503": 1}),
    ):
        for step in ("minute", "hour", "day"):
            told = await get(hub, "/api/statistics/summary", by=by, step=step)
            assert (told["by"], told["step"]) == (by, step)
            totals = told["totals"]
            assert (totals["calls"], totals["succeeded"], totals["success_rate"]) == (4, 2, 0.5)
            assert 0 < totals["p50_seconds"] <= totals["p95_seconds"] <= totals["p99_seconds"] < 5
            series = {
                each["name"]: sum(point["totals"]["calls"] for point in each["points"]) for each in told["series"]
            }
            assert series == names
    assert (await get(hub, "/api/statistics/summary", status="5xx"))["totals"]["calls"] == 1


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/?status=6xx", 400, "invalid_status_filter"),
        ("/?cursor=abc", 400, "invalid_cursor"),
        ("/?cursor=" + "WyJb" * 2000, 400, "invalid_cursor"),
        ("/?limit=0", 422, "validation_error"),
        ("/?limit=501", 422, "validation_error"),
        ("/?since=yesterday", 422, "validation_error"),
        ("/?since=2026-01-01T00:00:00", 422, "validation_error"),
        ("/summary?step=year", 422, "validation_error"),
        ("/summary?by=method", 422, "validation_error"),
        ("/summary?since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", 400, "range_too_long"),
        ("/summary?since=2020-01-01T00:00:00Z&until=2026-01-01T00:00:00Z", 400, "range_too_long"),
        ("/summary?since=9999-12-31T23:30:00Z&until=" + LATEST, 400, "range_too_long"),
        ("/summary?since=9999-12-31T00:00:00Z&step=day&until=" + LATEST, 400, "range_too_long"),
        ("/summary?until=0001-01-01T00:00:00Z", 400, "range_too_long"),
    ],
)
async def test_wrong_questions(world: World, path: str, status: int, code: str) -> None:
    hub = await world.hub(**READER)
    assert problem(await hub.ask(f"/api/statistics{path}".encode())) == (status, code)


@pytest.mark.parametrize("name", ["upstream", "route", "method", "path_prefix"])
async def test_filters_that_no_call_can_fit_find_nothing(each_world: World, name: str) -> None:
    hub = await each_world.hub(**READER)
    for value in ("%00", "a%00b", "%FF", "%F0%9F%9A%82", "'%22--"):
        answer = await hub.ask(f"/api/statistics/?{name}={value}".encode())
        assert (answer.status, answer.body) == (200, b"[]")
        assert (await hub.ask(f"/api/statistics/summary?{name}={value}".encode())).status == 200


@pytest.mark.parametrize("path", [b"/api/statistics/", b"/api/statistics", b"/api/statistics/summary"])
async def test_statistics_need_their_scope(world: World, path: bytes) -> None:
    hub = await world.hub()
    right, wrong = await hub.token("statistics:read"), await hub.token("gateway")
    assert (await hub.ask(path)).status == 401
    assert (await hub.ask(path, headers=[(b"Token", wrong.text.encode())])).status == 403
    assert (await hub.ask(path, headers=[(b"Token", right.text.encode())])).status == 200
    assert world.raw.calls == []
