"""Schedules of reports over HTTP."""

import json

import pytest

from signalbox.core.times import to_rfc3339
from signalbox.grid import schedule_store
from signalbox.infra.jobs import enqueue
from tests.grid.conftest import Grid

PATH = "/api/report-schedules"


async def test_a_schedule_is_added_changed_and_deleted(grid: Grid) -> None:
    new = {"name": "Feeders", "every": "week", "timezone": "Europe/Berlin", "delay_minutes": 10}
    answer = await grid.call("POST", PATH, new)
    made = json.loads(answer.body)
    path = f"{PATH}/{made['id']}"
    assert (answer.status, answer.value(b"location")) == (201, path.encode())
    assert made.items() >= new.items()
    assert await grid.get(path, scope="user") == made
    assert (await grid.call("POST", PATH, new)).status == 409
    changed = json.loads((await grid.call("PATCH", path, {"paused": True})).body)
    assert (changed["paused"], changed["next_report_at"], changed["every"]) == (True, None, "week")
    second = json.loads((await grid.call("POST", PATH, {**new, "name": "b"})).body)
    first_page = await grid.call("GET", f"{PATH}?limit=1")
    assert [each["id"] for each in json.loads(first_page.body)] == [second["id"]]
    link = (first_page.value(b"link") or b"").decode()
    assert [each["id"] for each in await grid.get(link[1 : link.index(">")])] == [made["id"]]
    assert (await grid.call("DELETE", path)).status == 204
    assert (await grid.call("GET", path)).status == 404


@pytest.mark.parametrize(
    "wrong", [{"every": "year"}, {"timezone": "Mars"}, {"name": ""}, {"delay_minutes": 20_000}, {"other": 1}]
)
async def test_what_is_no_schedule_is_refused(grid: Grid, wrong: dict[str, object]) -> None:
    assert (await grid.call("POST", PATH, {"name": "a", "every": "day", **wrong})).status == 422
    assert await grid.get(PATH) == []


async def test_users_read_and_managers_write(grid: Grid) -> None:
    made = json.loads((await grid.call("POST", PATH, {"name": "a", "every": "day"}, scope="grid:write")).body)
    path = f"{PATH}/{made['id']}"
    for method, where, body in (
        ("POST", PATH, {"name": "b", "every": "day"}),
        ("PATCH", path, {}),
        ("DELETE", path, None),
    ):
        assert (await grid.call(method, where, body, scope="user")).status == 403
        assert (await grid.call(method, where, body, scope="")).status == 401


async def test_the_hub_makes_the_reports_of_what_is_due(grid: Grid) -> None:
    made = json.loads((await grid.call("POST", PATH, {"name": "Day", "every": "day"})).body)
    context = grid.hub.hub.context
    day = 86_400_000_000
    ended = {"next_start": context.clock.now() // day * day - day, "next_end": context.clock.now() // day * day}
    await context.db.write(schedule_store.change_schedule, made["id"], ended)
    await context.db.write(enqueue, "grid.schedule", {}, now=context.clock.now())
    while not (found := await grid.get("/api/reports")):
        pass
    shown = await grid.get(f"/api/reports/{found[0]['id']}?wait=30")
    assert (shown["status"], shown["schedule_id"]) == ("completed", made["id"])
    assert shown["name"] == f"Day {to_rfc3339(ended['next_start'])[:10]}"
