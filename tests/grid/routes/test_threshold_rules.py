"""Threshold rules over HTTP, from the reading to the level of criticality."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.grid.conftest import Grid
from tests.support.databases import Place
from tests.support.hub import running_hub, settings_at
from tests.support.timing import PATIENCE

PATH = "/api/threshold-rules"
RULE = {
    "name": "Overload",
    "measurement_type": "POWER",
    "comparison": ">",
    "bound": 55,
    "clear": 50,
    "severity": "error",
}


@pytest.fixture
async def grid(place: Place) -> AsyncIterator[Grid]:
    """One whose thresholds raise criticality."""
    rules = [{"topic": "grid.threshold", "level": 4}]
    async with running_hub(settings_at(place, criticality={"rules": rules})) as hub:
        yield Grid(hub)


async def until(grid: Grid, path: str, *, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(PATIENCE):
        while len(found := await grid.get(path)) < count:
            await asyncio.sleep(0.02)
    return list(found)


async def test_a_reading_beyond_the_bound_raises_criticality(grid: Grid) -> None:
    made = json.loads((await grid.call("POST", PATH, RULE)).body)
    number = await grid.add()
    for minute, value in enumerate((54, 56, 57)):
        assert (await grid.measure(number, f"2026-01-01T00:0{minute}:00Z", value)).status == 201
    (event,) = await until(grid, "/api/events?topic=grid.threshold", count=1)
    assert (event["severity"], event["data"]["rule"], event["data"]["value"]) == ("error", made["id"], 56)
    (change,) = await until(grid, "/api/criticality/history", count=1)
    assert (change["level"], change["set_by"], change["reason"]) == (4, "hub", f"event grid.threshold {event['id']}")
    (crossing,) = await grid.get(f"{PATH}/crossings?rule={made['id']}", scope="user")
    assert (crossing["component_id"], crossing["since"]) == (number, "2026-01-01T00:01:00Z")
    batch = [{"component_id": number, "timestamp": "2026-01-01T00:05:00Z", "value": 50, "measurement_type": "POWER"}]
    assert (await grid.call("POST", "/api/measurements/batch", batch)).status == 200
    await until(grid, "/api/events?topic=grid.threshold_cleared", count=1)
    assert await grid.get(f"{PATH}/crossings") == []
    assert len(await grid.get("/api/events?topic=grid.threshold")) == 1


async def test_a_rule_is_added_changed_and_deleted(grid: Grid) -> None:
    answer = await grid.call("POST", PATH, RULE)
    made = json.loads(answer.body)
    path = f"{PATH}/{made['id']}"
    assert (answer.status, answer.value(b"location"), made["condition"]) == (201, path.encode(), "POWER > 55")
    assert await grid.get(path, scope="user") == made
    assert (await grid.call("POST", PATH, RULE)).status == 409
    changed = json.loads((await grid.call("PATCH", path, {"readings": 3, "clear": None})).body)
    assert (changed["condition"], changed["clear"]) == ("POWER > 55 for 3 readings", 55)
    second = json.loads((await grid.call("POST", PATH, {**RULE, "name": "b"})).body)
    page = await grid.call("GET", f"{PATH}?limit=1")
    assert [each["id"] for each in json.loads(page.body)] == [second["id"]]
    link = (page.value(b"link") or b"").decode()
    assert [each["id"] for each in await grid.get(link[1 : link.index(">")])] == [made["id"]]
    assert (await grid.call("DELETE", path)).status == 204
    assert (await grid.call("GET", path)).status == 404


@pytest.mark.parametrize("wrong", [{"clear": 60}, {"component_id": 99}, {"component_type": "PLANET"}, {"other": 1}])
async def test_what_is_no_rule_is_refused(grid: Grid, wrong: dict[str, object]) -> None:
    assert (await grid.call("POST", PATH, {**RULE, **wrong})).status == 422


async def test_users_read_and_managers_write(grid: Grid) -> None:
    made = json.loads((await grid.call("POST", PATH, RULE, scope="grid:write")).body)
    path = f"{PATH}/{made['id']}"
    for method, where, body in (("POST", PATH, RULE), ("PATCH", path, {}), ("DELETE", path, None)):
        assert (await grid.call(method, where, body, scope="user")).status == 403
        assert (await grid.call(method, where, body, scope="")).status == 401
